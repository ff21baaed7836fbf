// The data plane of several processes, seen from the control plane: it starts workers, answers their questions, and
// lets a new generation take over at a reload. What always holds: there is always a generation that accepts.
import cluster from 'node:cluster';
import type { AddressInfo } from 'node:net';
import { HostPlaces, sharePlaces } from '../address-places.js';
import type { Settings } from '../config/options.js';
import type { ConsoleGate } from '../console/gate.js';
import { type DataPlane, dataPlaneSettings } from '../data-plane.js';
import type { Logger } from '../log.js';
import type { Prepared } from '../prepared.js';
import { MAX_HANDSHAKES_PER_ADDRESS } from '../proxy/handshakes.js';
import { Generation } from './generation.js';
import type { WorkerPlace } from './worker-place.js';

/** Generations that may live on for their consoles; the oldest of more is closed with 1001. */
const MAX_OLD_GENERATIONS = 2;
/** What a worker gets beyond its own deadline before it is killed. */
const KILL_AFTER_MS = 250;

export interface SupervisorParts {
  readonly settings: Settings;
  readonly workers: number;
  readonly gate: ConsoleGate;
  readonly logger: Logger;
  /** What workers do not inherit of this process's environment. */
  readonly environment: Readonly<Record<string, undefined>>;
}

export class Supervisor implements DataPlane {
  private readonly parts: SupervisorParts;
  private readonly shares: { own: number; common: number };
  private readonly places: HostPlaces<WorkerPlace>;
  private current: Generation;
  /** The oldest first. */
  private old: Generation[] = [];
  private onAllEnded: (() => void) | undefined;

  constructor(parts: SupervisorParts) {
    this.parts = parts;
    // The kernel hands connections to whoever accepts first: cheaper than passing each of them on from here.
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    const execArgv = process.execArgv.filter((option) => !option.startsWith('--inspect'));
    cluster.setupPrimary({ args: [], execArgv });
    // Those that are being started, accept, and end.
    const generations = MAX_OLD_GENERATIONS + 2;
    this.shares = sharePlaces(MAX_HANDSHAKES_PER_ADDRESS, parts.workers, generations);
    this.places = new HostPlaces(this.shares.common);
    this.current = this.createGeneration(parts.settings);
  }

  async start(): Promise<AddressInfo[]> {
    await this.current.prepare();
    try {
      return await this.current.listen();
    } catch (error) {
      // Not by a word: a worker that ends while its own listening still fails says so in many lines (Node's).
      this.current.discard();
      throw error;
    }
  }

  /** Starts workers with the new settings, which listen when they are taken. */
  async prepare(settings: Settings): Promise<Prepared> {
    const next = this.createGeneration(settings);
    await next.prepare();
    return {
      take: () => this.replaceBy(next, settings.stop_timeout * 1000),
      discard: () => next.discard(),
    };
  }

  private async replaceBy(next: Generation, stopTimeoutMs: number): Promise<void> {
    // Those before it as well: theirs may never have accepted.
    const older = [...this.old, this.current];
    this.old = older;
    this.current = next;
    const retireOlder = () => {
      for (const generation of older) generation.retire();
    };
    // One that dies meanwhile is started again.
    const listening = next.listen().catch((error: unknown) => {
      this.parts.logger.error(
        { reason: String(error) },
        'a worker with the new settings does not listen yet',
      );
    });
    void next.accepting.then(retireOlder);
    await listening;
    const tooMany = this.old.slice(0, -MAX_OLD_GENERATIONS);
    for (const generation of tooMany) generation.stop(stopTimeoutMs);
  }

  async stop(deadlineMs: number): Promise<void> {
    const generations = [...this.old, this.current];
    const ended = new Promise<void>((resolve) => {
      this.onAllEnded = resolve;
    });
    this.old = generations;
    for (const generation of generations) generation.stop(deadlineMs);
    const force = setTimeout(() => {
      for (const generation of this.old) generation.kill();
    }, deadlineMs + KILL_AFTER_MS);
    await ended;
    clearTimeout(force);
  }

  reopenLogs(): void {
    for (const generation of [...this.old, this.current]) generation.tell({ type: 'reopen-log' });
  }

  private createGeneration(settings: Settings): Generation {
    const { workers, logger, gate, environment } = this.parts;
    const generation: Generation = new Generation({
      settings: dataPlaneSettings(settings),
      size: workers,
      logger,
      gate,
      environment,
      places: this.places,
      ownPlaces: this.shares.own,
      onEnd: () => {
        this.old = this.old.filter((one) => one !== generation);
        if (this.old.length === 0) this.onAllEnded?.();
      },
    });
    return generation;
  }
}
