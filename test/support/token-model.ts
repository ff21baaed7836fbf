// What the life of a token is in plain words, to hold the rules against: a list of everybody who was ever on its console.
// What always holds: it is written from what users are promised and shares no code with src/, and it forgets nothing.

/** A session counts as being there for so long after the last word of its process. */
const LEASE = 60_000;
const GAP = 10_000;

/** As the settings are called. */
export interface ModelRules {
  readonly grace: number;
  readonly maxAge: number | undefined;
  readonly shared: boolean;
  readonly bindClient: boolean;
}

/** An address, and what counts as the same client. */
export interface ModelClient {
  readonly address: string;
  readonly network: string;
}

interface Visit {
  readonly session: string;
  readonly client: ModelClient;
  heard: number;
  /** It left, or had to make room. */
  gone: number | undefined;
}

export type ModelClaim =
  | { kind: 'granted'; replaced: string[]; endsAt: number | undefined }
  | { kind: 'not-valid' }
  | { kind: 'in-use'; holder: string | undefined };

export class TokenModel {
  private readonly rules: ModelRules;
  private readonly issuedAt: number;
  private readonly ttl: number;
  private readonly visits: Visit[] = [];
  private readonly takeOvers: number[] = [];
  private end: { why: string; at: number } | undefined;

  constructor(rules: ModelRules, issuedAt: number, ttl: number) {
    this.rules = rules;
    this.issuedAt = issuedAt;
    this.ttl = ttl;
  }

  get ended(): string | undefined {
    return this.end?.why;
  }

  /** The first moment at which the token opens nothing any more, if nobody says another word. */
  closesAt(): number {
    if (this.end !== undefined) return this.end.at;
    const { grace } = this.rules;
    const byUse =
      this.visits.length === 0
        ? this.issuedAt + this.ttl
        : Math.max(...this.visits.map((visit) => this.thereUntil(visit) + grace));
    return Math.min(byUse, this.ageEnd() ?? byUse);
  }

  opens(now: number): boolean {
    return now < this.closesAt();
  }

  there(now: number): string[] {
    return this.visitsNow(now).map(({ session }) => session);
  }

  claim(session: string, client: ModelClient, silent: string | undefined, now: number): ModelClaim {
    const first = this.visits[0];
    if (!this.opens(now)) return { kind: 'not-valid' };
    if (this.rules.bindClient && first !== undefined && first.client.network !== client.network) {
      return { kind: 'not-valid' };
    }
    const there = this.visitsNow(now);
    if (!this.rules.shared) {
      for (const visit of there) {
        if (visit.session === silent) continue;
        if (visit.client.network !== client.network) return { kind: 'in-use', holder: visit.session };
        if (this.takeOvers.some((at) => now < at + GAP)) return { kind: 'in-use', holder: undefined };
      }
      if (there.length > 0) this.takeOvers.push(now);
      for (const visit of there) visit.gone = now;
    }
    this.visits.push({ session, client, heard: now, gone: undefined });
    const replaced = this.rules.shared ? [] : there.map((visit) => visit.session);
    return { kind: 'granted', replaced, endsAt: this.ageEnd() };
  }

  /** The process of a session says that it is there. */
  hear(session: string, now: number): string {
    if (this.end !== undefined) return this.end.why;
    const visit = this.visits.find((one) => one.session === session);
    if (visit === undefined || !this.opens(now)) return 'unknown';
    const others = this.there(now).filter((one) => one !== session);
    if (!this.rules.shared && others.length > 0 && !this.there(now).includes(session)) return 'taken-over';
    visit.heard = now;
    visit.gone = undefined;
    return 'renewed';
  }

  leave(session: string, now: number): void {
    for (const visit of this.visitsNow(now)) if (visit.session === session) visit.gone = now;
  }

  /** @returns who has to be told; undefined where it was dead already */
  kill(why: string, now: number): string[] | undefined {
    if (!this.opens(now)) return undefined;
    const told = this.there(now);
    this.end = { why, at: now };
    return told;
  }

  /** Moments at which something changes by itself. */
  moments(): number[] {
    const { grace } = this.rules;
    const ofVisits = this.visits.slice(-4).flatMap((visit) => {
      const until = this.thereUntil(visit);
      return [until, until + grace];
    });
    const ofTakeOvers = this.takeOvers.slice(-1).map((at) => at + GAP);
    return [this.issuedAt + this.ttl, this.ageEnd() ?? this.issuedAt, ...ofVisits, ...ofTakeOvers];
  }

  private visitsNow(now: number): Visit[] {
    return this.end === undefined ? this.visits.filter((visit) => now < this.thereUntil(visit)) : [];
  }

  private thereUntil({ heard, gone }: Visit): number {
    return Math.min(gone ?? Number.POSITIVE_INFINITY, heard + LEASE);
  }

  private ageEnd(): number | undefined {
    return this.rules.maxAge === undefined ? undefined : this.issuedAt + this.rules.maxAge;
  }
}
