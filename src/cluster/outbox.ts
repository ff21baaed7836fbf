// What a worker says to the control plane: a message costs both of them more than what is in it, so the end of a
// console goes with the next that is to be said, mostly somebody else's question.
// What always holds: everything arrives in the order in which it was said, and nothing waits for longer than a moment.
import type { ToPrimary } from './messages.js';

const MOMENT_MS = 5;
const MAX_WAITING = 256;

export class Outbox {
  private readonly send: (messages: readonly ToPrimary[]) => void;
  private waiting: ToPrimary[] = [];
  private timer: NodeJS.Timeout | undefined;

  constructor(send: (messages: readonly ToPrimary[]) => void) {
    this.send = send;
  }

  put(message: ToPrimary): void {
    this.waiting.push(message);
    if (message.type !== 'closed' || this.waiting.length >= MAX_WAITING) this.flush();
    else this.timer ??= setTimeout(() => this.flush(), MOMENT_MS);
  }

  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const messages = this.waiting;
    this.waiting = [];
    if (messages.length > 0) this.send(messages);
  }
}
