// The target's first 12 bytes must be an RFB version (RFC 6143 section 7.1.1): whatever else listens on a port that a
// user wrote into a template is not talked to, and no byte of it reaches the browser.

const RFB_VERSION = /^RFB \d{3}\.\d{3}\n$/;
/** The shape above, byte by byte, so that a wrong one is refused at its first wrong byte. */
const PATTERN = 'RFB 000.000\n';

export type GreetingState = 'incomplete' | 'right' | 'wrong';

/** Looks at the first bytes of a target, all that have come so far. */
export function checkGreeting(bytes: Buffer): GreetingState {
  const text = bytes.toString('latin1', 0, PATTERN.length);
  if (!RFB_VERSION.test(text + PATTERN.slice(text.length))) return 'wrong';
  return text.length < PATTERN.length ? 'incomplete' : 'right';
}
