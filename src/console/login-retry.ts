// A refused login is asked about once more, a moment later: of several servers of oned those that follow the leader know
// a login token half a second after it was made.
// What always holds: both questions are one login to whoever counts them; nothing of oned is held in between; a name with
// which somebody has failed gets no second question for a minute, nor does an address where ten have, so that guessing
// costs oned no more than it did.
import { setTimeout as pause } from 'node:timers/promises';
import { networkOf } from '../client-address.js';
import { GatewayError, OneCode } from '../errors.js';
import type { SessionString } from '../oned/session-string.js';
import { SlidingCounter } from './counters.js';
import type { Login } from './login-guard.js';
import { sessionDigest } from './session-digest.js';
import { userKey } from './user-key.js';

/** A follower was seen to lag by 0.34 to 0.49 s. */
const AFTER_MS = 600;
const WINDOW_MS = 60_000;
/** Of one session string: what a portal asks at once right after a login. Another one of that name is a guess. */
const MAX_OF_SESSION = 4;
const MAX_AT_A_TIME = 16;
/** Second questions in vain, of an address within the window: a portal is one for many who mistype. */
const MAX_IN_VAIN = 10;

export interface LoginRetryParts {
  /** Milliseconds of a clock that is never set. */
  readonly now?: () => number;
  /** Waits; rejects when the signal fires. */
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<unknown>;
}

interface Waiting {
  readonly name: string;
  /** Of the session string. */
  readonly digest: string;
}

export class LoginRetry {
  private readonly now: () => number;
  private readonly pause: (ms: number, signal: AbortSignal) => Promise<unknown>;
  /** Names, and networks, that were refused the second time, too. */
  private readonly names = new SlidingCounter(WINDOW_MS);
  private readonly networks = new SlidingCounter(WINDOW_MS);
  private readonly waiting: Waiting[] = [];

  constructor(parts: LoginRetryParts = {}) {
    this.now = parts.now ?? (() => performance.now());
    this.pause = parts.pause ?? ((ms, signal) => pause(ms, undefined, { signal }));
  }

  /**
   * @param signal fires when nobody waits for the answer any more
   * @param ask has done nothing yet where oned refuses the login
   * @throws what `ask` throws, the second time where it is asked again; the first refusal where the signal fires
   */
  async ask<T>({ client, user, session }: Login, signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
    const name = userKey(user);
    const network = networkOf(client);
    try {
      return await ask();
    } catch (error) {
      if (!isRefusedLogin(error) || !this.isTrusted(name, network)) throw error;
      if (!(await this.waitFor(name, session, signal))) throw error;
    }
    try {
      return await ask();
    } catch (error) {
      if (isRefusedLogin(error)) {
        this.names.add(name, this.now());
        this.networks.add(network, this.now());
      }
      throw error;
    }
  }

  private isTrusted(name: string, network: string): boolean {
    const now = this.now();
    return this.names.count(name, now) === 0 && this.networks.count(network, now) < MAX_IN_VAIN;
  }

  /** @returns false where there is no room, or nobody waits any more */
  private async waitFor(name: string, session: SessionString, signal: AbortSignal): Promise<boolean> {
    const { waiting } = this;
    if (waiting.length >= MAX_AT_A_TIME) return false;
    const own: Waiting = { name, digest: sessionDigest(session) };
    const together = waiting.filter((one) => one.name === name);
    if (together.length >= MAX_OF_SESSION || together.some(({ digest }) => digest !== own.digest))
      return false;
    waiting.push(own);
    try {
      await this.pause(AFTER_MS, signal);
      return true;
    } catch {
      return false;
    } finally {
      waiting.splice(waiting.indexOf(own), 1);
    }
  }
}

/** Whether oned said that it does not know the caller. */
export function isRefusedLogin(error: unknown): error is GatewayError {
  return (
    error instanceof GatewayError && error.code === 'oned-refused' && error.oneCode === OneCode.authentication
  );
}
