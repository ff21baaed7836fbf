// Workers that were started with the same settings. A reload begins a new generation; the old one lives on until its
// consoles have ended. What always holds: a worker that dies takes only its own sessions with it and is replaced.
import cluster, { type Worker } from 'node:cluster';
import type { AddressInfo } from 'node:net';
import type { HostPlaces } from '../address-places.js';
import { type ConsoleGate, doorOf } from '../console/gate.js';
import type { DataPlaneSettings } from '../data-plane.js';
import { StartError, toGatewayError } from '../errors.js';
import type { Logger } from '../log.js';
import type { OpenAnswer, ToPrimary, ToWorker } from './messages.js';
import { WorkerPlace } from './worker-place.js';

export interface GenerationParts {
  readonly settings: DataPlaneSettings;
  readonly size: number;
  readonly gate: ConsoleGate;
  readonly logger: Logger;
  /** Of connections without a token, among all generations. */
  readonly places: HostPlaces<WorkerPlace>;
  readonly ownPlaces: number;
  readonly environment: Readonly<Record<string, undefined>>;
  /** The last worker of a retired or stopped generation has ended. */
  readonly onEnd: () => void;
}

/** A worker that dies at once is started again, but ever more slowly. */
const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 10_000;
/** One that lived so long begins with the first delay again. */
const STABLE_MS = 60_000;
const START_TIMEOUT_MS = 20_000;

/** A worker on its way; both are settled by its end, too. */
interface Starting {
  /** It has read what its settings name. */
  readonly prepared: Promise<void>;
  /** It listens. */
  readonly ready: Promise<AddressInfo[]>;
}

interface Gone {
  readonly number: number;
  readonly failures: number;
  /** A signal or an exit code. */
  readonly how: string;
}

export class Generation {
  private readonly parts: GenerationParts;
  private readonly workers = new Set<Worker>();
  private readonly restarts = new Set<NodeJS.Timeout>();
  private starting: readonly Starting[] = [];
  private listening = false;
  private leaving = false;
  /** Settles when the first of them listens. */
  readonly accepting: Promise<void>;
  private accepted: () => void = () => {};

  constructor(parts: GenerationParts) {
    this.parts = parts;
    this.accepting = new Promise((resolve) => {
      this.accepted = resolve;
    });
  }

  /** Starts all workers, which read what their settings name. @throws StartError, and then none of them is left */
  async prepare(): Promise<void> {
    const numbers = Array.from({ length: this.parts.size }, (_, index) => index + 1);
    this.starting = numbers.map((number) => this.startWorker(number, 0));
    try {
      await Promise.all(this.starting.map(({ prepared }) => prepared));
    } catch (error) {
      this.discard();
      throw error;
    }
  }

  /** All of them listen from now on. @throws StartError where one cannot; it is started again */
  async listen(): Promise<AddressInfo[]> {
    this.listening = true;
    this.tell({ type: 'listen' });
    const addresses = await Promise.all(this.starting.map(({ ready }) => ready));
    return addresses[0] ?? [];
  }

  /** Instead of listen(). */
  discard(): void {
    this.leave();
    this.kill();
    this.tellEnd();
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

  private startWorker(number: number, failures: number): Starting {
    const { settings, ownPlaces } = this.parts;
    const worker = cluster.fork(this.parts.environment);
    const place = new WorkerPlace(number, (message) => send(worker, message));
    const startedAt = performance.now();
    this.workers.add(worker);
    let isPrepared = () => {};
    const prepared = new Promise<void>((resolve) => {
      isPrepared = resolve;
    });
    const ready = new Promise<AddressInfo[]>((resolve, reject) => {
      const late = setTimeout(() => worker.process.kill('SIGKILL'), START_TIMEOUT_MS);
      const heard = (message: ToPrimary) => {
        if (message.type === 'hello') send(worker, { type: 'start', number, settings, ownPlaces });
        if (message.type === 'borrow' || message.type === 'give-back') this.lend(worker, place, message);
        if (message.type === 'prepared') {
          // How long the other parts of a reload take is not its fault.
          if (!this.listening) clearTimeout(late);
          else send(worker, { type: 'listen' });
          isPrepared();
        }
        if (message.type === 'open') void this.answer(worker, place, message);
        if (message.type === 'closed') this.parts.gate.closed(message.session, message.end);
        if (message.type === 'probed' || message.type === 'counted') place.heard(message);
        if (message.type === 'ready') {
          clearTimeout(late);
          this.accepted();
          resolve(message.addresses);
        }
        if (message.type === 'failed') {
          reject(new StartError(message.message));
          worker.process.kill('SIGKILL');
        }
      };
      worker.on('message', (messages: readonly ToPrimary[]) => {
        for (const message of messages) heard(message);
      });
      worker.on('error', () => {});
      worker.once('exit', (code, signal) => {
        clearTimeout(late);
        const how = String(signal ?? code);
        reject(new StartError(`a worker ended before it was ready (${how})`));
        const stable = performance.now() - startedAt > STABLE_MS;
        const gone = () => this.gone(worker, place, { number, failures: stable ? 0 : failures, how });
        // What it said last may still be on the way: how its sessions ended.
        if (worker.isConnected()) worker.once('disconnect', gone);
        else gone();
      });
    });
    const starting = { prepared: Promise.race([prepared, ready.then(() => {})]), ready };
    // Whoever waits for one of them hears of it; nobody may wait for the other.
    for (const step of [starting.prepared, ready]) step.catch(() => {});
    return starting;
  }

  private gone(worker: Worker, place: WorkerPlace, { number, failures, how }: Gone): void {
    this.workers.delete(worker);
    this.parts.gate.lost(place);
    this.parts.places.forget(place);
    if (this.leaving) this.tellEnd();
    else this.replace(number, failures, how);
  }

  private replace(number: number, failures: number, how: string): void {
    const delayMs = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** failures);
    this.parts.logger.error({ worker: number, how, delayMs }, 'a worker ended; it is started again');
    const restart = setTimeout(() => {
      this.restarts.delete(restart);
      // When it fails, its exit leads here again.
      this.startWorker(number, failures + 1).ready.catch((error: unknown) => {
        this.parts.logger.error({ worker: number, reason: String(error) }, 'a worker could not be started');
      });
    }, delayMs);
    this.restarts.add(restart);
  }

  private async answer(
    worker: Worker,
    place: WorkerPlace,
    { question, knock }: Extract<ToPrimary, { type: 'open' }>,
  ): Promise<void> {
    const door = doorOf(this.parts.gate, place);
    const answer = await door.open(knock).then(
      (admitted): OpenAnswer => ({ admitted }),
      (error: unknown): OpenAnswer => {
        const { code, detail } = toGatewayError(error);
        return { refused: code, detail };
      },
    );
    // It died meanwhile, after its sessions were counted as gone.
    if (!this.workers.has(worker) && 'admitted' in answer) this.parts.gate.lost(place);
    else send(worker, { type: 'opened', question, answer });
  }

  private lend(
    worker: Worker,
    place: WorkerPlace,
    message: Extract<ToPrimary, { type: 'borrow' | 'give-back' }>,
  ): void {
    const { places } = this.parts;
    if (message.type === 'give-back') places.giveBack(place, message.network, message.places);
    else {
      const { question, network } = message;
      const lent = places.borrow(place, network, message.places);
      send(worker, { type: 'lent', question, network, places: lent });
    }
  }

  private tellEnd(): void {
    if (this.leaving && this.workers.size === 0) this.parts.onEnd();
  }
}

/** A worker that has gone meanwhile needs no message. */
function send(worker: Worker, message: ToWorker): void {
  if (worker.isConnected()) worker.send(message, () => {});
}
