// As much of a pixel format as the length of a rectangle depends on (RFC 6143 section 7.4).
// What always holds: any 16 bytes are a format; one that servers do not all measure alike throws when a pixel of it is to
// be measured, and not before: a server may announce what it likes, if the browser sets another one.
import { RfbViolation } from './client-violation.js';

export const PIXEL_FORMAT_BYTES = 16;

export class PixelFormat {
  /** As announced: 8, 16 or 32, and anything else. */
  private readonly bits: number;
  private readonly isTrueColour: boolean;
  /** Three bytes a pixel where an encoding packs them, to every server: a whole byte for each colour, and one unused. */
  readonly isTrueColour24: boolean;

  /** @param bytes 16 of them; those that are padding may hold anything */
  constructor(bytes: Buffer) {
    this.bits = bytes.readUInt8(0);
    const depth = bytes.readUInt8(1);
    this.isTrueColour = bytes.readUInt8(3) !== 0;
    const maxima = [4, 6, 8].map((at) => bytes.readUInt16BE(at));
    // TigerVNC packs only what lies in bytes of its own, QEMU does not look where it lies.
    const places = new Set([10, 11, 12].map((at) => bytes.readUInt8(at)));
    this.isTrueColour24 =
      this.isTrueColour &&
      this.bits === 32 &&
      depth === 24 &&
      maxima.every((maximum) => maximum === 255) &&
      places.size === 3 &&
      [...places].every((shift) => shift % 8 === 0 && shift <= 24);
  }

  /** On the wire: 1, 2 or 4. @throws RfbViolation */
  get bytesPerPixel(): number {
    const { bits, isTrueColour } = this;
    if (bits !== 8 && bits !== 16 && bits !== 32) {
      throw new RfbViolation(`a picture in a pixel format of ${bits} bits`);
    }
    // QEMU sends 8 bits then, whatever was asked for.
    if (!isTrueColour && bits !== 8) {
      throw new RfbViolation(`a picture in a colour map of ${bits} bits`);
    }
    return bits / 8;
  }

  /** Whether a rectangle is as long in the one as in the other, whatever its encoding. */
  measuresAs(other: PixelFormat): boolean {
    return (
      this.bits === other.bits &&
      this.isTrueColour === other.isTrueColour &&
      this.isTrueColour24 === other.isTrueColour24
    );
  }
}
