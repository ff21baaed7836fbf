// How the data plane reaches a target and answers its security: both by the one rule that was chosen for it.
import type { LookupAddress } from 'node:dns';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { GatewayError } from '../../src/errors.ts';
import { openTargets } from '../support/open-targets.ts';
import { playScript, type Stage } from '../support/rfb-script.ts';

/** What the system says of the name, one look-up after the other. */
const answers: string[] = [];

vi.mock('node:dns', async (original) => {
  const dns = await original<typeof import('node:dns')>();
  const lookup = (name: string, options: object, done: (error: unknown, found: LookupAddress[]) => void) => {
    const address = name.endsWith('.moving.test') ? answers.shift() : undefined;
    if (address === undefined) dns.lookup(name, options as { all: true }, done);
    else setImmediate(() => done(null, [{ address, family: 4 }]));
  };
  return { ...dns, lookup };
});

afterEach(() => {
  vi.restoreAllMocks();
  answers.length = 0;
});

const never = new AbortController().signal;
const access = { password: '', viewOnly: false, clipboard: 'both' } as const;

/** A VNC server that asks for nothing. */
async function asksNothing(stage: Stage): Promise<void> {
  stage.send('RFB 003.008\n');
  await stage.read(12);
  stage.send([1, 1]);
  await stage.read(1);
  stage.send([0, 0, 0, 0]);
}

async function refusal(promise: Promise<unknown>): Promise<GatewayError> {
  const error = await promise.catch((thrown: unknown) => thrown);
  if (!(error instanceof GatewayError)) throw new Error('it was not refused', { cause: error });
  return error;
}

describe('the security of a target', () => {
  it('is held to the rule by which it was reached, wherever its name leads by then', async () => {
    const { port } = await playScript(asksNothing);
    const target = { host: 'node.moving.test', port, vmId: 7 };
    answers.push('127.0.0.1', '192.0.2.1');
    const targets = await openTargets([{ match: '127.0.0.0/8', require: ['vnc'] }]);
    const connection = await targets.connect(target, never);
    // Past the time for which names are remembered.
    const later = performance.now() + 60_000;
    vi.spyOn(performance, 'now').mockReturnValue(later);
    const { detail } = await refusal(targets.secure(connection, target, access, never));
    expect(detail).toContain('vnc is required');
    expect(answers).toEqual(['192.0.2.1']);
  });

  it('is held to that rule after a reload as well', async () => {
    const { host, port } = await playScript(asksNothing);
    const targets = await openTargets([{ require: ['vnc'] }]);
    const connection = await targets.connect({ host, port }, never);
    await targets.load([]);
    await refusal(targets.secure(connection, { host, port }, access, never));
    const next = await targets.connect({ host, port }, never);
    (await targets.secure(next, { host, port }, access, never)).destroy();
  });

  it('names the rule to the log and not to the person where it is refused', async () => {
    const { host, port } = await playScript(asksNothing);
    const targets = await openTargets([{ match: 'elsewhere' }, { match: host, require: ['x509'] }]);
    const connection = await targets.connect({ host, port }, never);
    const { detail, publicText } = await refusal(targets.secure(connection, { host, port }, access, never));
    expect(publicText).toBe('the target offers None, but x509 is required');
    expect(detail).toBe(`${publicText}, by targets[1] (via tcp)`);
  });
});
