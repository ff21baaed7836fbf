// Which VMs have a console, and where. Pure: facts in, target or refusal out.
// What always holds: a target has a host of harmless characters and a port that the operator allows; users write
// GRAPHICS/PORT themselves, and 22 must not make the proxy a way to the hypervisor's sshd.
import type { PortRange } from '../config/types.js';
import { GatewayError } from '../errors.js';
import { isVnc, type VmFacts } from '../oned/vm.js';

const ACTIVE = 3;

/** By the settings' names. */
export function consolePortsOf(settings: {
  readonly console_ports: readonly PortRange[];
  readonly default_console_port: number | undefined;
}): ConsolePorts {
  return { allowed: settings.console_ports, missing: settings.default_console_port };
}

/**
 * LCM_STATEs of an ACTIVE VM in which QEMU runs, as Sunstone and FireEdge have them: RUNNING, MIGRATE,
 * SHUTDOWN, CANCEL, HOTPLUG, SHUTDOWN_POWEROFF, BOOT_*, SNAPSHOT, DISK_* and BACKUP among them
 * (include/VirtualMachine.h in OpenNebula's sources).
 */
const CONSOLE_LCM_STATES: ReadonlySet<number> = new Set([
  3, 4, 12, 13, 16, 17, 18, 24, 25, 26, 27, 28, 29, 57, 58, 62, 69,
]);

/**
 * LCM_STATEs of an ACTIVE VM that has no QEMU and gets none by itself (include/VirtualMachine.h and src/lcm in
 * OpenNebula's sources): its disks are on their way out, it is deleted, or something is done to a VM that is powered
 * off, suspended, stopped or undeployed.
 */
const OVER_LCM_STATES: ReadonlySet<number> = new Set([
  // EPILOG_STOP, EPILOG, EPILOG_UNDEPLOY and their failures
  ...[10, 11, 30, 40, 41, 42],
  // CLEANUP_RESUBMIT, CLEANUP_DELETE
  ...[15, 23],
  // HOTPLUG_PROLOG_POWEROFF, HOTPLUG_EPILOG_POWEROFF, HOTPLUG_NIC_POWEROFF
  ...[33, 34, 65],
  // PROLOG_MIGRATE_POWEROFF, PROLOG_MIGRATE_SUSPEND and their failures
  ...[43, 44, 45, 46],
  // DISK_SNAPSHOT, DISK_SNAPSHOT_REVERT, DISK_SNAPSHOT_DELETE with _POWEROFF and _SUSPENDED
  ...[51, 52, 53, 54, 55, 56],
  // DISK_RESIZE_POWEROFF, DISK_RESIZE_UNDEPLOYED, HOTPLUG_SAVEAS_UNDEPLOYED, HOTPLUG_SAVEAS_STOPPED
  ...[63, 64, 67, 68],
  // BACKUP_POWEROFF, RESTORE
  ...[70, 71],
]);

/** HOSTNAME is the host that the VM goes to, while QEMU still runs where it came from. */
const MIGRATE = 4;
/** RUNNING, MIGRATE and SAVE_MIGRATE, in which QEMU has not left its host yet, and its port there is still its own. */
const BEFORE_THE_MOVE: ReadonlySet<number> = new Set([3, MIGRATE, 7]);

/** What the ports of consoles are. */
export interface ConsolePorts {
  readonly allowed: readonly PortRange[];
  /** Of a VM without GRAPHICS/PORT; undefined: it has no console, for any port might be somebody else's. */
  readonly missing: number | undefined;
}

/**
 * Whether a VM's state has a console. `between`: not now, but as far as one can tell it will have again, so nothing
 * has to end: QEMU is being started, saved or moved (PROLOG, BOOT, SAVE_MIGRATE, …), or that failed and waits for
 * `onevm recover` (BOOT_FAILURE, PROLOG_MIGRATE_FAILURE, …), or QEMU does run (HOTPLUG_RESIZE, DISK_SNAPSHOT_DELETE);
 * SAVE_STOP and SAVE_SUSPEND may fail and go back to RUNNING, and if not, STOPPED and SUSPENDED follow. A number that
 * OpenNebula does not have yet is `between` as well: an upgrade there must not close consoles here.
 */
export type ConsoleState = 'open' | 'between' | 'over';

export function consoleStateOf({ state, lcmState }: Pick<VmFacts, 'state' | 'lcmState'>): ConsoleState {
  if (state !== ACTIVE || OVER_LCM_STATES.has(lcmState)) return 'over';
  return CONSOLE_LCM_STATES.has(lcmState) ? 'open' : 'between';
}

/** In the middle of a live migration. */
export function isMigrating({ state, lcmState }: Pick<VmFacts, 'state' | 'lcmState'>): boolean {
  return state === ACTIVE && lcmState === MIGRATE;
}

const HOST = /^[A-Za-z0-9._:-]{1,253}$/;
const MAX_QUOTED_LENGTH = 32;

/**
 * The target of a VM's console.
 * @throws GatewayError `wrong-state`, `no-console`
 */
export function targetOf(vm: VmFacts, ports: ConsolePorts): { host: string; port: number } {
  if (consoleStateOf(vm) !== 'open') {
    throw new GatewayError('wrong-state', {
      publicText: `Unsupported VM state! STATE:${vm.state} LCM_STATE:${vm.lcmState}`,
    });
  }
  return placeOf(vm, ports);
}

/**
 * Where the console is when there is one: the same without a look at the state. OpenNebula gives a VM its port for as
 * long as it is deployed, so nobody else listens there meanwhile.
 * @throws GatewayError `no-console`
 */
export function placeOf(vm: VmFacts, ports: ConsolePorts): { host: string; port: number } {
  if (vm.doubt !== undefined) throw new GatewayError('oned-nonsense', { detail: vm.doubt });
  if (!isVnc(vm.graphics.type)) {
    throw noConsole(`Graphics type '${quoted(vm.graphics.type)}' but 'VNC' expected`);
  }
  if (vm.host === undefined) throw noConsole('The VM has no host');
  if (!HOST.test(vm.host)) throw noConsole("The name of the VM's host has characters that are not accepted");
  return { host: vm.host, port: portOf(vm.graphics.port, ports) };
}

/**
 * The same, where QEMU runs now: in a migration that is not over the place that the VM comes from. When the disks of a
 * cold one have begun to move, the port there may be somebody else's.
 * @throws GatewayError `no-console`
 */
export function presentPlaceOf(vm: VmFacts, ports: ConsolePorts): { host: string; port: number } {
  const { state, lcmState, leaving, graphics } = vm;
  const runsThere = state === ACTIVE && BEFORE_THE_MOVE.has(lcmState);
  if (!runsThere || leaving === undefined) return placeOf(vm, ports);
  return placeOf({ ...vm, host: leaving.host, graphics: { ...graphics, port: leaving.port } }, ports);
}

function portOf(text: string | undefined, { allowed, missing }: ConsolePorts): number {
  if (text === undefined && missing === undefined) {
    throw noConsole('The VM has no GRAPHICS/PORT (see default_console_port)');
  }
  const port = text === undefined ? missing : /^\d{1,5}$/.test(text) ? Number(text) : undefined;
  if (port !== undefined && allowed.some(({ first, last }) => port >= first && port <= last)) return port;
  throw noConsole(`Graphics port '${quoted(text ?? String(missing))}' is not in console_ports`);
}

function noConsole(publicText: string): GatewayError {
  return new GatewayError('no-console', { publicText });
}

function quoted(text: string): string {
  return text.slice(0, MAX_QUOTED_LENGTH);
}
