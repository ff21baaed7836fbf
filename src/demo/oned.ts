// The demo's OpenNebula daemon: two methods over HTTP, as the real one answers it.
// What always holds: it serves a call per connection and reads a bounded body, like the real one.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answerCall, type DemoCloud } from './oned-call.js';

const MAX_BODY_BYTES = 65_536;
const REQUEST_TIMEOUT_MS = 10_000;

/** The demo's running oned. */
export interface DemoOned {
  /** For `one_xmlrpc`. */
  readonly url: string;
  close(): Promise<void>;
}

/** Where to listen (port 0: a free one) and what to know. VMs may be added and replaced while it runs. */
export interface DemoOnedOptions extends DemoCloud {
  readonly host: string;
  readonly port: number;
}

/**
 * Starts an oned that knows `one.vm.info` and `one.user.info`. Source: recorded exchanges with OpenNebula 7.
 * @throws where it cannot listen
 */
export async function startDemoOned({ host, port, vms, users }: DemoOnedOptions): Promise<DemoOned> {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    serveRequest(request, response, { vms, users }).catch(() => request.destroy());
  });
  server.listen(port, host);
  await once(server, 'listening');
  const bound = server.address() as AddressInfo;
  const authority = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address;
  return {
    url: `http://${authority}:${bound.port}/RPC2`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function serveRequest(
  request: IncomingMessage,
  response: ServerResponse,
  cloud: DemoCloud,
): Promise<void> {
  response.setHeader('Connection', 'close');
  if (request.url !== '/RPC2') {
    refuse(response, 404);
    return;
  }
  if (request.method !== 'POST') {
    refuse(response, 405);
    return;
  }
  const body = await readBody(request);
  if (body === undefined || body.length === 0) {
    refuse(response, body === undefined ? 413 : 400);
    return;
  }
  const reply = Buffer.from(answerCall(body.toString('utf8'), cloud), 'utf8');
  response.writeHead(200, { 'Content-type': 'text/xml; charset=utf-8', 'Content-length': reply.length });
  response.end(reply);
}

function refuse(response: ServerResponse, status: number): void {
  response.writeHead(status, { 'Content-length': 0 }).end();
}

/** Undefined where it is too long; the rest is not read then, and the reply can still be sent. */
async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
