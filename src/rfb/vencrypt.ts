// VeNCrypt 0.2 (security type 19): a list of its own, then TLS, then the proof inside of it. As QEMU's ui/vnc-auth-vencrypt.c
// and TigerVNC's SSecurityVeNCrypt speak it. What always holds: what is announced is at most 255 types of four bytes.
import type { Exchange } from './exchange.js';
import { targetFailed } from './failure.js';
import type { SecurityOptions } from './security-options.js';
import { chooseSecurity, type SecurityType } from './security-types.js';
import { connectTls, type SecuredConnection } from './tls-connection.js';

const MINOR = 2;
const VERSION = Buffer.from([0, MINOR]);

export interface VencryptOutcome {
  readonly type: SecurityType;
  /** The connection inside of TLS; missing where the target offered no TLS, and none was required. */
  readonly secured?: SecuredConnection;
}

/** From the target's VeNCrypt version, after type 19 was chosen, to the end of the TLS handshake. */
export async function offerVencrypt(
  exchange: Exchange,
  options: SecurityOptions,
  signal: AbortSignal,
): Promise<VencryptOutcome> {
  await agreeOnMinor(exchange);
  const type = chooseSecurity(await readSubtypes(exchange), options.credentials, options.require);
  const choice = Buffer.alloc(4);
  choice.writeUInt32BE(type.number);
  exchange.write(choice);
  if (type.layer === 'open') return { type };
  if ((await exchange.readUint8(`its consent to ${type.name}`)) !== 1) {
    throw targetFailed(`the target offers ${type.name} and then refuses it (has it a certificate?)`);
  }
  return { type, secured: await connectTls(exchange, type.layer, options.host, options.tls ?? {}, signal) };
}

async function agreeOnMinor(exchange: Exchange): Promise<void> {
  const version = await exchange.read(2, 'its VeNCrypt version');
  if (version.readUInt16BE() < MINOR)
    throw targetFailed('the target speaks a VeNCrypt that is older than 0.2');
  exchange.write(VERSION);
  if ((await exchange.readUint8('its consent to VeNCrypt 0.2')) !== 0) {
    throw targetFailed('the target does not speak VeNCrypt 0.2');
  }
}

async function readSubtypes(exchange: Exchange): Promise<number[]> {
  const count = await exchange.readUint8('its VeNCrypt types');
  if (count === 0) throw targetFailed('the target speaks VeNCrypt and offers no type of it');
  const list = await exchange.read(4 * count, 'its VeNCrypt types');
  return Array.from({ length: count }, (_none, index) => list.readUInt32BE(4 * index));
}
