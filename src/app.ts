// The composition root: control plane and data plane from the settings, started and stopped in order.
// What always holds: all listeners are up before start() returns, and a start that fails leaves nothing running.
import type { AddressInfo } from 'node:net';
import { availableParallelism } from 'node:os';
import { openAudit } from './audit.js';
import { Supervisor } from './cluster/supervisor.js';
import { type Loaded, workerEnvironment } from './config/load.js';
import { type OptionName, optionNames, optionOf, type Settings } from './config/options.js';
import { doorOf } from './console/gate.js';
import { ControlPlane } from './control-plane.js';
import { type DataPlane, LocalDataPlane } from './data-plane.js';
import type { Log } from './log.js';
import { prepareAll } from './prepared.js';

export interface Addresses {
  readonly rpc: AddressInfo;
  /** Empty where the proxy is off. */
  readonly proxy: readonly AddressInfo[];
}

export interface App {
  /** @throws StartError in one line that names the setting */
  start(): Promise<Addresses>;
  /**
   * Takes new settings for everything to come; live sessions go on.
   * @returns the keys that changed and take a restart
   * @throws StartError where they cannot be used (a bad certificate); then nothing has changed
   */
  reload(loaded: Loaded): Promise<OptionName[]>;
  /** Opens the log anew, in every process. */
  reopenLogs(): void;
  /** Answers what is being asked, closes consoles with 1001, and ends within `stop_timeout`. */
  stop(): Promise<void>;
}

/** What stopping keeps back for its own last steps, of `stop_timeout`. */
const STOP_RESERVE_MS = 500;

export function createApp(loaded: Loaded, log: Log): App {
  let settings = loaded.settings;
  const audit = openAudit(settings.audit_file, log.logger);
  const control = new ControlPlane(loaded, log.logger, audit.audit);
  const dataPlane = createDataPlane(settings, control, log);

  let stopping = false;

  const stop = async () => {
    stopping = true;
    const deadlineMs = Math.max(0, settings.stop_timeout * 1000 - STOP_RESERVE_MS);
    // Sessions end before the store is closed, so that their tokens are given back.
    await Promise.all([control.refuse(deadlineMs), dataPlane.stop(deadlineMs)]);
    await control.close();
    await audit.close();
  };

  return {
    start: async () => {
      try {
        await control.open();
        const proxy = await dataPlane.start();
        return { rpc: await control.listen(), proxy };
      } catch (error) {
        await stop();
        throw error;
      }
    },
    reload: async (next) => {
      const { effective, waiting } = withoutRestart(settings, next.settings);
      const prepared = await prepareAll([
        () => control.prepare(effective),
        () => dataPlane.prepare(effective),
        () => ({ take: () => log.setLevel(effective.debug_level) }),
      ]);
      if (stopping) {
        await prepared.discard?.();
        return [];
      }
      settings = effective;
      await prepared.take();
      return waiting;
    },
    reopenLogs: () => {
      log.reopen();
      audit.reopen();
      dataPlane.reopenLogs();
    },
    stop,
  };
}

function createDataPlane(settings: Settings, { gate }: ControlPlane, { logger }: Log): DataPlane {
  const workers = workerCount(settings);
  if (workers > 1)
    return new Supervisor({ settings, workers, gate, logger, environment: workerEnvironment() });
  const plane: LocalDataPlane = new LocalDataPlane(
    settings,
    { open: (knock) => doorOf(gate, plane.place).open(knock), closed: (id, end) => gate.closed(id, end) },
    logger,
  );
  return plane;
}

/** Without a proxy there is nothing to share among processes. */
function workerCount({ workers, vnc_proxy_port: proxy }: Settings): number {
  if (proxy.kind === 'off') return 1;
  return workers === 'auto' ? availableParallelism() : workers;
}

/** New settings, except for those that take a restart: they keep the value that is in force. */
function withoutRestart(before: Settings, next: Settings): { effective: Settings; waiting: OptionName[] } {
  const fixed = optionNames.filter((name) => optionOf(name).needsRestart === true);
  const kept = Object.fromEntries(fixed.map((name) => [name, before[name]]));
  return {
    effective: { ...next, ...kept },
    waiting: fixed.filter((name) => JSON.stringify(before[name]) !== JSON.stringify(next[name])),
  };
}
