// The connect function of rules that are given as they stand in the configuration.
import { createConnect, type SshConnector } from '../../src/transport/connect.ts';
import { parseTargetRules } from '../../src/transport/parse-rules.ts';
import type { ConnectTarget } from '../../src/transport/transport.ts';

const noSsh: SshConnector = {
  connect: () => Promise.reject(new Error('there is no rule by ssh here')),
};

export function connectBy(...rules: object[]): ConnectTarget {
  return createConnect(parseTargetRules(rules), { ssh: noSsh });
}
