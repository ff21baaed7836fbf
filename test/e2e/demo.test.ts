// The demo as a newcomer runs it: the built command as a process of its own, its address in a real browser.
import { expect, it } from 'vitest';
import { run, startChild } from '../support/child.ts';
import { openBrowser, openTab } from '../support/chromium.ts';
import { mainFile } from '../support/service.ts';
import { waitFor } from '../support/wait.ts';

it('redeems its own token by --check, says what it saw, and exits 0', async () => {
  const { code, stdout, stderr } = await run(process.execPath, [mainFile, 'demo', '--check']);
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(/handshake +RFB 003\.008, security VNC Authentication/);
  expect(stdout).toMatch(/first update +\d+ rectangles?, \d+ colours/);
});

it('shows a live screen in a browser, takes keys, and ends by Ctrl-C with exit 0', async () => {
  const demo = await startChild(process.execPath, [mainFile, 'demo'], {
    ready: (child) => /^ +http\S+\/console\/#token=\S+$/m.test(child.stdout()),
  });
  const address = /^ +(http\S+\/console\/#token=\S+)$/m.exec(demo.stdout())?.[1] ?? '';
  const { page, errors, violations } = await openTab(await openBrowser());
  await page.goto(address);
  await waitFor(() => page.title().then((title) => title.includes('vnctoken demo')), {
    what: 'the desktop name',
  });
  expect(page.url()).not.toContain('token');
  const picture = () => page.locator('canvas').first().screenshot();
  const first = await picture();
  await waitFor(async () => !(await picture()).equals(first), { what: 'something to move' });
  await page.locator('canvas').first().click();
  await page.keyboard.type('hello demo');
  expect([errors, violations]).toEqual([[], []]);
  demo.signal('SIGINT');
  await waitFor(() => demo.exit(), { what: 'the end of the demo' });
  expect(demo.exit()?.code).toBe(0);
  await waitFor(
    () =>
      page
        .getByText(/stopped|restart|ended|lost|closed/i)
        .first()
        .isVisible(),
    {
      what: 'the page to say why',
    },
  );
});
