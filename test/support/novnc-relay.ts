// noVNC 1.7 itself (the package, not Debian's) in a page of ours, and the WebSocket behind it: a small relay to a VNC
// server without a password, which notes the browser's bytes and can put filters between.
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { type WebSocket, WebSocketServer } from 'ws';
import { createFilters, type MessageFilters } from '../../src/proxy/message-filters.ts';
import { ClientFilter } from '../../src/rfb/client-filter.ts';
import type { FilterRules } from '../../src/rfb/client-rules.ts';
import { openTab } from './chromium.ts';
import { atEnd } from './lifetime.ts';
import { waitFor } from './wait.ts';

const novnc = join(dirname(fileURLToPath(import.meta.url)), '../../node_modules/@novnc/novnc');
/** Version and choice of None; version, one type and the result: after these come ClientInit and ServerInit. */
const CLIENT_HANDSHAKE_BYTES = 13;
const SERVER_HANDSHAKE_BYTES = 18;

const html = `<!doctype html><meta charset="utf-8"><title>noVNC</title>
<style>body { margin: 0 } #screen { width: 700px; height: 500px }</style><div id="screen"></div>
<script type="module">
  import RFB from '/novnc/core/rfb.js';
  globalThis.calls = {};
  for (const [name, write] of Object.entries(RFB.messages)) {
    if (name.startsWith('_')) continue;
    RFB.messages[name] = (...args) => {
      globalThis.calls[name] = (globalThis.calls[name] ?? 0) + 1;
      write(...args);
    };
  }
  const rfb = new RFB(document.getElementById('screen'), location.href.replace('http', 'ws'));
  globalThis.rfb = rfb;
  globalThis.clipboards = [];
  globalThis.state = 'connecting';
  rfb.addEventListener('connect', () => { globalThis.state = 'connected'; });
  rfb.addEventListener('disconnect', () => { globalThis.state = 'disconnected'; });
  rfb.addEventListener('clipboard', (event) => { globalThis.clipboards.push(event.detail.text); });
</script>`;

export interface Viewed {
  page: Page;
  /** What the browser sent from ClientInit on, before any filter. */
  sent(): Buffer;
  /** What went on to the server of it. */
  passed(): Buffer;
  /** What the server sent from ServerInit on, before any filter. */
  received(): Buffer;
  /** How many messages noVNC wrote, by the name of what writes them in its core/rfb.js. */
  calls(): Promise<Record<string, number>>;
  /** Texts that noVNC got from the VM. */
  clipboards(): Promise<string[]>;
  /** What a filter threw. */
  violation(): string | undefined;
}

/** Opens a console of the server in a tab of its own. */
export async function viewWithNoVnc(
  browser: Browser,
  target: { host: string; port: number },
  rules?: FilterRules,
): Promise<Viewed> {
  const [sent, passed, received]: [Buffer[], Buffer[], Buffer[]] = [[], [], []];
  let violation: string | undefined;
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url ?? '/', 'http://x').pathname);
    if (path === '/') return void response.setHeader('content-type', 'text/html').end(html);
    const file = await readFile(join(novnc, path.replace('/novnc/', '/'))).catch(() => undefined);
    response.statusCode = file ? 200 : 404;
    response.setHeader('content-type', 'text/javascript').end(file);
  });
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });
  sockets.on('connection', (socket: WebSocket) => {
    const toTarget = connect(target);
    const filters = rules && filtersFor(rules);
    const guarded = (act: () => void) => {
      try {
        act();
      } catch (error) {
        violation ??= String(error);
        socket.terminate();
        toTarget.destroy();
      }
    };
    const fromBrowser = afterHandshake(CLIENT_HANDSHAKE_BYTES, (bytes) => {
      sent.push(bytes);
      const out = filters?.toTarget(bytes) ?? [bytes];
      for (const piece of out) {
        passed.push(piece);
        toTarget.write(piece);
      }
    });
    const fromTarget = afterHandshake(SERVER_HANDSHAKE_BYTES, (bytes) => {
      received.push(Buffer.from(bytes));
      const end = filters?.toBrowser(bytes, 0, bytes.length) ?? bytes.length;
      if (end > 0) socket.send(bytes.subarray(0, end));
    });
    socket.on('message', (data) =>
      guarded(() => fromBrowser(data as Buffer, (bytes) => toTarget.write(bytes))),
    );
    toTarget.on('data', (data) => guarded(() => fromTarget(data, (bytes) => socket.send(bytes))));
    endTogether(socket, toTarget);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(async () => {
    for (const socket of sockets.clients) socket.terminate();
    sockets.close();
    server.closeAllConnections();
    server.close();
  });
  const { page } = await openTab(browser, { viewport: { width: 720, height: 520 } });
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await waitFor(async () => (await page.evaluate('globalThis.state')) === 'connected', {
    what: 'noVNC to connect',
  });
  return {
    page,
    sent: () => Buffer.concat(sent),
    passed: () => Buffer.concat(passed),
    received: () => Buffer.concat(received),
    calls: () => page.evaluate('globalThis.calls') as Promise<Record<string, number>>,
    clipboards: () => page.evaluate('globalThis.clipboards') as Promise<string[]>,
    violation: () => violation,
  };
}

/** Those of the service, and one for the browser's messages where the service needs none. */
function filtersFor(rules: FilterRules): MessageFilters {
  const client = new ClientFilter(rules);
  return (
    createFilters({ password: '', ...rules }) ?? {
      toTarget: (bytes) => client.push(bytes),
      toBrowser: (_memory, _start, end) => end,
    }
  );
}

type Take = (bytes: Buffer, before: (bytes: Buffer) => void) => void;

/** The first bytes of a stream go another way. */
function afterHandshake(length: number, then: (bytes: Buffer) => void): Take {
  let left = length;
  return (bytes, before) => {
    const part = bytes.subarray(0, left);
    if (part.length > 0) before(part);
    left -= part.length;
    if (bytes.length > part.length) then(bytes.subarray(part.length));
  };
}

function endTogether(socket: WebSocket, target: Socket): void {
  socket.on('close', () => target.destroy());
  socket.on('error', () => target.destroy());
  target.on('error', () => socket.terminate());
  target.on('close', () => socket.close());
}
