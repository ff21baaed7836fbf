// Web pages at both doors, in a real browser: what a page of another site can have done, what a name that was made to
// point here can read, and who embeds the page and opens consoles.
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Browser, Frame, Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { openBrowser, openTab } from '../support/chromium.ts';
import { temporaryFolder } from '../support/folder.ts';
import { atEnd } from '../support/lifetime.ts';
import { startTestOned, type TestOned } from '../support/oned.ts';
import { type Service, startService } from '../support/service.ts';
import { greet, startVncTarget } from '../support/vnc-target.ts';
import { encodeCall } from '../support/xmlrpc.ts';

const vmId = 7;
const call = encodeCall('one.vm.vnctokenonly', ['oneadmin:oneadmin', vmId]);

let browser: Browser;
let oned: TestOned;
/** How often oned was asked for a VM. */
const looks = () => oned.calls.filter(({ method }) => method === 'one.vm.info').length;
let service: Service;
/** A web server that has the same page for every name. */
let sitePort: number;

beforeAll(async () => {
  oned = await startTestOned();
  oned.runVm(vmId, await startVncTarget(greet));
  const site = createServer((_request, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end('<!doctype html><title>site</title>');
  });
  site.listen(0, '127.0.0.1');
  atEnd(() => void site.close());
  await new Promise((resolve) => site.once('listening', resolve));
  sitePort = (site.address() as AddressInfo).port;
  service = await startService({
    oned,
    flags: {
      allowed_origins: [
        `http://portal.example:${sitePort}`,
        `http://*.apps.example:${sitePort}`,
        'file://',
        'null',
      ],
      token_sessions: 'shared',
    },
  });
  browser = await openBrowser(['--host-resolver-rules=MAP *.example 127.0.0.1']);
});

async function pageAt(url: string): Promise<Page> {
  const { page } = await openTab(browser);
  await page.goto(url);
  return page;
}

/** A sandboxed frame in a page of another site. */
async function frameWithoutOrigin(): Promise<Frame> {
  const page = await pageAt(siteOf('evil.example'));
  await page.setContent('<iframe sandbox="allow-scripts" srcdoc="<!doctype html>"></iframe>');
  const frame = page.frames().at(-1);
  if (frame === undefined) throw new Error('the page has no frame');
  return frame;
}

const siteOf = (name: string) => `http://${name}:${sitePort}/`;

/** A call as a page makes it, read or not; `undefined` where the browser tells the page nothing. */
function callFrom(page: Page | Frame, url: string, mode: string): Promise<string | undefined> {
  return page.evaluate(
    `fetch(${JSON.stringify(url)}, { method: 'POST', mode: ${JSON.stringify(mode)}, body: ${JSON.stringify(call)} })
      .then((reply) => reply.type === 'opaque' ? 'opaque' : reply.text(), () => undefined)`,
  );
}

const refusedBecause = (reason: RegExp, origin: RegExp) =>
  service.waitForLog(
    (line) =>
      line['code'] === 'browser-refused' &&
      reason.test(String(line['reason'])) &&
      origin.test(String(line['origin'])),
    `the refusal for ${reason}`,
  );

describe('a page of another site', () => {
  it('has nothing called: by fetch, by a beacon, by a form', async () => {
    const page = await pageAt(siteOf('evil.example'));
    const before = looks();
    expect(await callFrom(page, service.rpcUrl, 'no-cors')).toBe('opaque');
    expect(await callFrom(page, service.rpcUrl, 'cors')).toBeUndefined();
    expect(await callFrom(page, service.rpcUrl.replace('127.0.0.1', 'localhost'), 'no-cors')).toBe('opaque');
    await page.evaluate(`navigator.sendBeacon(${JSON.stringify(service.rpcUrl)}, ${JSON.stringify(call)})`);
    await refusedBecause(/allowed_origins/, /evil\.example/);
    await page.evaluate(`(() => {
      const form = Object.assign(document.createElement('form'), {
        method: 'POST', enctype: 'text/plain', action: ${JSON.stringify(service.rpcUrl)},
      });
      const input = document.createElement('input');
      const [name, ...value] = ${JSON.stringify(call)}.split('=');
      Object.assign(input, { type: 'hidden', name, value: value.join('=') });
      form.append(input);
      document.body.append(form);
      form.submit();
    })()`);
    await page.waitForURL(service.rpcUrl);
    expect(await page.textContent('body')).toContain('allowed_origins');
    expect(looks()).toBe(before);
  });

  it('has nothing called by a frame without an origin either, unless null is allowed by name', async () => {
    const strict = await startService({ oned });
    const frame = await frameWithoutOrigin();
    const before = looks();
    expect(await callFrom(frame, strict.rpcUrl, 'no-cors')).toBe('opaque');
    const refused = await strict.waitForLog(({ code }) => code === 'browser-refused', 'the refusal');
    expect([refused['origin'], looks() - before]).toEqual(['null', 0]);
  });

  it('whose name is made to point here reads no more than that it may not', async () => {
    // Any document of that origin will do; what its script is, is up to whoever owns the name.
    const page = await pageAt(`http://rebound.example:${service.rpcPort}/healthz`);
    const before = looks();
    const read = await callFrom(page, `http://rebound.example:${service.rpcPort}/RPC2`, 'cors');
    expect(read).toContain('allowed_hosts');
    expect(read).not.toContain('methodResponse');
    expect(looks()).toBe(before);
    await refusedBecause(/allowed_hosts/, /rebound\.example/);
  });
});

describe('a page of an allowed origin', () => {
  it.each(['portal.example', 'a.apps.example'])('%s calls', async (name) => {
    const page = await pageAt(siteOf(name));
    const before = looks();
    expect(await callFrom(page, service.rpcUrl, 'no-cors')).toBe('opaque');
    expect(looks()).toBe(before + 1);
  });
});

const consoleFrom = async (page: Page | Frame): Promise<string> => {
  const token = await service.issueToken(vmId);
  return page.evaluate(`new Promise((resolve) => {
    const socket = new WebSocket('${service.proxyUrl}/websockify?token=${token}', ['binary']);
    socket.binaryType = 'arraybuffer';
    socket.onmessage = ({ data }) => resolve(String.fromCharCode(...new Uint8Array(data)).slice(0, 3));
    socket.onerror = () => resolve('refused');
  })`);
};

/** Whether the console page shows in a frame. */
const embeds = async (page: Page): Promise<boolean> => {
  const url = `${service.proxyUrl.replace('ws:', 'http:')}/console/`;
  await page.evaluate(
    `document.body.append(Object.assign(document.createElement('iframe'), { src: '${url}' }))`,
  );
  await page.waitForFunction('frames.length > 0');
  const frame = page.frames().at(-1);
  await frame?.waitForLoadState('load');
  return frame?.url() === url && (await frame.locator('#screen').count()) > 0;
};

function filePage(): string {
  const path = join(temporaryFolder(), 'page.html');
  writeFileSync(path, '<!doctype html><title>file</title><body>');
  return `file://${path}`;
}

describe('consoles and the console page', () => {
  it.each<[what: string, url: () => string, opens: boolean, shows: boolean]>([
    ['of an allowed origin', () => siteOf('portal.example'), true, true],
    ['one label below a pattern', () => siteOf('a.apps.example'), true, true],
    // Browsers let a star of frame-ancestors be any number of labels.
    ['two labels below a pattern', () => siteOf('a.b.apps.example'), false, true],
    ['of the name of a pattern itself', () => siteOf('apps.example'), false, false],
    ['of another site', () => siteOf('evil.example'), false, false],
    ['of a file', filePage, true, true],
  ])('a page %s', async (_what, url, opens, shows) => {
    const page = await pageAt(url());
    expect(await consoleFrom(page)).toBe(opens ? 'RFB' : 'refused');
    expect(await embeds(page)).toBe(shows);
  });

  it('a frame without an origin opens consoles where null is allowed by name', async () => {
    const frame = await frameWithoutOrigin();
    expect(await consoleFrom(frame)).toBe('RFB');
  });
});
