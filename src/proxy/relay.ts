// Moves the bytes of one session, both ways. What always holds: a slow side stops the other side from being read;
// it ends once, and says who ended it.
import type { Duplex } from 'node:stream';
import type { BrowserChannel } from './browser-channel.js';

export interface RelayCounts {
  bytesToBrowser: number;
  bytesToTarget: number;
}

/** The browser's side of a running relay, to be called by whoever listens to the channel. */
export interface Relay {
  fromBrowser(chunk: Buffer): void;
  browserDrained(): void;
  /** Takes its listeners off the target; nothing is moved any more. */
  stop(): void;
}

/**
 * Starts relaying.
 * @param onTargetEnd called once, when everything that the target had sent has been handed to the browser
 */
export function startRelay(
  browser: BrowserChannel,
  target: Duplex,
  counts: RelayCounts,
  onTargetEnd: (why: string) => void,
): Relay {
  const toBrowser = (chunk: Buffer) => {
    counts.bytesToBrowser += chunk.length;
    if (!browser.send(chunk)) target.pause();
  };
  const targetDrained = () => browser.resume();
  const ended = () => finish('the target closed the connection');
  const failed = () => finish('the target reset the connection');
  const finish = (why: string) => {
    stop();
    onTargetEnd(why);
  };
  const stop = () => {
    target
      .off('data', toBrowser)
      .off('drain', targetDrained)
      .off('end', ended)
      .off('close', ended)
      .off('error', failed);
  };
  target
    .on('data', toBrowser)
    .on('drain', targetDrained)
    .on('end', ended)
    .on('close', ended)
    .on('error', failed);
  return {
    fromBrowser: (chunk) => {
      counts.bytesToTarget += chunk.length;
      if (!target.write(chunk)) browser.pause();
    },
    browserDrained: () => target.resume(),
    stop,
  };
}
