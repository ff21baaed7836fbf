// The files of one token: ours, named by the token's hash, and the one that websockify reads.
// What always holds: a file of ours appears whole or not at all, and holds neither token nor password; one of websockify's
// is whole before anybody knows the token in it, and until then changes nothing for the tokens beside it.
import { join } from 'node:path';
import { inParallel } from '../../parallel.js';
import type { Grant } from '../grant.js';
import type { TokenRecord } from '../record.js';
import { fingerprint, type Token, type TokenHash } from '../token.js';
import { Heartbeat } from './heartbeat.js';
import { parseState, type StoredState, stateText } from './state-file.js';
import { namesIn, readSmallFile, removeFile, StateFolder, writeNewFile } from './state-folder.js';

/** Of our own state folder, under OpenNebula's. */
const STATE_FOLDER = 'vnctoken';
const HASH_NAME = /^[0-9a-f]{64}$/;
const WEBSOCKIFY_NAME = /^vnctoken-\d+-[0-9a-f]{12}$/;
/** Larger files in our folder are not ours. */
const MAX_STATE_FILE_BYTES = 256 * 1024;
/** Node has four threads for files; some more waiting keep them busy. */
const FILES_AT_A_TIME = 16;

export interface TokenFilesOptions {
  /** OpenNebula's state folder, e.g. `/var/lib/one`. */
  readonly stateFolder: string;
  /** Name of websockify's directory below it; undefined: no files for websockify. */
  readonly websockifyFolderName: string | undefined;
}

/** Reads, writes and removes the files; knows no rules about tokens. */
export class TokenFiles {
  readonly heartbeat: Heartbeat;
  private readonly folder: StateFolder;
  private readonly websockifyFolder: string | undefined;

  constructor({ stateFolder, websockifyFolderName }: TokenFilesOptions) {
    this.folder = new StateFolder(join(stateFolder, STATE_FOLDER));
    this.heartbeat = new Heartbeat(this.folder);
    this.websockifyFolder =
      websockifyFolderName === undefined ? undefined : join(stateFolder, websockifyFolderName);
  }

  /** Makes the folders, and proves that both can be written. @throws StartError */
  async prepare(): Promise<void> {
    await this.folder.prepare();
    if (this.websockifyFolder !== undefined) {
      await this.folder.prepareOther(this.websockifyFolder, 'token_folder_name');
    }
  }

  /**
   * Every stored record; what is no record of ours under a name of ours (left half-written by a crash) is removed.
   * @throws StartError where a file cannot be read
   */
  async load(): Promise<ReadonlyMap<TokenHash, StoredState>> {
    const states = new Map<TokenHash, StoredState>();
    const names = (await this.folder.list()).filter((name) => HASH_NAME.test(name));
    await inParallel(names, FILES_AT_A_TIME, async (name) => {
      const path = join(this.folder.path, name);
      const state = parseState((await readSmallFile(path, MAX_STATE_FILE_BYTES)) ?? '');
      if (state === undefined) await removeFile(path).catch(() => {});
      else states.set(name as TokenHash, state);
    });
    return states;
  }

  /** Removes websockify's files of ours whose token is not among the given ones. @throws what the system says */
  async removeStrays(unused: ReadonlyMap<TokenHash, TokenRecord>): Promise<void> {
    const folder = this.websockifyFolder;
    if (folder === undefined) return;
    const known = new Set([...unused].map(([hash, { grant }]) => websockifyName(hash, grant)));
    const names = await namesIn(folder);
    const strays = names.filter((name) => WEBSOCKIFY_NAME.test(name) && !known.has(name));
    await inParallel(strays, FILES_AT_A_TIME, (name) => removeFile(join(folder, name)));
  }

  /** The files of a new token. When it throws, none is there. */
  async create(token: Token, hash: TokenHash, record: TokenRecord, forWebsockify: boolean): Promise<void> {
    await this.writeState(hash, record);
    if (this.websockifyFolder === undefined || !forWebsockify) return;
    try {
      // Not by rename: the two folders may be two mounts. websockify reads every file of its directory at each look-up,
      // and any beginning of this one is nothing to it, a comment, or a line that only the token itself could ask for.
      await writeNewFile(
        join(this.websockifyFolder, websockifyName(hash, record.grant)),
        websockifyText(token, record.grant),
      );
    } catch (error) {
      await removeFile(this.statePath(hash));
      throw error;
    }
  }

  /** Of a token that has been used: websockify does not serve it any more. @throws what the system says */
  async update(hash: TokenHash, record: TokenRecord): Promise<void> {
    await this.removeForWebsockify(hash, record.grant);
    await this.writeState(hash, record);
  }

  /** @throws what the system says, except that a missing file is fine */
  async remove(hash: TokenHash, grant: Grant): Promise<void> {
    await this.removeForWebsockify(hash, grant);
    await removeFile(this.statePath(hash));
  }

  private statePath(hash: TokenHash): string {
    return join(this.folder.path, hash);
  }

  private writeState(hash: TokenHash, record: TokenRecord): Promise<void> {
    return this.folder.write(this.statePath(hash), stateText(record, this.heartbeat.run));
  }

  private async removeForWebsockify(hash: TokenHash, grant: Grant): Promise<void> {
    if (this.websockifyFolder !== undefined) {
      await removeFile(join(this.websockifyFolder, websockifyName(hash, grant)));
    }
  }
}

/** All of it ASCII: a file that is not UTF-8 would break every look-up. */
export function websockifyText(token: Token, { vmId, target, expiresAt }: Grant): string {
  const comment = { vm: vmId, expires: new Date(expiresAt).toISOString() };
  return `# ${JSON.stringify(comment)}\n${token}: ${target.host}:${target.port}\n`;
}

function websockifyName(hash: TokenHash, { vmId }: Grant): string {
  return `vnctoken-${vmId}-${fingerprint(hash)}`;
}
