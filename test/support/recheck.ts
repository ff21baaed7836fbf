// A recheck with a real client, a store, and an oned that changes its VMs and users meanwhile; the browser's side only
// notes what it is told.
import { Accounts } from '../../src/console/accounts.ts';
import { SessionEndings } from '../../src/console/endings.ts';
import { KnownVms } from '../../src/console/known-vms.ts';
import { Recheck, type RecheckSettings } from '../../src/console/recheck.ts';
import { SessionRegistry } from '../../src/console/sessions.ts';
import { OnedClient } from '../../src/oned/client.ts';
import type { SessionString } from '../../src/oned/session-string.ts';
import type { BusMessage } from '../../src/tokens/bus.ts';
import type { Caller, Grant } from '../../src/tokens/grant.ts';
import { MemoryTokenStore } from '../../src/tokens/memory/store.ts';
import type { SessionId } from '../../src/tokens/record.ts';
import { claim, issued, type TokenRules } from '../../src/tokens/rules.ts';
import { hashToken, type TokenHash } from '../../src/tokens/token.ts';
import { atEnd } from './lifetime.ts';
import type { TestOned } from './oned.ts';

export const service = 'console:service' as SessionString;
export const never = new AbortController().signal;
export const rules: TokenRules = {
  graceMs: 60_000,
  maxAgeMs: undefined,
  sessions: 'shared',
  bindClient: false,
};
export const target = { host: 'node1', port: 5901 };
export const alice: Caller = { uid: 2, gids: [1], byPermission: true };

interface Ended {
  readonly session: string;
  readonly code: number;
}

/** All parts that a look has to do with. */
export function setUpRecheck(
  oned: TestOned,
  changed: Partial<RecheckSettings & { zone: number | undefined }> = {},
  timeoutMs = 20_000,
) {
  const settings = {
    ...{ serviceSession: service as SessionString | undefined, intervalMs: 60_000, rules },
    consolePorts: { allowed: [{ first: 5900, last: 65535 }], missing: undefined },
    zone: 0 as number | undefined,
    ...changed,
  };
  const limits = () => ({ perVm: 1e6, perUser: 1e6, perAddress: 1e6, perHost: 1e6 });
  const sessions = new SessionRegistry({ limits, isExempt: () => false });
  const published: BusMessage[] = [];
  const bus = { publish: (message: BusMessage) => void published.push(message), subscribe: () => {} };
  const store = new MemoryTokenStore({ now: () => 1_000_000 });
  const ended: Ended[] = [];
  const place = {
    end: (session: SessionId, code: number) => void ended.push({ session, code }),
    probe: () => Promise.resolve(true),
    traffic: () => Promise.resolve(new Map<SessionId, number>()),
  };
  const lines: { level: string; [field: string]: unknown }[] = [];
  const said: string[] = [];
  /** What goes wrong with a look has fields; what the service may not ask is a line of its own. */
  const note = (level: string) => (fields: object | string, message?: string) => {
    if (typeof fields === 'object') lines.push({ level, ...fields });
    else said.push(fields);
    if (message !== undefined) said.push(message);
  };
  const logger = { info: note('info'), warn: note('warn') } as never;
  const clock = { now: 0, random: 0.5, draws: 0 };
  const client = new OnedClient(() => ({ url: oned.url, timeoutMs, connections: 4 }));
  const recheck = new Recheck({
    ...{ oned: client, store, sessions, connectLookMs: 1_000, knownVms: new KnownVms() },
    accounts: new Accounts({ oned: client, tell: (line) => void said.push(line) }),
    zone: async () => settings.zone,
    endings: new SessionEndings(sessions, bus),
    logger,
    settings: () => settings,
    now: () => clock.now,
    random: () => {
      clock.draws++;
      return clock.random;
    },
  });
  atEnd(() => recheck.stop());
  let count = 0;

  /** A token that was just issued. */
  const issue = async (vmId: number, caller?: Caller, over: Partial<Grant> = {}) => {
    const uid = caller?.uid ?? 2;
    const about = { vmId, target, uid, user: 'alice', caller };
    const grant: Grant = { ...about, issuedAt: 0, expiresAt: 2_000_000, ...over };
    const options = { maxOfVm: 1e6, forWebsockify: false };
    const hash = hashToken(await store.create(issued(grant), options));
    return { grant, hash };
  };
  /** Somebody on its console; elsewhere: on another host. */
  const join = async ({ grant, hash }: { grant: Grant; hash: TokenHash }, elsewhere = false) => {
    const id = `s${++count}` as SessionId;
    const client = '192.0.2.1';
    await store.update({ hash }, (record, now) => claim(record, { session: id, client }, rules, now));
    if (!elsewhere) {
      sessions.add({ ...{ id, hash, grant, client, place }, since: 0, endsAt: undefined, ref: 'R' });
    }
    return id;
  };
  const open = async (vmId: number, caller?: Caller) => join(await issue(vmId, caller));
  const endingOf = (hash: TokenHash) =>
    store.update({ hash }, (record) => ({ record, result: record?.ended ?? 'alive' }));
  return {
    recheck,
    settings,
    issue,
    join,
    open,
    endingOf,
    ended,
    published,
    lines,
    clock,
    sessions,
    store,
    messages: () => said,
  };
}
