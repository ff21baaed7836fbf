// The sessions of one worker, seen from the control plane. What always holds: a worker that is gone or mute answers
// like one without sessions.
import type { SessionPlace } from '../console/sessions.js';
import { PROBE_TIMEOUT_MS } from '../console/sessions.js';
import type { SessionId } from '../tokens/record.js';
import type { ToPrimary, ToWorker } from './messages.js';
import { Questions } from './questions.js';

/** Beyond what the worker itself waits. */
const WAY_MS = 500;
const COUNT_TIMEOUT_MS = 1_000;

export class WorkerPlace implements SessionPlace {
  readonly worker: number;
  private readonly tell: (message: ToWorker) => void;
  private readonly probes = new Questions<boolean>();
  private readonly counts = new Questions<ReadonlyMap<SessionId, number>>();
  /** What it said last, for as long as it says nothing new. */
  private traffics: ReadonlyMap<SessionId, number> = new Map();

  constructor(worker: number, tell: (message: ToWorker) => void) {
    this.worker = worker;
    this.tell = tell;
  }

  end(session: SessionId, code: number, reason: string): void {
    this.tell({ type: 'end', session, code, reason });
  }

  probe(session: SessionId): Promise<boolean> {
    const ask = (question: number) => this.tell({ type: 'probe', question, session });
    return this.probes.ask(ask, PROBE_TIMEOUT_MS + WAY_MS, false);
  }

  traffic(): Promise<ReadonlyMap<SessionId, number>> {
    const ask = (question: number) => this.tell({ type: 'count', question });
    return this.counts.ask(ask, COUNT_TIMEOUT_MS, this.traffics);
  }

  heard(message: Extract<ToPrimary, { type: 'probed' | 'counted' }>): void {
    if (message.type === 'probed') this.probes.answered(message.question, message.alive);
    else {
      this.traffics = new Map(message.traffic);
      this.counts.answered(message.question, this.traffics);
    }
  }
}
