// Stores on Redis for tests: with all that they log, and the questions that tests ask of them again and again.
import type { KeyObject } from 'node:crypto';
import { pino } from 'pino';
import type { Grant } from '../../src/tokens/grant.ts';
import type { SessionId, TokenRecord } from '../../src/tokens/record.ts';
import { RedisTokenStore } from '../../src/tokens/redis/store.ts';
import { parseRedisUrl } from '../../src/tokens/redis/url.ts';
import { type ClaimOutcome, claim, end, issued, type TokenRules } from '../../src/tokens/rules.ts';
import { hashToken, type Token } from '../../src/tokens/token.ts';
import { atEnd } from './lifetime.ts';

export interface LoggedStore {
  store: RedisTokenStore;
  /** The log's lines so far. */
  lines: string[];
}

/** Not opened yet; closed when the test ends. */
export function redisStore(url: string, prefix = 'vnctoken:', secret?: KeyObject): LoggedStore {
  const lines: string[] = [];
  const logger = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
  const store = new RedisTokenStore({ address: parseRedisUrl(url), prefix, secret, logger });
  atEnd(() => store.close());
  return { store, lines };
}

export async function openRedisStore(url: string, prefix?: string, secret?: KeyObject): Promise<LoggedStore> {
  const one = redisStore(url, prefix, secret);
  await one.store.open();
  return one;
}

export const rules: TokenRules = {
  graceMs: 60_000,
  maxAgeMs: 3_600_000,
  sessions: 'single',
  bindClient: false,
};

export function createToken(
  store: RedisTokenStore,
  over: Partial<Grant> = {},
  maxOfVm = 1000,
): Promise<Token> {
  const now = store.now();
  const target = { host: 'node1', port: 5907 };
  const grant = { vmId: 7, target, uid: 2, user: 'alice', issuedAt: now, expiresAt: now + 600_000, ...over };
  return store.create(issued(grant), { maxOfVm, forWebsockify: false });
}

export function recordOf(store: RedisTokenStore, token: Token): Promise<TokenRecord | undefined> {
  return store.update({ hash: hashToken(token) }, (record) => ({ record, result: record }));
}

export function claimToken(
  store: RedisTokenStore,
  token: Token,
  session = 's1',
  client = '192.0.2.1',
  over: Partial<TokenRules> = {},
): Promise<ClaimOutcome> {
  const request = { session: session as SessionId, client };
  const all = { ...rules, ...over };
  return store.update({ hash: hashToken(token) }, (record, now) => claim(record, request, all, now));
}

export function revokeToken(store: RedisTokenStore, token: Token) {
  return store.update({ hash: hashToken(token) }, (record, now) => end(record, 'revoked', rules, now));
}
