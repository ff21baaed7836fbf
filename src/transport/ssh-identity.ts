// Who we are to sshd: a private key out of a file, an agent, or both. Read when the service starts and reloads.
// What always holds: a key or passphrase that others can read is refused; errors name the rule's member and the file, and
// nothing that stands in it.
import { createHash } from 'node:crypto';
import { StartError } from '../errors.js';
import { readSecretFile } from '../secret-file.js';
import { parsePrivateKey, type SshKey } from './ssh-client.js';
import type { KeyProblem } from './ssh-key-forms.js';
import type { SshRule } from './ssh-rule.js';

const MAX_SECRET_BYTES = 64 * 1024;

export interface SshIdentity {
  readonly key: SshKey | undefined;
  /** Path of the agent's socket. */
  readonly agent: string | undefined;
  /** Of key file and passphrase: the same one need not be decrypted again, which takes a second. */
  readonly digest: string;
}

/**
 * @param setting where the rule stands: `targets[2]`
 * @param known what was read before
 * @throws StartError naming member and file of all that cannot be used, one a line
 */
export function readIdentity(
  setting: string,
  { keyFile, passphraseFile, agent }: SshRule,
  known: readonly SshIdentity[],
): SshIdentity {
  if (keyFile === undefined) return { key: undefined, agent, digest: '' };
  const problems: string[] = [];
  const read = (member: string, path: string): Buffer | undefined => {
    try {
      return readSecretFile(path, `${setting}.${member}`, MAX_SECRET_BYTES);
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      problems.push(error.message);
      return undefined;
    }
  };
  const text = read('key_file', keyFile);
  const phrase = passphraseFile === undefined ? undefined : read('passphrase_file', passphraseFile);
  if (text === undefined || problems.length > 0) throw new StartError(problems.join('\n'));
  const passphrase = phrase?.toString('utf8').split(/\r?\n/, 1)[0];
  const digest = createHash('sha256')
    .update(text)
    .update(`\0${passphrase ?? ''}`)
    .digest('hex');
  const key = known.find((one) => one.digest === digest)?.key ?? parsePrivateKey(text, passphrase);
  text.fill(0);
  phrase?.fill(0);
  if (typeof key === 'string') {
    throw new StartError(`${setting}.key_file: ${keyFile} ${tell(key, passphraseFile)}`);
  }
  return { key, agent, digest };
}

function tell(problem: KeyProblem, passphraseFile: string | undefined): string {
  switch (problem) {
    case 'needs-passphrase':
      return 'is encrypted, and passphrase_file is not set';
    case 'wrong-passphrase':
      return `cannot be decrypted with passphrase_file ${passphraseFile}`;
    case 'unusable':
      return 'holds no private key that can be used here: of RSA, ECDSA or Ed25519, in PEM (PKCS#8, PKCS#1, SEC 1) or as OpenSSH writes it';
  }
}
