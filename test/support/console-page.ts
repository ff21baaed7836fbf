// The console page as a person opens it: a service that gives out links to it, and the page in a browser.
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { openTab, type Tab } from './chromium.ts';
import { type NetworkLog, watchNetwork } from './network-log.ts';
import type { TestOned } from './oned.ts';
import { freePort } from './ports.ts';
import { type Service, type ServiceOptions, startService } from './service.ts';

/** Starts a service whose page browsers reach at its own port. */
export async function startWithPage(options: ServiceOptions & { oned: TestOned }): Promise<Service> {
  const port = options.flags?.['vnc_proxy_port'] ?? (await freePort());
  const own = { vnc_proxy_port: port, public_url: `http://127.0.0.1:${port}` };
  return startService({ ...options, flags: { ...own, ...options.flags } });
}

/** What a portal sends the person to. */
export async function linkTo(
  { call }: Service,
  vmId: number,
  options: Record<string, boolean> = {},
): Promise<string> {
  const [ok, url] = await call('one.vm.vncurl', ['oneadmin:oneadmin', vmId, options]);
  if (!ok || typeof url !== 'string') throw new Error(`no link to VM ${vmId}: ${String(url)}`);
  return url;
}

/** A tab of its own, with the link in it. */
export async function openLink(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<Tab & { network: NetworkLog }> {
  const tab = await openTab(browser, options);
  const network = await watchNetwork(tab.page);
  await tab.page.goto(url);
  return { ...tab, network };
}

/** Waits until the page is in that state: connecting, connected, ended, idle. */
export const inState = (page: Page, state: string) => page.waitForSelector(`body[data-state="${state}"]`);

/** Focus follows the pointer in a bare X server, and the terminal that records is at its top left. */
export async function pointAtTerminal(page: Page): Promise<void> {
  await page.locator('#screen canvas').hover({ position: { x: 60, y: 60 } });
}

/** Presses keys over that terminal. */
export async function typeIntoTerminal(page: Page, text: string): Promise<void> {
  await pointAtTerminal(page);
  await page.locator('#screen canvas').focus();
  await page.keyboard.type(text);
}
