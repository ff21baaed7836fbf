// The kinds of security that the service can answer for the person, and which of a target's offer is taken.
// What always holds: only what was offered is taken, the strongest that the credentials allow, and never a password in
// clear (VeNCrypt's `Plain` without TLS).
import type { SecurityRequirement } from '../transport/rules.js';
import { targetFailed, targetRefused } from './failure.js';
import type { Credentials } from './security-options.js';

export interface SecurityType {
  readonly number: number;
  readonly name: string;
  /** What protects the connection. */
  readonly layer: 'open' | 'tls' | 'x509';
  /** What the target asks for. */
  readonly proof: 'none' | 'vnc' | 'plain';
}

/** Type 19 of the first list: VeNCrypt has a list of its own. */
export const VENCRYPT = 19;
export const NONE = 1;

/** Best first. Of two that protect the same, the one that proves more. */
const preference: readonly SecurityType[] = [
  { number: 262, name: 'X509Plain', layer: 'x509', proof: 'plain' },
  { number: 261, name: 'X509Vnc', layer: 'x509', proof: 'vnc' },
  { number: 260, name: 'X509None', layer: 'x509', proof: 'none' },
  { number: 259, name: 'TLSPlain', layer: 'tls', proof: 'plain' },
  { number: 258, name: 'TLSVnc', layer: 'tls', proof: 'vnc' },
  { number: 257, name: 'TLSNone', layer: 'tls', proof: 'none' },
  { number: 2, name: 'VncAuth', layer: 'open', proof: 'vnc' },
  { number: NONE, name: 'None', layer: 'open', proof: 'none' },
];

/** Others that real servers offer, for messages. */
const others: ReadonlyMap<number, string> = new Map([
  [5, 'RA2'],
  [6, 'RA2ne'],
  [16, 'Tight'],
  [18, 'TLS'],
  [VENCRYPT, 'VeNCrypt'],
  [20, 'SASL'],
  [30, 'Apple'],
  [256, 'Plain'],
]);

/** As many of an offer are named in a message. */
const NAMED = 8;

const fulfils: Readonly<Record<SecurityRequirement, (type: SecurityType) => boolean>> = {
  tls: ({ layer }) => layer !== 'open',
  x509: ({ layer }) => layer === 'x509',
  vnc: ({ proof }) => proof === 'vnc',
  plain: ({ proof }) => proof === 'plain',
  password: ({ proof }) => proof !== 'none',
};

/** Those of an offer that fit what is required and can be proved, the strongest first. */
export function usableTypes(
  offered: readonly number[],
  credentials: Credentials,
  required: readonly SecurityRequirement[],
): readonly SecurityType[] {
  return preference.filter(
    (type) => offered.includes(type.number) && fits(type, required) && canProve(type, credentials),
  );
}

/** Whether the one is taken before the other. */
export function isStronger(one: SecurityType, other: SecurityType): boolean {
  return preference.indexOf(one) < preference.indexOf(other);
}

/**
 * Takes one of what a target offers, in its own list or in VeNCrypt's.
 * @throws GatewayError `target-failed` saying what is missing: a type that is spoken here, what the rule requires, or the
 * credentials
 */
export function chooseSecurity(
  offered: readonly number[],
  credentials: Credentials,
  required: readonly SecurityRequirement[],
): SecurityType {
  const [best] = usableTypes(offered, credentials, required);
  if (best !== undefined) return best;
  const spoken = preference.filter(({ number }) => offered.includes(number));
  if (spoken.length === 0) {
    throw targetFailed(`the target offers no security type that is spoken here: ${nameTypes(offered)}`);
  }
  const fitting = spoken.filter((type) => fits(type, required));
  if (fitting.length === 0) {
    throw targetRefused(`the target offers ${nameTypes(offered)}, but ${required.join(' and ')} is required`);
  }
  if (fitting.some(({ proof }) => proof === 'vnc' || credentials.username !== undefined)) {
    throw targetRefused('the VM needs a VNC password and has none stored');
  }
  throw targetRefused('the target needs a user name, and none is set for it', '(vnc_user)');
}

function fits(type: SecurityType, required: readonly SecurityRequirement[]): boolean {
  return required.every((name) => fulfils[name](type));
}

/** With a name alone nobody is let in: a VM without a password is not one that Plain was set up for. */
function canProve({ proof }: SecurityType, { password, username }: Credentials): boolean {
  if (proof === 'none') return true;
  return password !== '' && (proof === 'vnc' || username !== undefined);
}

function nameTypes(numbers: readonly number[]): string {
  if (numbers.length === 0) return 'none';
  const names = numbers
    .slice(0, NAMED)
    .map((one) => preference.find(({ number }) => number === one)?.name ?? others.get(one) ?? `type ${one}`);
  const more = numbers.length - names.length;
  return `${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
