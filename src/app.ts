// The composition root: builds every part from the settings, starts and stops them in order.
// What always holds: all listeners are up before start() returns, and a start that fails leaves nothing running.
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { TrustedProxies } from './client-address.js';
import type { Loaded } from './config/load.js';
import { type OptionName, optionNames, optionOf, type Settings } from './config/options.js';
import { createIssue } from './console/issue.js';
import { createRedeem } from './console/redeem.js';
import { listen } from './listen.js';
import type { Log } from './log.js';
import { OnedClient } from './oned/client.js';
import { ConsoleProxy } from './proxy/proxy.js';
import { createEndpoint } from './rpc/endpoint.js';
import { FileTokenStore } from './tokens/file-store.js';
import { TokenFiles } from './tokens/token-files.js';
import { connectTcp } from './transport/tcp.js';

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
   * @throws StartError where a new certificate cannot be used; then nothing has changed
   */
  reload(loaded: Loaded): OptionName[];
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
  const proxy = new ConsoleProxy({
    redeem: createRedeem(store),
    connect: connectTcp,
    logger,
    wss: settings.vnc_proxy_support_wss,
    certificateFiles: certificateFiles(settings),
    settings: () => ({
      publicUrl: settings.public_url,
      allowedOrigins: settings.allowed_origins,
      trustedProxies,
      pingIntervalMs: settings.proxy_ping * 1000,
      connectTimeoutMs: settings.proxy_connect_timeout * 1000,
    }),
  });

  const stop = async () => {
    stopping.abort();
    const deadlineMs = Math.max(0, settings.stop_timeout * 1000 - STOP_RESERVE_MS);
    await Promise.all([closeServer(rpc, deadlineMs), proxy.stop(deadlineMs)]);
    await store.close();
  };

  return {
    start: async () => {
      try {
        await store.open();
        const proxyAddresses = await proxy.start(addressesOf(settings));
        const rpcAddress = await listen(rpc, { host: settings.host, port: settings.port, setting: 'port' });
        return { rpc: rpcAddress, proxy: proxyAddresses };
      } catch (error) {
        await stop();
        throw error;
      }
    },
    reload: (next) => {
      if (next.settings.vnc_proxy_port.kind !== 'off')
        proxy.reloadCertificate(certificateFiles(next.settings));
      const before = settings;
      settings = next.settings;
      trustedProxies = new TrustedProxies(settings.trusted_proxies);
      log.setLevel(settings.debug_level);
      return optionNames.filter(
        (name) => optionOf(name).needsRestart === true && differs(before[name], settings[name]),
      );
    },
    stop,
  };
}

/** How browsers reach the proxy: what the operator says in public_url counts more than what this port speaks. */
function tellsWss({ public_url: publicUrl, vnc_proxy_support_wss: wss }: Settings): boolean {
  return publicUrl === undefined ? wss !== 'no' : publicUrl.startsWith('https:');
}

function certificateFiles(settings: Settings) {
  return { cert: settings.vnc_proxy_cert, key: settings.vnc_proxy_key };
}

/** Where the proxy listens; with vnc_proxy_ipv6 a bare port has an IPv6 address beside its own. */
function addressesOf({ host, vnc_proxy_port: where, vnc_proxy_ipv6: ipv6 }: Settings) {
  if (where.kind === 'off') return [];
  if (where.kind === 'address') return [{ host: where.host, port: where.port }];
  const also = /^(127\.|localhost$|::1$)/.test(host) ? '::1' : '::';
  return ipv6 && also !== host
    ? [
        { host, port: where.port },
        { host: also, port: where.port },
      ]
    : [{ host, port: where.port }];
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

function differs(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) !== JSON.stringify(b);
}
