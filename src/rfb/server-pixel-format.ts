// As much of a pixel format as the length of a rectangle depends on (RFC 6143 section 7.4).
// What always holds: any 16 bytes are a format; one of a size that the protocol does not know throws when a pixel of it is
// to be measured, and not before: a server may announce what it likes, if the browser sets another one.
import { RfbViolation } from './client-violation.js';

export const PIXEL_FORMAT_BYTES = 16;

export class PixelFormat {
  /** As announced: 8, 16 or 32, and anything else. */
  private readonly bits: number;
  /** 32 bits a pixel, a byte for each colour, and one unused: three bytes a pixel where an encoding packs them. */
  readonly isTrueColour24: boolean;

  /** @param bytes 16 of them; those that are padding may hold anything */
  constructor(bytes: Buffer) {
    this.bits = bytes.readUInt8(0);
    const isTrueColour = bytes.readUInt8(3) !== 0;
    const maxima = [4, 6, 8].map((at) => bytes.readUInt16BE(at));
    const depth = bytes.readUInt8(1);
    this.isTrueColour24 =
      isTrueColour && this.bits === 32 && depth === 24 && maxima.every((maximum) => maximum === 255);
  }

  /** On the wire: 1, 2 or 4. @throws RfbViolation */
  get bytesPerPixel(): number {
    const { bits } = this;
    if (bits !== 8 && bits !== 16 && bits !== 32) {
      throw new RfbViolation(`a picture in a pixel format of ${bits} bits`);
    }
    return bits / 8;
  }

  /** Whether a rectangle is as long in the one as in the other, whatever its encoding. */
  measuresAs(other: PixelFormat): boolean {
    return this.bits === other.bits && this.isTrueColour24 === other.isTrueColour24;
  }
}
