// The connect function of rules that are given as they stand in the configuration.
import { parseTargetRules } from '../../src/transport/parse-rules.ts';
import type { ConnectTarget } from '../../src/transport/transport.ts';
import { byRule, createWays, type SshConnector } from '../../src/transport/ways.ts';

export function connectBy(...rules: object[]): ConnectTarget {
  return connectWith(undefined, ...rules);
}

/** @param ssh the way of rules by ssh */
export function connectWith(ssh: SshConnector | undefined, ...rules: object[]): ConnectTarget {
  const ways = createWays(parseTargetRules(rules), ssh);
  return async (target, signal) => {
    const way = await ways.choose(target, signal);
    return byRule(way, () => way.open(target, signal));
  };
}
