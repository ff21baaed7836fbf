// Looks a hypervisor up in the known_hosts files, anew for every SSH connection, so that a change there needs no reload.
// What always holds: a key is never learned; a file that is there and cannot be read lets nobody in.
import { open } from 'node:fs/promises';
import { causeOf } from '../errors.js';
import type { Logger } from '../log.js';
import {
  fingerprintOf,
  HostKeys,
  type KnownHosts,
  knownHostsName,
  parseKnownHosts,
  typeOf,
} from './known-hosts.js';
import { sshFailed } from './ssh-errors.js';
import type { SshWay } from './ssh-rule.js';

/** Some 10,000 hosts with a key of each type. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;

/** Problems that the log has named already: another connection is no reason to repeat them. */
const MAX_TOLD = 1_000;

export class KnownHostsFiles {
  private readonly logger: Logger;
  private readonly told = new Set<string>();

  constructor(logger: Logger) {
    this.logger = logger;
  }

  /**
   * What the rule's files say about a hypervisor now.
   * @throws GatewayError `target-failed` naming a file that cannot be read
   */
  async lookUp(way: SshWay): Promise<HostKeys> {
    const files: KnownHosts[] = [];
    for (const path of way.knownHosts) {
      const text = await readText(path);
      if (text === undefined) continue;
      const file = parseKnownHosts(text);
      this.complain(path, file.authorities, '@cert-authority is not supported in known_hosts, ignored');
      this.complain(path, file.broken, 'a line of known_hosts is not understood, ignored');
      files.push(file);
    }
    return new HostKeys(files, [...new Set([way.host, way.address])], way.port);
  }

  private complain(file: string, lines: readonly number[], problem: string): void {
    const told = `${file} ${problem} ${lines.join()}`;
    if (lines.length === 0 || this.told.has(told)) return;
    if (this.told.size >= MAX_TOLD) this.told.clear();
    this.told.add(told);
    this.logger.warn({ file, lines: lines.slice(0, 20) }, problem);
  }
}

/** @returns why the connection may not go on, or undefined where it may */
export function refusedHostKey(way: SshWay, keys: HostKeys, key: Buffer): string | undefined {
  const label = knownHostsName(way.host, way.port);
  const files = `known_hosts ${way.knownHosts.join(', ')}`;
  const shown = `${typeOf(key)} ${fingerprintOf(key)}`;
  switch (keys.check(key)) {
    case 'known':
      return undefined;
    case 'revoked':
      return `host key of ${label} is revoked in ${files} (the server shows ${shown})`;
    case 'changed':
      return `host key of ${label} has changed: the server shows ${shown}, which is not in ${files}`;
    case 'unknown':
      return `host key of ${label} is not in ${files} (the server shows ${shown})`;
  }
}

/** The server has no key of a type that known_hosts has for it. */
export function noCommonHostKey(way: SshWay, keys: HostKeys): string {
  const label = knownHostsName(way.host, way.port);
  const types = keys.types.join(', ');
  return types === ''
    ? `host key of ${label} is of no type that is accepted here`
    : `host key of ${label} has changed: the server has none of the types in known_hosts ${way.knownHosts.join(', ')} (${types})`;
}

/** @returns undefined where there is no such file */
async function readText(path: string): Promise<string | undefined> {
  try {
    const file = await open(path, 'r');
    try {
      const stat = await file.stat();
      if (!stat.isFile()) throw new Error('no file');
      if (stat.size > MAX_FILE_BYTES) throw new Error(`more than ${MAX_FILE_BYTES} bytes`);
      return await file.readFile('latin1');
    } finally {
      await file.close();
    }
  } catch (error) {
    const cause = causeOf(error);
    if (cause === 'ENOENT') return undefined;
    throw sshFailed(`known_hosts ${path} cannot be read: ${cause}`);
  }
}
