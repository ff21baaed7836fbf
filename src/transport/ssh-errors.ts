// What can go wrong on the way through sshd, in sentences that say which side it is and what to look at.
// What always holds: a text of the server is cut short and cleaned; no key and no passphrase is in any of them.
import { GatewayError } from '../errors.js';

const MAX_FOREIGN_CHARS = 200;

/** The connection under a console has gone. The console may be opened again over a new one. */
export class SshConnectionLost extends GatewayError {
  constructor(label: string, why?: string) {
    const detail = `the SSH connection to ${label} was lost`;
    super('target-failed', { detail: why === undefined ? detail : `${detail}: ${why}` });
  }
}

export function sshFailed(detail: string): GatewayError {
  return new GatewayError('target-failed', { detail });
}

/** A text of the server or of a library, for a message: one line of printable ASCII, bounded. */
export function foreignText(text: string): string {
  const clean = text.slice(0, 4 * MAX_FOREIGN_CHARS).replace(/[^\x20-\x7e]+/g, ' ');
  return clean.trim().slice(0, MAX_FOREIGN_CHARS) || 'no reason given';
}

/** Why sshd opened no channel (RFC 4254 section 5.1). */
export interface ChannelRefusal {
  /** undefined: the connection ended meanwhile, or the library could not ask. */
  readonly reason: number | undefined;
  readonly text: string;
}

export function refusedChannel(label: string, destination: string, refusal: ChannelRefusal): GatewayError {
  const text = foreignText(refusal.text);
  switch (refusal.reason) {
    case 1:
      return sshFailed(
        `sshd of ${label} may not forward to ${destination}, administratively prohibited: ${text} ` +
          '(see AllowTcpForwarding and PermitOpen there, and permitopen in authorized_keys)',
      );
    case 2:
      return sshFailed(`sshd of ${label} cannot connect to ${destination}: ${text}`);
    case 3:
      return sshFailed(`sshd of ${label} does not know TCP forwarding: ${text}`);
    case 4:
      return sshFailed(`sshd of ${label} has no room for another channel: ${text}`);
    default:
      return sshFailed(`sshd of ${label} opened no channel to ${destination}: ${text}`);
  }
}
