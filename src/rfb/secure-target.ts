// The security handshake with a target, in place of the browser (RFC 6143 section 7.1, VeNCrypt 0.2).
// What always holds: it takes no more than its signal allows and a few kilobytes; where it fails nothing of the
// connection is left; the password goes nowhere else than into the proof that the target has asked for; a type that does
// not work is given up before anything was proved, and each once.
import type { TargetConnection } from '../transport/transport.js';
import { Exchange } from './exchange.js';
import { cleanReason, REASON_BYTES, REASON_WAIT_MS, targetFailed, targetRefused } from './failure.js';
import type { SecurityOptions } from './security-options.js';
import {
  chooseSecurity,
  isStronger,
  NONE,
  type SecurityType,
  usableTypes,
  VENCRYPT,
} from './security-types.js';
import { connectTls } from './tls-connection.js';
import { type OfferedType, orTheNext, TypeUnusable, UnusableTypes } from './unusable-types.js';
import { chooseSubtype, readSubtypes } from './vencrypt.js';
import { agreeOnVersion, type RfbVersion } from './version.js';
import { answerChallenge, CHALLENGE_BYTES } from './vnc-response.js';

export interface SecuredTarget {
  /** Right before ClientInit, not started. Without TLS it is the given connection behind one call a read. */
  readonly connection: TargetConnection;
  /** What was agreed on, for the log: `3.8`, `X509Vnc`, `TLSv1.3`. */
  readonly version: RfbVersion;
  readonly security: string;
  readonly tlsVersion?: string;
}

/** For targets that offer a type which then does not work, beside others. */
export interface NextAttempt {
  /** A new connection to the same target, by the same way. */
  readonly reconnect: (signal: AbortSignal) => Promise<TargetConnection>;
  /** Told why, before each; for the log. */
  readonly told?: (why: string) => void;
}

/**
 * Shakes hands up to and including SecurityResult. Where a type is taken that turns out not to work before anything was
 * proved with it (VeNCrypt without a type that fits, a type that the target refuses after all), and the target has
 * offered another one that fits what is required, that is taken over a new connection.
 * @param connection that nobody has started; it is destroyed where this fails
 * @param next without, there is one attempt
 * @throws GatewayError `target-failed` saying why; the signal's reason when it fires first
 */
export async function secureTarget(
  connection: TargetConnection,
  options: SecurityOptions,
  signal: AbortSignal,
  next?: NextAttempt,
): Promise<SecuredTarget> {
  const unusable = new UnusableTypes();
  for (let present = connection; ; ) {
    try {
      return await attempt(new Handshake(present, options, signal, unusable), signal);
    } catch (error) {
      if (!(error instanceof TypeUnusable)) throw error;
      if (next === undefined) throw error.reason;
      // One less each time, of the few that there are.
      unusable.add(error.type);
      next.told?.(error.reason.detail);
      present = await next.reconnect(signal);
    }
  }
}

async function attempt(handshake: Handshake, signal: AbortSignal): Promise<SecuredTarget> {
  let abort = () => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
  });
  try {
    // A handshake that lost waits for bytes of a destroyed connection: nobody holds it any more.
    return await Promise.race([aborted, handshake.run()]);
  } catch (error) {
    handshake.giveUp();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

class Handshake {
  private readonly options: SecurityOptions;
  private readonly signal: AbortSignal;
  private readonly unusable: UnusableTypes;
  /** The connection, or TLS on it. */
  private exchange: Exchange;
  private tlsVersion: string | undefined;
  /** What was taken, and whether there is another in its place. Not with TLS: what fails in there ends the attempt. */
  private taken: readonly [type: OfferedType, hasNext: boolean] | undefined;

  constructor(
    connection: TargetConnection,
    options: SecurityOptions,
    signal: AbortSignal,
    unusable: UnusableTypes,
  ) {
    this.options = options;
    this.signal = signal;
    this.unusable = unusable;
    this.exchange = new Exchange(connection);
  }

  async run(): Promise<SecuredTarget> {
    const version = await agreeOnVersion(this.exchange);
    const type = version === '3.3' ? await this.takeDictated() : await this.takeOffered();
    await this.prove(type);
    await this.readResult(version, type);
    const { exchange: connection, tlsVersion } = this;
    return { connection, version, security: type.name, ...(tlsVersion === undefined ? {} : { tlsVersion }) };
  }

  giveUp(): void {
    this.exchange.destroy();
  }

  /** RFB 3.3: the target alone decides. */
  private async takeDictated(): Promise<SecurityType> {
    const number = await this.exchange.readUint32('its security type');
    if (number === 0) throw await this.refusal('the target refused the connection');
    const { credentials, require } = this.options;
    return chooseSecurity([number], credentials, require);
  }

  private async takeOffered(): Promise<SecurityType> {
    const { exchange, options } = this;
    const count = await exchange.readUint8('its security types');
    if (count === 0) throw await this.refusal('the target refused the connection');
    const offered = this.unusable.without('rfb', [...(await exchange.read(count, 'its security types'))]);
    const usable = usableTypes(offered, options.credentials, options.require);
    if (offered.includes(VENCRYPT)) return this.takeVencrypt(usable);
    const type = chooseSecurity(offered, options.credentials, options.require);
    this.taken = [{ list: 'rfb', number: type.number }, usable.length > 1];
    exchange.write(Buffer.from([type.number]));
    return type;
  }

  /** @param others what could be taken in its place, the strongest first */
  private async takeVencrypt(others: readonly SecurityType[]): Promise<SecurityType> {
    const { exchange, options, signal } = this;
    const { credentials, require } = options;
    const all = { list: 'rfb', number: VENCRYPT } as const;
    exchange.write(Buffer.from([VENCRYPT]));
    const [type, usable] = await orTheNext(all, others.length > 0, async () => {
      const offered = this.unusable.without('vencrypt', await readSubtypes(exchange));
      const best = chooseSecurity(offered, credentials, require);
      const [other] = others;
      if (other !== undefined && isStronger(other, best)) {
        throw targetFailed(`the target's VeNCrypt has nothing better than ${best.name}`);
      }
      return [best, usableTypes(offered, credentials, require)] as const;
    });
    // Where it is VeNCrypt's last, VeNCrypt need not be asked again.
    const own = usable.length > 1 ? ({ list: 'vencrypt', number: type.number } as const) : all;
    const hasNext = usable.length > 1 || others.length > 0;
    await orTheNext(own, hasNext, () => chooseSubtype(exchange, type));
    if (type.layer === 'open') {
      this.taken = [own, hasNext];
      return type;
    }
    const { connection, protocol } = await connectTls(
      exchange,
      type.layer,
      options.host,
      options.tls ?? {},
      signal,
    );
    this.exchange = new Exchange(connection);
    this.tlsVersion = protocol;
    return type;
  }

  private async prove({ layer, proof }: SecurityType): Promise<void> {
    const { password, username = '' } = this.options.credentials;
    if (proof === 'vnc') {
      const read = () => this.exchange.read(CHALLENGE_BYTES, `its challenge${hintOf(layer)}`);
      const challenge = await (this.taken === undefined ? read() : orTheNext(...this.taken, read));
      this.exchange.write(answerChallenge(challenge, password));
    } else if (proof === 'plain') {
      const [name, secret] = [Buffer.from(username), Buffer.from(password)];
      const lengths = Buffer.alloc(8);
      lengths.writeUInt32BE(name.length, 0);
      lengths.writeUInt32BE(secret.length, 4);
      this.exchange.write(Buffer.concat([lengths, name, secret]));
    }
  }

  private async readResult(version: RfbVersion, { number, layer, proof }: SecurityType): Promise<void> {
    // Before 3.8 a target that asks for nothing says nothing.
    if (number === NONE && version !== '3.8') return;
    const hint = proof === 'vnc' ? '' : hintOf(layer);
    const result = await this.exchange.readUint32(`its security result${hint}`);
    if (result === 0) return;
    // 2 is TightVNC's "too many attempts".
    if (result > 2)
      throw targetFailed(`the target sent the security result ${result}, which RFB does not know`);
    const what = { none: 'the connection', vnc: 'the VNC password', plain: 'the user name or password' }[
      proof
    ];
    const refusal = `the target refused ${what}`;
    throw version === '3.8' ? await this.refusal(refusal) : targetRefused(refusal);
  }

  /** With the reason that follows, or the part of it that comes in time. */
  private async refusal(what: string): Promise<Error> {
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(), this.options.reasonWaitMs ?? REASON_WAIT_MS);
    try {
      const length = await this.exchange.readUntil(4, patience.signal);
      if (length.length < 4) return targetRefused(what);
      const bytes = Math.min(length.readUInt32BE(), REASON_BYTES);
      const reason = cleanReason(await this.exchange.readUntil(bytes, patience.signal));
      return targetRefused(reason === '' ? what : `${what}: ${reason}`);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Many a server says that our certificate is not welcome by leaving when TLS stands, instead of its first word in it. */
function hintOf(layer: SecurityType['layer']): string {
  return layer === 'x509' ? ' (it may want another client certificate)' : '';
}
