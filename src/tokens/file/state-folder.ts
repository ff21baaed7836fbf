// Our own folder, and files that appear in it whole or not at all; and new files in a folder of others.
// What always holds: in our own folder what is being written has a temporary name, 0600; nothing of ours is renamed from
// one folder into the other, which may be two mounts; what is read has a bound.
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { causeOf, StartError } from '../../errors.js';

// Not `fs/promises`: its file handles cost as much again as the work itself, and every token takes two files.
const open = promisify(fs.open);
const read = promisify(fs.read);
const write = promisify(fs.write);
const close = promisify(fs.close);
const rename = promisify(fs.rename);
const unlink = promisify(fs.unlink);
const { chmod, mkdir, readdir } = fs.promises;

const TEMPORARY_NAME = /^\.tmp-/;

export class StateFolder {
  readonly path: string;
  /** Of this process alone, for two may be running for a moment. */
  private readonly temporaryPrefix = `.tmp-${randomBytes(12).toString('hex')}-`;
  private temporaryFiles = 0;

  constructor(path: string) {
    this.path = path;
  }

  /** Makes it, for us alone, and proves that it can be written. @throws StartError */
  async prepare(): Promise<void> {
    await this.prepareOther(this.path, 'the state folder');
    await chmod(this.path, 0o700).catch(() => {});
  }

  /** Makes a folder of others, and proves that a file can be made in it. @throws StartError naming the setting */
  async prepareOther(folder: string, setting: string): Promise<void> {
    const trial = join(folder, `.tmp-${randomBytes(12).toString('hex')}`);
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await close(await open(trial, 'wx', 0o600));
      await unlink(trial);
    } catch (error) {
      await unlink(trial).catch(() => {});
      throw new StartError(`${setting}: cannot write ${folder}: ${causeOf(error)}`);
    }
  }

  /** The names in it, without what was being written when a former process ended: that is removed. */
  async list(): Promise<string[]> {
    const names = await readdir(this.path);
    for (const name of names)
      if (TEMPORARY_NAME.test(name)) await unlink(join(this.path, name)).catch(() => {});
    return names.filter((name) => !TEMPORARY_NAME.test(name));
  }

  /** A file of our own folder, new or another one. */
  async write(path: string, content: string): Promise<void> {
    const temporary = join(this.path, `${this.temporaryPrefix}${++this.temporaryFiles}`);
    try {
      await writeWhole(temporary, content);
      await rename(temporary, path);
    } catch (error) {
      await unlink(temporary).catch(() => {});
      throw error;
    }
  }
}

/**
 * A file that was not there, in a folder of others; they may see its beginning for a moment, mostly nothing or all.
 * @throws what the system says; then it is gone again, or was there before
 */
export async function writeNewFile(path: string, content: string): Promise<void> {
  try {
    await writeWhole(path, content);
  } catch (error) {
    if (causeOf(error) !== 'EEXIST') await unlink(path).catch(() => {});
    throw error;
  }
}

/** In one call, which the kernel's file systems show to readers all at once, as long as it is shorter than a page. */
async function writeWhole(path: string, content: string): Promise<void> {
  const bytes = Buffer.from(content);
  const file = await open(path, 'wx', 0o600);
  try {
    const { bytesWritten } = await write(file, bytes);
    if (bytesWritten < bytes.length) throw Object.assign(new Error('short write'), { code: 'ENOSPC' });
  } finally {
    await close(file);
  }
}

/** A missing file is fine. */
export async function removeFile(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if (causeOf(error) !== 'ENOENT') throw error;
  });
}

/** The names in a folder of others. @throws what the system says */
export function namesIn(folder: string): Promise<string[]> {
  return readdir(folder);
}

/**
 * The text of a file of at most so many bytes.
 * @returns undefined where there is no such file, where it is none, or where it is longer
 * @throws StartError where it cannot be read: that is not the same as nonsense
 */
export async function readSmallFile(path: string, maxBytes: number): Promise<string | undefined> {
  try {
    const file = await open(path, 'r', 0);
    // Of an open file neither asks the disk: a turn of the thread pool would cost more than they do.
    try {
      const { size } = fs.fstatSync(file);
      return size > maxBytes ? undefined : await readText(file, size);
    } finally {
      fs.closeSync(file);
    }
  } catch (error) {
    const cause = causeOf(error);
    if (cause === 'ENOENT' || cause === 'EISDIR') return undefined;
    throw new StartError(`the state folder: cannot read ${path}: ${cause}`);
  }
}

async function readText(file: number, size: number): Promise<string> {
  const buffer = Buffer.allocUnsafe(size);
  let length = 0;
  while (length < size) {
    const { bytesRead } = await read(file, buffer, length, size - length, null);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return buffer.toString('utf8', 0, length);
}
