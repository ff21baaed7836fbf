// What is remembered of oned's settings. What always holds: one question for many callers, none for minutes, and no
// failure of it is a caller's.
import { expect, it } from 'vitest';
import { GatewayError } from '../../src/errors.ts';
import { OnedFacts } from '../../src/oned/facts.ts';
import type { SessionString } from '../../src/oned/session-string.ts';
import type { SystemConfig } from '../../src/oned/system-config.ts';

const alice = 'alice:secret' as SessionString;
const bob = 'bob:secret' as SessionString;
const service = 'console:own' as SessionString;
const MINUTE_MS = 60_000;

interface World {
  service?: SessionString;
  config?: (session: SessionString) => Promise<SystemConfig>;
  zones?: () => Promise<readonly number[]>;
}

const on: SystemConfig = { encryptsVncPassword: true, zoneId: 101 };
const refused = () => Promise.reject(new GatewayError('oned-refused', { oneCode: 0x0200 }));

function world({ service, config = async () => on, zones = async () => [0] }: World = {}) {
  const asked: string[] = [];
  const set = { config, zones, url: 'http://oned:2633/RPC2', now: 0 };
  const facts = new OnedFacts({
    oned: {
      systemConfig: (session) => {
        asked.push(`config as ${session.split(':')[0]}`);
        return set.config(session);
      },
      zonePool: (session) => {
        asked.push(`zones as ${session.split(':')[0]}`);
        return set.zones();
      },
    },
    url: () => set.url,
    serviceSession: () => service,
    now: () => set.now,
  });
  return {
    facts,
    asked,
    set,
    ask: (session = alice, signal = new AbortController().signal) => facts.ask(session, signal),
  };
}

it('asks as the caller, and then nobody for five minutes', async () => {
  const { facts, asked, set, ask } = world();
  expect(facts.known).toEqual({ encryptsVncPassword: undefined, zoneId: undefined });
  expect(await ask()).toEqual(on);
  set.now = 5 * MINUTE_MS - 1;
  expect(await ask(bob)).toEqual(on);
  expect(asked).toEqual(['config as alice']);
  set.config = async () => ({ ...on, encryptsVncPassword: false });
  set.now = 5 * MINUTE_MS;
  expect((await ask(bob)).encryptsVncPassword).toBe(false);
  expect(asked).toEqual(['config as alice', 'config as bob']);
});

it('asks once for a thousand callers at a time, and whoever leaves takes nobody with him', async () => {
  let answer = (_: SystemConfig) => {};
  const { asked, ask } = world({ config: () => new Promise((resolve) => (answer = resolve)) });
  const leaver = new AbortController();
  const first = ask(alice, leaver.signal);
  const others = Array.from({ length: 1000 }, () => ask(bob));
  leaver.abort(new GatewayError('caller-gone'));
  await expect(first).rejects.toMatchObject({ code: 'caller-gone' });
  answer(on);
  expect(new Set(await Promise.all(others))).toEqual(new Set([on]));
  expect(asked).toEqual(['config as alice']);
});

it('asks as the service first, and as the caller where oned does not answer that', async () => {
  const asService = world({ service });
  await asService.ask();
  expect(asService.asked).toEqual(['config as console']);
  const refusedTo = world({
    service,
    config: (session) => (session === service ? refused() : Promise.resolve(on)),
  });
  expect(await refusedTo.ask()).toEqual(on);
  expect(refusedTo.asked).toEqual(['config as console', 'config as alice']);
});

it.each<[string, World['config'], readonly number[], number | undefined]>([
  ['tells it to administrators only', refused, [0], 0],
  ['tells it to administrators only, in a federation', refused, [0, 100], undefined],
  ['tells it to administrators only, with another only zone', refused, [100], 100],
  ['does not know the call', () => Promise.reject(new GatewayError('oned-nonsense')), [0], 0],
  [
    'is in a federation without saying who it is',
    async () => ({ ...on, zoneId: undefined }),
    [0, 100],
    undefined,
  ],
])('where oned %s, an only zone is its own', async (_what, config, zones, zoneId) => {
  const { ask, asked } = world({ ...(config && { config }), zones: async () => zones });
  expect((await ask()).zoneId).toBe(zoneId);
  expect(asked.at(-1)).toBe('zones as alice');
});

it('fails nobody where oned says nothing at all, and asks again after half a minute', async () => {
  const fails = () => Promise.reject(new GatewayError('oned-unreachable'));
  const { ask, asked, set } = world({ config: fails, zones: fails });
  expect(await ask()).toEqual({ encryptsVncPassword: undefined, zoneId: undefined });
  set.now = MINUTE_MS / 2 - 1;
  await ask();
  expect(asked).toHaveLength(2);
  set.config = async () => on;
  set.now = MINUTE_MS / 2;
  expect(await ask()).toEqual(on);
});

it('knows what it knew while oned cannot be asked', async () => {
  const { ask, facts, set } = world();
  await ask();
  set.config = () => Promise.reject(new GatewayError('oned-timeout'));
  set.now = 6 * MINUTE_MS;
  expect(await ask()).toEqual(on);
  expect(facts.known).toEqual(on);
});

it('knows nothing of another oned, be it while one is being asked', async () => {
  let answer = (_: SystemConfig) => {};
  const { ask, facts, asked, set } = world({ config: () => new Promise((resolve) => (answer = resolve)) });
  const before = ask();
  set.url = 'http://other:2633/RPC2';
  set.config = async () => ({ encryptsVncPassword: false, zoneId: 0 });
  expect((await ask()).zoneId).toBe(0);
  answer(on);
  await before;
  expect(facts.known.zoneId).toBe(0);
  expect((await ask()).zoneId).toBe(0);
  expect(asked).toHaveLength(2);
});
