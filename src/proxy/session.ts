// One session: a browser that was let in, and its target, from the attempt to connect to the one end of both.
// What always holds: finish() is the only end; it runs once, releases every timer, listener and socket, and tells the
// one end with reason, bytes and length.
import type { SessionEnd } from '../console/gate.js';
import type { VncAccess } from '../console/vnc-access.js';
import { toGatewayError } from '../errors.js';
import { BrowserHandshake, BrowserHandshakeError } from '../rfb/browser-handshake.js';
import { RfbViolation } from '../rfb/client-violation.js';
import type { Grant } from '../tokens/grant.js';
import { checkGreeting } from '../transport/greeting.js';
import type { ConnectTarget, TargetConnection, TransportTarget } from '../transport/transport.js';
import { type BrowserChannel, CloseCode } from './browser-channel.js';
import { createFilters, type MessageFilters } from './message-filters.js';
import { Pulse } from './pulse.js';
import { type RefusalClose, RfbRefusal } from './refusal.js';
import { Relay } from './relay.js';
import { SetUp } from './set-up.js';

export interface SessionSettings {
  readonly pingIntervalMs: number;
  readonly connectTimeoutMs: number;
}

/** Answers the security of a VNC server in the browser's place. @returns the connection right before ClientInit */
export type SecureConsole = (
  connection: TargetConnection,
  target: TransportTarget,
  access: VncAccess,
  signal: AbortSignal,
) => Promise<TargetConnection>;

export interface SessionParts {
  readonly browser: BrowserChannel;
  /** Whether a target that fails is told in RFB as well, where nothing has been sent yet; else by the Close frame alone. */
  readonly tellsInRfb: boolean;
  readonly grant: Grant;
  readonly connect: ConnectTarget;
  /** Undefined: the browser answers the VNC server itself. */
  readonly vnc: VncAccess | undefined;
  readonly secure: SecureConsole;
  readonly settings: SessionSettings;
  /** The session is over, once; its browser may still be reading. */
  readonly onEnd: (end: SessionEnd) => void;
  /** The browser's connection is gone for good. */
  readonly onClosed: () => void;
}

const MAX_REASON_BYTES = 123;

export class Session {
  private readonly parts: SessionParts;
  private readonly startedAt = performance.now();
  /** Only while the target is being reached. */
  private setUp: SetUp | undefined;
  private target: TargetConnection | undefined;
  private relay: Relay | undefined;
  /** Only while the browser is told that it needs no password. */
  private handshake: BrowserHandshake | undefined;
  private filters: MessageFilters | undefined;
  /** After the end, only where the browser is being told of it in RFB. */
  private refusal: RfbRefusal | undefined;
  private pulse: Pulse | undefined;
  private finished = false;

  constructor(parts: SessionParts) {
    this.parts = parts;
  }

  start(): void {
    const { browser, settings, onClosed } = this.parts;
    browser.listen({
      data: (bytes) => this.fromBrowser(bytes),
      drain: () => this.relay?.browserDrained(),
      alive: () => this.pulse?.felt(),
      left: (why) => {
        this.finish(why);
      },
      closed: (why) => {
        this.finish(why);
        this.refusal?.over();
        onClosed();
      },
    });
    this.pulse = new Pulse({
      browser,
      intervalMs: settings.pingIntervalMs,
      isHeldBack: () => this.relay?.browserIsHeldBack ?? this.setUp?.heldBack ?? false,
      onSilence: () => {
        if (this.finish('the browser answered no ping')) browser.terminate();
      },
    });
    this.setUp = new SetUp(settings.connectTimeoutMs, () => {
      const late = `no answer within ${settings.connectTimeoutMs / 1000} s (proxy_connect_timeout)`;
      // With the target all is well by now.
      if (this.handshake !== undefined) this.browserFailed(`the browser: ${late}`);
      else this.targetFailed(late);
    });
    this.connect(this.setUp.signal).catch((error: unknown) => {
      const failed = toGatewayError(error);
      this.targetFailed(failed.detail, failed.publicText);
    });
  }

  /** Ends the session with a close code and a reason that the browser reads. */
  close(code: number, reason: string): void {
    if (this.finish(reason)) this.parts.browser.close(code, reason);
  }

  /** Relayed so far, both ways. */
  get bytes(): number {
    return (this.relay?.bytesToBrowser ?? 0) + (this.relay?.bytesToTarget ?? 0);
  }

  /** Whether the browser answers a ping in time. */
  probe(timeoutMs: number): Promise<boolean> {
    return this.pulse?.probe(timeoutMs) ?? Promise.resolve(false);
  }

  /** Ends the browser's connection without waiting for its answer. */
  terminate(): void {
    this.finish('ended by force');
    this.parts.browser.terminate();
  }

  private async connect(signal: AbortSignal): Promise<void> {
    const { grant, vnc, connect, secure, browser } = this.parts;
    const { host, port } = grant.target;
    const place = { host, port, vmId: grant.vmId };
    const reached = await connect(place, signal);
    if (this.finished) return reached.destroy();
    if (vnc === undefined) return this.startTarget(reached);
    const target = await secure(reached, place, vnc, signal);
    if (this.finished) return target.destroy();
    this.target = target;
    this.filters = createFilters(vnc);
    this.handshake = new BrowserHandshake();
    browser.sendCopy(this.handshake.greeting());
    for (const bytes of this.setUp?.early.splice(0) ?? []) this.shakeHands(bytes);
  }

  private startTarget(target: TargetConnection): void {
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

  /** The browser's part of the handshake; what follows it is the first to be relayed. */
  private shakeHands(bytes: Buffer): void {
    const { handshake, target, setUp } = this;
    if (handshake === undefined) {
      this.fromBrowser(bytes);
      return;
    }
    if (target === undefined || setUp === undefined) return;
    this.guard(() => {
      const { send, rest, done } = handshake.push(bytes);
      for (const message of send) this.parts.browser.sendCopy(message);
      if (!done) return;
      this.handshake = undefined;
      this.beginRelay(setUp, target);
      this.startTarget(target);
      if (rest !== undefined) this.toTarget(rest);
    });
  }

  /** @returns false where the memory is in use until the browser has drained */
  private fromTarget(memory: Buffer, start: number, end: number): boolean {
    const { relay, filters } = this;
    if (relay !== undefined && filters === undefined) return relay.toBrowser(memory, start, end);
    if (relay !== undefined) {
      let kept = start;
      this.guard(() => {
        kept = filters?.toBrowser(memory, start, end) ?? end;
      });
      return kept === start || relay.toBrowser(memory, start, kept);
    }
    if (this.setUp === undefined || this.target === undefined) return true;
    const greeting = this.setUp.collect(memory.subarray(start, end));
    const state = checkGreeting(greeting);
    if (state === 'wrong') this.targetFailed('the target is no RFB server');
    if (state === 'right') this.passGreeting(this.setUp, this.target, greeting);
    return true;
  }

  private passGreeting(setUp: SetUp, target: TargetConnection, greeting: Buffer): void {
    const relay = this.beginRelay(setUp, target);
    relay.bytesToBrowser = greeting.length;
    this.parts.browser.sendCopy(greeting);
    for (const bytes of setUp.early) relay.toTarget(bytes);
  }

  private beginRelay(setUp: SetUp, target: TargetConnection): Relay {
    setUp.end();
    this.setUp = undefined;
    this.relay = new Relay(this.parts.browser, target);
    if (setUp.heldBack) this.parts.browser.resume();
    return this.relay;
  }

  private fromBrowser(bytes: Buffer): void {
    if (this.relay !== undefined) this.toTarget(bytes);
    else if (this.refusal !== undefined) this.refusal.read(bytes);
    else if (this.handshake !== undefined) this.shakeHands(bytes);
    else if (this.setUp?.keepEarly(bytes) === false) this.parts.browser.pause();
  }

  private toTarget(bytes: Buffer): void {
    const { relay, filters } = this;
    if (filters === undefined) {
      relay?.toTarget(bytes);
      return;
    }
    this.guard(() => {
      for (const piece of filters.toTarget(bytes)) relay?.toTarget(piece);
    });
  }

  /** A browser or a target that breaks RFB where it is read. */
  private guard(read: () => void): void {
    try {
      read();
    } catch (error) {
      if (!(error instanceof BrowserHandshakeError || error instanceof RfbViolation)) throw error;
      this.browserFailed(error.message);
    }
  }

  private browserFailed(why: string): void {
    if (this.finish(why, true)) this.parts.browser.close(CloseCode.protocolError, clipped(why));
  }

  private targetFailed(why: string, told = 'Failed to connect to downstream server'): void {
    const { browser, grant, tellsInRfb } = this.parts;
    const { host, port } = grant.target;
    const nothingSent = this.relay === undefined && this.handshake === undefined;
    const early = this.setUp?.early ?? [];
    if (!this.finish(why.startsWith('target ') ? why : `target ${host}:${port}: ${why}`, true)) return;
    const close = { code: CloseCode.serverError, reason: clipped(told) };
    if (tellsInRfb && nothingSent) this.tellInRfb(told, close, early);
    else browser.close(close.code, close.reason);
  }

  /** A page of noVNC shows its person a reason in RFB, and none of a Close frame. */
  private tellInRfb(told: string, close: RefusalClose, early: readonly Buffer[]): void {
    const { browser } = this.parts;
    this.refusal = new RfbRefusal(browser, told, close);
    for (const bytes of early) this.refusal.read(bytes);
    browser.resume();
  }

  /** The end. @returns false when it had come already */
  private finish(reason: string, failed = false): boolean {
    if (this.finished) return false;
    this.finished = true;
    this.pulse?.stop();
    this.setUp?.giveUp();
    this.setUp = undefined;
    this.target?.end();
    const { bytesToBrowser = 0, bytesToTarget = 0 } = this.relay ?? {};
    const seconds = Math.round(performance.now() - this.startedAt) / 1000;
    this.parts.onEnd({ reason, bytesToBrowser, bytesToTarget, seconds, failed });
    return true;
  }
}

/** A close reason has 123 bytes (RFC 6455 section 5.5). */
function clipped(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= MAX_REASON_BYTES) return text;
  // A character that is cut becomes one that means just that, and takes no more than three bytes.
  return bytes.subarray(0, MAX_REASON_BYTES - 3).toString('utf8');
}
