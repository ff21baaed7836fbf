// Who we are to sshd: a private key out of a file, an agent, or both. Read when the service starts and reloads.
// What always holds: a key or passphrase that others can read is refused; errors name the setting and the file, and
// nothing that stands in it.
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { causeOf, StartError } from '../errors.js';
import { type KeyProblem, parsePrivateKey, type SshKey } from './ssh-client.js';
import type { SshRule } from './ssh-rule.js';

const MAX_SECRET_BYTES = 64 * 1024;
const OTHERS = 0o077;

export interface SshIdentity {
  readonly key: SshKey | undefined;
  /** Path of the agent's socket. */
  readonly agent: string | undefined;
}

/** Keys that are ready, by the digest of their file and passphrase: a passphrase takes a second to try. */
type ReadyKeys = ReadonlyMap<string, SshKey>;

/** The identities of all rules. */
export class SshIdentities {
  private readonly byRule = new Map<string, SshIdentity>();
  private readonly ready = new Map<string, SshKey>();

  /**
   * @param before what was read the last time: a key that is the same is not decrypted again
   * @throws StartError naming setting and file of all that cannot be used, one a line
   */
  constructor(rules: readonly SshRule[], before?: SshIdentities) {
    const problems = new Set<string>();
    for (const rule of rules) {
      try {
        this.byRule.set(JSON.stringify(rule), this.read(rule, before?.ready));
      } catch (error) {
        if (!(error instanceof StartError)) throw error;
        problems.add(error.message);
      }
    }
    if (problems.size > 0) throw new StartError([...problems].join('\n'));
  }

  of(rule: SshRule): SshIdentity | undefined {
    return this.byRule.get(JSON.stringify(rule));
  }

  private read({ keyFile, passphraseFile, agent }: SshRule, before: ReadyKeys | undefined): SshIdentity {
    if (keyFile === undefined) {
      if (agent === undefined) throw new StartError('targets: via ssh needs key_file or agent');
      return { key: undefined, agent };
    }
    const text = readSecret('key_file', keyFile);
    const passphrase =
      passphraseFile === undefined
        ? undefined
        : readSecret('passphrase_file', passphraseFile).toString('utf8').split(/\r?\n/, 1)[0];
    const digest = createHash('sha256')
      .update(text)
      .update(`\0${passphrase ?? ''}`)
      .digest('hex');
    const key = this.ready.get(digest) ?? before?.get(digest) ?? parsePrivateKey(text, passphrase);
    text.fill(0);
    if (typeof key === 'string') throw new StartError(tell(key, keyFile, passphraseFile));
    this.ready.set(digest, key);
    return { key, agent };
  }
}

function tell(problem: KeyProblem, keyFile: string, passphraseFile: string | undefined): string {
  switch (problem) {
    case 'needs-passphrase':
      return `targets: key_file ${keyFile} is encrypted, and passphrase_file is not set`;
    case 'wrong-passphrase':
      return `targets: key_file ${keyFile} cannot be decrypted with passphrase_file ${passphraseFile}`;
    case 'unusable':
      return `targets: key_file ${keyFile} holds no private key that can be used here`;
  }
}

function readSecret(setting: string, path: string): Buffer {
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    // Of the file that is open, which a name may no longer lead to.
    const { mode, size } = fstatSync(file);
    if ((mode & OTHERS) !== 0) {
      const shown = (mode & 0o777).toString(8).padStart(4, '0');
      throw new StartError(
        `targets: ${setting} ${path} is open to others than its owner (mode ${shown}, wanted 0600)`,
      );
    }
    if (size > MAX_SECRET_BYTES) throw new StartError(`targets: ${setting} ${path} is too large`);
    return readFileSync(file);
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw new StartError(`targets: ${setting}: cannot read ${path}: ${causeOf(error)}`);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
