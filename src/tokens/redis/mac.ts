// Proof that what stands in Redis, or is published there, was written by a host of ours: a MAC (HMAC-SHA-256) in front
// of it. What always holds: it covers the very bytes that are read, what they are for and the key or channel that they
// were written to, so that nothing can be moved; what is not proven is not parsed.
import {
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  scryptSync,
  timingSafeEqual,
} from 'node:crypto';

/** Each has a key of its own. */
export type MacPurpose = 'record' | 'message';

/** `other key`: by a host with another secret. `none`: by no host of this version. */
export type MacProblem = 'none' | 'other key' | 'wrong';

/** The first members of the JSON object that it proves, exactly as we write them. */
const HEAD = /^\{"key":"([A-Za-z0-9_-]{11})","mac":"([A-Za-z0-9_-]{43})",/;

const KEY_BYTES = 32;
/** Names the secret, so that hosts with different ones can be told. */
const ID_BYTES = 8;

export class RedisMac {
  private readonly keyId: string;
  private readonly keys: Readonly<Record<MacPurpose, KeyObject>>;

  /**
   * @param secret what all hosts have in common and nobody else: a key, or else Redis's own password, which others may
   * know as well; an empty one proves nothing to whoever reads this
   */
  constructor(secret: KeyObject | string) {
    const root = typeof secret === 'string' ? stretched(secret) : secret;
    this.keyId = derived(root, 'key id', ID_BYTES).toString('base64url');
    this.keys = {
      record: createSecretKey(derived(root, 'record', KEY_BYTES)),
      message: createSecretKey(derived(root, 'message', KEY_BYTES)),
    };
  }

  /**
   * @param place the key or channel that it is written to
   * @param json an object with at least one member
   */
  sign(purpose: MacPurpose, place: string, json: string): string {
    return `{"key":"${this.keyId}","mac":"${this.macOf(purpose, place, json)}",${json.slice(1)}`;
  }

  /** @returns what was signed, or why it is not believed */
  open(purpose: MacPurpose, place: string, text: string): { readonly json: string } | MacProblem {
    const head = HEAD.exec(text);
    if (head === null) return 'none';
    const [{ length }, keyId, mac = ''] = head;
    if (keyId !== this.keyId) return 'other key';
    const json = `{${text.slice(length)}`;
    const isRight = timingSafeEqual(Buffer.from(mac), Buffer.from(this.macOf(purpose, place, json)));
    return isRight ? { json } : 'wrong';
  }

  private macOf(purpose: MacPurpose, place: string, json: string): string {
    const hmac = createHmac('sha256', this.keys[purpose]);
    return hmac.update(`vnctoken ${purpose}\0${place}\0${json}`).digest('base64url');
  }
}

/** RFC 5869: a key for each use. */
function derived(root: KeyObject, use: string, bytes: number): Buffer {
  return Buffer.from(hkdfSync('sha256', root, '', `vnctoken redis ${use}`, bytes));
}

/** A password is worth less than a key, and whoever reads Redis could try many: each try shall cost. */
function stretched(password: string): KeyObject {
  const bytes = scryptSync(password, 'vnctoken redis password', KEY_BYTES);
  return createSecretKey(bytes);
}
