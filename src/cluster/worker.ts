// One worker: a data plane in a process of its own, told what to do by the control plane.
// What always holds: it ends when the control plane ends, whatever it was doing.
import cluster from 'node:cluster';
import type { PlacePool } from '../address-places.js';
import { LocalDataPlane } from '../data-plane.js';
import { StartError } from '../errors.js';
import { closeInspector } from '../inspector.js';
import { type Log, openLog } from '../log.js';
import { DoorChannel } from './door-channel.js';
import type { ToPrimary, ToWorker } from './messages.js';
import { Outbox } from './outbox.js';
import { Questions } from './questions.js';

/** The control plane answers at once, or is in trouble. */
const BORROW_TIMEOUT_MS = 2_000;

/** Where there was no time to ask: what SIGTERM to a single worker means. */
const OWN_STOP_DEADLINE_MS = 5_000;

/** Whether this process was started as a worker. */
export function isWorker(): boolean {
  return cluster.isWorker;
}

/** Runs until the control plane says so, or is gone. */
export function runWorker(): Promise<void> {
  return new Promise((resolve) => new Worker(resolve).run());
}

class Worker {
  private readonly end: () => void;
  private readonly outbox = new Outbox((messages) => {
    if (process.connected) process.send?.(messages, undefined, undefined, () => {});
  });
  private readonly door = new DoorChannel((message) => this.tell(message));
  private readonly loans = new Questions<number>();
  private dataPlane: LocalDataPlane | undefined;
  private log: Log | undefined;
  private ending = false;

  constructor(end: () => void) {
    this.end = end;
  }

  run(): void {
    process.on('message', (message: ToWorker) => this.heard(message));
    process.on('disconnect', this.end);
    // A terminal sends these to the whole group; the control plane says what they mean.
    for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
    process.on('SIGTERM', () => void this.finish((plane) => plane.stop(OWN_STOP_DEADLINE_MS)));
    process.on('SIGUSR2', () => this.log?.reopen());
    this.tell({ type: 'hello' });
  }

  private heard(message: ToWorker): void {
    switch (message.type) {
      case 'start':
        this.start(message).catch((error: unknown) => this.fail(error));
        break;
      case 'listen':
        this.listen().catch((error: unknown) => this.fail(error));
        break;
      case 'opened':
        this.door.opened(message.question, message.answer);
        break;
      case 'lent':
        this.lent(message);
        break;
      case 'end':
        this.dataPlane?.place.end(message.session, message.code, message.reason);
        break;
      case 'probe':
        void this.probe(message);
        break;
      case 'count':
        void this.count(message);
        break;
      case 'retire':
        void this.finish((plane) => plane.retire());
        break;
      case 'stop':
        void this.finish((plane) => plane.stop(message.deadlineMs), true);
        break;
      case 'reopen-log':
        this.log?.reopen();
        break;
    }
  }

  private async probe({ question, session }: Extract<ToWorker, { type: 'probe' }>): Promise<void> {
    const alive = (await this.dataPlane?.place.probe(session)) ?? false;
    this.tell({ type: 'probed', question, alive });
  }

  private async count({ question }: Extract<ToWorker, { type: 'count' }>): Promise<void> {
    const traffic = (await this.dataPlane?.place.traffic()) ?? new Map();
    this.tell({ type: 'counted', question, traffic: [...traffic] });
  }

  private async start({ number, settings, ownPlaces }: Extract<ToWorker, { type: 'start' }>): Promise<void> {
    this.log = openLog(settings.log_file, settings.debug_level);
    const logger = this.log.logger.child({ worker: number });
    this.dataPlane = new LocalDataPlane(settings, this.door, logger, this.places(ownPlaces));
    await this.dataPlane.open();
    await closeInspector();
    this.tell({ type: 'prepared' });
  }

  private lent({ question, network, places }: Extract<ToWorker, { type: 'lent' }>): void {
    // Nobody waited for so long.
    if (!this.loans.answered(question, places)) this.tell({ type: 'give-back', network, places });
  }

  private places(own: number): PlacePool {
    return {
      own,
      borrow: (network, places) => {
        const ask = (question: number) => this.tell({ type: 'borrow', question, network, places });
        return this.loans.ask(ask, BORROW_TIMEOUT_MS, 0);
      },
      giveBack: (network, places) => this.tell({ type: 'give-back', network, places }),
    };
  }

  private async listen(): Promise<void> {
    if (this.dataPlane === undefined || this.ending) return;
    this.tell({ type: 'ready', addresses: await this.dataPlane.listen() });
  }

  private fail(error: unknown): void {
    this.tell({ type: 'failed', message: error instanceof StartError ? error.message : String(error) });
  }

  /** @param again also where it is ending already, but more slowly */
  private async finish(work: (plane: LocalDataPlane) => Promise<void>, again = false): Promise<void> {
    if (this.ending && !again) return;
    this.ending = true;
    if (this.dataPlane !== undefined) await work(this.dataPlane);
    this.outbox.flush();
    await this.log?.close();
    this.end();
  }

  private tell(message: ToPrimary): void {
    this.outbox.put(message);
  }
}
