// Which message of a browser goes on to the VM, given the rules and what has gone on before.
// What always holds: what does not stand here as allowed does not pass; SetEncodings passes only as far as its offers do.
import { mayCutTextPass } from './client-clipboard.js';
import { Encoding, listedEncodings, mayOffer, OFFERS_MAX, setEncodings } from './client-encodings.js';
import { ClientType, QemuType } from './client-messages.js';
import { ClientPointers } from './client-pointers.js';
import { type FilterRules, isTransparent, readsServer } from './client-rules.js';
import { RfbViolation } from './client-violation.js';
import { PIXEL_FORMAT_BYTES, PixelFormat } from './server-pixel-format.js';

export interface JudgeOptions extends FilterRules {
  /** Told of each pixel format that goes on to the server, before it goes (server-filter.ts needs it). */
  readonly pixelFormatSet?: ((format: PixelFormat) => void) | undefined;
  /** The format of ServerInit, once it has come: it is in force until the browser sets one. */
  readonly announcedFormat?: (() => PixelFormat | undefined) | undefined;
}

const SHARED = Buffer.of(1);

export class ClientJudge {
  readonly pointers: ClientPointers;
  private readonly options: JudgeOptions;
  private readonly readsServer: boolean;
  /** The server may send rectangles. */
  private asked = false;
  private pixelFormat: PixelFormat | undefined;

  constructor(options: JudgeOptions) {
    this.options = options;
    this.readsServer = readsServer(options);
    this.pointers = new ClientPointers(options.viewOnly || isTransparent(options));
  }

  /**
   * ClientInit can say that everybody else is to be thrown out, which is not for those who may only look.
   * @returns as judge()
   */
  judgeClientInit(shared: number): true | Buffer {
    return this.options.viewOnly && shared === 0 ? SHARED : true;
  }

  /**
   * @param at where a message begins whose head of `length` bytes is in `bytes`
   * @returns whether the message goes on, or what does in its place
   * @throws RfbViolation
   */
  judge(bytes: Buffer, at: number, length: number): boolean | Buffer {
    switch (bytes[at]) {
      case ClientType.pointer:
        return !this.options.viewOnly && this.pointers.judge(bytes, at, length);
      case ClientType.key:
      case ClientType.xvp:
      case ClientType.setDesktopSize:
        return !this.options.viewOnly;
      case ClientType.updateRequest:
      case ClientType.continuousUpdates:
        this.asked = true;
        return true;
      case ClientType.fence:
        return true;
      case ClientType.cutText:
        return mayCutTextPass(bytes, at, this.options);
      case ClientType.qemu:
        return !this.options.viewOnly || bytes[at + 1] === QemuType.audio;
      case ClientType.setEncodings:
        return this.judgeEncodings(bytes.subarray(at, at + length));
      case ClientType.setPixelFormat:
        this.takePixelFormat(new PixelFormat(bytes.subarray(at + length - PIXEL_FORMAT_BYTES, at + length)));
        return true;
      default:
        return false;
    }
  }

  private judgeEncodings(message: Buffer): true | Buffer {
    this.asked = true;
    const listed = listedEncodings(message);
    const threeBytes = this.pixelFormat?.isTrueColour24 === true;
    const offered = listed
      .filter(
        (encoding) =>
          mayOffer(encoding, this.options, threeBytes) &&
          (encoding !== Encoding.extendedMouseButtons || this.pointers.mayBeOffered),
      )
      .slice(0, OFFERS_MAX);
    this.pointers.offered(offered.includes(Encoding.extendedMouseButtons));
    return offered.length === listed.length ? true : setEncodings(offered);
  }

  /** What the server has sent by then, and how it was measured, must not depend on when it reads this. */
  private takePixelFormat(format: PixelFormat): void {
    const inForce = this.pixelFormat ?? this.options.announcedFormat?.();
    if (this.readsServer && this.asked && inForce?.measuresAs(format) !== true) {
      throw new RfbViolation('the browser changed the pixel format in the middle');
    }
    this.pixelFormat = format;
    this.options.pixelFormatSet?.(format);
  }
}
