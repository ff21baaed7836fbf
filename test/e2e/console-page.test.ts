// The console page in a real browser, against the real service and real VNC servers: what a person sees, and
// that the link's secrets stay where they belong.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { openBrowser, waitForPixel } from '../support/chromium.ts';
import { inState, linkTo, openLink, pointAtTerminal, startWithPage } from '../support/console-page.ts';
import { atEnd } from '../support/lifetime.ts';
import { startNginx } from '../support/nginx.ts';
import { startTestOned, type TestOned } from '../support/oned.ts';
import { freePort } from '../support/ports.ts';
import type { Flags, Service } from '../support/service.ts';
import { startTigervnc, type Tigervnc } from '../support/tigervnc.ts';
import { waitFor } from '../support/wait.ts';

const blue = '#3366cc';
const green = '#118844';
const plainVm = 1;
const passwordVm = 2;
const deadVm = 3;
const password = 's3cr&t+8';

let browser: Browser;
let oned: TestOned;
let plain: Tigervnc;

beforeAll(async () => {
  [browser, oned, plain] = await Promise.all([
    openBrowser(),
    startTestOned(),
    startTigervnc({ colour: blue, keyboard: true }),
  ]);
  const guarded = await startTigervnc({ colour: green, password });
  oned.runVm(plainVm, plain);
  oned.runVm(passwordVm, guarded, { PASSWD: password });
  oned.runVm(deadVm, { host: '127.0.0.1', port: await freePort() });
});

const startConsoles = (flags: Flags = {}, oneLocation?: string): Promise<Service> =>
  startWithPage({ oned, flags, ...(oneLocation === undefined ? {} : { oneLocation }) });

const titled = (page: Page, text: string) => page.waitForSelector(`#card-title:text-is("${text}")`);
const screenHasFocus = (page: Page) =>
  page.evaluate(`document.activeElement.matches('#screen canvas')`) as Promise<boolean>;

async function typed(page: Page, type: () => Promise<void>, expected: string): Promise<void> {
  await pointAtTerminal(page);
  const before = plain.keys().length;
  await type();
  await waitFor(() => plain.keys().slice(before) === expected, { what: `${JSON.stringify(expected)} typed` });
}

describe('the console page', () => {
  it('shows the machine and sends what is typed; the link stands nowhere but in memory', async () => {
    const service = await startConsoles();
    const url = await linkTo(service, plainVm);
    const token = /#token=([^&]+)/.exec(url)?.[1] ?? '';
    const { page, errors, violations, requests } = await openLink(browser, url);
    await inState(page, 'connected');
    await waitForPixel(page, blue);
    expect(page.url()).toBe(`${new URL(url).origin}/console/`);
    expect(await page.title()).toBe('test – Console');
    expect(await screenHasFocus(page)).toBe(true);
    await typed(page, () => page.keyboard.type('Hello World 42!'), 'Hello World 42!');

    expect(requests.some((request) => request.endsWith('/websockify'))).toBe(true);
    expect(requests.filter((request) => request.includes(token))).toEqual([]);
    const kept = `JSON.stringify([history.state, localStorage, sessionStorage, document.cookie, document.title])`;
    expect(await page.evaluate(kept)).not.toContain(token);
    expect(await page.content()).not.toContain(token);
    expect(errors).toEqual([]);
    expect(violations).toEqual([]);
    expect(service.child.stdout()).not.toContain(token);
  });

  it('types a text, sends the keys that a browser keeps, and nothing at all in view only', async () => {
    const service = await startConsoles();
    const { page, errors, violations } = await openLink(browser, await linkTo(service, plainVm));
    await inState(page, 'connected');
    const paste = async () => {
      await page.click('#paste');
      await page.fill('#paste-text', 'Grüße €\tA_B\r\n{"x": Ω}');
      await page.click('#paste-send');
      await page.waitForSelector('#paste-dialog', { state: 'hidden' });
    };
    await typed(page, paste, 'Grüße €\tA_B\r{"x": Ω}');
    expect(await screenHasFocus(page)).toBe(true);

    await page.click('#keys');
    await page.click('#keys-panel [aria-label="Hold for the next key"] >> text="Ctrl"');
    await typed(page, () => page.keyboard.press('c'), '\u0003');
    // Released by the page in a turn of its own, after noVNC has sent the key.
    const released = async () => (await page.getAttribute('#keys-panel .key', 'aria-pressed')) === 'false';
    await waitFor(released, { what: 'Ctrl to be released' });
    await typed(page, () => page.click('#keys-panel >> text="Ctrl+W"'), '\u0017');
    await typed(page, () => page.click('#keys-panel [aria-label="Arrow up"]'), '\u001b[A');

    await page.click('#view-only');
    const before = plain.keys().length;
    await page.locator('#screen canvas').click({ position: { x: 60, y: 60 } });
    await page.keyboard.type('nothing of this');
    expect(await page.isDisabled('#paste')).toBe(true);
    await page.click('#view-only');
    await page.keyboard.type('!');
    await waitFor(() => plain.keys().length > before, { what: 'a key after view only' });
    expect(plain.keys().slice(before)).toBe('!');
    expect([errors, violations]).toEqual([[], []]);
  });

  it('can be used without a mouse: Ctrl+Alt+Shift goes to the toolbar and back, and types nothing', async () => {
    const service = await startConsoles();
    const { page } = await openLink(browser, await linkTo(service, plainVm));
    await inState(page, 'connected');
    const focused = () => page.evaluate('document.activeElement.id');
    const shortcut = async () => {
      for (const key of ['Control', 'Alt', 'Shift']) await page.keyboard.down(key);
      for (const key of ['Shift', 'Alt', 'Control']) await page.keyboard.up(key);
    };
    await typed(
      page,
      async () => {
        await shortcut();
        expect(await focused()).toBe('ctrl-alt-del');
        await page.keyboard.press('ArrowRight');
        expect(await focused()).toBe('keys');
        await page.keyboard.press('Enter');
        expect(await page.isVisible('#keys-panel')).toBe(true);
        await page.keyboard.press('Escape');
        await shortcut();
        expect(await screenHasFocus(page)).toBe(true);
        // No modifier is left down in the machine.
        await page.keyboard.type('a');
      },
      'a',
    );
  });

  it('asks for a password only when the server wants one and none came, and again after a wrong one', async () => {
    const service = await startConsoles();
    const url = await linkTo(service, passwordVm);
    const { page, requests, errors } = await openLink(browser, url);
    await inState(page, 'connected');
    await waitForPixel(page, green);
    expect(requests.filter((request) => request.includes(encodeURIComponent(password)))).toEqual([]);
    expect(errors).toEqual([]);

    const bare = (await linkTo(service, passwordVm)).replace(/&password=.*/, '');
    const asked = await openLink(browser, bare);
    await titled(asked.page, 'Password needed');
    await asked.page.keyboard.type('wrong');
    await asked.page.keyboard.press('Enter');
    await titled(asked.page, 'The password was not accepted');
    await asked.page.keyboard.type(password);
    await asked.page.keyboard.press('Enter');
    await waitForPixel(asked.page, green);
    expect(await asked.page.content()).not.toContain(password);
    await Promise.all([asked.page.waitForEvent('websocket'), asked.page.click('#reconnect')]);
    await inState(asked.page, 'connected');
  });

  it('tells a refusal in the words of the service, with the reference of its log', async () => {
    const service = await startConsoles();
    const url = await linkTo(service, plainVm);
    const { page } = await openLink(browser, url.replace(/#token=.{8}/, '#token=00000000'));
    await titled(page, 'The console cannot be opened');
    const detail = (await page.textContent('#card-detail')) ?? '';
    expect(detail).toMatch(/^This console link is not valid any more \(ref [0-9A-Z]{6}\)$/);
    const ref = /ref (\w+)/.exec(detail)?.[1];
    await service.waitForLog((line) => line['ref'] === ref, 'the refusal that the page told');
    expect(await page.locator('#card-actions button').count()).toBe(0);
    expect(await page.isDisabled('#reconnect')).toBe(true);
  });

  it('says so when the machine does not answer', async () => {
    const service = await startConsoles();
    const { page } = await openLink(browser, await linkTo(service, deadVm));
    await titled(page, 'The machine’s console does not answer');
    expect(await page.textContent('#card-detail')).toBe('Failed to connect to downstream server · code 1011');
    expect(await page.textContent('#card-actions')).toBe('Reconnect');
  });

  it('says so when the machine ends its console, and reconnects on demand', async () => {
    const service = await startConsoles();
    const mortal = await startTigervnc({ colour: blue });
    oned.runVm(10, mortal);
    const { page } = await openLink(browser, await linkTo(service, 10));
    await waitForPixel(page, blue);
    await mortal.stop();
    await titled(page, 'The console has ended');
    expect(await page.textContent('#card-detail')).toBe('Target closed · code 1000');
    await startTigervnc({ colour: green, port: mortal.port });
    await page.click('#card-actions >> text="Reconnect"');
    await waitForPixel(page, green);
  });

  it('comes back by itself after a restart of the service', async () => {
    const flags = { port: await freePort(), vnc_proxy_port: await freePort() };
    const service = await startConsoles(flags);
    const { page } = await openLink(browser, await linkTo(service, plainVm));
    await waitForPixel(page, blue);
    await service.stop();
    await page.waitForSelector('#card-text:text("Next try in")');
    await startConsoles(flags, service.oneLocation);
    await inState(page, 'connected');
    await waitForPixel(page, blue);
  });

  it('opens another console when the fragment changes, and has no link after a reload', async () => {
    const service = await startConsoles();
    const { page } = await openLink(browser, `${service.proxyUrl.replace('ws', 'http')}/console/`);
    await titled(page, 'No console chosen');
    for (const [vmId, colour] of [
      [plainVm, blue],
      [passwordVm, green],
    ] as const) {
      const { hash, href } = new URL(await linkTo(service, vmId));
      await page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
      // The second one finds a console open.
      if (vmId === passwordVm) await page.click('#switch-open');
      await waitForPixel(page, colour);
      expect(page.url()).toBe(href.replace(hash, ''));
    }
    await page.reload();
    await titled(page, 'The page was loaded anew');
  });

  it('works behind a path prefix', async () => {
    const [front, back] = [await freePort(), await freePort()];
    await startNginx({
      ports: [front],
      http: `server { listen 127.0.0.1:${front}; location /one/vnc/ {
        proxy_pass http://127.0.0.1:${back}/; proxy_http_version 1.1; proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; } }`,
    });
    const publicUrl = `http://127.0.0.1:${front}/one/vnc`;
    const service = await startConsoles({ vnc_proxy_port: back, public_url: publicUrl });
    const url = await linkTo(service, plainVm);
    // The address without its slash is sent on, fragment and all.
    const { page, requests } = await openLink(browser, url.replace('/console/#', '/console#'));
    await waitForPixel(page, blue);
    expect(page.url()).toBe(`${publicUrl}/console/`);
    expect(requests).toContain(`ws://127.0.0.1:${front}/one/vnc/websockify`);
  });

  it('lets a portal embed it, but only one that is allowed to', async () => {
    const portal = createServer((request, response) => {
      const source = decodeURIComponent((request.url ?? '').slice(2));
      response
        .setHeader('Content-Type', 'text/html')
        .end(`<iframe width="640" height="480" src="${source}">`);
    }).listen(0, '127.0.0.1');
    await once(portal, 'listening');
    atEnd(() => void portal.close());
    const portalOrigin = `http://127.0.0.1:${(portal.address() as AddressInfo).port}`;

    const allowing = await startConsoles({ allowed_origins: portalOrigin });
    const link = encodeURIComponent((await linkTo(allowing, plainVm)).replaceAll('&', '&amp;'));
    const embedded = await openLink(browser, `${portalOrigin}/?${link}`);
    const frame = await waitFor(() => embedded.page.frames()[1], { what: 'the frame' });
    await waitForPixel(frame, blue);
    expect(embedded.violations).toEqual([]);

    const strict = await startConsoles();
    const refused = await openLink(
      browser,
      `${portalOrigin}/?${encodeURIComponent(await linkTo(strict, plainVm))}`,
    );
    await waitFor(() => refused.errors.some((error) => error.includes('frame-ancestors')), {
      what: 'the browser to refuse the frame',
    });
    expect(refused.requests.filter((request) => request.startsWith('ws'))).toEqual([]);
  });

  it('works on a phone: all in view, large enough to touch, with its own keyboard', async () => {
    const service = await startConsoles();
    const phone = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };
    const { page, errors } = await openLink(browser, await linkTo(service, plainVm), phone);
    await inState(page, 'connected');
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360);
    const sizes = async (selector: string) => {
      const boxes = await Promise.all((await page.locator(selector).all()).map((each) => each.boundingBox()));
      return boxes.filter((box) => box !== null);
    };
    const check = async (selector: string) => {
      for (const box of await sizes(selector)) {
        expect(Math.min(box.width, box.height), selector).toBeGreaterThanOrEqual(40);
        expect(box.x >= 0 && box.x + box.width <= 360, selector).toBe(true);
      }
    };
    await check('#toolbar button');
    await page.tap('#keys');
    await check('#keys-panel button');
    await page.tap('#keys');
    await page.locator('#screen canvas').tap({ position: { x: 30, y: 30 } });
    const before = plain.keys().length;
    await page.tap('#touch-keyboard');
    await page.keyboard.insertText('Hi there');
    await page.keyboard.press('Enter');
    await waitFor(() => plain.keys().slice(before) === 'Hi there\r', { what: 'the phone’s keys' });
    expect(errors).toEqual([]);
  });
});
