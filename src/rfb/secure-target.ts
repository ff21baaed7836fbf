// The security handshake with a target, in place of the browser (RFC 6143 section 7.1, VeNCrypt 0.2).
// What always holds: it takes no more than its signal allows and a few kilobytes; where it fails nothing of the
// connection is left; the password goes nowhere else than into the proof that the target has asked for.
import type { TargetConnection } from '../transport/transport.js';
import { Exchange } from './exchange.js';
import { cleanReason, REASON_BYTES, REASON_WAIT_MS, targetFailed, targetRefused } from './failure.js';
import type { SecurityOptions } from './security-options.js';
import { chooseSecurity, NONE, type SecurityType, VENCRYPT } from './security-types.js';
import { offerVencrypt } from './vencrypt.js';
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

/**
 * Shakes hands up to and including SecurityResult.
 * @param connection that nobody has started; it is destroyed where this fails
 * @throws GatewayError `target-failed` saying why; the signal's reason when it fires first
 */
export async function secureTarget(
  connection: TargetConnection,
  options: SecurityOptions,
  signal: AbortSignal,
): Promise<SecuredTarget> {
  let abort = () => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
  });
  const handshake = new Handshake(connection, options, signal);
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
  /** The connection, or TLS on it. */
  private exchange: Exchange;
  private tlsVersion: string | undefined;

  constructor(connection: TargetConnection, options: SecurityOptions, signal: AbortSignal) {
    this.options = options;
    this.signal = signal;
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
    const offered = [...(await exchange.read(count, 'its security types'))];
    if (offered.includes(VENCRYPT)) return this.takeVencrypt();
    const type = chooseSecurity(offered, options.credentials, options.require);
    exchange.write(Buffer.from([type.number]));
    return type;
  }

  private async takeVencrypt(): Promise<SecurityType> {
    this.exchange.write(Buffer.from([VENCRYPT]));
    const { type, secured } = await offerVencrypt(this.exchange, this.options, this.signal);
    if (secured !== undefined) {
      this.exchange = new Exchange(secured.connection);
      this.tlsVersion = secured.protocol;
    }
    return type;
  }

  private async prove({ layer, proof }: SecurityType): Promise<void> {
    const { password, username = '' } = this.options.credentials;
    if (proof === 'vnc') {
      const challenge = await this.exchange.read(CHALLENGE_BYTES, `its challenge${hintOf(layer)}`);
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
