// Which VMs have a console, and where. Pure: facts in, target or refusal out.
// What always holds: a target has a host of harmless characters and a port that the operator allows; users write
// GRAPHICS/PORT themselves, and 22 must not make the proxy a way to the hypervisor's sshd.
import type { PortRange } from '../config/types.js';
import { GatewayError } from '../errors.js';
import { isVnc, type VmFacts } from '../oned/vm.js';

const ACTIVE = 3;

/**
 * LCM_STATEs of an ACTIVE VM in which QEMU runs, as Sunstone and FireEdge have them: RUNNING, MIGRATE,
 * SHUTDOWN, CANCEL, HOTPLUG, SHUTDOWN_POWEROFF, BOOT_*, SNAPSHOT, DISK_* and BACKUP among them
 * (include/VirtualMachine.h in OpenNebula's sources).
 */
const CONSOLE_LCM_STATES: ReadonlySet<number> = new Set([
  3, 4, 12, 13, 16, 17, 18, 24, 25, 26, 27, 28, 29, 57, 58, 62, 69,
]);

/** Where QEMU listens when it is told no port. */
const DEFAULT_PORT = 5900;

const HOST = /^[A-Za-z0-9._:-]{1,253}$/;
const MAX_QUOTED_LENGTH = 32;

/**
 * The target of a VM's console.
 * @throws GatewayError `wrong-state`, `no-console`
 */
export function targetOf(vm: VmFacts, consolePorts: readonly PortRange[]): { host: string; port: number } {
  if (vm.state !== ACTIVE || !CONSOLE_LCM_STATES.has(vm.lcmState)) {
    throw new GatewayError('wrong-state', {
      publicText: `Unsupported VM state! STATE:${vm.state} LCM_STATE:${vm.lcmState}`,
    });
  }
  if (!isVnc(vm.graphics.type)) {
    throw noConsole(`Graphics type '${quoted(vm.graphics.type)}' but 'VNC' expected`);
  }
  if (vm.host === undefined) throw noConsole('The VM has no host');
  if (!HOST.test(vm.host)) throw noConsole("The name of the VM's host has characters that are not accepted");
  return { host: vm.host, port: portOf(vm.graphics.port, consolePorts) };
}

function portOf(text: string | undefined, consolePorts: readonly PortRange[]): number {
  const port = text === undefined ? DEFAULT_PORT : /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (consolePorts.some(({ first, last }) => port >= first && port <= last)) return port;
  throw noConsole(`Graphics port '${quoted(text ?? String(DEFAULT_PORT))}' is not in console_ports`);
}

function noConsole(publicText: string): GatewayError {
  return new GatewayError('no-console', { publicText });
}

function quoted(text: string): string {
  return text.slice(0, MAX_QUOTED_LENGTH);
}
