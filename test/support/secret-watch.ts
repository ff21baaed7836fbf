// Every secret that goes through a test's hands, and a look at everything that a service wrote when it ends. So the
// whole run of the tests is one search for session strings and tokens in logs, audit, state and process lists.
// What always holds: websockify's directory is left out, for it is there to hold tokens.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const secrets = new Set<string>();
/** Shorter ones stand in many a text by chance. */
const MIN_LENGTH = 8;

/** Remembers what a call brought, and what its answer gave. */
export function watchCall(request: string, reply: string): void {
  const session = /<param>\s*<value>\s*<string>([^<]*:[^<]*)<\/string>/.exec(request)?.[1];
  if (session !== undefined) watchSession(plainText(session));
  if (!/one\.vm\.vnc(token|tokenonly|url)?</.test(request)) return;
  for (const [token] of reply.matchAll(/\b(?:[a-z0-9]{25}|eyJ[\w-]*\.\.[\w-]+\.[\w-]+\.[\w-]+)/g))
    secrets.add(token);
}

/** What the tests' own encoder has escaped. */
function plainText(escaped: string): string {
  return escaped.replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&#13;/g, '\r').replace(/&amp;/g, '&');
}

function watchSession(session: string): void {
  if (session.length >= MIN_LENGTH) secrets.add(session);
  const colon = session.indexOf(':');
  const [user, password] = [session.slice(0, colon), session.slice(colon + 1)];
  if (password.length >= MIN_LENGTH && password !== user) secrets.add(password);
}

export interface Written {
  /** Outputs of the process, its log and its audit. */
  readonly texts: readonly string[];
  /** State; searched with all folders below it. */
  readonly folder: string;
  /** Name of websockify's directory. */
  readonly except: string;
}

/** @throws Error that tells where a secret stands, but not which */
export function findNoSecret({ texts, folder, except }: Written): void {
  for (const text of [...texts, ...filesBelow(folder, except)]) {
    const found = [...secrets].find((secret) => text.includes(secret));
    if (found === undefined) continue;
    const at = text.indexOf(found);
    throw new Error(
      `a secret was written down: "${text.slice(Math.max(0, at - 200), at)}***${text.slice(at + found.length, at + found.length + 100)}"`,
    );
  }
}

/** Names and contents, since a name can hold a secret as well. */
function filesBelow(folder: string, except: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === except ? [] : filesBelow(path, except);
    return entry.isFile() ? [entry.name, readFileSync(path, 'latin1')] : [];
  });
}
