// A person at the keyboard, and their VM's console by each way to a hypervisor: Chromium, the real service, what stands
// beside real hypervisors (stunnel, sshd, websockify), and one X server that shows and records what was typed.
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { makePki } from '../support/certificates.ts';
import { openBrowser, openTab, waitForPixel } from '../support/chromium.ts';
import { inState, linkTo, openLink, startWithPage, typeIntoTerminal } from '../support/console-page.ts';
import { type Desk, startDesk } from '../support/desk.ts';
import { temporaryFolder } from '../support/folder.ts';
import { spellingsOf } from '../support/network-log.ts';
import { startTestOned, type TestOned } from '../support/oned.ts';
import { freePort } from '../support/ports.ts';
import { readScreendump } from '../support/qemu.ts';
import { startAnonymousQemu } from '../support/rfb-peers.ts';
import type { Flags, LogLine, Service } from '../support/service.ts';
import { type Sshd, signalPid } from '../support/sshd.ts';
import { waitFor } from '../support/wait.ts';
import { configOf, type Rule, sshWay, tlsWay, wssWay, wsWay } from '../support/ways.ts';
import { startWebsockify } from '../support/websockify.ts';

const ways = ['tcp', 'tls', 'ssh', 'unix', 'ws', 'wss'] as const;
const colour = '#3366cc';
const password = 'Qz7kPm4x';
/** All that a US keyboard prints. */
const printable = Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index)).join('');

let browser: Browser;
let oned: TestOned;
let desk: Desk;
let rules: readonly Rule[];
let sshd: Sshd;

type Way = (typeof ways)[number];

const vmOf = (way: Way) => ways.indexOf(way) + 1;

beforeAll(async () => {
  const folder = temporaryFolder();
  const args = ['-rfbunixpath', join(folder, `one-${vmOf('unix')}.sock`)];
  [browser, oned, desk] = await Promise.all([
    openBrowser(),
    startTestOned(),
    startDesk({ colour, password, args }),
  ]);
  const [pki, { port }] = [await makePki(), desk.vnc];
  const [tls, ssh, ws, wss] = await Promise.all([
    tlsWay('node-tls', pki, port),
    sshWay('node-ssh'),
    wsWay('node-ws', port),
    wssWay('node-wss', pki, port),
  ]);
  sshd = ssh.sshd;
  rules = [
    { match: 'node-tcp', via: 'tcp', address: '127.0.0.1' },
    { match: 'node-unix', via: 'unix', path: join(folder, 'one-%i.sock') },
    ...[tls, ssh.rule, ws, wss],
  ];
  for (const way of ways) oned.runVm(vmOf(way), { host: `node-${way}`, port }, { PASSWD: password });
});

const startByRules = (flags: Flags): Promise<Service> =>
  startWithPage({ oned, ownConfig: configOf(rules), flags });

/** Opens the console and presses every key; all of it must come to the X client. */
async function typeAll(service: Service, way: Way) {
  const url = await linkTo(service, vmOf(way));
  const { page, errors, violations, network } = await openLink(browser, url);
  await inState(page, 'connected');
  await waitForPixel(page, colour);
  const before = desk.vnc.keys().length;
  await typeIntoTerminal(page, printable);
  await page.keyboard.press('Enter');
  const typed = () => desk.vnc.keys().slice(before);
  await waitFor(() => typed().endsWith('\r'), { what: 'the keys in the X client' });
  expect(typed()).toBe(`${printable}\r`);
  expect([errors, violations]).toEqual([[], []]);
  return { network, found: spellingsOf(password).filter((one) => network.all().includes(one)), url };
}

describe('vnc_auth: proxy', () => {
  let service: Service;
  beforeAll(async () => {
    service = await startByRules({ vnc_auth: 'proxy' });
  });

  it.each(ways)('by %s every key arrives, and the network log holds no password', async (way) => {
    const { network, found, url } = await typeAll(service, way);
    expect([found, network.all().includes(`node-${way}`)]).toEqual([[], false]);
    // It has the headers, one of which holds the token, and the handshake, in which there is no security at all.
    const token = /#token=([^&]+)$/.exec(url)?.[1] ?? 'none';
    expect(network.all()).toContain(`vnctoken.${token}`);
    const greeting = Buffer.from('RFB 003.008\n');
    const [offer, choice, success] = [[1, 1], [1], [0, 0, 0, 0]];
    const received = Buffer.from([...greeting, ...offer, ...success]);
    expect(network.received().subarray(0, received.length)).toEqual(received);
    const sent = Buffer.from([...greeting, ...choice]);
    expect(network.sent().subarray(0, sent.length)).toEqual(sent);
  });
});

describe('where nobody listens', () => {
  let service: Service;
  beforeAll(async () => {
    const path = join(temporaryFolder(), '%i.sock');
    const port = await freePort();
    const nobody = rules.map((rule) => ({ ...rule, ...(rule['via'] === 'unix' ? { path } : { port }) }));
    service = await startWithPage({ oned, ownConfig: configOf(nobody) });
  });

  it.each(ways)('the page tells what a person can know, and the log why: by %s', async (way) => {
    const { page, network } = await openLink(browser, await linkTo(service, vmOf(way)));
    await page.waitForSelector('#card-title:text-is("The machine’s console does not answer")');
    expect(await page.textContent('#card-detail')).toBe('Failed to connect to downstream server · code 1011');
    const isOurs = ({ msg, vm }: LogLine) => msg === 'console closed' && vm === vmOf(way);
    const { reason } = await service.waitForLog(isOurs, 'the end');
    expect(reason).toMatch(
      new RegExp(`^target node-${way}:\\d+: .*(ECONNREFUSED|ENOENT), by targets\\[\\d\\] `),
    );
    expect(reason).toContain(`(via ${way})`);
    expect(network.all()).not.toContain(`node-${way}`);
  });
});

it('an SSH connection that is cut ends its console, and the next one has a new connection', async () => {
  const service = await startByRules({ vnc_auth: 'proxy' });
  const { page } = await openLink(browser, await linkTo(service, vmOf('ssh')));
  await inState(page, 'connected');
  const logins = sshd.logins();
  for (const pid of await sshd.connections()) signalPid(pid, 'SIGKILL');
  await page.waitForSelector('#card-title:text-is("The console has ended")');
  await page.click('#card-actions >> text="Reconnect"');
  await inState(page, 'connected');
  await waitFor(() => sshd.logins() === logins + 1, { what: 'another login' });
  const before = desk.vnc.keys().length;
  await typeIntoTerminal(page, 'again');
  await waitFor(() => desk.vnc.keys().slice(before) === 'again', { what: 'the keys in the X client' });
});

describe('vnc_auth: pass', () => {
  let service: Service;
  beforeAll(async () => {
    service = await startByRules({ vnc_auth: 'pass' });
  });

  it.each(ways)("by %s every key arrives, and the password is the browser's", async (way) => {
    const { network, found } = await typeAll(service, way);
    // In the link's fragment, which Chromium keeps beside the address. So the log is one that would show it.
    expect(found).toEqual([password]);
    const vncAuth = [...Buffer.from('RFB 003.008\n'), 1, 2];
    expect([...network.received().subarray(0, vncAuth.length)]).toEqual(vncAuth);
  });
});

it.each([
  ['TLSNone', undefined],
  ['TLSVnc', password],
])("QEMU's monitor does what is typed where QEMU takes anonymous TLS alone: %s", async (_type, secret) => {
  const qemu = await startAnonymousQemu(secret, []);
  const vmId = ways.length + 1;
  oned.runVm(vmId, qemu, { PASSWD: secret ?? '' });
  const service = await startWithPage({
    oned,
    ownConfig: configOf([{ match: qemu.host, require: ['tls'] }]),
  });
  const { page, network } = await openLink(browser, await linkTo(service, vmId));
  await inState(page, 'connected');
  const file = join(temporaryFolder(), 'screen.ppm');
  await typeIntoTerminal(page, `\nscreendump ${file}\n`);
  await waitFor(() => readScreendump(file), { what: 'what was typed to be done' });
  expect(spellingsOf(password).filter((one) => network.all().includes(one))).toEqual([]);
});

describe("Debian's noVNC and the clipboard of the VM", () => {
  let pages: string;
  let both: Service;
  beforeAll(async () => {
    const { httpUrl } = await startWebsockify({ target: '127.0.0.1:9', web: '/usr/share/novnc' });
    pages = httpUrl;
    both = await startByRules({ vnc_auth: 'proxy', allowed_origins: pages });
  });

  /** vnc.html on a console, with its clipboard open. */
  async function openNoVnc(service: Service, way: Way): Promise<Page> {
    const { page } = await openTab(browser);
    const path = `websockify?token=${await service.issueToken(vmOf(way))}`;
    const where = { autoconnect: '1', host: '127.0.0.1', port: String(service.proxyPort), path };
    await page.goto(`${pages}/vnc.html?${new URLSearchParams(where)}`);
    await waitForPixel(page, colour);
    await page.click('#noVNC_control_bar_handle');
    await page.click('#noVNC_clipboard_button');
    return page;
  }

  const text = (page: Page) => page.locator('#noVNC_clipboard_text');

  /** Gives the VM a text, as a person does: types it in, and leaves the field. */
  async function give(page: Page, what: string): Promise<void> {
    await text(page).fill(what);
    await text(page).blur();
  }

  it('both: a text goes to the VM, and one of the VM to the browser', async () => {
    const page = await openNoVnc(both, 'wss');
    const before = desk.vnc.keys().length;
    const given = 'from the browser: äöü €';
    await give(page, given);
    const pasted = async () => {
      await desk.paste();
      const keys = desk.vnc.keys().slice(before);
      return keys.endsWith(given) ? keys : undefined;
    };
    const keys = await waitFor(pasted, { what: 'the text in the X client' });
    expect(keys.replaceAll(given, '')).toBe('');
    await desk.copy();
    await waitFor(async () => (await text(page).inputValue()) === desk.text, { what: 'the text of the VM' });
  });

  it('off: neither goes through', async () => {
    const off = await startByRules({ vnc_auth: 'proxy', allowed_origins: pages, clipboard: 'off' });
    const [page, witness] = await Promise.all([openNoVnc(off, 'ssh'), openNoVnc(both, 'tls')]);
    await desk.copy();
    await waitFor(async () => (await text(witness).inputValue()) === desk.text, {
      what: 'the text of the VM in a console where it may leave it',
    });
    await desk.vnc.paint('#118844');
    await waitForPixel(page, '#118844');
    expect(await text(page).inputValue()).toBe('');

    const before = desk.vnc.keys().length;
    await give(page, 'from the browser');
    await page.locator('canvas').hover({ position: { x: 60, y: 60 } });
    await page.locator('canvas').focus();
    await page.keyboard.type('x');
    await waitFor(() => desk.vnc.keys().slice(before) === 'x', { what: 'a key that was pressed after it' });
    await desk.paste();
    await waitFor(() => desk.vnc.keys().slice(before) === `x${desk.text}`, { what: "the VM's own text" });
    await desk.vnc.paint(colour);
  });
});
