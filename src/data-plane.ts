// The data plane: WebSockets and relay, built from the settings. It runs in the service's own process, or in each of
// several workers; either way it knows of the control plane only the door at which it asks about a token.
import type { AddressInfo } from 'node:net';
import { TrustedProxies } from './client-address.js';
import type { Settings } from './config/options.js';
import type { Door } from './console/gate.js';
import type { SessionPlace } from './console/sessions.js';
import { ConsoleTargets } from './console-targets.js';
import type { Logger } from './log.js';
import { ConsoleProxy, type ProxySettings } from './proxy/proxy.js';

export interface DataPlane {
  /** Listens; @returns the addresses, none where the proxy is off. @throws StartError naming the setting */
  start(): Promise<AddressInfo[]>;
  /** Takes new settings for connections to come. @throws StartError, and then nothing has changed */
  reload(settings: Settings): Promise<void>;
  /** Consoles end with 1001, by force at the deadline. */
  stop(deadlineMs: number): Promise<void>;
  /** Opens log files anew where they are not this process's own. */
  reopenLogs(): void;
}

/** The data plane of one process. */
export class LocalDataPlane implements DataPlane {
  /** Of the start. */
  private readonly settings: Settings;
  private present: ProxySettings;
  private readonly proxy: ConsoleProxy;
  private readonly targets: ConsoleTargets;

  constructor(settings: Settings, door: Door, logger: Logger) {
    this.settings = settings;
    this.present = proxySettings(settings);
    this.targets = new ConsoleTargets(logger);
    this.proxy = new ConsoleProxy({
      door,
      connect: this.targets.connect,
      secure: this.targets.secure,
      logger,
      wss: settings.vnc_proxy_support_wss,
      certificateFiles: certificateFiles(settings),
      settings: () => this.present,
    });
  }

  /** Where its sessions run. */
  get place(): SessionPlace {
    return this.proxy;
  }

  async start(): Promise<AddressInfo[]> {
    await this.targets.load(this.settings.targets);
    return this.proxy.start(proxyAddresses(this.settings));
  }

  async reload(settings: Settings): Promise<void> {
    const takeTargets = await this.targets.prepare(settings.targets);
    if (settings.vnc_proxy_port.kind !== 'off') this.proxy.reloadCertificate(certificateFiles(settings));
    takeTargets();
    this.present = proxySettings(settings);
  }

  async stop(deadlineMs: number): Promise<void> {
    await this.proxy.stop(deadlineMs);
    await this.targets.close();
  }

  /** No new connections. @returns when the last console has ended */
  async retire(): Promise<void> {
    await this.proxy.retire();
    await this.targets.close();
  }

  reopenLogs(): void {}
}

function certificateFiles(settings: Settings) {
  return { cert: settings.vnc_proxy_cert, key: settings.vnc_proxy_key };
}

function proxySettings(settings: Settings): ProxySettings {
  return {
    publicUrl: settings.public_url,
    allowedOrigins: settings.allowed_origins,
    trustedProxies: new TrustedProxies(settings.trusted_proxies),
    pingIntervalMs: settings.proxy_ping * 1000,
    connectTimeoutMs: settings.proxy_connect_timeout * 1000,
  };
}

/** Where the proxy listens; with vnc_proxy_ipv6 a bare port has an IPv6 address beside its own. */
function proxyAddresses({ host, vnc_proxy_port: where, vnc_proxy_ipv6: ipv6 }: Settings) {
  if (where.kind === 'off') return [];
  if (where.kind === 'address') return [{ host: where.host, port: where.port }];
  const own = { host, port: where.port };
  const also = /^(127\.|localhost$|::1$)/.test(host) ? '::1' : '::';
  return ipv6 && also !== host ? [own, { host: also, port: where.port }] : [own];
}
