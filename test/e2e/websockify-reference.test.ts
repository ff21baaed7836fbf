// The peers by themselves: Debian's noVNC in Chromium, Debian's websockify, TigerVNC. When this fails,
// the machine is at fault; when only the tests of our own proxy fail, we are.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openBrowser, openTab, waitForPixel } from '../support/chromium.ts';
import { temporaryFolder } from '../support/folder.ts';
import { startTigervnc } from '../support/tigervnc.ts';
import { waitFor } from '../support/wait.ts';
import { startWebsockify } from '../support/websockify.ts';

test('noVNC shows a VNC screen through websockify and types into it', async () => {
  const tokenFolder = temporaryFolder();
  const vnc = await startTigervnc({ colour: '#3366cc', password: 'secret12', keyboard: true });
  writeFileSync(join(tokenFolder, 'vm'), `reference: ${vnc.host}:${vnc.port}\n`);
  const proxy = await startWebsockify({ tokenFolder, web: '/usr/share/novnc' });
  const { page } = await openTab(await openBrowser());

  await page.goto(`${proxy.httpUrl}/vnc_lite.html?path=websockify?token=reference&password=secret12`);
  await waitForPixel(page, '#3366cc');

  await page.locator('canvas').click({ position: { x: 50, y: 50 } });
  await page.keyboard.type('Hello 42!');
  await waitFor(() => vnc.keys() === 'Hello 42!', { what: 'the keys' });
  expect(vnc.keys()).toBe('Hello 42!');
});
