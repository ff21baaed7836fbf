// A console that is open, and links that others put into its window's address: from a window of another origin that
// opened it, and from a page that frames it. Real browser, real service, real VNC servers.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, Frame, Page } from 'playwright-core';
import { beforeAll, expect, it } from 'vitest';
import { openBrowser, openTab, waitForPixel } from '../support/chromium.ts';
import { inState, linkTo, pointAtTerminal, startWithPage } from '../support/console-page.ts';
import { atEnd } from '../support/lifetime.ts';
import { startTestOned, type TestOned } from '../support/oned.ts';
import type { Flags, Service } from '../support/service.ts';
import { startTigervnc, type Tigervnc } from '../support/tigervnc.ts';
import { waitFor } from '../support/wait.ts';

const blue = '#3366cc';
const green = '#118844';
const ownVm = 1;
const otherVm = 2;

let browser: Browser;
let oned: TestOned;
let own: Tigervnc;

beforeAll(async () => {
  [browser, oned, own] = await Promise.all([
    openBrowser(),
    startTestOned(),
    startTigervnc({ colour: blue, keyboard: true }),
  ]);
  oned.runVm(ownVm, own);
  oned.runVm(otherVm, await startTigervnc({ colour: green }));
});

const start = (flags: Flags = {}): Promise<Service> => startWithPage({ oned, flags });

/** A page of another origin, with the HTML. */
async function strangeSite(html: string): Promise<string> {
  const server = createServer((_request, response) => {
    response.setHeader('Content-Type', 'text/html').end(`<!doctype html>${html}`);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => void server.close());
  return `http://localhost:${(server.address() as AddressInfo).port}`;
}

/** The person's console, in a window that a page of another origin has opened and still holds. */
async function openHeld(service: Service) {
  const tab = await openTab(browser);
  await tab.page.goto(await strangeSite('<title>strange</title>'));
  const url = await linkTo(service, ownVm);
  const [page] = await Promise.all([
    tab.page.waitForEvent('popup'),
    tab.page.evaluate(`globalThis.held = window.open(${JSON.stringify(url)}); undefined`),
  ]);
  const requests: string[] = [];
  page.on('request', (request) => requests.push(request.url()));
  page.on('websocket', (socket) => requests.push(socket.url()));
  await inState(page, 'connected');
  await waitForPixel(page, blue);
  const base = url.replace(/#.*/, '');
  const push = (fragment: string) =>
    tab.page.evaluate(`held.location.replace(${JSON.stringify(`${base}#${fragment}`)}); undefined`);
  return { page, push, requests, base };
}

const fragmentOf = async (service: Service) => (await linkTo(service, otherVm)).replace(/^[^#]*#/, '');
const question = (page: Page | Frame) => page.waitForSelector('#switch-dialog[open]');
const isAsking = (page: Page) => page.isVisible('#switch-dialog');
const erased = (page: Page, base: string) =>
  waitFor(() => page.url() === base, { what: 'the fragment to go' });

it('a window that holds it can have the person asked, and nothing else: no is what keys, Escape and time mean', async () => {
  const service = await start();
  const { page, push, requests, base } = await openHeld(service);
  const fragment = await fragmentOf(service);
  const before = requests.length;
  await push(fragment);
  await question(page);
  await erased(page, base);
  // As a person who was typing, and has not seen it yet.
  for (const key of ['Enter', ' ', 'Tab', 'Enter']) await page.keyboard.press(key);
  await waitFor(async () => !(await isAsking(page)), { what: 'the question to go' });
  await waitForPixel(page, blue);
  expect(await page.getAttribute('body', 'data-state')).toBe('connected');

  // Another one is not even asked about now, and a broken one never.
  await push(await fragmentOf(service));
  await erased(page, base);
  await push('token=%%%');
  await erased(page, base);
  expect(await isAsking(page)).toBe(false);
  await pointAtTerminal(page);
  const typedBefore = own.keys().length;
  await page.keyboard.type('still mine');
  await waitFor(() => own.keys().slice(typedBefore) === 'still mine', { what: 'keys in the machine' });
  // The browser asks for the icon again; nobody asks for a console, or says a word of the link.
  const token = /token=([^&]+)/.exec(fragment)?.[1] ?? '';
  expect(requests.slice(before).filter((url) => !url.endsWith('/favicon.svg'))).toEqual([]);
  expect(requests.filter((url) => url.includes(token))).toEqual([]);
});

it('Escape is no, and the console has the keyboard again', async () => {
  const service = await start();
  const { page, push } = await openHeld(service);
  await push(await fragmentOf(service));
  await question(page);
  await page.keyboard.press('Escape');
  await waitFor(async () => !(await isAsking(page)), { what: 'the question to go' });
  expect(await page.evaluate(`document.activeElement.matches('#screen canvas')`)).toBe(true);
});

it('yes opens the other console, with the link that was asked about', async () => {
  const service = await start();
  const { page, push } = await openHeld(service);
  await push(await fragmentOf(service));
  await question(page);
  // One that comes meanwhile does not take its place.
  await push('token=otherotherotherotherotherother');
  expect(await page.isDisabled('#switch-open')).toBe(true);
  await page.click('#switch-open');
  await waitForPixel(page, green);
  expect(await isAsking(page)).toBe(false);
});

it('with the keyboard: two steps to yes, from a question that was read', async () => {
  const service = await start();
  const { page, push } = await openHeld(service);
  await push(await fragmentOf(service));
  await question(page);
  await page.waitForSelector('#switch-open:enabled');
  await page.keyboard.press('Tab');
  expect(await page.evaluate('document.activeElement.id')).toBe('switch-stay');
  await page.keyboard.press('Tab');
  expect(await page.evaluate('document.activeElement.id')).toBe('switch-open');
  await page.keyboard.press('Enter');
  await waitForPixel(page, green);
});

it('a page that frames it, without leave for modal windows, has the person asked as well', async () => {
  const tab = await openTab(browser, { viewport: { width: 760, height: 620 } });
  const site = await strangeSite(
    '<iframe sandbox="allow-scripts allow-same-origin" width="720" height="560" name="vm"></iframe>',
  );
  const service = await start({ allowed_origins: site });
  await tab.page.goto(site);
  const url = await linkTo(service, ownVm);
  await tab.page.evaluate(`document.querySelector('iframe').src = ${JSON.stringify(url)}`);
  const frame = await waitFor(() => tab.page.frames().find((one) => one.url().includes('/console/')), {
    what: 'the frame',
  });
  await waitForPixel(frame, blue);
  const other = `${url.replace(/#.*/, '')}#${await fragmentOf(service)}`;
  await tab.page.evaluate(`frames.vm.location.replace(${JSON.stringify(other)}); undefined`);
  await question(frame);
  await waitForPixel(frame, blue);
  await frame.click('#switch-stay');
  await waitForPixel(frame, blue);
  // A frame that is loaded anew was opened anew.
  await tab.page.evaluate(
    `document.querySelector('iframe').src = ${JSON.stringify(other.replace('#', '?2#'))}`,
  );
  await waitForPixel(await waitFor(() => tab.page.frames()[1], { what: 'the frame' }), green);
});

it('a page without a console takes the link at once', async () => {
  const service = await start();
  const tab = await openTab(browser);
  const base = `${service.proxyUrl.replace('ws', 'http')}/console/`;
  await tab.page.goto(base);
  await tab.page.waitForSelector('#card-title:text-is("No console chosen")');
  await tab.page.evaluate(`location.hash = ${JSON.stringify(`#${await fragmentOf(service)}`)}`);
  await waitForPixel(tab.page, green);
  expect(await isAsking(tab.page)).toBe(false);
});
