// Looks at VMs again, with `service_auth`: at connect, and from time to time while somebody is on their consoles.
// What always holds: only what oned says of a VM ends its consoles, never that oned could not be asked; and what ends,
// ends with its token.
import { GatewayError, toGatewayError } from '../errors.js';
import type { Logger } from '../log.js';
import type { OnedClient } from '../oned/client.js';
import type { SessionString } from '../oned/session-string.js';
import { inParallel } from '../parallel.js';
import type { Grant } from '../tokens/grant.js';
import type { SessionId } from '../tokens/record.js';
import { end, type TokenRules } from '../tokens/rules.js';
import type { TokenKey, TokenStore } from '../tokens/store.js';
import { fingerprint, type TokenHash } from '../tokens/token.js';
import type { SessionEndings } from './endings.js';
import type { ConsolePorts } from './policy.js';
import type { SessionRegistry } from './sessions.js';
import { type Finding, isGone, survey } from './survey.js';
import { userTurn } from './turns.js';
import { lossOf, presentOf } from './verdict.js';

/** A browser waits meanwhile. */
const CONNECT_LOOK_MS = 5_000;
/** How often it is seen whether the next look is due: the interval may change while running. */
const TICK_MS = 250;
/** Of the interval, either way: hosts that were started together must not ask together. */
const JITTER = 0.2;
/** A failure is told so often, however many connects it meets. */
const TELL_EVERY_MS = 60_000;
const ASKED_IN_VAIN = 'service_auth: VMs cannot be looked at; their consoles go on';
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

export interface RecheckParts {
  readonly oned: Pick<OnedClient, 'vmInfo' | 'vmPoolInfo'>;
  readonly store: Pick<TokenStore, 'update'>;
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

  /**
   * Looks at a token's VM again.
   * @returns the grant, with the VM's present host and port; as it was stored where that cannot be told
   * @throws GatewayError `token-not-valid` where the console is no longer the user's, and then the token has ended;
   * `store-unavailable`
   */
  async atConnect(grant: Grant, key: TokenKey): Promise<Grant> {
    const { serviceSession, consolePorts } = this.parts.settings();
    if (serviceSession === undefined) return grant;
    const finding = await this.lookAt(grant, serviceSession);
    if (finding === undefined) return grant;
    const present = presentOf(finding, grant, consolePorts);
    if ('grant' in present) return present.grant;
    this.parts.endings.end(await this.endToken(key, grant, present.lost), 'vm-gone');
    throw new GatewayError('token-not-valid', { detail: `service_auth: ${present.lost}` });
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

  /** @returns undefined where nobody knows */
  private async lookAt({ vmId, user }: Grant, session: SessionString): Promise<Finding | undefined> {
    const lookMs = this.parts.connectLookMs ?? CONNECT_LOOK_MS;
    const tooLong = AbortSignal.timeout(lookMs);
    try {
      return await this.parts.oned.vmInfo(session, vmId, tooLong, { by: userTurn(user) });
    } catch (error) {
      if (isGone(error)) return 'gone';
      const detail = `no answer from oned within ${lookMs / 1000} s, while a browser waits`;
      this.failed(tooLong.aborted ? new GatewayError('oned-timeout', { detail }) : toGatewayError(error));
      return undefined;
    }
  }

  private async check(signal: AbortSignal): Promise<void> {
    const { serviceSession } = this.parts.settings();
    if (serviceSession === undefined) return;
    const live = this.liveTokens();
    const { oned, random } = this.parts;
    const failed = (error: GatewayError) => this.failed(error);
    const ids = new Set([...live.values()].map(({ grant }) => grant.vmId));
    const findings = await survey(ids, { oned, session: serviceSession, signal, random, failed });
    const ending = [...live].flatMap(([hash, token]) => {
      const finding = findings.get(token.grant.vmId);
      const lost = finding && lossOf(finding, token.grant);
      return lost === undefined ? [] : [{ hash, token, lost }];
    });
    await inParallel(ending, AT_A_TIME, (one) => this.endLive(one));
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
  private async endLive({ hash, token, lost }: { hash: TokenHash; token: LiveToken; lost: string }) {
    let everywhere: readonly SessionId[] = [];
    try {
      everywhere = await this.endToken({ hash }, token.grant, lost);
    } catch (error) {
      this.failed(toGatewayError(error), 'service_auth: a token could not be ended; its sessions are');
    }
    this.parts.endings.end([...new Set([...token.sessions, ...everywhere])], 'vm-gone');
  }

  /** @returns its sessions, on all hosts */
  private async endToken(key: TokenKey, grant: Grant, reason: string): Promise<readonly SessionId[]> {
    const { rules } = this.parts.settings();
    const sessions = await this.parts.store.update(key, (record, now) => end(record, 'vm-gone', rules, now));
    const { vmId: vm, user } = grant;
    const about = { vm, user, fingerprint: fingerprint(key.hash), reason };
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
