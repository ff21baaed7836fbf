// The only place that speaks `xmlrpc`: one call, one connection, with a bound on the reply and an end at the signal.
// What always holds: a call settles once, whatever the library or the other side does.
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Duplex } from 'node:stream';
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
  const end = new AbortController();
  return new Promise<unknown>((resolve, reject) => {
    const options = {
      host: hostname.replace(/^\[|\]$/g, ''),
      port: port === '' ? (secure ? 443 : 80) : Number(port),
      path: pathname,
      headers: { Connection: 'close' },
      agent: boundedAgent(secure, () => reject(new OversizeError())),
      // The library's types do not know that all options reach `http.request`.
      signal: AbortSignal.any([signal, end.signal]),
    };
    const client = secure ? xmlrpc.createSecureClient(options) : xmlrpc.createClient(options);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    client.methodCall(method, parameters, (error: unknown, value: unknown) => {
      if (error) reject(error);
      else resolve(value);
    });
  }).finally(() => {
    // An answer that was given up must not go on arriving.
    end.abort();
  });
}

/** The library writes CDATA and escapes only the first `]]>` in it: a session string could leave its element. */
export class EscapedString extends xmlrpc.CustomType {
  override tagName = 'string';
}

export class OversizeError extends Error {}

/** The library collects a reply without a bound, so the bound is where its bytes arrive. */
function boundedAgent(secure: boolean, onOversize: () => void): HttpAgent {
  const agent = secure ? new HttpsAgent({ keepAlive: false }) : new HttpAgent({ keepAlive: false });
  const connect = agent.createConnection.bind(agent);
  agent.createConnection = (options, callback): Duplex => {
    const socket = connect(options, callback) as Duplex;
    let received = 0;
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (received > MAX_REPLY_BYTES) onOversize();
    });
    return socket;
  };
  return agent;
}
