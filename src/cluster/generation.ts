// Workers that were started with the same settings. A reload begins a new generation; the old one lives on until its
// consoles have ended. What always holds: a worker that dies takes only its own sessions with it and is replaced.
import cluster, { type Worker } from 'node:cluster';
import type { AddressInfo } from 'node:net';
import type { Settings } from '../config/options.js';
import { StartError } from '../errors.js';
import type { Logger } from '../log.js';
import type { RedeemAnswer, ToPrimary, ToWorker } from './messages.js';

export interface GenerationParts {
  readonly settings: Settings;
  readonly size: number;
  readonly redeem: (hash: Extract<ToPrimary, { type: 'redeem' }>['hash']) => Promise<RedeemAnswer>;
  readonly logger: Logger;
  /** The last worker of a retired or stopped generation has ended. */
  readonly onEnd: () => void;
}

/** A worker that dies at once is started again, but ever more slowly. */
const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 10_000;
/** One that lived so long begins with the first delay again. */
const STABLE_MS = 60_000;
const START_TIMEOUT_MS = 20_000;

export class Generation {
  private readonly parts: GenerationParts;
  private readonly workers = new Set<Worker>();
  private readonly restarts = new Set<NodeJS.Timeout>();
  private leaving = false;

  constructor(parts: GenerationParts) {
    this.parts = parts;
  }

  /** Starts all workers. @throws StartError, and then none of them is left */
  async start(): Promise<AddressInfo[]> {
    const numbers = Array.from({ length: this.parts.size }, (_, index) => index + 1);
    try {
      const addresses = await Promise.all(numbers.map((number) => this.startWorker(number, 0)));
      return addresses[0] ?? [];
    } catch (error) {
      this.leave();
      for (const worker of this.workers) worker.process.kill('SIGKILL');
      throw error;
    }
  }

  retire(): void {
    this.leave();
    this.tell({ type: 'retire' });
    this.tellEnd();
  }

  stop(deadlineMs: number): void {
    this.leave();
    this.tell({ type: 'stop', deadlineMs });
    this.tellEnd();
  }

  kill(): void {
    for (const worker of this.workers) worker.process.kill('SIGKILL');
  }

  tell(message: ToWorker): void {
    for (const worker of this.workers) send(worker, message);
  }

  /** Nobody is replaced from now on. */
  private leave(): void {
    this.leaving = true;
    for (const restart of this.restarts) clearTimeout(restart);
    this.restarts.clear();
  }

  private startWorker(number: number, failures: number): Promise<AddressInfo[]> {
    const worker = cluster.fork();
    const startedAt = performance.now();
    this.workers.add(worker);
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => worker.process.kill('SIGKILL'), START_TIMEOUT_MS);
      worker.on('message', (message: ToPrimary) => {
        if (message.type === 'hello') send(worker, { type: 'start', number, settings: this.parts.settings });
        if (message.type === 'redeem') this.answer(worker, message);
        if (message.type === 'ready') {
          clearTimeout(late);
          resolve(message.addresses);
        }
        if (message.type === 'failed') {
          reject(new StartError(message.message));
          worker.process.kill('SIGKILL');
        }
      });
      worker.on('error', () => {});
      worker.once('exit', (code, signal) => {
        clearTimeout(late);
        this.workers.delete(worker);
        reject(new StartError(`a worker ended before it was ready (${signal ?? code})`));
        if (this.leaving) return this.tellEnd();
        const stable = performance.now() - startedAt > STABLE_MS;
        this.replace(number, stable ? 0 : failures, String(signal ?? code));
      });
    });
  }

  private replace(number: number, failures: number, how: string): void {
    const delayMs = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** failures);
    this.parts.logger.error({ worker: number, how, delayMs }, 'a worker ended; it is started again');
    const restart = setTimeout(() => {
      this.restarts.delete(restart);
      // When it fails, its exit leads here again.
      this.startWorker(number, failures + 1).catch((error: unknown) => {
        this.parts.logger.error({ worker: number, reason: String(error) }, 'a worker could not be started');
      });
    }, delayMs);
    this.restarts.add(restart);
  }

  private answer(worker: Worker, { question, hash }: Extract<ToPrimary, { type: 'redeem' }>): void {
    void this.parts.redeem(hash).then((answer) => send(worker, { type: 'redeemed', question, answer }));
  }

  private tellEnd(): void {
    if (this.leaving && this.workers.size === 0) this.parts.onEnd();
  }
}

/** A worker that has gone meanwhile needs no message. */
function send(worker: Worker, message: ToWorker): void {
  if (worker.isConnected()) worker.send(message, () => {});
}
