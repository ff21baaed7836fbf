// One session: a browser that was let in, and its target, from the attempt to connect to the one end of both.
// What always holds: finish() is the only end; it runs once, releases every timer, listener and socket, and writes
// the one log line with reason, bytes and length.
import { toGatewayError } from '../errors.js';
import { EARLY_BYTES, QUEUED_PIECES } from '../high-water.js';
import type { Logger } from '../log.js';
import type { Grant } from '../tokens/grant.js';
import { checkGreeting } from '../transport/greeting.js';
import type { ConnectTarget, TargetConnection } from '../transport/transport.js';
import { type BrowserChannel, CloseCode } from './browser-channel.js';
import { Relay } from './relay.js';

export interface SessionSettings {
  readonly pingIntervalMs: number;
  readonly connectTimeoutMs: number;
}

/** What the log calls this session by. */
export interface SessionLabels {
  readonly ref: string;
  readonly client: string;
  readonly fingerprint: string;
}

export interface SessionParts {
  readonly browser: BrowserChannel;
  readonly grant: Grant;
  readonly labels: SessionLabels;
  readonly connect: ConnectTarget;
  readonly settings: SessionSettings;
  readonly logger: Logger;
  /** The browser's connection is gone for good. */
  readonly onClosed: () => void;
}

/** Pings that may stay without an answer. */
const MAX_UNANSWERED_PINGS = 2;

export class Session {
  private readonly parts: SessionParts;
  private readonly startedAt = performance.now();
  /** Only while the target is being reached. */
  private setUp: SetUp | undefined;
  private target: TargetConnection | undefined;
  private relay: Relay | undefined;
  private pingTimer: NodeJS.Timeout | undefined;
  private unansweredPings = 0;
  private finished = false;

  constructor(parts: SessionParts) {
    this.parts = parts;
  }

  start(): void {
    const { browser, settings, grant, onClosed } = this.parts;
    browser.listen({
      data: (bytes) => this.fromBrowser(bytes),
      drain: () => this.relay?.browserDrained(),
      alive: () => {
        this.unansweredPings = 0;
      },
      left: (why) => {
        this.finish(why);
      },
      closed: (why) => {
        this.finish(why);
        onClosed();
      },
    });
    this.pingTimer = setInterval(() => this.ping(), settings.pingIntervalMs);
    this.log('info', { target: grant.target }, 'console opened');
    const late = `no answer within ${settings.connectTimeoutMs / 1000} s (proxy_connect_timeout)`;
    this.setUp = new SetUp(settings.connectTimeoutMs, () => this.targetFailed(late));
    this.connect(this.setUp.signal).catch((error: unknown) =>
      this.targetFailed(toGatewayError(error).detail),
    );
  }

  /** Ends the session with a close code and a reason that the browser reads. */
  close(code: number, reason: string): void {
    if (this.finish(reason)) this.parts.browser.close(code, reason);
  }

  /** Ends the browser's connection without waiting for its answer. */
  terminate(): void {
    this.finish('ended by force');
    this.parts.browser.terminate();
  }

  private async connect(signal: AbortSignal): Promise<void> {
    const target = await this.parts.connect(this.parts.grant.target, signal);
    if (this.finished) return target.destroy();
    this.target = target;
    target.start({
      data: (memory, start, end) => this.fromTarget(memory, start, end),
      drain: () => this.relay?.targetDrained(),
      ended: (why) => {
        if (this.relay === undefined) this.targetFailed(`${why} before its greeting`);
        else if (this.finish(why)) this.parts.browser.close(CloseCode.normal, 'Target closed');
      },
    });
  }

  /** @returns false where the memory is in use until the browser has drained */
  private fromTarget(memory: Buffer, start: number, end: number): boolean {
    if (this.relay !== undefined) return this.relay.toBrowser(memory, start, end);
    if (this.setUp === undefined || this.target === undefined) return true;
    const greeting = this.setUp.collect(memory.subarray(start, end));
    const state = checkGreeting(greeting);
    if (state === 'wrong') this.targetFailed('the target is no RFB server');
    if (state === 'right') this.run(this.setUp, this.target, greeting);
    return true;
  }

  private run(setUp: SetUp, target: TargetConnection, greeting: Buffer): void {
    const { browser } = this.parts;
    setUp.end();
    this.setUp = undefined;
    this.relay = new Relay(browser, target);
    this.relay.bytesToBrowser = greeting.length;
    browser.sendCopy(greeting);
    if (setUp.heldBack) browser.resume();
    for (const bytes of setUp.early) this.relay.toTarget(bytes);
  }

  private fromBrowser(bytes: Buffer): void {
    if (this.relay !== undefined) this.relay.toTarget(bytes);
    else if (this.setUp?.keepEarly(bytes) === false) this.parts.browser.pause();
  }

  private targetFailed(why: string): void {
    const { host, port } = this.parts.grant.target;
    if (!this.finish(why.startsWith('target ') ? why : `target ${host}:${port}: ${why}`, 'warn')) return;
    this.parts.browser.close(CloseCode.serverError, 'Failed to connect to downstream server');
  }

  private ping(): void {
    if (this.relay?.browserIsHeldBack) this.unansweredPings = 0;
    if (this.unansweredPings >= MAX_UNANSWERED_PINGS) {
      if (this.finish('the browser answered no ping')) this.parts.browser.terminate();
      return;
    }
    this.unansweredPings++;
    this.parts.browser.ping();
  }

  /** The end. @returns false when it had come already */
  private finish(reason: string, level: 'info' | 'warn' = 'info'): boolean {
    if (this.finished) return false;
    this.finished = true;
    clearInterval(this.pingTimer);
    this.setUp?.giveUp();
    this.setUp = undefined;
    this.target?.end();
    const { bytesToBrowser = 0, bytesToTarget = 0 } = this.relay ?? {};
    const seconds = Math.round(performance.now() - this.startedAt) / 1000;
    this.log(level, { reason, bytesToBrowser, bytesToTarget, seconds }, 'console closed');
    return true;
  }

  private log(level: 'info' | 'warn', about: object, message: string): void {
    const { grant, labels, logger } = this.parts;
    // Nothing is put together for a line that is not written.
    if (!logger.isLevelEnabled(level)) return;
    logger[level]({ ...labels, vm: grant.vmId, user: grant.user, ...about }, message);
  }
}

/** What a session needs only until its target has greeted. */
class SetUp {
  readonly early: Buffer[] = [];
  private readonly abort = new AbortController();
  private readonly deadline: NodeJS.Timeout;
  private earlyBytes = 0;
  private greeting: Buffer = Buffer.alloc(0);

  constructor(timeoutMs: number, onLate: () => void) {
    this.deadline = setTimeout(onLate, timeoutMs);
  }

  get signal(): AbortSignal {
    return this.abort.signal;
  }

  get heldBack(): boolean {
    return this.earlyBytes > EARLY_BYTES || this.early.length > QUEUED_PIECES;
  }

  /** @returns false: the browser has sent enough for now */
  keepEarly(bytes: Buffer): boolean {
    this.early.push(bytes);
    this.earlyBytes += bytes.length;
    return !this.heldBack;
  }

  /** All that the target has said so far, in memory of its own. */
  collect(bytes: Buffer): Buffer {
    this.greeting = Buffer.concat([this.greeting, bytes]);
    return this.greeting;
  }

  /** The target is there. */
  end(): void {
    clearTimeout(this.deadline);
  }

  /** Nobody waits for the target any more. */
  giveUp(): void {
    this.end();
    this.abort.abort();
  }
}
