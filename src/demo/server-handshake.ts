// The server's half of the RFB handshake: version, security, ClientInit and ServerInit.
// What always holds: ServerInit is sent only to a peer that proved the password, where there is one.
import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { ByteReader } from './byte-reader.js';
import { SERVER_FORMAT, serializePixelFormat } from './pixel-format.js';
import { ProtocolError } from './rfb-error.js';
import { CHALLENGE_BYTES, respondToChallenge } from './vnc-auth.js';

/** What a viewer is offered; an empty password means security type None. */
export interface HandshakeOffer {
  readonly password: string;
  readonly desktopName: string;
  readonly width: number;
  readonly height: number;
}

const SECURITY_NONE = 1;
const SECURITY_VNC = 2;

/**
 * Shakes hands with a viewer of RFB 3.3, 3.7 or 3.8 (RFC 6143 sections 7.1 to 7.3).
 * @throws ProtocolError when the viewer breaks the protocol or the password is wrong; a viewer of 3.8 was told
 */
export async function acceptViewer(reader: ByteReader, stream: Duplex, offer: HandshakeOffer): Promise<void> {
  stream.write('RFB 003.008\n', 'latin1');
  const minor = parseMinorVersion(await reader.read(12));
  const security = offer.password === '' ? SECURITY_NONE : SECURITY_VNC;

  if (minor === 3) {
    // In 3.3 the server decides, in 32 bits, and expects no answer.
    stream.write(uint32(security));
  } else {
    stream.write(Buffer.from([1, security]));
    if ((await reader.readUint8()) !== security)
      throw new ProtocolError('a security type that was not offered');
  }

  if (security === SECURITY_VNC) await checkPassword(reader, stream, offer.password, minor);
  // Before 3.8, None has no SecurityResult.
  else if (minor === 8) stream.write(uint32(0));

  await reader.read(1); // ClientInit's shared flag: this desktop is always shared
  const name = Buffer.from(offer.desktopName, 'utf8');
  const size = Buffer.alloc(4);
  size.writeUInt16BE(offer.width, 0);
  size.writeUInt16BE(offer.height, 2);
  stream.write(Buffer.concat([size, serializePixelFormat(SERVER_FORMAT), uint32(name.length), name]));
}

/** Versions between the three published ones count as 3.3, later ones as 3.8 (RFC 6143 section 7.1.1). */
function parseMinorVersion(greeting: Buffer): 3 | 7 | 8 {
  const match = /^RFB 003\.(\d{3})\n$/.exec(greeting.toString('latin1'));
  if (match === null) throw new ProtocolError('no RFB 3 greeting');
  const minor = Number(match[1]);
  if (minor >= 8) return 8;
  return minor === 7 ? 7 : 3;
}

async function checkPassword(
  reader: ByteReader,
  stream: Duplex,
  password: string,
  minor: number,
): Promise<void> {
  const challenge = randomBytes(CHALLENGE_BYTES);
  stream.write(challenge);
  const response = await reader.read(CHALLENGE_BYTES);
  if (timingSafeEqual(response, respondToChallenge(password, challenge))) {
    stream.write(uint32(0));
    return;
  }
  const reason = Buffer.from('Authentication failed', 'latin1');
  // Only 3.8 has a reason after a failure; in 3.3 and 3.7 the connection just ends.
  stream.write(minor === 8 ? Buffer.concat([uint32(1), uint32(reason.length), reason]) : uint32(1));
  throw new ProtocolError('wrong password');
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
