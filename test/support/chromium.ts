// Debian's Chromium, headless, kept off the network. A page comes with everything that went wrong in it:
// console errors, exceptions, violations of the content security policy.
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { atEnd } from './lifetime.ts';
import { waitFor } from './wait.ts';

export type Colour = [red: number, green: number, blue: number];

export interface Tab {
  page: Page;
  /** Texts of console errors and of exceptions nobody caught. */
  errors: string[];
  /** As `directive blocked-uri`, in this page and its frames. */
  violations: string[];
  /** URLs of everything that was asked for, WebSockets included. */
  requests: string[];
}

const offNetwork = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  '--disable-quic',
];

export async function openBrowser(args: readonly string[] = []): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [...offNetwork, ...args],
  });
  atEnd(() => browser.close());
  return browser;
}

/** A page in a context (cookies, storage) of its own. */
export async function openTab(browser: Browser, options: BrowserContextOptions = {}): Promise<Tab> {
  const context = await browser.newContext(options);
  atEnd(() => context.close());
  const page = await context.newPage();
  const tab: Tab = { page, errors: [], violations: [], requests: [] };
  page.on('console', (message) => {
    if (message.type() === 'error') tab.errors.push(message.text());
  });
  page.on('pageerror', (error) => tab.errors.push(error.message));
  page.on('request', (request) => tab.requests.push(request.url()));
  page.on('websocket', (socket) => tab.requests.push(socket.url()));
  await page.exposeBinding('reportViolation', (_source, violation: string) => {
    tab.violations.push(violation);
  });
  await page.addInitScript(`addEventListener('securitypolicyviolation', (event) => {
    globalThis.reportViolation(event.effectiveDirective + ' ' + event.blockedURI);
  })`);
  return tab;
}

/** One pixel of a canvas as the page has it now, or undefined where there is no such canvas yet. */
export async function canvasPixel(
  page: Pick<Page, 'evaluate'>,
  x: number,
  y: number,
  selector = 'canvas',
): Promise<Colour | undefined> {
  // Text and not a function: it runs in the browser, whose types tests do not have.
  const pixel: number[] | null = await page.evaluate(`(() => {
    const canvas = document.querySelector(${JSON.stringify(selector)});
    if (!(canvas instanceof HTMLCanvasElement) || canvas.width <= ${x} || canvas.height <= ${y}) return null;
    return [...canvas.getContext('2d').getImageData(${x}, ${y}, 1, 1).data];
  })()`);
  return pixel ? [pixel[0] ?? -1, pixel[1] ?? -1, pixel[2] ?? -1] : undefined;
}

/** Waits until the pixel has the colour, given as #rrggbb: the picture has arrived. */
export async function waitForPixel(
  page: Pick<Page, 'evaluate'>,
  colour: string,
  { x = 600, y = 400, selector = 'canvas', deadlineMs = 15_000 } = {},
): Promise<void> {
  let seen = 'no canvas';
  const matches = async () => {
    const pixel = await canvasPixel(page, x, y, selector);
    if (pixel) seen = `#${Buffer.from(pixel).toString('hex')}`;
    return seen === colour;
  };
  try {
    await waitFor(matches, { what: `${colour} at ${x},${y} of ${selector}`, deadlineMs });
  } catch (error) {
    throw new Error(`${String(error)}, saw ${seen}`);
  }
}
