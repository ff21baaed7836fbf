// Whether somebody is still at the other end of a browser's connection: pings from time to time, and on request.
// What always holds: a browser that is not being read cannot show its answer, so it counts as there.
import type { BrowserChannel } from './browser-channel.js';

/** Pings that may stay without an answer. */
const MAX_UNANSWERED = 2;

export interface PulseParts {
  readonly browser: BrowserChannel;
  readonly intervalMs: number;
  /** Whether the browser is not being read at the moment. */
  readonly isHeldBack: () => boolean;
  /** No answer to several pings. */
  readonly onSilence: () => void;
}

export class Pulse {
  private readonly parts: PulseParts;
  private readonly timer: NodeJS.Timeout;
  private unanswered = 0;
  private stopped = false;
  /** Who waits for a sign of life. */
  private probes: Set<(alive: boolean) => void> | undefined;

  constructor(parts: PulseParts) {
    this.parts = parts;
    this.timer = setInterval(() => this.beat(), parts.intervalMs);
  }

  /** The browser has said something. */
  felt(): void {
    this.unanswered = 0;
    this.answer(true);
  }

  /** Whether the browser answers a ping in time. */
  probe(timeoutMs: number): Promise<boolean> {
    if (this.stopped) return Promise.resolve(false);
    if (this.parts.isHeldBack()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = setTimeout(() => settle(false), timeoutMs);
      const settle = (alive: boolean) => {
        clearTimeout(timer);
        this.probes?.delete(settle);
        resolve(alive);
      };
      this.probes ??= new Set();
      this.probes.add(settle);
      this.parts.browser.ping();
    });
  }

  /** Nobody is there any more, whoever still asks. */
  stop(): void {
    this.stopped = true;
    clearInterval(this.timer);
    this.answer(false);
  }

  private beat(): void {
    const { browser, isHeldBack, onSilence } = this.parts;
    if (isHeldBack()) this.unanswered = 0;
    if (this.unanswered >= MAX_UNANSWERED) {
      onSilence();
      return;
    }
    this.unanswered++;
    browser.ping();
  }

  private answer(alive: boolean): void {
    if (this.probes === undefined) return;
    for (const settle of this.probes) settle(alive);
  }
}
