// Who reads replies: small ones whoever has them, at once; big ones a thread, one after the other and in fair turns.
// What always holds: reading holds nobody up for longer than a few milliseconds, and whoever stops waiting is let go.
import { Worker } from 'node:worker_threads';
import { causeOf, GatewayError } from '../errors.js';
import type { Wanted } from './document.js';
import { type Selected, selectReply } from './reply.js';
import { type Priority, Turnstile } from './turnstile.js';

/** At about 100 bytes a microsecond. A VM's reply has 5 to 20 KB. */
export const SMALL_REPLY_BYTES = 128 * 1024;
/** Replies that may wait, of 4 MiB at most. */
const MAX_WAITING = 16;
/** Of the thread's memory; a reply of 4 MiB takes 30. */
const THREAD_MEMORY_MB = 256;

export interface ReplyReader {
  /**
   * @param reply is not the caller's any more
   * @throws GatewayError `over-limit`, `internal`; the signal's reason
   */
  read(reply: Buffer, wanted: Wanted, signal: AbortSignal, priority: Priority): Promise<Selected>;
}

/** For programs that do nothing else meanwhile. */
export const readInPlace: ReplyReader = {
  read: async (reply, wanted) => selectReply(reply, wanted),
};

export interface ThreadQuestion {
  readonly reply: Uint8Array;
  readonly wanted: Wanted;
}

/** One thread, started when it is first needed. It does not keep the process alive. */
export class ThreadedReader implements ReplyReader {
  private readonly turnstile = new Turnstile(() => 1, MAX_WAITING);
  private thread: Worker | undefined;

  async read(reply: Buffer, wanted: Wanted, signal: AbortSignal, priority: Priority): Promise<Selected> {
    if (reply.length <= SMALL_REPLY_BYTES) return selectReply(reply, wanted);
    return this.turnstile.pass(signal, () => this.ask({ reply, wanted }), priority);
  }

  /** It takes its time by the bytes, so that nobody who gives up has to be listened to. */
  private ask({ reply, wanted }: ThreadQuestion): Promise<Selected> {
    this.thread ??= this.start();
    const { thread } = this;
    return new Promise<Selected>((resolve, reject) => {
      const settle = (error: GatewayError | undefined, selected?: Selected) => {
        thread.off('message', onMessage).off('error', onError).off('exit', onExit);
        if (selected === undefined) reject(error);
        else resolve(selected);
      };
      const onMessage = (selected: Selected) => settle(undefined, selected);
      const onError = (error: unknown) => settle(failed(causeOf(error)));
      const onExit = () => settle(failed('it has ended'));
      thread.on('message', onMessage).on('error', onError).on('exit', onExit);
      // Without a copy, where the memory is the reply's alone.
      const own = reply.byteLength === reply.buffer.byteLength ? reply : Uint8Array.from(reply);
      // Functions of a document cannot go along.
      const { method, root, shape, fallback } = wanted;
      const question: ThreadQuestion = {
        reply: own,
        wanted: { method, root, shape, ...(fallback && { fallback }) },
      };
      thread.postMessage(question, [own.buffer as ArrayBuffer]);
    });
  }

  private start(): Worker {
    const thread = new Worker(new URL('./reply-thread.js', import.meta.url), {
      ...{ env: {}, execArgv: [], name: 'oned-replies' },
      resourceLimits: { maxOldGenerationSizeMb: THREAD_MEMORY_MB },
    });
    // The next big reply gets a new one.
    const ended = () => {
      if (this.thread === thread) this.thread = undefined;
    };
    thread.on('error', ended).on('exit', ended).unref();
    return thread;
  }
}

function failed(why: string): GatewayError {
  return new GatewayError('internal', { detail: `the thread that reads big replies of oned: ${why}` });
}
