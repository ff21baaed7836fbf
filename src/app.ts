// The composition root: builds every part from the settings, starts and stops them in order.
// What always holds: all listeners are up before start() returns, and a start that fails leaves nothing running.
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { availableParallelism } from 'node:os';
import { TrustedProxies } from './client-address.js';
import { Supervisor } from './cluster/supervisor.js';
import type { Loaded } from './config/load.js';
import { type OptionName, optionNames, optionOf, type Settings } from './config/options.js';
import { createIssue } from './console/issue.js';
import { createRedeem } from './console/redeem.js';
import { type DataPlane, LocalDataPlane } from './data-plane.js';
import { listen } from './listen.js';
import type { Log } from './log.js';
import { OnedClient } from './oned/client.js';
import { createEndpoint } from './rpc/endpoint.js';
import { FileTokenStore } from './tokens/file-store.js';
import { TokenFiles } from './tokens/token-files.js';

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
  const { logger } = log;
  let settings = loaded.settings;
  let trustedProxies = new TrustedProxies(settings.trusted_proxies);
  const stopping = new AbortController();

  const store = new FileTokenStore({
    files: new TokenFiles({
      stateFolder: loaded.stateFolder,
      websockifyFolderName: settings.websockify_files ? settings.token_folder_name : undefined,
    }),
    logger,
    now: Date.now,
  });
  const oned = new OnedClient(() => ({
    url: settings.one_xmlrpc,
    timeoutMs: settings.oned_timeout * 1000,
    connections: settings.oned_connections,
  }));
  const rpc = createEndpoint({
    issue: createIssue({
      oned,
      store,
      now: Date.now,
      settings: () => ({ ttlMs: settings.token_ttl * 1000, consolePorts: settings.console_ports }),
    }),
    logger,
    maxBodyBytes: settings.max_body,
    settings: () => ({ publicUrl: settings.public_url, wss: tellsWss(settings), trustedProxies }),
    stopping: stopping.signal,
  });
  const redeem = createRedeem(store);
  const workers = workerCount(settings);
  const dataPlane: DataPlane =
    workers === 1
      ? new LocalDataPlane(settings, redeem, logger)
      : new Supervisor({ settings, workers, redeem, logger });

  const stop = async () => {
    stopping.abort();
    const deadlineMs = Math.max(0, settings.stop_timeout * 1000 - STOP_RESERVE_MS);
    await Promise.all([closeServer(rpc, deadlineMs), dataPlane.stop(deadlineMs)]);
    await store.close();
  };

  return {
    start: async () => {
      try {
        await store.open();
        const proxy = await dataPlane.start();
        const rpcAddress = await listen(rpc, { host: settings.host, port: settings.port, setting: 'port' });
        return { rpc: rpcAddress, proxy };
      } catch (error) {
        await stop();
        throw error;
      }
    },
    reload: async (next) => {
      const { effective, waiting } = withoutRestart(settings, next.settings);
      await dataPlane.reload(effective);
      settings = effective;
      trustedProxies = new TrustedProxies(settings.trusted_proxies);
      log.setLevel(settings.debug_level);
      return waiting;
    },
    reopenLogs: () => {
      log.reopen();
      dataPlane.reopenLogs();
    },
    stop,
  };
}

/** Whether browsers can reach the proxy by TLS: under its public name, or else on its own port. */
function tellsWss({ public_url: publicUrl, vnc_proxy_support_wss: wss }: Settings): boolean {
  return publicUrl?.startsWith('https:') === true || wss !== 'no';
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

/** Idle connections end at once, calls that are being answered at the deadline. */
function closeServer(server: Server, deadlineMs: number): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => server.closeAllConnections(), deadlineMs);
    server.close(() => {
      clearTimeout(force);
      resolve();
    });
    server.closeIdleConnections();
  });
}
