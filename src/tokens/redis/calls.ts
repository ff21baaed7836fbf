// Everything that is asked of Redis goes through here: counted, with a deadline, and an outage told once.
// What always holds: whoever asks gets an answer or an error within two seconds; an error is one of ours, without a
// word of what was sent.
import { setTimeout as pause } from 'node:timers/promises';
import { GatewayError, StartError } from '../../errors.js';
import type { Logger } from '../../log.js';
import { RedisRefusal, RedisUnreachable } from './connection.js';
import type { RedisTopology } from './topology.js';
import { type RedisAddress, type RedisServer, serverName } from './url.js';

const CALL_TIMEOUT_MS = 2000;
/** At the start, Redis may be starting as well. */
const START_TIMEOUT_MS = 5000;
const START_RETRY_MS = 200;

/** Codes of a server that works, but takes nothing new, or not from us. */
const NOT_TAKEN: ReadonlySet<string> = new Set([
  ...['OOM', 'READONLY', 'MISCONF', 'NOREPLICAS', 'NOPERM', 'WRONGTYPE'],
]);
/** Codes that pass. */
const FOR_NOW: ReadonlySet<string> = new Set([
  ...['LOADING', 'CLUSTERDOWN', 'MASTERDOWN', 'TRYAGAIN', 'BUSY', 'OOM', 'READONLY', 'MISCONF', 'NOREPLICAS'],
]);
const LOGIN_REFUSED: ReadonlySet<string> = new Set(['WRONGPASS', 'NOAUTH']);

export class RedisCalls {
  private readonly topology: RedisTopology;
  private readonly logger: Logger;
  private count = 0;
  private toldDown = false;

  constructor(topology: RedisTopology, logger: Logger) {
    this.topology = topology;
    this.logger = logger;
  }

  /** Commands sent so far, not counting those that look after connections. */
  get operations(): number {
    return this.count;
  }

  /** Asks the server that has the key. @throws RedisRefusal, RedisUnreachable */
  toKey(key: string, command: readonly string[]): Promise<unknown> {
    return this.told(this.topology.call(key, command, performance.now() + CALL_TIMEOUT_MS));
  }

  /** @throws RedisRefusal, RedisUnreachable */
  toServer(server: RedisServer, command: readonly string[]): Promise<unknown> {
    return this.told(this.topology.callAt(server, command, performance.now() + CALL_TIMEOUT_MS));
  }

  /** @throws RedisRefusal, RedisUnreachable */
  masters(): Promise<readonly RedisServer[]> {
    return this.topology.masters(performance.now() + CALL_TIMEOUT_MS);
  }

  /**
   * Does what a start needs, again for a while where Redis is not reachable or not ready.
   * @throws StartError naming `redis_url`
   */
  async atStart(address: RedisAddress, work: () => Promise<void>): Promise<void> {
    const end = performance.now() + START_TIMEOUT_MS;
    for (;;) {
      try {
        return await work();
      } catch (error) {
        const refused = error instanceof RedisRefusal && !FOR_NOW.has(error.code);
        if (refused || performance.now() >= end) throw startError(error, address);
      }
      await pause(START_RETRY_MS);
    }
  }

  private async told(answer: Promise<unknown>): Promise<unknown> {
    this.count++;
    try {
      const reply = await answer;
      if (this.toldDown) this.logger.info('Redis can be used again');
      this.toldDown = false;
      return reply;
    } catch (error) {
      const isDown = !(error instanceof RedisRefusal && NOT_TAKEN.has(error.code));
      if (isDown && !this.toldDown) this.logger.warn({ cause: wordOf(error) }, 'Redis cannot be used');
      this.toldDown ||= isDown;
      throw error;
    }
  }
}

/** What failed, as whoever asked for a record is told; an error of somebody else is passed on. */
export function unavailable(error: unknown): unknown {
  if (!(error instanceof RedisRefusal || error instanceof RedisUnreachable)) return error;
  return new GatewayError('store-unavailable', { detail: `Redis: ${wordOf(error)}` });
}

/** What failed, as whoever wanted to keep a new record is told. */
export function notKept(error: unknown): unknown {
  if (!(error instanceof RedisRefusal) || !NOT_TAKEN.has(error.code)) return unavailable(error);
  return new GatewayError('store-failed', { detail: `the token cannot be kept: ${wordOf(error)}` });
}

/** Whether Redis works, but takes nothing new for a while. */
export function takesNothingNew(error: unknown): boolean {
  return error instanceof RedisRefusal && NOT_TAKEN.has(error.code) && FOR_NOW.has(error.code);
}

function startError(error: unknown, { servers }: RedisAddress): StartError {
  const cause = wordOf(error);
  if (error instanceof RedisRefusal) {
    if (LOGIN_REFUSED.has(error.code)) {
      return new StartError(`redis_url: Redis refuses the user or the password (${error.code})`);
    }
    if (error.code === 'NOPERM') return new StartError(`redis_url: the user lacks rights in Redis (NOPERM)`);
    return new StartError(`redis_url: ${cause}`);
  }
  return new StartError(`redis_url: cannot reach ${servers.map(serverName).join(', ')}: ${cause}`);
}

/** Messages of our own errors hold nothing of what was sent. */
function wordOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown';
}
