// The password stays with the service: a browser on the console page, the real service with `vnc_auth: proxy`, real
// VNC servers with VncAuth. What a person may do there is held to by the service, not by the page.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { openBrowser, openTab, waitForPixel } from '../support/chromium.ts';
import { inState, linkTo, openLink, startWithPage, typeIntoTerminal } from '../support/console-page.ts';
import { spellingsOf } from '../support/network-log.ts';
import { startTestOned, type TestOned } from '../support/oned.ts';
import { freePort } from '../support/ports.ts';
import type { Flags, Service } from '../support/service.ts';
import { startTigervnc, type Tigervnc } from '../support/tigervnc.ts';
import { waitFor } from '../support/wait.ts';

const colour = '#3366cc';
const password = 'Qz7kPm4x';
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

const startProxy = (flags: Flags = {}): Promise<Service> =>
  startWithPage({ oned, flags: { vnc_auth: 'proxy', debug_level: 3, ...flags } });

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

    const { page, errors, violations, requests, network } = await openLink(browser, url);
    await inState(page, 'connected');
    await waitForPixel(page, colour);
    const before = vnc.keys().length;
    await typeIntoTerminal(page, 'Hello World 42!');
    await waitFor(() => vnc.keys().slice(before) === 'Hello World 42!', { what: 'the keys in the X client' });
    expect([errors, violations]).toEqual([[], []]);

    // It has seen the handshake, so it would have seen a password in it.
    expect(network.received().includes('RFB 003.008\n')).toBe(true);
    const files = filesBelow(join(service.oneLocation, 'var'));
    expect(files.length).toBeGreaterThan(0);
    const places = {
      network: network.all(),
      requests: requests.join('\n'),
      address: page.url(),
      page: await page.content(),
      kept: String(await page.evaluate('JSON.stringify([history.state, localStorage, sessionStorage])')),
      log: service.child.stdout() + service.child.stderr(),
      state: files.map((file) => readFileSync(file, 'latin1')).join('\n'),
      processes: readFileSync(`/proc/${service.child.pid}/cmdline`, 'latin1'),
    };
    const found = Object.entries(places).filter(([, text]) =>
      spellingsOf(password).some((one) => text.includes(one)),
    );
    expect(found.map(([name]) => name)).toEqual([]);
    expect(filesBelow(service.tokenFolder)).toEqual([]);
  });

  it('view_only: the picture comes, and nothing that is typed arrives', async () => {
    const service = await startProxy({ workers });
    const looking = await openLink(browser, await linkTo(service, vm, { view_only: true }));
    await inState(looking.page, 'connected');
    await waitForPixel(looking.page, colour);
    const before = vnc.keys().length;
    await typeIntoTerminal(looking.page, 'nothing of this');
    // What is painted now comes after all that was typed.
    await vnc.paint('#118844');
    await waitForPixel(looking.page, '#118844');
    await vnc.paint(colour);
    const acting = await openLink(browser, await linkTo(service, vm));
    await inState(acting.page, 'connected');
    await waitForPixel(acting.page, colour);
    await typeIntoTerminal(acting.page, '!');
    await waitFor(() => vnc.keys().length > before, { what: 'a key of somebody who may type' });
    expect(vnc.keys().slice(before)).toBe('!');
  });

  it('a password that the VM does not have ends the console, in words for the person', async () => {
    const service = await startProxy({ workers });
    const { page } = await openLink(browser, await linkTo(service, wrongVm));
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
