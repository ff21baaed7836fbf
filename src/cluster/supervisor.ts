// The data plane of several processes, seen from the control plane: it starts workers, answers their questions, and
// lets a new generation take over at a reload. What always holds: there is always a generation that accepts.
import cluster from 'node:cluster';
import type { AddressInfo } from 'node:net';
import type { Settings } from '../config/options.js';
import type { ConsoleGate } from '../console/gate.js';
import type { DataPlane } from '../data-plane.js';
import type { Logger } from '../log.js';
import { Generation } from './generation.js';

/** Generations that may live on for their consoles; the oldest of more is closed with 1001. */
const MAX_OLD_GENERATIONS = 2;
/** What a worker gets beyond its own deadline before it is killed. */
const KILL_AFTER_MS = 250;

export interface SupervisorParts {
  readonly settings: Settings;
  readonly workers: number;
  readonly gate: ConsoleGate;
  readonly logger: Logger;
}

export class Supervisor implements DataPlane {
  private readonly parts: SupervisorParts;
  private current: Generation;
  /** The oldest first. */
  private old: Generation[] = [];
  private onAllEnded: (() => void) | undefined;

  constructor(parts: SupervisorParts) {
    this.parts = parts;
    // The kernel hands connections to whoever accepts first: cheaper than passing each of them on from here.
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    cluster.setupPrimary({ args: [] });
    this.current = this.createGeneration(parts.settings);
  }

  start(): Promise<AddressInfo[]> {
    return this.current.start();
  }

  async reload(settings: Settings): Promise<void> {
    const next = this.createGeneration(settings);
    await next.start();
    this.old.push(this.current);
    this.current = next;
    this.old.at(-1)?.retire();
    const tooMany = this.old.slice(0, -MAX_OLD_GENERATIONS);
    for (const generation of tooMany) generation.stop(settings.stop_timeout * 1000);
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
    const { workers, logger, gate } = this.parts;
    const generation: Generation = new Generation({
      settings,
      size: workers,
      logger,
      gate,
      onEnd: () => {
        this.old = this.old.filter((one) => one !== generation);
        if (this.old.length === 0) this.onAllEnded?.();
      },
    });
    return generation;
  }
}
