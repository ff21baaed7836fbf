import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runDemo } from '../../src/demo/demo.ts';
import { waitFor, within } from '../support/wait.ts';

describe('the demo', () => {
  test('checks a console from the call to the first picture, and leaves nothing', async () => {
    const lines: string[] = [];
    const code = await runDemo({
      check: true,
      print: (line) => lines.push(line),
      signal: new AbortController().signal,
    });
    const text = lines.join('\n');
    expect(text).toContain('handshake    RFB 003.008, security VNC Authentication');
    expect(text).toContain('"vnctoken demo", 640x400 pixels');
    expect(text).toMatch(/first update 1 rectangle, \d{3,} colours/);
    expect(text).toContain('The console works.');
    expect(code).toBe(0);
    const logFile = /log +(\S+)/.exec(text)?.[1] ?? '';
    expect(logFile).toMatch(/vnctoken-demo-/);
    expect(existsSync(dirname(logFile))).toBe(false);
  });

  test('runs until it is told to stop', async () => {
    const stop = new AbortController();
    const lines: string[] = [];
    const running = runDemo({ check: false, print: (line) => lines.push(line), signal: stop.signal });
    await waitFor(() => lines.some((line) => line.includes('Ctrl-C')), { what: 'the demo to be ready' });
    const text = lines.join('\n');
    expect(text).toMatch(/http:\/\/127\.0\.0\.1:\d+\/console\/#token=[a-z0-9]{25,}&password=demo1234\n/);
    const [, url = '', body = ''] = /curl -s (\S+) -d '(.*one\.vm\.vncurl.*)'/.exec(text) ?? [];
    const reply = await fetch(url, { method: 'POST', body });
    expect(await reply.text()).toContain('/console/#token=');
    stop.abort();
    expect(await within(running, { what: 'the demo to end' })).toBe(0);
    await expect(fetch(url)).rejects.toThrow();
  });

  test('fails a check that is interrupted', async () => {
    const lines: string[] = [];
    const code = await runDemo({
      check: true,
      print: (line) => lines.push(line),
      signal: AbortSignal.abort(),
    });
    expect(code).toBe(1);
    expect(lines.at(-1)).toContain('interrupted');
  });
});
