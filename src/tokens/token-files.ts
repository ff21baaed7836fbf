// The files of one token: ours, named by the token's hash, and the one that websockify reads.
// What always holds: a file appears whole, by rename, or not at all; ours holds neither token nor password.
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { causeOf, StartError } from '../errors.js';
import type { Grant } from './grant.js';
import { fingerprint, type Token, type TokenHash } from './token.js';

// Not `fs/promises`: its file handles cost as much again as the work itself, and every token takes two files.
const open = promisify(fs.open);
const write = promisify(fs.write);
const close = promisify(fs.close);
const rename = promisify(fs.rename);
const unlink = promisify(fs.unlink);
const { chmod, mkdir, readdir, readFile } = fs.promises;

/** Of our own state folder, under OpenNebula's. */
const STATE_FOLDER = 'vnctoken';
const FORMAT_VERSION = 1;
const HASH_NAME = /^[0-9a-f]{64}$/;
const TEMPORARY_NAME = /^\.tmp-/;
const WEBSOCKIFY_NAME = /^vnctoken-\d+-[0-9a-f]{12}$/;
/** Larger files in our folder are not ours. */
const MAX_STATE_FILE_BYTES = 64 * 1024;

const storedGrant = z.object({
  version: z.literal(FORMAT_VERSION),
  vmId: z.number().int(),
  target: z.object({ host: z.string(), port: z.number().int() }),
  user: z.string(),
  issuedAt: z.number(),
  expiresAt: z.number(),
});

export interface TokenFilesOptions {
  /** OpenNebula's state folder, e.g. `/var/lib/one`. */
  readonly stateFolder: string;
  /** Name of websockify's directory below it; undefined: no files for websockify. */
  readonly websockifyFolderName: string | undefined;
}

/** Reads, writes and removes the files; knows no rules about tokens. */
export class TokenFiles {
  private readonly folder: string;
  private readonly websockifyFolder: string | undefined;
  /** Of this process alone, for two may be running for a moment. */
  private readonly temporaryPrefix = `.tmp-${randomBytes(12).toString('hex')}-`;
  private temporaryFiles = 0;

  constructor({ stateFolder, websockifyFolderName }: TokenFilesOptions) {
    this.folder = join(stateFolder, STATE_FOLDER);
    this.websockifyFolder =
      websockifyFolderName === undefined ? undefined : join(stateFolder, websockifyFolderName);
  }

  /** Makes the folders, and proves that both can be written. @throws StartError */
  async prepare(): Promise<void> {
    await prepareFolder(this.folder, 'the state folder', this.folder);
    await chmod(this.folder, 0o700).catch(() => {});
    if (this.websockifyFolder !== undefined) {
      await prepareFolder(this.websockifyFolder, 'token_folder_name', this.folder);
    }
  }

  /**
   * Every stored grant; what is no grant of ours in our own folder (left half-written by a crash) is removed.
   * @throws StartError where a file cannot be read
   */
  async load(): Promise<Map<TokenHash, Grant>> {
    const grants = new Map<TokenHash, Grant>();
    for (const name of await readdir(this.folder)) {
      const path = join(this.folder, name);
      if (TEMPORARY_NAME.test(name)) await unlink(path).catch(() => {});
      if (!HASH_NAME.test(name)) continue;
      const grant = await readGrant(path);
      if (grant === undefined) await unlink(path).catch(() => {});
      else grants.set(name as TokenHash, grant);
    }
    return grants;
  }

  /** Removes websockify files of ours whose token is not among the given ones. */
  async removeStrays(grants: ReadonlyMap<TokenHash, Grant>): Promise<void> {
    if (this.websockifyFolder === undefined) return;
    const known = new Set([...grants].map(([hash, grant]) => websockifyName(hash, grant)));
    for (const name of await readdir(this.websockifyFolder)) {
      if (WEBSOCKIFY_NAME.test(name) && !known.has(name)) await removeFile(join(this.websockifyFolder, name));
    }
  }

  /** Writes both files. When it throws, neither is there. */
  async write(token: Token, hash: TokenHash, grant: Grant): Promise<void> {
    const statePath = join(this.folder, hash);
    await this.writeWhole(statePath, JSON.stringify({ version: FORMAT_VERSION, ...grant }));
    if (this.websockifyFolder === undefined) return;
    const { host, port } = grant.target;
    const comment = { vm: grant.vmId, expires: new Date(grant.expiresAt).toISOString() };
    try {
      await this.writeWhole(
        join(this.websockifyFolder, websockifyName(hash, grant)),
        `# ${JSON.stringify(comment)}\n${token}: ${host}:${port}\n`,
      );
    } catch (error) {
      await removeFile(statePath);
      throw error;
    }
  }

  /** @throws what the system says, except that a missing file is fine */
  async remove(hash: TokenHash, grant: Grant): Promise<void> {
    await this.removeForWebsockify(hash, grant);
    await removeFile(join(this.folder, hash));
  }

  async removeForWebsockify(hash: TokenHash, grant: Grant): Promise<void> {
    if (this.websockifyFolder !== undefined) {
      await removeFile(join(this.websockifyFolder, websockifyName(hash, grant)));
    }
  }

  /**
   * The temporary file is always in our own folder: websockify reads every file of its directory at each look-up,
   * half-written ones too.
   */
  private async writeWhole(path: string, content: string): Promise<void> {
    const temporary = join(this.folder, `${this.temporaryPrefix}${++this.temporaryFiles}`);
    try {
      const bytes = Buffer.from(content);
      const file = await open(temporary, 'wx', 0o600);
      try {
        const { bytesWritten } = await write(file, bytes);
        if (bytesWritten < bytes.length) throw Object.assign(new Error('short write'), { code: 'ENOSPC' });
      } finally {
        await close(file);
      }
      await rename(temporary, path);
    } catch (error) {
      await unlink(temporary).catch(() => {});
      throw error;
    }
  }
}

function websockifyName(hash: TokenHash, { vmId }: Grant): string {
  return `vnctoken-${vmId}-${fingerprint(hash)}`;
}

async function removeFile(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if (causeOf(error) !== 'ENOENT') throw error;
  });
}

/** @param scratch a folder on the same file system, where the trial file is made */
async function prepareFolder(folder: string, setting: string, scratch: string): Promise<void> {
  const trial = `.tmp-${randomBytes(12).toString('hex')}`;
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await close(await open(join(scratch, trial), 'wx', 0o600));
    await rename(join(scratch, trial), join(folder, trial));
    await unlink(join(folder, trial));
  } catch (error) {
    await unlink(join(scratch, trial)).catch(() => {});
    throw new StartError(`${setting}: cannot write ${folder}: ${causeOf(error)}`);
  }
}

async function readGrant(path: string): Promise<Grant | undefined> {
  try {
    const file = await readFile(path);
    if (file.length > MAX_STATE_FILE_BYTES) return undefined;
    const { version: _, ...grant } = storedGrant.parse(JSON.parse(file.toString('utf8')));
    return grant;
  } catch (error) {
    const cause = causeOf(error);
    // Unreadable is not the same as nonsense: nothing is removed because a disk hiccuped.
    if (/^(EIO|EMFILE|ENFILE|EACCES|EPERM)$/.test(cause)) {
      throw new StartError(`the state folder: cannot read ${path}: ${cause}`);
    }
    return undefined;
  }
}
