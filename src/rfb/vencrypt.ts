// VeNCrypt 0.2 (security type 19): a list of its own, then TLS, then the proof inside of it. As QEMU's ui/vnc-auth-vencrypt.c
// and TigerVNC's SSecurityVeNCrypt speak it. What always holds: what is announced is at most 255 types of four bytes.
import type { Exchange } from './exchange.js';
import { targetFailed } from './failure.js';
import type { SecurityType } from './security-types.js';

const MINOR = 2;
const VERSION = Buffer.from([0, MINOR]);

/** From the target's VeNCrypt version, after type 19 was chosen, to its list. @throws GatewayError `target-failed` */
export async function readSubtypes(exchange: Exchange): Promise<number[]> {
  await agreeOnMinor(exchange);
  const count = await exchange.readUint8('its VeNCrypt types');
  if (count === 0) throw targetFailed('the target speaks VeNCrypt and offers no type of it');
  const list = await exchange.read(4 * count, 'its VeNCrypt types');
  return Array.from({ length: count }, (_none, index) => list.readUInt32BE(4 * index));
}

/** Chooses one, up to where TLS begins, if the type has any. @throws GatewayError `target-failed` */
export async function chooseSubtype(
  exchange: Exchange,
  { number, name, layer }: SecurityType,
): Promise<void> {
  const choice = Buffer.alloc(4);
  choice.writeUInt32BE(number);
  exchange.write(choice);
  if (layer === 'open') return;
  if ((await exchange.readUint8(`its consent to ${name}`)) !== 1) {
    throw targetFailed(`the target offers ${name} and then refuses it (has it a certificate?)`);
  }
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
