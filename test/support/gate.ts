// A gate with all that stands behind it, in the test's own process: a clock that the test sets, a store that counts and
// can be taken away, a bus between several gates, and places that note what they are told.
import pino from 'pino';
import type { AuditEvent, AuditFields } from '../../src/audit.ts';
import { SessionEndings } from '../../src/console/endings.ts';
import { Gate, type GateSettings } from '../../src/console/gate.ts';
import { Pace } from '../../src/console/pace.ts';
import { Revocation } from '../../src/console/revoke.ts';
import { type SessionLimits, type SessionPlace, SessionRegistry } from '../../src/console/sessions.ts';
import { Upkeep } from '../../src/console/upkeep.ts';
import { GatewayError } from '../../src/errors.ts';
import { type BusMessage, noBus, type SessionBus } from '../../src/tokens/bus.ts';
import type { Grant } from '../../src/tokens/grant.ts';
import { MemoryTokenStore } from '../../src/tokens/memory/store.ts';
import type { SessionId } from '../../src/tokens/record.ts';
import { issued, presentLeases } from '../../src/tokens/rules.ts';
import type { Change, CreateOptions, TokenKey, TokenStore } from '../../src/tokens/store.ts';
import { hashToken, type Token } from '../../src/tokens/token.ts';
import type { OwnZone } from '../../src/tokens/zone.ts';

export const START = 1_800_000_000_000;
export const TTL_MS = 600_000;

/** A store that notes every operation, and fails all of them while it is `down`. */
export class CountingStore implements TokenStore {
  readonly bus = noBus;
  readonly operations: string[] = [];
  down = false;
  /** Waited for before each update, and after it. */
  before: (() => Promise<void>) | undefined;
  after: (() => Promise<void>) | undefined;
  time = START;
  private readonly store = new MemoryTokenStore({ now: () => this.time });

  open(): Promise<void> {
    return Promise.resolve();
  }

  now(): number {
    return this.time;
  }

  create(...args: Parameters<TokenStore['create']>): Promise<Token> {
    return this.counted('create', () => this.store.create(...args));
  }

  async update<R>(key: TokenKey, change: Change<R>): Promise<R> {
    return this.counted('update', async () => {
      await this.before?.();
      const result = await this.store.update(key, change);
      await this.after?.();
      return result;
    });
  }

  ofVm(vmId: number, zone?: OwnZone) {
    return this.counted('ofVm', () => this.store.ofVm(vmId, zone));
  }

  list(limit: number) {
    return this.counted('list', () => this.store.list(limit));
  }

  close(): Promise<void> {
    return this.store.close();
  }

  private counted<R>(name: string, work: () => Promise<R>): Promise<R> {
    this.operations.push(name);
    if (this.down) return Promise.reject(new GatewayError('store-unavailable', { detail: 'taken away' }));
    return work();
  }
}

/** A bus among gates of one process; messages take a turn of the event loop, as text. */
export class TestBus {
  private readonly listeners = new Map<SessionBus, (message: BusMessage) => void>();
  readonly messages: BusMessage[] = [];

  connect(): SessionBus {
    const end: SessionBus = {
      publish: (message) => {
        this.messages.push(message);
        const text = JSON.stringify(message);
        for (const [other, listener] of this.listeners) {
          if (other !== end) setImmediate(() => listener(JSON.parse(text) as BusMessage));
        }
      },
      subscribe: (listener) => {
        this.listeners.set(end, listener);
      },
    };
    return end;
  }
}

/** A place without sockets: its sessions end when they are told to, unless it is deaf. */
export class TestPlace implements SessionPlace {
  readonly ended: { session: SessionId; code: number; reason: string }[] = [];
  readonly probed: SessionId[] = [];
  alive = true;
  deaf = false;
  bytes = new Map<SessionId, number>();
  private readonly onEnd: (session: SessionId, reason: string) => void;

  constructor(onEnd: (session: SessionId, reason: string) => void) {
    this.onEnd = onEnd;
  }

  end(session: SessionId, code: number, reason: string): void {
    this.ended.push({ session, code, reason });
    if (!this.deaf) this.onEnd(session, reason);
  }

  probe(session: SessionId): Promise<boolean> {
    this.probed.push(session);
    return Promise.resolve(this.alive);
  }

  traffic(): Promise<ReadonlyMap<SessionId, number>> {
    return Promise.resolve(this.bytes);
  }
}

export type AuditLine = AuditFields & { event: AuditEvent };

export interface StageOptions {
  store?: CountingStore;
  bus?: SessionBus;
  rules?: Partial<GateSettings>;
  limits?: Partial<SessionLimits>;
  isExempt?: (client: string) => boolean;
  /** Whose grants the stage takes; without this it has a store of its own, and so anybody's. */
  zone?: OwnZone;
  /** With this, tokens are looked at before their first use. */
  recheck?: (grant: Grant, key: TokenKey, isFirstUse: boolean) => Promise<Grant>;
  narrow?: (grant: Grant) => Grant;
}

export interface Stage {
  store: CountingStore;
  sessions: SessionRegistry;
  endings: SessionEndings;
  upkeep: Upkeep;
  revocation: Revocation;
  gate: Gate;
  /** In use from the next knock on. */
  rules: GateSettings;
  limits: SessionLimits;
  audit: AuditLine[];
  log: string[];
  /** Everybody who ever knocked. */
  knocked: SessionId[];
  place(): TestPlace;
  /** A token for a VM. */
  token(grant?: Partial<Grant>): Promise<Token>;
  /** Knocks with a token from an address. */
  open(token: string, client?: string, place?: SessionPlace): Promise<SessionId>;
  /** Sessions that the store believes to be there. */
  leases(): Promise<SessionId[]>;
}

export const end = { reason: 'over', bytesToBrowser: 1, bytesToTarget: 2, seconds: 3 };

export function buildGate(options: StageOptions = {}): Stage {
  const store = options.store ?? new CountingStore();
  const rules: GateSettings = {
    ...{ graceMs: 60_000, maxAgeMs: 43_200_000, sessions: 'single', bindClient: false, maxUnknownTokens: 60 },
    ...options.rules,
  };
  const limits: SessionLimits = {
    perVm: 16,
    perUser: 64,
    perAddress: 64,
    perHost: 10_000,
    ...options.limits,
  };
  const isExempt = options.isExempt ?? (() => false);
  const lines: AuditLine[] = [];
  const audit = (event: AuditEvent, fields: AuditFields) => void lines.push({ event, ...fields });
  const log: string[] = [];
  const logger = pino({ level: 'debug' }, { write: (line) => void log.push(line) });
  const sessions = new SessionRegistry({ limits: () => limits, isExempt });
  const knocked: SessionId[] = [];
  const expectArrival = sessions.expect.bind(sessions);
  sessions.expect = (id) => {
    knocked.push(id);
    return expectArrival(id);
  };
  const { endpoint } = { endpoint: 'endpoint-of-gate', ...options.zone };
  const zone = {
    own: options.zone ?? { endpoint, alone: true },
    stamp: options.zone === undefined ? { endpoint } : { id: options.zone.id, endpoint },
    learnAsService: async () => {},
  };
  const endings = new SessionEndings(sessions, options.bus ?? noBus);
  const upkeep = new Upkeep({ store, sessions, endings, rules: () => rules, logger });
  const revocation = new Revocation({ store, sessions, endings, zone, rules: () => rules, audit });
  const recheck = {
    isOn: options.recheck !== undefined,
    atConnect: options.recheck ?? ((grant: Grant) => Promise.resolve(grant)),
  };
  const gate = new Gate({
    pace: new Pace(),
    ...{ store, sessions, endings, zone, audit, isExempt, recheck },
    settings: () => rules,
    narrow: options.narrow ?? ((grant) => grant),
    vncAccess: () => undefined,
  });
  const newPlace = () => new TestPlace((session, reason) => gate.closed(session, { ...end, reason }));
  const defaultPlace = newPlace();
  const createOptions: CreateOptions = { maxOfVm: 1000, forWebsockify: false };
  return {
    ...{ store, sessions, endings, upkeep, revocation, gate, rules, limits, audit: lines, log, knocked },
    place: newPlace,
    token: (grant = {}) => {
      const issuedAt = store.now();
      const { host, port } = grant.target ?? { host: '127.0.0.1', port: 5900 };
      const times = { issuedAt, expiresAt: issuedAt + TTL_MS };
      const usual = { zone: zone.stamp, vmId: 7, uid: 2, user: 'alice', ...times };
      return store.create(issued({ ...usual, ...grant, target: { host, port } }), createOptions);
    },
    open: async (token, client = '192.0.2.1', place = defaultPlace) => {
      const key = { hash: hashToken(token as Token) };
      const { session } = await gate.open({ key, client, ref: 'REF234' }, place);
      return session;
    },
    leases: async () => {
      const stored = await store.list(100_000);
      return stored.flatMap(({ record }) =>
        presentLeases(record.use, store.now()).map(({ session }) => session),
      );
    },
  };
}

/** What a promise was refused with; an error where it was not. */
export async function refusal(promise: Promise<unknown>): Promise<GatewayError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof GatewayError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

/** Lets everything go on that waits for nothing but a turn of the event loop. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}
