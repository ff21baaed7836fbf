// The data plane: WebSockets and relay, built from the settings. It runs in the service's own process, or in each of
// several workers; either way it knows of the control plane only the door at which it asks about a token.
import type { AddressInfo } from 'node:net';
import type { PlacePool } from './address-places.js';
import { TrustedProxies } from './client-address.js';
import type { OptionName, Settings } from './config/options.js';
import type { Door } from './console/gate.js';
import type { SessionPlace } from './console/sessions.js';
import { ConsoleTargets } from './console-targets.js';
import type { Logger } from './log.js';
import type { Prepared } from './prepared.js';
import { Handshakes } from './proxy/handshakes.js';
import { ConsoleProxy, type ProxySettings } from './proxy/proxy.js';

export interface DataPlane {
  /** Listens; @returns the addresses, none where the proxy is off. @throws StartError naming the setting */
  start(): Promise<AddressInfo[]>;
  /** Makes ready for new settings, which are for connections to come. @throws StartError, and then nothing has changed */
  prepare(settings: Settings): Promise<Prepared>;
  /** Consoles end with 1001, by force at the deadline. */
  stop(deadlineMs: number): Promise<void>;
  /** Opens log files anew where they are not this process's own. */
  reopenLogs(): void;
}

/** All that a data plane is told of the settings: nothing by which it could reach oned, tokens or their keys itself. */
const told = [
  ...(['host', 'vnc_proxy_port', 'vnc_proxy_ipv6'] as const),
  ...(['vnc_proxy_support_wss', 'vnc_proxy_cert', 'vnc_proxy_key'] as const),
  ...(['public_url', 'allowed_origins', 'trusted_proxies'] as const),
  ...(['proxy_ping', 'proxy_connect_timeout', 'targets'] as const),
  ...(['log_file', 'debug_level'] as const),
] satisfies readonly OptionName[];

export type DataPlaneSettings = Pick<Settings, (typeof told)[number]>;

export function dataPlaneSettings(settings: Settings): DataPlaneSettings {
  return Object.fromEntries(told.map((name) => [name, settings[name]])) as unknown as DataPlaneSettings;
}

/** The data plane of one process. */
export class LocalDataPlane implements DataPlane {
  /** Of the start. */
  private readonly settings: DataPlaneSettings;
  private present: ProxySettings;
  private readonly proxy: ConsoleProxy;
  private readonly targets: ConsoleTargets;

  /** @param places where those of the host are borrowed, if there are other processes */
  constructor(settings: DataPlaneSettings, door: Door, logger: Logger, places?: PlacePool) {
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
      handshakes: new Handshakes(places),
    });
  }

  /** Where its sessions run. */
  get place(): SessionPlace {
    return this.proxy;
  }

  async start(): Promise<AddressInfo[]> {
    await this.open();
    return this.listen();
  }

  /** The first half of start(): reads what the settings name. @throws StartError naming the setting */
  async open(): Promise<void> {
    await this.targets.load(this.settings.targets);
    if (this.settings.vnc_proxy_port.kind !== 'off') this.proxy.open();
  }

  /** The second. @throws StartError naming the setting */
  listen(): Promise<AddressInfo[]> {
    return this.proxy.start(proxyAddresses(this.settings));
  }

  async prepare(settings: DataPlaneSettings): Promise<Prepared> {
    const present = proxySettings(settings);
    const takeTargets = await this.targets.prepare(settings.targets);
    const isOff = settings.vnc_proxy_port.kind === 'off';
    const takeCertificate = isOff ? () => {} : this.proxy.prepareCertificate(certificateFiles(settings));
    return {
      take: () => {
        takeTargets();
        takeCertificate();
        this.present = present;
      },
    };
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

function certificateFiles(settings: DataPlaneSettings) {
  return { cert: settings.vnc_proxy_cert, key: settings.vnc_proxy_key };
}

function proxySettings(settings: DataPlaneSettings): ProxySettings {
  return {
    publicUrl: settings.public_url,
    allowedOrigins: settings.allowed_origins,
    trustedProxies: new TrustedProxies(settings.trusted_proxies),
    pingIntervalMs: settings.proxy_ping * 1000,
    connectTimeoutMs: settings.proxy_connect_timeout * 1000,
  };
}

/** Where the proxy listens; with vnc_proxy_ipv6 a bare port has an IPv6 address beside its own. */
function proxyAddresses({ host, vnc_proxy_port: where, vnc_proxy_ipv6: ipv6 }: DataPlaneSettings) {
  if (where.kind === 'off') return [];
  if (where.kind === 'address') return [{ host: where.host, port: where.port }];
  const own = { host, port: where.port };
  const also = /^(127\.|localhost$|::1$)/.test(host) ? '::1' : '::';
  return ipv6 && also !== host ? [own, { host: also, port: where.port }] : [own];
}
