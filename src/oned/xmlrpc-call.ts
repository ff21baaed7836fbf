// The only place that speaks `xmlrpc`: one call, one connection, with a bound on the reply and an end at the signal.
// What always holds: a call settles once, whatever the library or the other side does, and then has no connection.
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import xmlrpc from 'xmlrpc';
import { guardDeserializer } from './deserializer-guard.js';

/** A VM with a thousand history records has 700 KB. */
export const MAX_REPLY_BYTES = 4 * 1024 * 1024;

guardDeserializer();

/**
 * One call on a connection of its own, as oned closes it anyway. The library may call back twice, or never.
 * @returns the reply's value
 * @throws OversizeError, the signal's reason, a system error, or the library's view of what came back
 */
export function callOnce(
  url: string,
  method: string,
  parameters: unknown[],
  signal: AbortSignal,
): Promise<unknown> {
  const { protocol, hostname, port, pathname } = new URL(url);
  const secure = protocol === 'https:';
  const host = hostname.replace(/^\[|\]$/g, '');
  let connection: Socket | undefined;
  let giveUp: (() => void) | undefined;
  return new Promise<unknown>((resolve, reject) => {
    signal.throwIfAborted();
    giveUp = () => reject(signal.reason);
    signal.addEventListener('abort', giveUp);
    const options = {
      host,
      port: port === '' ? (secure ? 443 : 80) : Number(port),
      path: pathname,
      headers: { Connection: 'close' },
      // Without an agent: the connection is this call's alone. The library's types do not know that all options
      // reach `http.request`.
      createConnection: ({ host, port }: { host: string; port: number }) => {
        connection = secure ? connectTls({ host, port, ...serverName(host) }) : connectTcp({ host, port });
        bindReply(connection, () => reject(new OversizeError()));
        return connection;
      },
    };
    const client = secure ? xmlrpc.createSecureClient(options) : xmlrpc.createClient(options);
    client.methodCall(method, parameters, (error: unknown, value: unknown) => {
      if (error) reject(error);
      else resolve(value);
    });
  }).finally(() => {
    if (giveUp !== undefined) signal.removeEventListener('abort', giveUp);
    // An answer that was given up must not go on arriving.
    connection?.destroy();
  });
}

/** The library writes CDATA and escapes only the first `]]>` in it: a session string could leave its element. */
export class EscapedString extends xmlrpc.CustomType {
  override tagName = 'string';
}

export class OversizeError extends Error {}

/** An address is no server name (RFC 6066 section 3). */
function serverName(host: string): { servername?: string } {
  return isIP(host) === 0 ? { servername: host } : {};
}

/** The library collects a reply without a bound, so the bound is where its bytes arrive. */
function bindReply(connection: Socket, onOversize: () => void): void {
  let received = 0;
  connection.on('data', (chunk: Buffer) => {
    received += chunk.length;
    if (received > MAX_REPLY_BYTES) onOversize();
  });
}
