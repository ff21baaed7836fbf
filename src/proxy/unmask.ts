// Takes the mask off a browser's payload (RFC 6455 section 5.3), in place: the bytes are ours, and a copy would cost
// more than the work itself.

/** Below this, setting up a 32-bit view costs more than it saves. */
const WORDS_PAY_FROM = 64;

/**
 * Unmasks `bytes[from, to)` in place.
 * @param mask the four bytes of the frame's masking key
 * @param phase how many bytes of the payload came before these
 */
export function unmask(bytes: Buffer, from: number, to: number, mask: Uint8Array, phase: number): void {
  let at = from;
  if (to - from >= WORDS_PAY_FROM) {
    const misaligned = -(bytes.byteOffset + at) & 3;
    unmaskBytes(bytes, at, at + misaligned, at, mask, phase);
    at += misaligned;
    const words = (to - at) >>> 2;
    const view = new Int32Array(bytes.buffer, bytes.byteOffset + at, words);
    const key = rotatedKey(mask, phase + misaligned);
    xorWords(view, key);
    at += words << 2;
  }
  unmaskBytes(bytes, at, to, at, mask, phase + (at - from));
}

/** Eight at a time: V8 does not unroll, and a word costs less than the loop around it. */
function xorWords(view: Int32Array, key: number): void {
  let i = 0;
  for (const end = view.length - 7; i < end; i += 8) {
    (view[i] as number) ^= key;
    (view[i + 1] as number) ^= key;
    (view[i + 2] as number) ^= key;
    (view[i + 3] as number) ^= key;
    (view[i + 4] as number) ^= key;
    (view[i + 5] as number) ^= key;
    (view[i + 6] as number) ^= key;
    (view[i + 7] as number) ^= key;
  }
  for (; i < view.length; i++) (view[i] as number) ^= key;
}

/** Unmasks `bytes[from, to)` to where `into` begins, at or before `from`. */
export function unmaskBytes(
  bytes: Buffer,
  from: number,
  to: number,
  into: number,
  mask: Uint8Array,
  phase: number,
): void {
  const k0 = mask[phase & 3] as number;
  const k1 = mask[(phase + 1) & 3] as number;
  const k2 = mask[(phase + 2) & 3] as number;
  const k3 = mask[(phase + 3) & 3] as number;
  let at = from;
  let out = into;
  for (; at + 3 < to; at += 4, out += 4) {
    bytes[out] = (bytes[at] as number) ^ k0;
    bytes[out + 1] = (bytes[at + 1] as number) ^ k1;
    bytes[out + 2] = (bytes[at + 2] as number) ^ k2;
    bytes[out + 3] = (bytes[at + 3] as number) ^ k3;
  }
  if (at < to) bytes[out] = (bytes[at] as number) ^ k0;
  if (at + 1 < to) bytes[out + 1] = (bytes[at + 1] as number) ^ k1;
  if (at + 2 < to) bytes[out + 2] = (bytes[at + 2] as number) ^ k2;
}

const keyBytes = new Uint8Array(4);
const keyWord = new Int32Array(keyBytes.buffer);

/** The key as a word in this machine's byte order, beginning with the byte that `phase` asks for. */
function rotatedKey(mask: Uint8Array, phase: number): number {
  for (let i = 0; i < 4; i++) keyBytes[i] = mask[(phase + i) & 3] as number;
  return keyWord[0] as number;
}
