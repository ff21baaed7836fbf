// `check-config --vm ID`: where oned says that a VM's console is, which rule of `targets` it takes, and whether it answers.
// What always holds: nothing is sent to the target but what opens the way to it; the VNC password is not even looked at.
import type { Loaded } from './config/load.js';
import { Accounts } from './console/accounts.js';
import { consolePortsOf, targetOf } from './console/policy.js';
import { ConsoleTargets } from './console-targets.js';
import { StartError, toGatewayError } from './errors.js';
import { silent } from './log.js';
import { OnedClient } from './oned/client.js';
import { readServiceAuth } from './oned/service-auth.js';
import { checkGreeting } from './transport/greeting.js';
import { nameRule } from './transport/rules.js';
import type { TargetConnection } from './transport/transport.js';

/**
 * @param oneAuth OpenNebula's ONE_AUTH, for where there is no service_auth
 * @throws StartError in one line that says what is wrong
 */
export async function checkVm(
  { settings }: Loaded,
  vmId: number,
  oneAuth: string | undefined,
  print: (line: string) => void,
): Promise<void> {
  const file = settings.service_auth ?? oneAuth;
  if (file === undefined) throw new StartError('--vm: needs service_auth, or ONE_AUTH in the environment');
  const session = readServiceAuth(file);
  const oned = new OnedClient(() => ({
    url: settings.one_xmlrpc,
    timeoutMs: settings.oned_timeout * 1000,
    connections: 1,
  }));
  const targets = new ConsoleTargets(silent);
  await targets.load(settings.targets);
  const late = new AbortController();
  const seconds = settings.proxy_connect_timeout;
  const timer = setTimeout(() => {
    late.abort(new Error(`no answer within ${seconds} s (proxy_connect_timeout)`));
  }, seconds * 1000);
  try {
    const vm = await oned.vmInfo(session, vmId, late.signal);
    const target = { ...targetOf(vm, consolePortsOf(settings)), vmId };
    const way = await targets.choose(target, late.signal);
    print(`VM ${vmId}: ${target.host}:${target.port}, by ${nameRule(way.rule)}`);
    const connection = await targets.connectBy(way, target, late.signal);
    await greeted(connection, late.signal).finally(() => connection.destroy());
    print('Its VNC server answers.');
    // What the service's user may not ask is told, a line each.
    if (settings.service_auth !== undefined) {
      const accounts = new Accounts({ oned, tell: print });
      await accounts.user(session, vm.uid, late.signal, {});
      await accounts.rules(session, late.signal);
    }
  } catch (error) {
    const reason = late.signal.aborted
      ? String(late.signal.reason.message)
      : error instanceof StartError
        ? error.message
        : toGatewayError(error).detail;
    throw new StartError(`VM ${vmId}: ${reason}`);
  } finally {
    clearTimeout(timer);
    await targets.close();
  }
}

function greeted(connection: TargetConnection, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let seen = Buffer.alloc(0);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    connection.start({
      data: (memory, start, end) => {
        seen = Buffer.concat([seen, memory.subarray(start, end)]);
        const state = checkGreeting(seen);
        if (state === 'right') resolve();
        if (state === 'wrong') reject(new StartError('the target is no RFB server'));
        return true;
      },
      drain: () => {},
      ended: (why) => reject(new StartError(`${why} before its greeting`)),
    });
  });
}
