// In front of every login at oned: guesses of a password are slowed down, and after some failures refused for a while.
// What always holds: once a limit is reached nobody learns whether a password is right, not even those whose question
// was under way; who waits here keeps nobody else waiting, and how many wait has a bound.
import { setTimeout as pause } from 'node:timers/promises';
import { networkOf } from '../client-address.js';
import { GatewayError, OneCode } from '../errors.js';
import { SlidingCounter } from './counters.js';

/** Who says to be whom. */
export interface Login {
  /** The caller's address. */
  readonly client: string;
  /** As `userOf` reads it from the session; nobody has checked it yet. */
  readonly user: string;
}

export interface LoginLimits {
  /** Failed logins in five minutes of one user name from one address. */
  readonly perUser: number;
  /** Failed logins in five minutes from one address. */
  readonly perAddress: number;
}

export interface LoginGuardParts {
  /** Asked at every login, so that they may change while running. */
  readonly limits: () => LoginLimits;
  /** Addresses that stand for many clients have no limit of their own; their users have. */
  readonly isExempt: (client: string) => boolean;
  /** Fires when the service stops: nobody is held back from then on. */
  readonly stopping: AbortSignal;
  /** Milliseconds of a clock that is never set. */
  readonly now?: () => number;
  /** Waits; rejects when the signal fires. */
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<unknown>;
  /** Logins that are held back at a time. */
  readonly maxWaiting?: number;
}

interface Limit {
  readonly counter: SlidingCounter;
  readonly key: string;
  readonly most: number;
  readonly setting: string;
}

const WINDOW_MS = 300_000;

/** So many failures are a slip of the finger; after them each further one doubles the wait. */
const FREE_FAILURES = 2;
const FIRST_DELAY_MS = 500;
const LAST_DELAY_MS = 4000;

const MAX_WAITING = 256;

/** Codes with which oned refuses somebody whom it knows. */
const KNOWN_USER: ReadonlySet<number> = new Set([OneCode.authorization, OneCode.noExists]);

export class LoginGuard {
  private readonly parts: Required<LoginGuardParts>;
  private readonly users = new SlidingCounter(WINDOW_MS);
  private readonly addresses = new SlidingCounter(WINDOW_MS);
  /** Questions that oned has not answered yet, by the keys of their limits. */
  private readonly underWay = new Map<string, Set<AbortController>>();
  private readonly heldBack = new Set<AbortController>();

  constructor(parts: LoginGuardParts) {
    this.parts = {
      now: () => performance.now(),
      pause: (ms, signal) => pause(ms, undefined, { signal }),
      maxWaiting: MAX_WAITING,
      ...parts,
    };
    parts.stopping.addEventListener('abort', () => {
      for (const end of this.heldBack) end.abort(new GatewayError('stopping'));
    });
  }

  /**
   * Lets somebody ask oned something, sooner or later or not at all.
   * @param signal fires when nobody waits for the answer any more
   * @param ask what oned is asked; its signal ends it
   * @throws GatewayError what `ask` throws; `too-many-logins`, and then oned was not asked or its answer stays unknown;
   * `caller-gone`; `stopping`
   */
  async attempt<T>(login: Login, signal: AbortSignal, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const limits = this.limitsOf(login);
    for (const limit of limits) this.check(limit);
    const end = new AbortController();
    const gone = () => end.abort(new GatewayError('caller-gone'));
    if (signal.aborted) gone();
    signal.addEventListener('abort', gone);
    this.enter(limits, end);
    try {
      await this.holdBack(login, end);
      const answer = await ask(end.signal);
      this.users.forget(userKey(login));
      return answer;
    } catch (error) {
      this.leave(limits, end);
      this.learn(error, login, limits);
      throw end.signal.aborted ? end.signal.reason : error;
    } finally {
      this.leave(limits, end);
      signal.removeEventListener('abort', gone);
    }
  }

  private async holdBack(login: Login, end: AbortController): Promise<void> {
    const { now, pause, maxWaiting, stopping } = this.parts;
    end.signal.throwIfAborted();
    const ms = delayAfter(this.users.count(userKey(login), now()));
    if (ms === 0) return;
    if (stopping.aborted) throw new GatewayError('stopping');
    if (this.heldBack.size >= maxWaiting) {
      throw new GatewayError('too-many-logins', {
        detail: `${maxWaiting} calls are held back already after failed logins`,
      });
    }
    this.heldBack.add(end);
    try {
      await pause(ms, end.signal);
    } finally {
      this.heldBack.delete(end);
    }
  }

  /** Counts a failure, and forgets those before where oned has accepted the password and refused something else. */
  private learn(error: unknown, login: Login, limits: readonly Limit[]): void {
    if (!(error instanceof GatewayError) || error.code !== 'oned-refused') return;
    if (KNOWN_USER.has(error.oneCode)) this.users.forget(userKey(login));
    if (error.oneCode !== OneCode.authentication) return;
    for (const limit of limits) {
      if (limit.counter.add(limit.key, this.parts.now()) < limit.most) continue;
      for (const end of this.underWay.get(limit.key) ?? []) end.abort(refusalOf(limit));
    }
  }

  private check(limit: Limit): void {
    if (limit.counter.count(limit.key, this.parts.now()) >= limit.most) throw refusalOf(limit);
  }

  private enter(limits: readonly Limit[], end: AbortController): void {
    for (const { key } of limits) {
      const together = this.underWay.get(key) ?? new Set();
      this.underWay.set(key, together.add(end));
    }
  }

  private leave(limits: readonly Limit[], end: AbortController): void {
    for (const { key } of limits) {
      const together = this.underWay.get(key);
      together?.delete(end);
      if (together?.size === 0) this.underWay.delete(key);
    }
  }

  private limitsOf(login: Login): Limit[] {
    const { limits, isExempt } = this.parts;
    const { perUser, perAddress } = limits();
    const ofUser: Limit = {
      ...{ counter: this.users, key: userKey(login), most: perUser, setting: 'max_failed_logins' },
    };
    if (isExempt(login.client)) return [ofUser];
    const key = networkOf(login.client);
    const setting = 'max_failed_logins_per_address';
    return [ofUser, { counter: this.addresses, key, most: perAddress, setting }];
  }
}

/** oned's database may find one user by several spellings: capitals and spaces at the ends make no new name. */
function userKey({ client, user }: Login): string {
  return `${networkOf(client)} ${user.trim().toLowerCase()}`;
}

function delayAfter(failures: number): number {
  if (failures <= FREE_FAILURES) return 0;
  return Math.min(LAST_DELAY_MS, FIRST_DELAY_MS * 2 ** (failures - FREE_FAILURES - 1));
}

function refusalOf({ setting, most }: Limit): GatewayError {
  return new GatewayError('too-many-logins', { detail: `${setting} (${most} in 5 minutes) is reached` });
}
