// In front of every login at oned: whoever proved lately to be a user passes at once; guesses of a password are counted,
// slowed down, and after some failures from an address refused there for a while.
// What always holds: failures only age, whatever succeeds beside them; once a limit is reached nobody learns whether a
// password is right, not even those whose question was under way; who waits here keeps nobody else waiting.
import { networkOf } from '../client-address.js';
import { type ErrorCode, GatewayError, OneCode } from '../errors.js';
import type { Turn } from '../oned/fair-queue.js';
import type { SessionString } from '../oned/session-string.js';
import { SlidingCounter } from './counters.js';
import { type Guess, GuessQueue } from './guess-queue.js';
import { ProvenSessions } from './proven-sessions.js';
import { strangerTurn, userTurn } from './turns.js';
import { userKey } from './user-key.js';

/** Who says to be whom. */
export interface Login {
  /** The caller's address. */
  readonly client: string;
  /** As `userOf` reads it from the session; nobody has checked it yet. */
  readonly user: string;
  readonly session: SessionString;
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
  /** Addresses that stand for many clients have no limits: a guesser there would have everybody refused. */
  readonly isExempt: (client: string) => boolean;
  /** Fires when the service stops: nobody is held back from then on. */
  readonly stopping: AbortSignal;
  /** Milliseconds of a clock that is never set. */
  readonly now?: () => number;
  /** Runs something later; @returns what takes that back */
  readonly later?: (ms: number, run: () => void) => () => void;
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
const MAX_WAITING = 256;

/** What a call can only end in after oned has accepted the session. */
const ACCEPTED: ReadonlySet<ErrorCode> = new Set([
  ...(['wrong-state', 'no-console', 'too-many-tokens', 'store-failed'] as const),
]);
/** Codes with which oned refuses somebody whom it knows. */
const KNOWN_USER: ReadonlySet<number> = new Set([OneCode.authorization, OneCode.noExists]);

export class LoginGuard {
  private readonly parts: LoginGuardParts;
  private readonly now: () => number;
  private readonly proven: ProvenSessions;
  private readonly guesses: GuessQueue;
  /** By name, wherever they came from. */
  private readonly names = new SlidingCounter(WINDOW_MS);
  private readonly users = new SlidingCounter(WINDOW_MS);
  private readonly addresses = new SlidingCounter(WINDOW_MS);
  /** Guesses that wait or that oned has not answered yet, by the keys of their limits. */
  private readonly underWay = new Map<string, Set<AbortController>>();

  constructor(parts: LoginGuardParts) {
    const { now = () => performance.now(), later = laterByClock, maxWaiting = MAX_WAITING, stopping } = parts;
    this.parts = parts;
    this.now = now;
    this.proven = new ProvenSessions(now);
    const failures = (name: string) => this.names.count(name, now());
    this.guesses = new GuessQueue({ failures, now, later, maxWaiting, stopping });
  }

  /** Whose turns somebody takes: a user's own, once oned has accepted him. */
  turnOf(login: Login): Turn {
    return this.turn(login, this.guessOf(login));
  }

  /**
   * Lets somebody ask oned something, sooner or later or not at all.
   * @param signal fires when nobody waits for the answer any more
   * @param ask what oned is asked; its signal ends it, and the turns are those that it takes there: a user's own once
   * oned has accepted him
   * @throws GatewayError what `ask` throws; `too-many-logins`, and then oned was not asked or its answer stays unknown;
   * `caller-gone`; `stopping`
   */
  async attempt<T>(
    login: Login,
    signal: AbortSignal,
    ask: (signal: AbortSignal, by: Turn) => Promise<T>,
  ): Promise<T> {
    const guess = this.guessOf(login);
    const limits = this.limitsOf(login, guess);
    const isProven = this.isProven(guess);
    if (!isProven) for (const limit of limits) this.check(limit);
    const end = new AbortController();
    const gone = () => end.abort(new GatewayError('caller-gone'));
    if (signal.aborted) gone();
    signal.addEventListener('abort', gone);
    if (!isProven) this.enter(limits, end);
    let leave = () => {};
    try {
      end.signal.throwIfAborted();
      if (!isProven) leave = await this.guesses.enter(guess, end.signal);
      const answer = await ask(end.signal, this.turn(login, guess));
      this.prove(guess);
      return answer;
    } catch (error) {
      this.leave(limits, end);
      this.learn(error, guess, limits);
      throw end.signal.aborted ? end.signal.reason : error;
    } finally {
      this.leave(limits, end);
      leave();
      signal.removeEventListener('abort', gone);
    }
  }

  /** Counts a failure, or remembers that oned has accepted the session and something else was refused. */
  private learn(error: unknown, guess: Guess, limits: readonly Limit[]): void {
    if (!(error instanceof GatewayError)) return;
    const isRefused = error.code === 'oned-refused';
    if (ACCEPTED.has(error.code) || (isRefused && KNOWN_USER.has(error.oneCode))) this.prove(guess);
    if (!isRefused || error.oneCode !== OneCode.authentication) return;
    this.proven.forget(guess.name, guess.mark);
    this.names.add(guess.name, this.now());
    for (const limit of limits) {
      if (limit.counter.add(limit.key, this.now()) < limit.most) continue;
      for (const end of this.underWay.get(limit.key) ?? []) end.abort(refusalOf(limit));
    }
  }

  private prove(guess: Guess): void {
    this.proven.add(guess.name, guess.mark);
    this.guesses.proven(guess);
  }

  private turn({ client, user }: Login, guess: Guess): Turn {
    return this.isProven(guess) ? userTurn(user) : strangerTurn(client, user);
  }

  private isProven({ name, mark }: Guess): boolean {
    return this.proven.has(name, mark);
  }

  private guessOf({ client, user, session }: Login): Guess {
    return {
      ...{ name: userKey(user), network: networkOf(client) },
      mark: this.proven.markOf(session, client),
    };
  }

  private check(limit: Limit): void {
    if (limit.counter.count(limit.key, this.now()) >= limit.most) throw refusalOf(limit);
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

  private limitsOf({ client }: Login, { name, network }: Guess): Limit[] {
    if (this.parts.isExempt(client)) return [];
    const { perUser, perAddress } = this.parts.limits();
    return [
      { counter: this.users, key: `${network} ${name}`, most: perUser, setting: 'max_failed_logins' },
      {
        ...{ counter: this.addresses, key: network, most: perAddress },
        setting: 'max_failed_logins_per_address',
      },
    ];
  }
}

function laterByClock(ms: number, run: () => void): () => void {
  const timer = setTimeout(run, ms);
  timer.unref();
  return () => clearTimeout(timer);
}

function refusalOf({ setting, most }: Limit): GatewayError {
  return new GatewayError('too-many-logins', { detail: `${setting} (${most} in 5 minutes) is reached` });
}
