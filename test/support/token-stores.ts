// Every store that there is, ready for the one suite that runs over all of them. A new store is one entry more.
// What always holds: time passes only by `advance`, as far as the store can be told what time it is.
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { beforeAll } from 'vitest';
import { FileTokenStore } from '../../src/tokens/file/store.ts';
import { TokenFiles } from '../../src/tokens/file/token-files.ts';
import { MemoryTokenStore, type TokenJournal } from '../../src/tokens/memory/store.ts';
import { RedisTokenStore } from '../../src/tokens/redis/store.ts';
import { parseRedisUrl } from '../../src/tokens/redis/url.ts';
import { SealedTokenStore } from '../../src/tokens/sealed/store.ts';
import type { TokenStore } from '../../src/tokens/store.ts';
import { temporaryFolder } from './folder.ts';
import { opened } from './opened-store.ts';
import { startRedis, startRedisCluster } from './redis.ts';

export interface StoreUnderTest {
  /** Open; closed when the test ends, if it is not closed before. */
  readonly store: TokenStore;
  /** Lets so much of the store's time pass. */
  advance(ms: number): void | Promise<void>;
  /** What the store has asked and written so far, counted as an onlooker could. */
  operations?(): number | Promise<number>;
  /** Those of them that changed something. */
  writes?(): number | Promise<number>;
}

export interface StoreKind {
  readonly name: string;
  /** Makes an empty store for one test, which ends with it. */
  start(): Promise<StoreUnderTest>;
}

/** A clock that the test turns; how often it was read tells how often a store of one host was asked. */
class TestClock {
  reads = 0;
  private time = 1_800_000_000_000;

  readonly now = () => {
    this.reads++;
    return this.time;
  };

  readonly advance = (ms: number) => {
    this.time += ms;
  };
}

const memory: StoreKind = {
  name: 'memory',
  async start() {
    const clock = new TestClock();
    let writes = 0;
    const count = () => {
      writes++;
    };
    const journal: TokenJournal = { create: async () => count(), changed: count, forgotten: count };
    const store = await opened(new MemoryTokenStore({ now: clock.now, journal }));
    return { store, advance: clock.advance, operations: () => clock.reads + writes, writes: () => writes };
  },
};

const file: StoreKind = {
  name: 'file',
  async start() {
    const clock = new TestClock();
    let writes = 0;
    class CountedFiles extends TokenFiles {
      override create(...all: Parameters<TokenFiles['create']>) {
        writes++;
        return super.create(...all);
      }

      override update(...all: Parameters<TokenFiles['update']>) {
        writes++;
        return super.update(...all);
      }

      override remove(...all: Parameters<TokenFiles['remove']>) {
        writes++;
        return super.remove(...all);
      }
    }
    const files = new CountedFiles({ stateFolder: temporaryFolder(), websockifyFolderName: 'tokens' });
    const store = await opened(
      new FileTokenStore({ files, logger: pino({ level: 'silent' }), now: clock.now }),
    );
    return { store, advance: clock.advance, operations: () => clock.reads + writes, writes: () => writes };
  },
};

/** As the one host that issues and opens sealed tokens, it has to do all that the others do. */
const sealed: StoreKind = {
  name: 'sealed',
  async start() {
    const clock = new TestClock();
    const wall = new TestClock();
    const keysFile = join(temporaryFolder(), 'keys');
    writeFileSync(keysFile, `one ${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 });
    const store = await opened(new SealedTokenStore({ keysFile, now: clock.now, wall: wall.now }));
    const advance = (ms: number) => {
      clock.advance(ms);
      wall.advance(ms);
    };
    return { store, advance, operations: () => clock.reads };
  },
};

/** Servers are the same for all tests of a file; each test has a prefix of its own there. */
function redisKind(name: string, startUrl: () => Promise<string>): StoreKind {
  let url = '';
  beforeAll(async () => {
    url = await startUrl();
  });
  return {
    name,
    async start() {
      let shift = 0;
      const prefix = `${randomBytes(6).toString('hex')}:`;
      const address = parseRedisUrl(url);
      const logger = pino({ level: 'silent' });
      const store = await opened(new RedisTokenStore({ address, prefix, logger, timeShiftMs: () => shift }));
      const advance = (ms: number) => {
        shift += ms;
      };
      return { store, advance, operations: () => store.operations };
    },
  };
}

const redis = redisKind('redis', async () => `redis://127.0.0.1:${(await startRedis()).port}`);

const redisCluster = redisKind('redis cluster', async () => {
  const servers = await startRedisCluster();
  return `redis+cluster://${servers.map(({ port }) => `127.0.0.1:${port}`).join()}`;
});

export const storeKinds: readonly StoreKind[] = [memory, file, sealed, redis, redisCluster];
