// Takes the mask off a browser's payload (RFC 6455 section 5.3), in place: the bytes are ours, and a copy would cost
// more than the work itself.

/** Below this, setting up a 32-bit view costs more than it saves. */
const WORDS_PAY_FROM = 64;

/**
 * Unmasks `bytes[from, to)` in place.
 * @param mask the frame's masking key, its first byte the lowest
 * @param phase how many bytes of the payload came before these
 */
export function unmask(bytes: Buffer, from: number, to: number, mask: number, phase: number): void {
  let at = from;
  if (to - from >= WORDS_PAY_FROM) {
    const misaligned = -(bytes.byteOffset + at) & 3;
    unmaskBytes(bytes, at, at + misaligned, at, mask, phase);
    at += misaligned;
    const words = (to - at) >>> 2;
    const view = new Int32Array(bytes.buffer, bytes.byteOffset + at, words);
    const key = wordOf(rotated(mask, phase + misaligned));
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
  mask: number,
  phase: number,
): void {
  const key = rotated(mask, phase);
  const k0 = key & 0xff;
  const k1 = (key >>> 8) & 0xff;
  const k2 = (key >>> 16) & 0xff;
  const k3 = key >>> 24;
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

/** The key that begins with the byte which `phase` asks for. */
function rotated(mask: number, phase: number): number {
  const bits = (phase & 3) << 3;
  // A shift by 32 is one by 0 (ECMA-262).
  return (mask >>> bits) | (mask << (32 - bits));
}

const oneWord = new Int32Array(1);
const itsBytes = Buffer.from(oneWord.buffer);

/** As a word that lies in memory, in this machine's order of bytes. */
function wordOf(key: number): number {
  itsBytes.writeInt32LE(key);
  return oneWord[0] as number;
}
