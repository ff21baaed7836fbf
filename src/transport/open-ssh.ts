// Brings the SSH way in where a rule wants it: its library costs every process some 50 ms at its start, and 3 MB.
// What always holds: without such a rule nothing of it is loaded.
import { causeOf, StartError } from '../errors.js';
import type { Logger } from '../log.js';
import type { TargetRule } from './rules.js';
import type { SshPool } from './ssh.js';

/**
 * @returns undefined where no rule is by ssh
 * @throws StartError naming the first rule by ssh, where the library cannot be loaded
 */
export async function openSsh(rules: readonly TargetRule[], logger: Logger): Promise<SshPool | undefined> {
  const rule = rules.find(({ via }) => via === 'ssh');
  if (rule === undefined) return undefined;
  try {
    const ssh = await import('./ssh.js');
    return new ssh.SshPool({ logger });
  } catch (error) {
    throw new StartError(`${rule.setting}.via: ssh cannot be loaded: ${causeOf(error)}`);
  }
}
