// The demo's VNC server before a viewer that was written by others: noVNC in Chromium, through Debian's websockify.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { COLOURS, PANELS } from '../../src/demo/layout.ts';
import { type DemoVnc, startDemoVnc } from '../../src/demo/vnc-server.ts';
import { openBrowser, openTab, waitForPixel } from '../support/chromium.ts';
import { atEnd } from '../support/lifetime.ts';
import { freePort } from '../support/ports.ts';
import { waitFor } from '../support/wait.ts';
import { startWebsockify } from '../support/websockify.ts';

const password = 'secret12';
const hex = (rgb: number) => `#${rgb.toString(16).padStart(6, '0')}`;
/** Inside the panel of the keyboard, where nothing is drawn. */
const panelPixel = { x: PANELS.keyboard.x + 6, y: PANELS.keyboard.y + 60 };
/** The top left of the button that stands for the left one, inside of its round corner. */
const leftButton = { x: PANELS.pointer.x + 20, y: PANELS.pointer.y + 72 };

let browser: Browser;
let pages: string;

beforeAll(async () => {
  pages = await servePages();
  browser = await openBrowser();
});

describe("the demo's VNC server before noVNC", () => {
  test.each([
    ['with the password', password],
    ['without one where none is wanted', ''],
  ])('is shown %s, and moves', async (_what, secret) => {
    const { page } = await openConsole(secret, secret);
    await waitForPixel(page, hex(COLOURS.panel), panelPixel);
    await waitForPixel(page, hex(0x0a1626), { x: 0, y: 0 });
    const before = await stagePixels(page);
    await waitFor(async () => (await stagePixels(page)) !== before, { what: 'something to move' });
  });

  test('takes keys, the pointer and the clipboard', async () => {
    const { page, vnc } = await openConsole(password, password);
    await waitForPixel(page, hex(COLOURS.panel), panelPixel);
    await waitForPixel(page, hex(COLOURS.key), leftButton);
    await page.locator('#screen canvas').click({ position: { x: 300, y: 180 } });
    await page.keyboard.type('Hello 42!');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Control+F5');
    await page.evaluate(`rfb.clipboardPasteFrom('some text')`);
    await waitFor(() => vnc.desktop.clipboard === 'some text', { what: 'the clipboard' });
    const labels = vnc.desktop.typed.map(({ label }) => label);
    expect(labels).toEqual([...'Hello 42!', 'Return', 'Ctrl+F5']);
    expect(vnc.desktop.pointer).toEqual({ x: 300, y: 180, buttons: 0 });

    await page.mouse.down();
    await waitForPixel(page, hex(COLOURS.amber), leftButton);
    await page.mouse.up();
    await waitForPixel(page, hex(COLOURS.key), leftButton);
  });

  test('shows the picture in the eight bits that a viewer may ask for', async () => {
    const { page } = await openConsole('', '', 8);
    // Two bits a channel: of 0x0e2236 only blue is nearer to a third than to nothing.
    await waitForPixel(page, '#000055', panelPixel);
  });

  test('refuses a wrong password', async () => {
    const { page } = await openConsole(password, 'secret13');
    await page.waitForFunction('window.refusal !== undefined');
    expect(await page.evaluate('window.refusal')).toEqual({ status: 1, reason: 'Authentication failed' });
    expect(await page.evaluate('window.connected')).toBe(false);
  });
});

interface Console {
  page: Page;
  vnc: DemoVnc;
}

/** A server that wants `wanted` before a page that sends `sent`. */
async function openConsole(wanted: string, sent: string, depthBits = 24): Promise<Console> {
  const vnc = await startDemoVnc({ host: '127.0.0.1', port: await freePort(), password: wanted });
  atEnd(() => vnc.close());
  const { url } = await startWebsockify({ target: `127.0.0.1:${vnc.port}` });
  const { page } = await openTab(browser);
  await page.goto(`${pages}/?${new URLSearchParams({ url, password: sent, depth: String(depthBits) })}`);
  return { page, vnc };
}

const pageHtml = `<!doctype html>
<body style="margin: 0"><div id="screen" style="width: 640px; height: 400px"></div>
<script type="module">
  import RFB from '/core/rfb.js';
  const query = new URLSearchParams(location.search);
  if (query.get('depth') === '8') {
    const { pixelFormat } = RFB.messages;
    RFB.messages.pixelFormat = (socket, _depth, trueColour) => {
      rfb._fbDepth = 8;
      pixelFormat(socket, 8, trueColour);
    };
  }
  const rfb = new RFB(document.getElementById('screen'), query.get('url'), {
    credentials: { password: query.get('password') },
    wsProtocols: ['binary'],
  });
  globalThis.rfb = rfb;
  globalThis.connected = false;
  rfb.addEventListener('connect', () => { globalThis.connected = true; });
  rfb.addEventListener('securityfailure', ({ detail }) => { globalThis.refusal = detail; });
</script>`;

/** The page above beside noVNC's own files. */
async function servePages(): Promise<string> {
  const noVnc = dirname(dirname(fileURLToPath(import.meta.resolve('@novnc/novnc'))));
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url ?? '/', 'http://localhost').pathname);
    try {
      const body = path === '/' ? pageHtml : await readFile(join(noVnc, path));
      response.writeHead(200, { 'content-type': path === '/' ? 'text/html' : 'text/javascript' }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  atEnd(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${port}`;
}

/** The moving part of the picture, as one string to compare. */
function stagePixels(page: Page): Promise<string> {
  const { x, y, width, height } = PANELS.stage;
  return page.evaluate(
    `document.querySelector('canvas').getContext('2d').getImageData(${x}, ${y}, ${width}, ${height}).data.join()`,
  );
}
