// noVNC 1.7 in Chromium against real VNC servers, with the filters between: what a person does arrives or does not, as
// the rules say, and everything else goes on. With RECORD=1 it writes test/data/novnc-1.7-*.json, which the replay reads.
import { writeFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { gzipSync } from 'node:zlib';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, test } from 'vitest';
import type { FilterRules } from '../../src/rfb/client-rules.ts';
import { openBrowser, waitForPixel } from '../support/chromium.ts';
import { type Desk, startDesk } from '../support/desk.ts';
import { startEagerVnc } from '../support/eager-vnc.ts';
import { type Counts, countMessages } from '../support/novnc-messages.ts';
import { type Viewed, viewWithNoVnc } from '../support/novnc-relay.ts';
import { startQemu } from '../support/qemu.ts';
import { message, notify, request, textFormat, u32 } from '../support/rfb-messages.ts';
import { waitFor } from '../support/wait.ts';

let browser: Browser;

beforeAll(async () => {
  browser = await openBrowser();
});

const colour = '#102030';

async function pasteFromBrowser({ page }: Viewed, text: string): Promise<void> {
  await page.evaluate(`globalThis.rfb.clipboardPasteFrom(${JSON.stringify(text)})`);
}

/** All that was sent before has been worked off, both ways: the new picture has come. */
async function showColour({ page }: Viewed, { vnc }: Desk, colour: string): Promise<void> {
  await vnc.paint(colour);
  await waitForPixel(page, colour, { x: 630, y: 380 });
}

/** Nothing is on its way any more: what has come is what noVNC has written, by its own count. */
async function record(name: string, viewed: Viewed): Promise<void> {
  let [calls, sent]: [Counts, Buffer] = [{}, Buffer.alloc(0)];
  const agree = async () => {
    [calls, sent] = [await viewed.calls(), viewed.sent()];
    return isDeepStrictEqual(countMessages(sent), calls);
  };
  await waitFor(agree, { what: 'as many messages as noVNC has written' });
  expect(viewed.violation()).toBeUndefined();
  if (process.env['RECORD'] === undefined) return;
  const file = new URL(`../data/novnc-1.7-${name}.json`, import.meta.url);
  const compact = gzipSync(sent, { level: 9 }).toString('base64');
  writeFileSync(file, `${JSON.stringify({ calls, sent: compact }, undefined, 2)}\n`);
}

/** What people do: keys, the wheel and all buttons, those at the side of a mouse among them. */
async function useHands(page: Page): Promise<void> {
  const canvas = page.locator('canvas');
  await canvas.click({ position: { x: 30, y: 30 } });
  await page.keyboard.type('aB1!');
  await page.keyboard.press('Control+Alt+Delete');
  await page.keyboard.press('F12');
  // As from a keyboard on glass: no key of any place.
  await page.evaluate('globalThis.rfb.sendKey(0xe9, null)');
  await page.mouse.wheel(0, 300);
  await page.mouse.wheel(200, 0);
  await canvas.click({ position: { x: 35, y: 30 }, button: 'right' });
  // Made in the page: Chromium itself would go back and forward in the tab's history with them.
  await page.evaluate(`for (const [button, buttons] of [[3, 8], [4, 16]]) {
    const canvas = document.querySelector('canvas');
    const at = { bubbles: true, clientX: 40, clientY: 40, button };
    canvas.dispatchEvent(new MouseEvent('mousedown', { ...at, buttons }));
    canvas.dispatchEvent(new MouseEvent('mouseup', { ...at, buttons: 0 }));
  }`);
}

/** Into the terminal that records: the focus of a bare X server follows the pointer. */
async function typeIntoTerminal({ page }: Viewed, { vnc }: Desk, text: string): Promise<void> {
  await page.evaluate('globalThis.rfb.focus()');
  await page.locator('canvas').hover({ position: { x: 60, y: 60 } });
  await page.keyboard.type(text);
  await waitFor(() => vnc.keys() === text, { what: 'the keys' });
}

const resize = ({ page }: Viewed) =>
  page.evaluate(`(() => {
    globalThis.rfb.resizeSession = true;
    document.getElementById('screen').style.width = '600px';
  })()`);

const called = (viewed: Viewed, name: string, times = 1) =>
  waitFor(async () => ((await viewed.calls())[name] ?? 0) >= times, { what: `${name} of noVNC` });

describe('with nothing between, or a filter that keeps nothing back', () => {
  const everything: [string, FilterRules | undefined][] = [
    ['nothing', undefined],
    ['a filter', { viewOnly: false, clipboard: 'both' }],
  ];

  test.each(everything)('TigerVNC gets all that noVNC sends (%s)', async (_what, rules) => {
    const desk = await startDesk({ colour });
    const viewed = await viewWithNoVnc(browser, desk.vnc, rules);
    await showColour(viewed, desk, '#3366cc');
    await useHands(viewed.page);
    await waitFor(() => desk.vnc.keys().includes('aB1!'), { what: 'the keys in the X client' });
    await pasteFromBrowser(viewed, 'from the browser: äöü €');
    // TigerVNC asks for the text when somebody in the VM wants it.
    await waitFor(
      async () => {
        await desk.paste();
        return (await viewed.calls())['extendedClipboardProvide'];
      },
      { what: 'the text to be asked for' },
    );
    await desk.copy();
    await waitFor(async () => (await viewed.clipboards()).includes(desk.text), {
      what: 'the text of the VM',
    });
    await resize(viewed);
    await called(viewed, 'setDesktopSize');
    expect(viewed.passed().equals(viewed.sent())).toBe(true);
    await record('tigervnc', viewed);
  });

  test.each(everything)('QEMU gets all that noVNC sends (%s)', async (_what, rules) => {
    const qemu = await startQemu();
    const [viewed, other] = [await viewWithNoVnc(browser, qemu, rules), await viewWithNoVnc(browser, qemu)];
    await called(viewed, 'extendedClipboardCaps');
    await called(other, 'extendedClipboardCaps');
    await useHands(viewed.page);
    await called(viewed, 'QEMUExtendedKeyEvent', 8);
    // Two viewers share QEMU's clipboard.
    await pasteFromBrowser(viewed, 'from one');
    await waitFor(async () => (await other.clipboards()).includes('from one'), {
      what: 'the text of the one',
    });
    await pasteFromBrowser(other, 'from the other');
    await waitFor(async () => (await viewed.clipboards()).includes('from the other'), {
      what: "the other's text",
    });
    await resize(viewed);
    await called(viewed, 'setDesktopSize');
    expect(viewed.passed().equals(viewed.sent())).toBe(true);
    await record('qemu', viewed);
  });

  test('a server of every extension gets each of them', async () => {
    const viewed = await viewWithNoVnc(browser, await startEagerVnc(), {
      viewOnly: false,
      clipboard: 'both',
    });
    await called(viewed, 'extendedClipboardCaps');
    await called(viewed, 'clientFence');
    await useHands(viewed.page);
    await called(viewed, 'extendedPointerEvent', 2);
    await pasteFromBrowser(viewed, 'from the browser');
    await called(viewed, 'extendedClipboardProvide');
    await viewed.page.evaluate('globalThis.rfb.machineReboot()');
    await resize(viewed);
    await called(viewed, 'setDesktopSize');
    expect(await viewed.clipboards()).toEqual(['from the VM']);
    expect(viewed.passed().equals(viewed.sent())).toBe(true);
    await record('all-extensions', viewed);
  });
});

describe('under rules', () => {
  test.each(['to_vm', 'from_vm', 'off'] as const)(
    '%s: back and forward reach a server that reads them',
    async (clipboard) => {
      const eager = await startEagerVnc();
      const viewed = await viewWithNoVnc(browser, eager, { viewOnly: false, clipboard });
      await called(viewed, 'clientFence');
      await useHands(viewed.page);
      await called(viewed, 'extendedPointerEvent', 2);
      const long = async () => {
        const [calls, passed] = [await viewed.calls(), countMessages(viewed.passed())];
        return calls['extendedPointerEvent'] === passed['extendedPointerEvent'];
      };
      await waitFor(long, { what: 'every longer pointer message to go on' });
      expect(viewed.passed().includes(message.extendedPointer(0x80).subarray(0, 2))).toBe(true);
      expect(viewed.violation()).toBeUndefined();
    },
  );

  test('a viewer sends them in vain', async () => {
    const rules: FilterRules = { viewOnly: true, clipboard: 'both' };
    const viewed = await viewWithNoVnc(browser, await startEagerVnc(), rules);
    await called(viewed, 'clientFence');
    await useHands(viewed.page);
    await called(viewed, 'extendedPointerEvent', 2);
    const before = viewed.passed().length;
    // A message that goes on, behind all of them.
    await viewed.page.evaluate('globalThis.rfb.qualityLevel = 3');
    await waitFor(() => viewed.passed().length > before, { what: 'the encodings' });
    const { pointerEvent, extendedPointerEvent } = countMessages(viewed.passed());
    expect([pointerEvent, extendedPointerEvent]).toEqual([undefined, undefined]);
    expect(viewed.violation()).toBeUndefined();
  });

  test('a viewer sees the screen and does nothing to it', async () => {
    const desk = await startDesk({ colour });
    const viewed = await viewWithNoVnc(browser, desk.vnc, { viewOnly: true, clipboard: 'both' });
    await showColour(viewed, desk, '#3366cc');
    await desk.point();
    await useHands(viewed.page);
    await pasteFromBrowser(viewed, 'from the browser');
    await resize(viewed);
    await called(viewed, 'pointerEvent', 10);
    await showColour(viewed, desk, '#cc6633');
    await desk.copy();
    await waitFor(async () => (await viewed.clipboards()).includes(desk.text), {
      what: 'the text of the VM',
    });
    await desk.paste();
    await waitFor(() => desk.vnc.keys() === desk.text, { what: "the VM's own text and nothing else" });
    expect(viewed.violation()).toBeUndefined();
    expect(viewed.passed().length).toBeLessThan(viewed.sent().length);
  });

  test('from_vm: text leaves the VM and none gets in', async () => {
    const desk = await startDesk({ colour });
    const viewed = await viewWithNoVnc(browser, desk.vnc, { viewOnly: false, clipboard: 'from_vm' });
    await showColour(viewed, desk, '#3366cc');
    await desk.copy();
    await waitFor(async () => (await viewed.clipboards()).includes(desk.text), {
      what: 'the text of the VM',
    });
    await pasteFromBrowser(viewed, 'from the browser');
    await called(viewed, 'extendedClipboardNotify');
    await typeIntoTerminal(viewed, desk, 'x');
    await desk.paste();
    await waitFor(() => desk.vnc.keys() === `x${desk.text}`, { what: "the VM's own text" });
    expect(viewed.violation()).toBeUndefined();
  });

  test.each(['to_vm', 'off'] as const)(
    '%s: no text leaves the VM, and the picture goes on',
    async (clipboard) => {
      const desk = await startDesk({ colour });
      const viewed = await viewWithNoVnc(browser, desk.vnc, { viewOnly: false, clipboard });
      await showColour(viewed, desk, '#3366cc');
      await desk.copy();
      await waitFor(() => viewed.received().includes(desk.text), {
        what: 'the text between server and filter',
      });
      await showColour(viewed, desk, '#cc6633');
      expect(await viewed.clipboards()).toEqual([]);
      await pasteFromBrowser(viewed, 'FromTheBrowser');
      await called(viewed, 'clientCutText');
      await typeIntoTerminal(viewed, desk, 'x');
      await desk.paste();
      const expected = clipboard === 'to_vm' ? 'xFromTheBrowser' : `x${desk.text}`;
      await waitFor(() => desk.vnc.keys() === expected, { what: `${expected} in the terminal` });
      await showColour(viewed, desk, '#118844');
      expect(viewed.violation()).toBeUndefined();
    },
  );

  test("from_vm: QEMU's text and picture come, none gets in", async () => {
    const qemu = await startQemu();
    const [guarded, other] = [
      await viewWithNoVnc(browser, qemu, { viewOnly: false, clipboard: 'from_vm' }),
      await viewWithNoVnc(browser, qemu),
    ];
    await called(guarded, 'extendedClipboardCaps');
    await called(other, 'extendedClipboardCaps');
    await pasteFromBrowser(guarded, 'from the guarded');
    await called(guarded, 'extendedClipboardNotify');
    await pasteFromBrowser(other, 'from the other');
    await waitFor(async () => (await guarded.clipboards()).includes('from the other'), { what: 'the text' });
    const before = guarded.received().length;
    await guarded.page.locator('canvas').click({ position: { x: 30, y: 30 } });
    await guarded.page.keyboard.type('help\n');
    await waitFor(() => guarded.received().length > before, { what: 'the picture to go on' });
    expect(guarded.passed().includes(u32(notify | textFormat))).toBe(false);
    expect(await other.clipboards()).toEqual([]);
    expect(guarded.violation()).toBeUndefined();
  });

  test.each(['to_vm', 'off'] as const)(
    '%s: QEMU, which has no other clipboard, sends none at all',
    async (clipboard) => {
      const qemu = await startQemu();
      const [guarded, other] = [
        await viewWithNoVnc(browser, qemu, { viewOnly: false, clipboard }),
        await viewWithNoVnc(browser, qemu),
      ];
      await called(other, 'extendedClipboardCaps');
      await pasteFromBrowser(other, 'from the other');
      await guarded.page.locator('canvas').click({ position: { x: 30, y: 30 } });
      await guarded.page.keyboard.type('help\n');
      await called(guarded, 'fbUpdateRequest', 4);
      const before = guarded.received().length;
      await guarded.page.keyboard.type('\n\n');
      await waitFor(() => guarded.received().length > before, { what: 'the picture to go on' });
      expect(guarded.received().includes(Buffer.concat([Buffer.of(3, 0, 0, 0), u32(-4)]))).toBe(false);
      expect(guarded.passed().includes(u32(request | textFormat))).toBe(false);
      expect(guarded.passed().includes(u32(notify | textFormat))).toBe(false);
      expect(guarded.violation()).toBeUndefined();
    },
  );
});
