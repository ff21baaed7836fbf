// What a user has in front of them: Debian's noVNC in Chromium, our proxy, a real VNC server.
// Every way in must show the server's very pixels and bring every key to the other end.
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { makePki } from '../support/certificates.ts';
import { openBrowser, openTab, waitForPixel } from '../support/chromium.ts';
import { temporaryFolder } from '../support/folder.ts';
import { startNginx } from '../support/nginx.ts';
import { startTestOned } from '../support/oned.ts';
import { freePort } from '../support/ports.ts';
import { type Picture, readScreendump, startQemu } from '../support/qemu.ts';
import { type Service, startService } from '../support/service.ts';
import { startTigervnc, type Tigervnc } from '../support/tigervnc.ts';
import { waitFor } from '../support/wait.ts';
import { startWebsockify } from '../support/websockify.ts';

const noVnc = '/usr/share/novnc';
const password = 'secret12';
const tigervncVm = 1;
const qemuVm = 2;
const deadVm = 3;
const colour = '#3366cc';

let service: Service;
let vnc: Tigervnc;
let browser: Browser;
/** Where the page comes from: another port than the proxy's, or the same nginx. */
const origins = { elsewhere: '', nginx: '' };

beforeAll(async () => {
  const oned = await startTestOned();
  vnc = await startTigervnc({ colour, password, keyboard: true });
  oned.runVm(tigervncVm, vnc, { PASSWD: password });
  oned.runVm(qemuVm, await startQemu({ password }), { PASSWD: password });
  oned.runVm(deadVm, { host: '127.0.0.1', port: await freePort() });
  const pages = await startWebsockify({ target: '127.0.0.1:9', web: noVnc });
  origins.elsewhere = pages.httpUrl;
  service = await startService({ oned, flags: { allowed_origins: [pages.httpUrl] } });
  const port = await freePort();
  origins.nginx = `https://127.0.0.1:${port}`;
  await startNginx({ ports: [port], http: await pagesAndProxy(port, service.proxyPort) });
  browser = await openBrowser();
});

/** noVNC's files and the proxy on one TLS port, as most portals have it. */
async function pagesAndProxy(port: number, proxyPort: number): Promise<string> {
  const { server } = await makePki();
  return `include /etc/nginx/mime.types;
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${server.cert};
    ssl_certificate_key ${server.key};
    root ${noVnc};
    location /websockify {
      proxy_pass http://127.0.0.1:${proxyPort};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_set_header Host $host;
    }
  }`;
}

type Place = keyof typeof origins;

/** A noVNC page with the settings in its query, as portals link it. */
async function openNoVnc(page: string, place: Place, token: string, host = '127.0.0.1'): Promise<Page> {
  const tab = await openTab(browser, { ignoreHTTPSErrors: true });
  const query = new URLSearchParams({ autoconnect: '1', path: `websockify?token=${token}`, password });
  if (place === 'elsewhere') {
    query.set('host', host);
    query.set('port', String(service.proxyPort));
  }
  await tab.page.goto(`${origins[place]}/${page}?${query}`);
  return tab.page;
}

/** The rows of the canvas from the top, three bytes a pixel; undefined while it has another size. */
async function canvasTop(page: Page, { width, height }: Picture, rows: number): Promise<Buffer | undefined> {
  const bytes: number[] | null = await page.evaluate(`(() => {
    const canvas = document.querySelector('canvas');
    if (canvas.width !== ${width} || canvas.height !== ${height}) return null;
    const { data } = canvas.getContext('2d').getImageData(0, 0, ${width}, ${rows});
    return [...data.filter((_byte, index) => index % 4 !== 3)];
  })()`);
  return bytes ? Buffer.from(bytes) : undefined;
}

const places: [from: string, place: Place][] = [
  ['an allowed site', 'elsewhere'],
  ['the same nginx over TLS', 'nginx'],
];

describe.each(['vnc.html', 'vnc_lite.html'])("Debian's %s", (pageName) => {
  test.each(places)('from %s shows TigerVNC and types into it', async (_from, place) => {
    const page = await openNoVnc(pageName, place, await service.issueToken(tigervncVm));
    await waitForPixel(page, colour);
    const before = vnc.keys();
    await page.locator('canvas').click({ position: { x: 50, y: 50 } });
    await page.keyboard.type('Hello World 42!');
    await waitFor(() => vnc.keys() === `${before}Hello World 42!`, { what: 'the keys in the X client' });
  });

  test.each(places)('from %s shows QEMU and types into it', async (_from, place) => {
    const file = join(temporaryFolder(), 'screen.ppm');
    const page = await openNoVnc(pageName, place, await service.issueToken(qemuVm));
    await waitForPixel(page, '#000000', { x: 630, y: 380 });
    await page.locator('canvas').click();
    await page.keyboard.type(`\nscreendump ${file}\n`);
    const reference = await waitFor(() => readScreendump(file), { what: "QEMU's own picture of its screen" });
    // The cursor and the next prompt follow below: the first lines stand still.
    const rows = 16;
    const expected = reference.rgb.subarray(0, reference.width * rows * 3);
    expect(expected.some((byte) => byte !== 0)).toBe(true);
    const same = async () => (await canvasTop(page, reference, rows))?.equals(expected);
    await waitFor(same, { what: "the browser's picture to be QEMU's" });
  });
});

test('a link that is not valid is refused in words that noVNC shows to the person', async () => {
  const forged = (await service.issueToken(tigervncVm)).replace(/.$/, (last) => (last === 'a' ? 'b' : 'a'));
  const page = await openNoVnc('vnc.html', 'nginx', forged);
  const status = page.locator('#noVNC_status');
  const text = await waitFor(
    async () =>
      /This console link is not valid any more \(ref (\w{6})\)/.exec((await status.textContent()) ?? ''),
    { what: 'the refusal in the status bar' },
  );
  await service.waitForLog((line) => line['ref'] === text[1], `reference ${text[1]}`);
});

test('a machine that cannot be reached is told as well, in the same place', async () => {
  const page = await openNoVnc('vnc.html', 'elsewhere', await service.issueToken(deadVm));
  const told = async () => (await page.locator('#noVNC_status').textContent()) ?? '';
  await waitFor(async () => (await told()).includes('Failed to connect to downstream server'), {
    what: 'the reason in the status bar',
  });
});

test('a site that is not allowed cannot open a console, and the log names site and setting', async () => {
  const foreign = origins.elsewhere.replace('127.0.0.1', 'localhost');
  const tab = await openTab(browser);
  const path = `websockify?token=${await service.issueToken(tigervncVm)}`;
  const query = new URLSearchParams({
    autoconnect: '1',
    host: '127.0.0.1',
    port: String(service.proxyPort),
    path,
  });
  await tab.page.goto(`${foreign}/vnc.html?${query}`);
  const line = await service.waitForLog(
    (entry) => JSON.stringify(entry).includes(foreign),
    'the refused site',
  );
  expect(JSON.stringify(line)).toContain('allowed_origins');
  await waitFor(() => tab.errors.some((text) => text.includes('403')), {
    what: 'the refusal in the browser',
  });
});
