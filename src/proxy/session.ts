// One session: a browser that was let in, and its target. Setting it up and running it are one life with one end.
// What always holds: finish() is the only end; it runs once, releases every timer, listener and socket, and writes
// the one log line with reason, bytes and length.
import type { Duplex } from 'node:stream';
import { toGatewayError } from '../errors.js';
import type { Logger } from '../log.js';
import type { Grant } from '../tokens/grant.js';
import { awaitGreeting } from '../transport/greeting.js';
import type { ConnectTarget } from '../transport/transport.js';
import { type BrowserChannel, CloseCode } from './browser-channel.js';
import { type Relay, type RelayCounts, startRelay } from './relay.js';

export interface SessionSettings {
  readonly pingIntervalMs: number;
  readonly connectTimeoutMs: number;
}

export interface SessionParts {
  readonly browser: BrowserChannel;
  readonly grant: Grant;
  readonly connect: ConnectTarget;
  readonly settings: SessionSettings;
  /** Carries ref, VM, user, client address and fingerprint. */
  readonly logger: Logger;
  /** The browser's connection is gone for good. */
  readonly onClosed: () => void;
}

/** What a browser may send before the target is there; noVNC sends nothing before the greeting. */
const MAX_EARLY_BYTES = 64 * 1024;
/** Pings that may stay without an answer. */
const MAX_UNANSWERED_PINGS = 2;
/** How long a target may take to read the last bytes of a browser that has left. */
const TARGET_END_TIMEOUT_MS = 5_000;

export class Session {
  private readonly parts: SessionParts;
  private readonly startedAt = performance.now();
  private readonly counts: RelayCounts = { bytesToBrowser: 0, bytesToTarget: 0 };
  /** Ends the attempt to connect. */
  private readonly setUp = new AbortController();
  private early: Buffer[] = [];
  private earlyBytes = 0;
  private target: Duplex | undefined;
  private relay: Relay | undefined;
  private pingTimer: NodeJS.Timeout | undefined;
  private unansweredPings = 0;
  private finished = false;

  constructor(parts: SessionParts) {
    this.parts = parts;
  }

  start(): void {
    const { browser, settings, logger } = this.parts;
    browser.listen({
      data: (chunk) => this.fromBrowser(chunk),
      drain: () => this.relay?.browserDrained(),
      alive: () => {
        this.unansweredPings = 0;
      },
      violated: (why) => {
        this.finish(why);
      },
      closed: (why) => {
        this.finish(why);
        this.parts.onClosed();
      },
    });
    this.pingTimer = setInterval(() => this.ping(), settings.pingIntervalMs);
    logger.info({ target: this.parts.grant.target }, 'console opened');
    void this.connect();
  }

  /** Ends the session with a close code and a reason that the browser reads. */
  close(code: number, reason: string): void {
    if (!this.finish(reason)) return;
    this.parts.browser.close(code, reason);
  }

  /** Ends the browser's connection without waiting for its answer. */
  terminate(): void {
    this.finish('ended by force');
    this.parts.browser.terminate();
  }

  private async connect(): Promise<void> {
    const { grant, connect, settings } = this.parts;
    const timeout = AbortSignal.timeout(settings.connectTimeoutMs);
    const signal = AbortSignal.any([timeout, this.setUp.signal]);
    try {
      this.target = await connect(grant.target, signal);
      // From here on an error of the target always has a listener, whatever phase the session is in.
      this.target.on('error', () => {});
      await awaitGreeting(this.target, signal);
    } catch (error) {
      this.target?.destroy();
      const late = `no answer within ${settings.connectTimeoutMs / 1000} s (proxy_connect_timeout)`;
      const { host, port } = grant.target;
      const why = timeout.aborted ? `target ${host}:${port}: ${late}` : toGatewayError(error).detail;
      if (this.finish(why, 'warn')) {
        this.parts.browser.close(CloseCode.serverError, 'Failed to connect to downstream server');
      }
      return;
    }
    if (this.finished) this.target.destroy();
    else this.run(this.target);
  }

  private run(target: Duplex): void {
    const { browser } = this.parts;
    this.relay = startRelay(browser, target, this.counts, (why) => {
      if (this.finish(why)) browser.close(CloseCode.normal, 'Target closed');
    });
    for (const chunk of this.early) this.relay.fromBrowser(chunk);
    this.early = [];
    if (!target.writableNeedDrain) browser.resume();
  }

  private fromBrowser(chunk: Buffer): void {
    if (this.finished) return;
    if (this.relay !== undefined) {
      this.relay.fromBrowser(chunk);
      return;
    }
    this.early.push(chunk);
    this.earlyBytes += chunk.length;
    if (this.earlyBytes > MAX_EARLY_BYTES) this.parts.browser.pause();
  }

  private ping(): void {
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
    this.early = [];
    this.setUp.abort();
    this.relay?.stop();
    if (this.target !== undefined) endTarget(this.target);
    const seconds = Math.round(performance.now() - this.startedAt) / 1000;
    this.parts.logger[level]({ reason, ...this.counts, seconds }, 'console closed');
    return true;
  }
}

/** The last key strokes still go out, but a target that reads nothing does not keep the socket. */
function endTarget(target: Duplex): void {
  const destroy = () => {
    clearTimeout(giveUp);
    target.destroy();
  };
  const giveUp = setTimeout(destroy, TARGET_END_TIMEOUT_MS);
  giveUp.unref();
  target.once('finish', destroy).once('error', destroy).once('close', destroy);
  target.end();
}
