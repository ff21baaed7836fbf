// Ending sessions from outside, on this host and on the others, and asking whether one is still there.
// What always holds: whoever owns a session ends it, be it only on its way in; the others are told, and need not answer.
import { randomBytes } from 'node:crypto';
import type { BusMessage, EndingWord, Selection, SessionBus } from '../tokens/bus.js';
import type { SessionId } from '../tokens/record.js';
import type { Zone } from '../tokens/zone.js';
import { isSelected } from './selection.js';
import { PROBE_TIMEOUT_MS, type SessionRegistry } from './sessions.js';

/** What a browser is told. */
const endings = {
  'taken-over': { code: 4001, reason: 'Opened in another window' },
  revoked: { code: 4002, reason: 'Access was withdrawn' },
  expired: { code: 4003, reason: 'The time for this console is over' },
  'vm-gone': { code: 4004, reason: 'The VM is gone, or no longer yours' },
  'given-way': { code: 4005, reason: 'Somebody else needs a place on this VM' },
} as const satisfies Record<EndingWord | 'expired' | 'given-way', { code: number; reason: string }>;

/** What a probe of another host may take on top, for the way there and back. */
const PROBE_WAY_MS = 500;

export class SessionEndings {
  private readonly sessions: SessionRegistry;
  private readonly bus: SessionBus;
  private readonly questions = new Map<string, (alive: boolean) => void>();

  constructor(sessions: SessionRegistry, bus: SessionBus) {
    this.sessions = sessions;
    this.bus = bus;
    bus.subscribe((message) => this.heard(message));
  }

  /** Ends sessions wherever they are. */
  end(ids: readonly SessionId[], why: EndingWord): void {
    const others = ids.filter((id) => !this.endHere(id, why));
    if (others.length > 0) this.bus.publish({ type: 'end', sessions: others, why });
  }

  /**
   * Ends sessions on other hosts that the store may know nothing of.
   * @param zone this service's own, by which the others know whose VMs and users are meant
   * @param until those that have begun by then, milliseconds since 1970
   */
  revokeElsewhere(selection: Selection, zone: Zone, until: number): void {
    this.bus.publish({ type: 'revoke', selection: { ...selection, zone }, until });
  }

  /** @returns whether it is a session of this host */
  endHere(id: SessionId, why: keyof typeof endings): boolean {
    const arrival = this.sessions.arrival(id);
    if (arrival !== undefined) arrival.endedBecause = why;
    const session = this.sessions.get(id);
    if (session === undefined) return arrival !== undefined;
    this.sessions.leave(id);
    const { code, reason } = endings[why];
    session.place.end(id, code, reason);
    return true;
  }

  /** Whether somebody answers on a session, wherever it is; no answer at all is a no. */
  async isThere(id: SessionId): Promise<boolean> {
    const here = this.isHere(id);
    if (here !== undefined) return here;
    const question = randomBytes(12).toString('hex');
    return new Promise((resolve) => {
      const settle = (alive: boolean) => {
        clearTimeout(timer);
        this.questions.delete(question);
        resolve(alive);
      };
      const timer = setTimeout(() => settle(false), PROBE_TIMEOUT_MS + PROBE_WAY_MS);
      this.questions.set(question, settle);
      this.bus.publish({ type: 'probe', session: id, question });
    });
  }

  private heard(message: BusMessage): void {
    if (message.type === 'end') for (const id of message.sessions) this.endHere(id, message.why);
    if (message.type === 'revoke') this.revokeHere(message);
    if (message.type === 'probed') this.questions.get(message.question)?.(message.alive);
    if (message.type === 'probe') void this.answer(message);
  }

  private revokeHere({ selection, until }: Extract<BusMessage, { type: 'revoke' }>): void {
    for (const session of this.sessions.all()) {
      if (session.since > until || this.sessions.isLeaving(session.id)) continue;
      if (isSelected(selection, session)) this.endHere(session.id, 'revoked');
    }
  }

  /** @returns undefined where it is no session of this host */
  private isHere(id: SessionId): Promise<boolean> | boolean | undefined {
    // Who is on the way in has only just shown himself.
    return (
      this.sessions.get(id)?.place.probe(id) ?? (this.sessions.arrival(id) === undefined ? undefined : true)
    );
  }

  private async answer({ session, question }: Extract<BusMessage, { type: 'probe' }>): Promise<void> {
    const alive = await this.isHere(session);
    if (alive !== undefined) this.bus.publish({ type: 'probed', question, alive });
  }
}
