// A relay before a real VNC server that says something else in its place at the beginning, and nothing after it.
import { once } from 'node:events';
import { type AddressInfo, createServer, connect as dialTcp } from 'node:net';
import { atEnd } from './lifetime.ts';
import type { Peer } from './rfb-peers.ts';

/** So many bytes of the server are not passed on, and this goes in their place. */
export interface Replacement {
  bytes: number;
  as: Buffer;
}

export async function startRfbFront(peer: Peer, replacements: readonly Replacement[]): Promise<Peer> {
  const server = createServer((client) => {
    const upstream = dialTcp(peer.port, peer.host);
    const left = [...replacements];
    let held = Buffer.alloc(0);
    upstream.on('data', (bytes: Buffer) => {
      held = Buffer.concat([held, bytes]);
      for (let [next] = left; next !== undefined && held.length >= next.bytes; [next] = left) {
        client.write(next.as);
        held = held.subarray(next.bytes);
        left.shift();
      }
      if (left.length > 0) return;
      client.write(held);
      held = Buffer.alloc(0);
    });
    client.pipe(upstream);
    for (const end of [client, upstream]) {
      end.on('error', () => undefined);
      end.on('close', () => {
        client.destroy();
        upstream.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => void server.close());
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

/** A server that announces another version of RFB. */
export function announceAs(peer: Peer, version: string): Promise<Peer> {
  return startRfbFront(peer, [{ bytes: 12, as: Buffer.from(`RFB ${version}\n`) }]);
}
