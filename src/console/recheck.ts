// Looks at VMs and their users again, with `service_auth`: at connect, and from time to time while somebody is on their
// consoles.
// What always holds: only what oned says ends a console, never that it could not be asked; what ends, ends with its
// token; but nobody is let in for the first time before oned was asked.
import { GatewayError, toGatewayError } from '../errors.js';
import type { Logger } from '../log.js';
import type { SessionString } from '../oned/session-string.js';
import { inParallel } from '../parallel.js';
import { type Grant, holderOf } from '../tokens/grant.js';
import type { SessionId } from '../tokens/record.js';
import { end, type TokenRules } from '../tokens/rules.js';
import type { TokenKey, TokenStore } from '../tokens/store.js';
import { fingerprint, type TokenHash } from '../tokens/token.js';
import type { SessionEndings } from './endings.js';
import { type Loss, lookAtAll } from './look-at-all.js';
import { lookAtGrant } from './look-at-grant.js';
import type { ConsolePorts } from './policy.js';
import type { LookParts } from './questions.js';
import type { SessionRegistry } from './sessions.js';
import { userTurn } from './turns.js';

/** A browser waits meanwhile. */
const CONNECT_LOOK_MS = 5_000;
/** Of a token that was issued that long ago at most, its user's rights have just been seen. */
const FRESH_MS = 30_000;
/** How often it is seen whether the next look is due: the interval may change while running. */
const TICK_MS = 250;
/** Of the interval, either way: hosts that were started together must not ask together. */
const JITTER = 0.2;
/** A failure is told so often, however many connects it meets. */
const TELL_EVERY_MS = 60_000;
const ASKED_IN_VAIN = 'service_auth: consoles cannot be looked at again; they go on';
/** Tokens that are being ended at a time. */
const AT_A_TIME = 32;

export interface RecheckSettings {
  /** Undefined without `service_auth`: then nothing is looked at. */
  readonly serviceSession: SessionString | undefined;
  /** Between looks at the VMs with live sessions. */
  readonly intervalMs: number;
  readonly consolePorts: ConsolePorts;
  readonly rules: TokenRules;
}

export interface RecheckParts extends LookParts {
  readonly store: Pick<TokenStore, 'update' | 'now'>;
  readonly sessions: Pick<SessionRegistry, 'all'>;
  readonly endings: Pick<SessionEndings, 'end'>;
  readonly logger: Logger;
  /** Asked at every look, so that it may change while running. */
  readonly settings: () => RecheckSettings;
  /** 0 to 1. */
  readonly random: () => number;
  /** Milliseconds that never go back; not the time of day. */
  readonly now?: (() => number) | undefined;
  readonly connectLookMs?: number | undefined;
}

/** A token with its sessions on this host. */
interface LiveToken {
  readonly grant: Grant;
  readonly sessions: SessionId[];
}

export class Recheck {
  private readonly parts: RecheckParts;
  private readonly now: () => number;
  private readonly told = new Map<string, number>();
  private stopping = new AbortController();
  private timer: NodeJS.Timeout | undefined;
  private checking: Promise<void> | undefined;
  private lastAt = 0;
  /** Of the interval, until the next look. */
  private share = 1;

  constructor(parts: RecheckParts) {
    this.parts = parts;
    this.now = parts.now ?? (() => performance.now());
  }

  /** Whether anything is looked at: then no token may be used for the first time before it was. */
  get isOn(): boolean {
    return this.parts.settings().serviceSession !== undefined;
  }

  /**
   * Looks again at a token's VM, its user, and what he may.
   * @param isFirstUse nobody has been let in with the token yet
   * @returns the grant, with the VM's present host and port; as it was stored where that cannot be told
   * @throws GatewayError `token-not-valid` where the console is no longer the user's, and then the token has ended;
   * `cannot-check` at the first use, where oned does not say whose it is, and then nothing has changed;
   * `store-unavailable`
   */
  async atConnect(grant: Grant, key: TokenKey, isFirstUse: boolean): Promise<Grant> {
    const { serviceSession: session, consolePorts } = this.parts.settings();
    if (session === undefined) return grant;
    const lookMs = this.parts.connectLookMs ?? CONNECT_LOOK_MS;
    const signal = AbortSignal.timeout(lookMs);
    const looker = { session, signal, priority: { by: userTurn(grant.user) } };
    const seen = await lookAtGrant(grant, consolePorts, looker, this.parts);
    if ('lost' in seen) {
      this.parts.endings.end(await this.endToken(key, grant, seen.lost), 'vm-gone');
      throw new GatewayError('token-not-valid', { detail: `service_auth: ${seen.lost}` });
    }
    if (seen.unsure === undefined) return seen.grant;
    const late = `no answer from oned within ${lookMs / 1000} s, while a browser waits`;
    const problem = signal.aborted ? new GatewayError('oned-timeout', { detail: late }) : seen.unsure;
    this.failed(problem);
    if (!isFirstUse || this.isFresh(grant)) return seen.grant;
    throw new GatewayError('cannot-check', { detail: `service_auth: ${problem.detail}` });
  }

  /** His rights were seen a moment ago. */
  private isFresh({ issuedAt }: Grant): boolean {
    const age = this.parts.store.now() - issuedAt;
    return age >= 0 && age < FRESH_MS;
  }

  start(): void {
    this.stopping = new AbortController();
    this.waitForNext();
    clearInterval(this.timer);
    this.timer = setInterval(() => this.tick(), TICK_MS);
    this.timer.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    this.stopping.abort();
    await this.checking;
  }

  /** Looks at all VMs with live sessions here; of two at a time the second waits for the first. Throws nothing. */
  checkNow(signal: AbortSignal): Promise<void> {
    this.checking ??= this.check(AbortSignal.any([signal, this.stopping.signal])).finally(() => {
      this.checking = undefined;
      this.waitForNext();
    });
    return this.checking;
  }

  private waitForNext(): void {
    this.lastAt = this.now();
    this.share = 1 + JITTER * (2 * this.parts.random() - 1);
  }

  private tick(): void {
    const { intervalMs } = this.parts.settings();
    if (this.now() - this.lastAt >= intervalMs * this.share) void this.checkNow(this.stopping.signal);
  }

  private async check(signal: AbortSignal): Promise<void> {
    const { serviceSession: session } = this.parts.settings();
    if (session === undefined) return;
    const live = [...this.liveTokens()].map(([hash, token]) => ({ hash, ...token }));
    const { random } = this.parts;
    const failed = (error: GatewayError) => this.failed(error);
    const looker = { session, signal, priority: { background: true }, random, failed };
    const losses = await lookAtAll(live, looker, this.parts);
    await inParallel(losses, AT_A_TIME, (loss) => this.endLive(loss));
  }

  private liveTokens(): ReadonlyMap<TokenHash, LiveToken> {
    const live = new Map<TokenHash, LiveToken>();
    for (const { id, hash, grant } of this.parts.sessions.all()) {
      const token = live.get(hash) ?? { grant, sessions: [] };
      token.sessions.push(id);
      live.set(hash, token);
    }
    return live;
  }

  /** The sessions end also where the store cannot be reached: the VM is not theirs any more. */
  private async endLive({ of: { hash, grant, sessions }, why }: Loss<LiveToken & { hash: TokenHash }>) {
    let everywhere: readonly SessionId[] = [];
    try {
      everywhere = await this.endToken({ hash }, grant, why);
    } catch (error) {
      this.failed(toGatewayError(error), 'service_auth: a token could not be ended; its sessions are');
    }
    this.parts.endings.end([...new Set([...sessions, ...everywhere])], 'vm-gone');
  }

  /** @returns its sessions, on all hosts */
  private async endToken(key: TokenKey, grant: Grant, reason: string): Promise<readonly SessionId[]> {
    const { rules } = this.parts.settings();
    const sessions = await this.parts.store.update(key, (record, now) => end(record, 'vm-gone', rules, now));
    const about = { vm: grant.vmId, ...holderOf(grant), fingerprint: fingerprint(key.hash), reason };
    this.parts.logger.info(about, 'service_auth: a console has ended');
    return sessions ?? [];
  }

  private failed({ code, detail: reason }: GatewayError, what = ASKED_IN_VAIN): void {
    if (code === 'caller-gone') return;
    const now = this.now();
    if (now - (this.told.get(code) ?? Number.NEGATIVE_INFINITY) < TELL_EVERY_MS) return;
    this.told.set(code, now);
    this.parts.logger.warn({ code, reason }, what);
  }
}
