// The password stays with the service: a browser on the console page, the real service with `vnc_auth: proxy`, real
// VNC servers with VncAuth. What a person may do there is held to by the service, not by the page.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { openBrowser, openTab, type Tab, waitForPixel } from '../support/chromium.ts';
import { startTestOned, type TestOned } from '../support/oned.ts';
import { freePort } from '../support/ports.ts';
import { type Flags, type Service, startService } from '../support/service.ts';
import { startTigervnc, type Tigervnc } from '../support/tigervnc.ts';
import { waitFor } from '../support/wait.ts';

const colour = '#3366cc';
const password = 'Qz7kPm4x';
/** As it could stand in a log or a file. */
const spellings = [password, Buffer.from(password).toString('base64'), Buffer.from(password).toString('hex')];
const vm = 1;
const wrongVm = 2;
const deadVm = 3;

let browser: Browser;
let oned: TestOned;
let vnc: Tigervnc;

beforeAll(async () => {
  [browser, oned, vnc] = await Promise.all([
    openBrowser(),
    startTestOned(),
    startTigervnc({ colour, password, keyboard: true }),
  ]);
  oned.runVm(vm, vnc, { PASSWD: password });
  oned.runVm(wrongVm, vnc, { PASSWD: 'Wr0ngOne' });
  oned.runVm(deadVm, { host: '127.0.0.1', port: await freePort() }, { PASSWD: password });
});

async function startProxy(flags: Flags = {}): Promise<Service> {
  const port = await freePort();
  const own = { vnc_proxy_port: port, public_url: `http://127.0.0.1:${port}`, vnc_auth: 'proxy' };
  return startService({ oned, flags: { ...own, debug_level: 3, ...flags } });
}

async function linkTo(
  service: Service,
  vmId: number,
  options: Record<string, boolean> = {},
): Promise<string> {
  const [ok, url] = await service.call('one.vm.vncurl', ['oneadmin:oneadmin', vmId, options]);
  expect([ok, typeof url]).toEqual([true, 'string']);
  return String(url);
}

/** A page, with the bytes of all WebSocket messages both ways and the bodies of all answers. */
async function openConsole(url: string): Promise<Tab & { traffic(): Buffer }> {
  const tab = await openTab(browser);
  const frames: Buffer[] = [];
  const keep = ({ payload }: { payload: string | Buffer }) => {
    frames.push(Buffer.from(payload));
  };
  tab.page.on('websocket', (socket) => {
    socket.on('framesent', keep);
    socket.on('framereceived', keep);
  });
  tab.page.on('response', (response) => {
    response.body().then(
      (body) => keep({ payload: body }),
      () => undefined,
    );
  });
  tab.page.on('request', (request) => keep({ payload: JSON.stringify(request.headers()) }));
  await tab.page.goto(url);
  return { ...tab, traffic: () => Buffer.concat(frames) };
}

/** What the RFB class of noVNC 1.7 tells whoever uses it, up to its end. */
function eventsOfNoVnc(page: Page, url: string): Promise<[name: string, detail: unknown][]> {
  return page.evaluate(`import('/console/novnc/core/rfb.js').then(({ default: RFB }) => new Promise((done) => {
    const [rfb, events] = [new RFB(document.createElement('div'), ${JSON.stringify(url)}), []];
    for (const name of ['connect', 'credentialsrequired', 'securityfailure', 'disconnect']) {
      rfb.addEventListener(name, ({ detail }) => {
        events.push([name, detail]);
        if (name === 'disconnect') done(events);
      });
    }
  }))`);
}

const connected = (page: Page) => page.waitForSelector('body[data-state="connected"]');

/** Focus follows the pointer in a bare X server, and the terminal is at its top left. */
async function type(page: Page, text: string): Promise<void> {
  await page.locator('#screen canvas').hover({ position: { x: 60, y: 60 } });
  await page.locator('#screen canvas').focus();
  await page.keyboard.type(text);
}

function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

describe.each([1, 2])('with workers: %i', (workers) => {
  it('the console opens without a password, which stands nowhere that a browser or a reader of files sees', async () => {
    const service = await startProxy({ workers });
    const [, issued] = await service.call('one.vm.vnctoken', ['oneadmin:oneadmin', vm]);
    expect(issued).toMatchObject({ password: '', Password: '', token: expect.any(String) });
    expect(JSON.stringify(issued)).not.toContain('password=');
    const [, xml] = await service.call('one.vm.vnc', ['oneadmin:oneadmin', vm]);
    expect(xml).toMatch(/<PASSWORD>(<!\[CDATA\[\]\]>)?<\/PASSWORD>|<PASSWORD\/>/);
    const url = await linkTo(service, vm);
    expect(url).toMatch(/\/console\/#token=[^&]+$/);

    const { page, errors, violations, requests, traffic } = await openConsole(url);
    await connected(page);
    await waitForPixel(page, colour);
    const before = vnc.keys().length;
    await type(page, 'Hello World 42!');
    await waitFor(() => vnc.keys().slice(before) === 'Hello World 42!', { what: 'the keys in the X client' });
    expect([errors, violations]).toEqual([[], []]);

    // It has seen the handshake, so it would have seen a password in it.
    expect(traffic().includes('RFB 003.008\n')).toBe(true);
    const files = filesBelow(join(service.oneLocation, 'var'));
    expect(files.length).toBeGreaterThan(0);
    const places = {
      traffic: traffic().toString('latin1'),
      requests: requests.join('\n'),
      address: page.url(),
      page: await page.content(),
      kept: String(await page.evaluate('JSON.stringify([history.state, localStorage, sessionStorage])')),
      log: service.child.stdout() + service.child.stderr(),
      state: files.map((file) => readFileSync(file, 'latin1')).join('\n'),
      processes: readFileSync(`/proc/${service.child.pid}/cmdline`, 'latin1'),
    };
    const found = Object.entries(places).filter(([, text]) => spellings.some((one) => text.includes(one)));
    expect(found.map(([name]) => name)).toEqual([]);
    expect(filesBelow(service.tokenFolder)).toEqual([]);
  });

  it('view_only: the picture comes, and nothing that is typed arrives', async () => {
    const service = await startProxy({ workers });
    const looking = await openConsole(await linkTo(service, vm, { view_only: true }));
    await connected(looking.page);
    await waitForPixel(looking.page, colour);
    const before = vnc.keys().length;
    await type(looking.page, 'nothing of this');
    // What is painted now comes after all that was typed.
    await vnc.paint('#118844');
    await waitForPixel(looking.page, '#118844');
    await vnc.paint(colour);
    const acting = await openConsole(await linkTo(service, vm));
    await connected(acting.page);
    await waitForPixel(acting.page, colour);
    await type(acting.page, '!');
    await waitFor(() => vnc.keys().length > before, { what: 'a key of somebody who may type' });
    expect(vnc.keys().slice(before)).toBe('!');
  });

  it('a password that the VM does not have ends the console, in words for the person', async () => {
    const service = await startProxy({ workers });
    const { page } = await openConsole(await linkTo(service, wrongVm));
    await page.waitForSelector('#card-title:text-is("The console cannot be opened")');
    expect(await page.textContent('#card-detail')).toMatch(
      /^the target refused the VNC password: [^·]*fail[^·]* · code 1011$/,
    );
    expect(await page.locator('input[type="password"]:visible').count()).toBe(0);
    const line = await service.waitForLog(({ msg }) => msg === 'console closed', 'the refused password');
    expect(String(line['reason'])).toMatch(/^target 127\.0\.0\.1:\d+: the target refused the VNC password/);
    expect(service.child.stdout()).not.toContain('Wr0ngOne');
  });

  it("a portal's own noVNC is told why there is no console, a page that shows no Close frame", async () => {
    const service = await startProxy({ workers });
    const { page } = await openTab(browser);
    await page.goto(`http://127.0.0.1:${service.proxyPort}/console/`);
    for (const [vmId, reason] of [
      [wrongVm, /^the target refused the VNC password: .*fail/],
      [deadVm, /^Failed to connect to downstream server$/],
    ] as const) {
      const url = `${service.proxyUrl}/?token=${await service.issueToken(vmId)}`;
      expect(await eventsOfNoVnc(page, url)).toEqual([
        ['securityfailure', { status: 1, reason: expect.stringMatching(reason) }],
        ['disconnect', { clean: false }],
      ]);
    }
  });
});
