// The ways to targets, and the handshake behind them, in the test's own process.
import { ConsoleTargets } from '../../src/console-targets.ts';
import { silent } from '../../src/log.ts';
import { atEnd } from './lifetime.ts';

/** @param rules as they stand in the configuration */
export async function openTargets(rules: readonly object[]): Promise<ConsoleTargets> {
  const targets = new ConsoleTargets(silent);
  await targets.load(rules);
  atEnd(() => targets.close());
  return targets;
}
