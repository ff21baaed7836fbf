// Moves the bytes of one session, both ways. What always holds: a slow side stops the other side from being read, and
// the memory of a read is left alone until the kernel has taken all of it.
import type { TargetConnection } from '../transport/transport.js';
import type { BrowserChannel } from './browser-channel.js';

export class Relay {
  bytesToBrowser = 0;
  bytesToTarget = 0;
  private readonly browser: BrowserChannel;
  private readonly target: TargetConnection;
  private targetIsSlow = false;

  constructor(browser: BrowserChannel, target: TargetConnection) {
    this.browser = browser;
    this.target = target;
  }

  /** While the target is slow the browser is not read, so that its answers to pings cannot be seen. */
  get browserIsHeldBack(): boolean {
    return this.targetIsSlow;
  }

  /** @returns false: the memory is in use, until browserDrained() */
  toBrowser(memory: Buffer, start: number, end: number): boolean {
    this.bytesToBrowser += end - start;
    return this.browser.send(memory, start, end);
  }

  browserDrained(): void {
    this.target.resume();
  }

  toTarget(bytes: Buffer): void {
    this.bytesToTarget += bytes.length;
    if (this.target.write(bytes) || this.targetIsSlow) return;
    this.targetIsSlow = true;
    this.browser.pause();
  }

  targetDrained(): void {
    if (!this.targetIsSlow) return;
    this.targetIsSlow = false;
    this.browser.resume();
  }
}
