// The known_hosts format of OpenSSH (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"): which keys a host may show.
// What always holds: nothing is read or written here; a line that is not understood makes no key known, and a revoked
// key stays revoked whatever the other lines say.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { matchesGlob } from './glob.js';

/** Far longer than a line with a key of 16,384 bits; what is longer is no line of known_hosts. */
const MAX_LINE_CHARS = 16 * 1024;
const DEFAULT_PORT = 22;

/** Types of keys in known_hosts, the best first, with the signature algorithms that go with each. None uses SHA-1. */
const SIGNATURES: ReadonlyMap<string, readonly string[]> = new Map([
  ['ssh-ed25519', ['ssh-ed25519']],
  ['ecdsa-sha2-nistp256', ['ecdsa-sha2-nistp256']],
  ['ecdsa-sha2-nistp384', ['ecdsa-sha2-nistp384']],
  ['ecdsa-sha2-nistp521', ['ecdsa-sha2-nistp521']],
  ['ssh-rsa', ['rsa-sha2-512', 'rsa-sha2-256']],
]);

interface HostKeyLine {
  /** The first field: patterns with commas, or one hashed name. */
  readonly names: string;
  readonly revoked: boolean;
  readonly type: string;
  /** The public key as SSH sends it (RFC 4253 section 6.6). */
  readonly key: Buffer;
}

export interface KnownHosts {
  readonly lines: readonly HostKeyLine[];
  /** Numbers of the lines, from 1, that name a certificate authority, which is not supported. */
  readonly authorities: readonly number[];
  /** Numbers of the lines that were not understood. */
  readonly broken: readonly number[];
}

/** Reads the text of one file. */
export function parseKnownHosts(text: string): KnownHosts {
  const lines: HostKeyLine[] = [];
  const authorities: number[] = [];
  const broken: number[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const fields = line
      .slice(0, MAX_LINE_CHARS)
      .trim()
      .split(/[ \t]+/);
    if (fields[0] === '' || fields[0]?.startsWith('#')) continue;
    const marker = fields[0]?.startsWith('@') ? fields.shift() : undefined;
    const [names = '', type = '', base64 = ''] = fields;
    const key = line.length > MAX_LINE_CHARS ? undefined : keyOf(type, base64);
    if (marker === '@cert-authority') authorities.push(index + 1);
    else if (key === undefined || (marker !== undefined && marker !== '@revoked')) broken.push(index + 1);
    else lines.push({ names, revoked: marker !== undefined, type, key });
  }
  return { lines, authorities, broken };
}

/** A host as known_hosts writes it: `name`, or `[name]:port` where sshd listens elsewhere than on 22. */
export function knownHostsName(host: string, port: number): string {
  const name = host.toLowerCase();
  return port === DEFAULT_PORT ? name : `[${name}]:${port}`;
}

export type HostKeyVerdict = 'known' | 'unknown' | 'changed' | 'revoked';

/** What is known of one host. */
export class HostKeys {
  private readonly known: readonly HostKeyLine[];
  private readonly revoked: readonly HostKeyLine[];

  /**
   * @param files in which the host is looked up
   * @param hosts its names, the one that counts most first; the next is looked at where nothing is known of that one
   */
  constructor(files: readonly KnownHosts[], hosts: readonly string[], port: number) {
    const lines = files.flatMap((file) => file.lines);
    // A revocation of a host counts on all its ports.
    const everyName = hosts.flatMap((host) => [
      knownHostsName(host, port),
      knownHostsName(host, DEFAULT_PORT),
    ]);
    this.revoked = lines.filter(
      (line) => line.revoked && everyName.some((name) => matches(line.names, name)),
    );
    const usable = lines.filter((line) => !line.revoked && SIGNATURES.has(line.type));
    const found = hosts.map((host) =>
      usable.filter((line) => matches(line.names, knownHostsName(host, port))),
    );
    this.known = found.find((some) => some.length > 0) ?? [];
  }

  /** Types of the keys that the host may show; empty for a host that is not known. */
  get types(): readonly string[] {
    const good = this.known.filter((line) => !this.isRevoked(line.key));
    return [...SIGNATURES.keys()].filter((type) => good.some((line) => line.type === type));
  }

  /** What to offer the server, so that it shows a key that can be compared; everything for an unknown host. */
  get algorithms(): readonly string[] {
    const { types } = this;
    return [...SIGNATURES].flatMap(([type, names]) =>
      types.length === 0 || types.includes(type) ? names : [],
    );
  }

  /** @param key as the server sent it */
  check(key: Buffer): HostKeyVerdict {
    if (this.isRevoked(key)) return 'revoked';
    if (this.known.some((line) => line.key.equals(key))) return 'known';
    return this.known.length === 0 ? 'unknown' : 'changed';
  }

  private isRevoked(key: Buffer): boolean {
    return this.revoked.some((line) => line.key.equals(key));
  }
}

/** As ssh-keygen -l prints it; for messages. */
export function fingerprintOf(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}

/** The type that a key says it has; for messages. */
export function typeOf(key: Buffer): string {
  const type = embeddedType(key) ?? '';
  return /^[A-Za-z0-9@.-]{1,64}$/.test(type) ? type : 'unknown type';
}

function keyOf(type: string, base64: string): Buffer | undefined {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return undefined;
  const key = Buffer.from(base64, 'base64');
  return embeddedType(key) === type ? key : undefined;
}

function embeddedType(key: Buffer): string | undefined {
  if (key.length < 4) return undefined;
  const length = key.readUInt32BE(0);
  return length <= key.length - 4 ? key.toString('latin1', 4, 4 + length) : undefined;
}

function matches(names: string, host: string): boolean {
  if (names.startsWith('|')) return matchesHash(names, host);
  let found = false;
  for (const pattern of names.toLowerCase().split(',')) {
    const negated = pattern.startsWith('!');
    if (!matchesGlob(negated ? pattern.slice(1) : pattern, host)) continue;
    if (negated) return false;
    found = true;
  }
  return found;
}

/** `|1|salt|hash`, where hash is HMAC-SHA1 of the name with the salt as its key, both in base64. */
function matchesHash(field: string, host: string): boolean {
  const [, version, salt = '', hash = ''] = field.split('|');
  const expected = Buffer.from(hash, 'base64');
  if (version !== '1' || salt === '') return false;
  const actual = createHmac('sha1', Buffer.from(salt, 'base64')).update(host).digest();
  return actual.length === expected.length && timingSafeEqual(actual, expected);
}
