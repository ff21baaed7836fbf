// The viewer's half of the RFB handshake, the counterpart of server-handshake.ts.
// What always holds: what a server says about itself is bounded, and nothing of it that is printed can hold a
// control character.
import type { Duplex } from 'node:stream';
import type { ByteReader } from './byte-reader.js';
import { PIXEL_FORMAT_BYTES } from './pixel-format.js';
import { ProtocolError } from './rfb-error.js';
import { CHALLENGE_BYTES, respondToChallenge } from './vnc-auth.js';

export type Security = 'None' | 'VNC Authentication';

/** What ServerInit tells. Sizes in pixels. */
export interface Screen {
  readonly width: number;
  readonly height: number;
  readonly name: string;
}

const SECURITY_NONE = 1;
const SECURITY_VNC = 2;

const SIDE_MAX = 8192;
const NAME_MAX_BYTES = 4096;
const REASON_MAX_BYTES = 1024;

/** The server's greeting, answered with 3.8: `003.008`. */
export async function exchangeVersions(reader: ByteReader, stream: Duplex): Promise<string> {
  const match = /^RFB (003\.\d{3})\n$/.exec((await reader.read(12)).toString('latin1'));
  const version = match?.[1];
  if (version === undefined) throw new ProtocolError('the server did not greet as an RFB 3 server');
  if (version < '003.008') throw new ProtocolError(`RFB ${version} is too old, 003.008 is needed`);
  stream.write('RFB 003.008\n', 'latin1');
  return version;
}

/** Security type and its proof; an empty password: the server is expected to want none. */
export async function authenticate(reader: ByteReader, stream: Duplex, password: string): Promise<Security> {
  const count = await reader.readUint8();
  if (count === 0) throw new ProtocolError(`the server refused: ${await readReason(reader)}`);
  const offered = await reader.read(count);
  const chosen = password === '' ? SECURITY_NONE : SECURITY_VNC;
  if (!offered.includes(chosen)) {
    throw new ProtocolError(`the server offers security types ${[...offered].join(', ')}, not ${chosen}`);
  }
  stream.write(Buffer.from([chosen]));
  if (chosen === SECURITY_VNC) stream.write(respondToChallenge(password, await reader.read(CHALLENGE_BYTES)));
  if ((await reader.readUint32()) !== 0) {
    throw new ProtocolError(`the server refused: ${await readReason(reader)}`);
  }
  return chosen === SECURITY_VNC ? 'VNC Authentication' : 'None';
}

async function readReason(reader: ByteReader): Promise<string> {
  const length = await reader.readUint32();
  if (length > REASON_MAX_BYTES) throw new ProtocolError('the server refused without a readable reason');
  return printable(await reader.read(length));
}

/** A server's text is printed on a terminal: no control characters. */
function printable(text: Buffer): string {
  return text.toString('utf8').replace(/\p{Cc}/gu, '');
}

/** ServerInit, after ClientInit was sent. Its pixel format is passed over, since the client sets its own. */
export async function readServerInit(reader: ByteReader): Promise<Screen> {
  const head = await reader.read(4 + PIXEL_FORMAT_BYTES);
  const width = head.readUInt16BE(0);
  const height = head.readUInt16BE(2);
  if (width === 0 || height === 0 || width > SIDE_MAX || height > SIDE_MAX) {
    throw new ProtocolError(`a screen of ${width}x${height} pixels`);
  }
  const nameLength = await reader.readUint32();
  if (nameLength > NAME_MAX_BYTES) throw new ProtocolError(`a desktop name of ${nameLength} bytes`);
  return { width, height, name: printable(await reader.read(nameLength)) };
}
