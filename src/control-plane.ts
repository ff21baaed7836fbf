// The control plane: XML-RPC, oned, tokens, every limit and count. It alone decides; data planes ask it at the door.
// What always holds: new settings are taken whole or not at all.
import { mkdirSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type Audit, type SummedAudit, sumRefusals } from './audit.js';
import { isLoopback, TrustedProxies } from './client-address.js';
import type { Loaded } from './config/load.js';
import type { Settings } from './config/options.js';
import { Accounts } from './console/accounts.js';
import { SessionEndings } from './console/endings.js';
import { type ConsoleGate, Gate, type GateSettings } from './console/gate.js';
import { Identities } from './console/identities.js';
import { createIssue } from './console/issue.js';
import { KnownVms } from './console/known-vms.js';
import { type NarrowSettings, narrow } from './console/narrow.js';
import { Pace } from './console/pace.js';
import { consolePortsOf } from './console/policy.js';
import { Recheck } from './console/recheck.js';
import { Revocation } from './console/revoke.js';
import { ServiceRules } from './console/service-rules.js';
import { ServiceZone } from './console/service-zone.js';
import { SessionRegistry } from './console/sessions.js';
import { Upkeep } from './console/upkeep.js';
import { type VncSettings, vncAccessOf } from './console/vnc-access.js';
import { type ControlServer, createControlServer } from './control/server.js';
import { causeOf, StartError } from './errors.js';
import { listen } from './listen.js';
import type { Logger } from './log.js';
import { OnedClient } from './oned/client.js';
import { OnedFacts } from './oned/facts.js';
import { ThreadedReader } from './oned/reply-reader.js';
import { readServiceAuth } from './oned/service-auth.js';
import type { SessionString } from './oned/session-string.js';
import { canonicalHost } from './origin.js';
import { type Prepared, prepareAll } from './prepared.js';
import { createEndpoint } from './rpc/endpoint.js';
import { type ChosenStore, createStore, isShared } from './stores.js';
import { holderOf } from './tokens/grant.js';
import { findPasswordKey, ownPasswordKey, readPasswordKey } from './tokens/password-key.js';
import type { PasswordKey } from './tokens/password-seal.js';
import type { TokenStore } from './tokens/store.js';
import { fingerprint } from './tokens/token.js';

/** What follows from the settings, and is made anew with them. */
interface Present {
  readonly settings: Settings;
  readonly trustedProxies: TrustedProxies;
  readonly serverUsers: ReadonlySet<string>;
  readonly ownHosts: ReadonlySet<string>;
  readonly serviceSession: SessionString | undefined;
  readonly rules: GateSettings;
}

export class ControlPlane {
  readonly gate: ConsoleGate;
  private present: Present;
  private readonly store: TokenStore;
  private readonly prepareStore: ChosenStore['prepare'];
  private readonly upkeep: Upkeep;
  private readonly recheck: Recheck;
  private readonly rpc: Server;
  private readonly control: ControlServer;
  private readonly summedAudit: SummedAudit;
  private readonly stopping = new AbortController();
  private readonly stateFolder: string;
  private passwordKey: PasswordKey | undefined;

  /** @throws StartError naming the setting */
  constructor(loaded: Loaded, logger: Logger, wholeAudit: Audit) {
    this.present = presentOf(loaded.settings);
    this.stateFolder = loaded.stateFolder;
    const { store, prepare } = createStore(loaded, logger);
    this.store = store;
    this.prepareStore = prepare;
    const isExempt = (client: string) => isLoopback(client) || this.present.trustedProxies.has(client);
    this.summedAudit = sumRefusals(wholeAudit, isExempt);
    const { audit } = this.summedAudit;
    const rules = () => this.present.rules;
    const pace = new Pace();
    const sessions = new SessionRegistry({ limits: () => sessionLimits(this.present.settings), isExempt });
    const endings = new SessionEndings(sessions, store.bus);
    const oned = new OnedClient(
      () => onedSettings(this.present.settings),
      new ThreadedReader(),
      (by, bytes) => pace.charge(by, bytes),
    );
    const identities = new Identities({ oned, serverUsers: () => this.present.serverUsers });
    const serviceSession = () => this.present.serviceSession;
    const facts = new OnedFacts({ oned, serviceSession, url: () => this.present.settings.one_xmlrpc });
    const zone = new ServiceZone({
      facts,
      settings: () => ({
        url: this.present.settings.one_xmlrpc,
        zoneId: this.present.settings.zone_id,
      }),
      serviceSession,
      alone: !isShared(loaded.settings.token_store),
    });
    const zoneId = async (session: SessionString, signal: AbortSignal) =>
      this.present.settings.zone_id ?? (await facts.ask(session, signal)).zoneId;
    const revocation = new Revocation({ store, sessions, endings, zone, rules, audit });
    const accounts = new Accounts({ oned, tell: (line) => logger.warn(line) });
    const rights = new ServiceRules({ accounts, zone: zoneId, serviceSession });
    this.upkeep = new Upkeep({ store, sessions, endings, rules, logger });
    this.recheck = new Recheck({
      ...{ oned, accounts, zone: zoneId, knownVms: new KnownVms(), random: Math.random },
      ...{ store, sessions, endings, logger },
      settings: () => ({
        serviceSession: this.present.serviceSession,
        intervalMs: this.present.settings.recheck_interval * 1000,
        consolePorts: consolePortsOf(this.present.settings),
        rules: this.present.rules,
      }),
    });
    this.gate = new Gate({
      ...{ store, sessions, endings, zone, audit, isExempt, pace, recheck: this.recheck },
      settings: rules,
      narrow: (grant) => narrow(grant, narrowSettings(this.present)),
      vncAccess: (stored, { vnc }) => vncAccessOf(stored, this.passwordKey, vnc),
    });
    this.rpc = createEndpoint({
      issue: createIssue({
        ...{ oned, facts, identities, rights, store, zone },
        settings: () => issueSettings(this.present, this.passwordKey),
        onGivenWay: ({ hash, record: { grant } }) => {
          const about = { vm: grant.vmId, ...holderOf(grant), fingerprint: fingerprint(hash) };
          audit('revoked', { ...about, by: 'max_tokens_per_vm' });
        },
      }),
      ...{ oned, identities, rights, revocation, zone, audit, logger, isExempt, pace },
      maxBodyBytes: loaded.settings.max_body,
      settings: () => endpointSettings(this.present),
      stopping: this.stopping.signal,
    });
    this.control = createControlServer({
      path: loaded.controlSocket,
      required: loaded.settings.control_socket !== undefined,
      revocation,
      logger,
      note: loaded.settings.token_store === 'sealed' ? SEALED_NOTE : undefined,
    });
  }

  /** Makes everything ready that a console needs. @throws StartError */
  async open(): Promise<void> {
    await this.store.open();
    this.passwordKey = passwordKeyOf(this.present.settings, this.stateFolder);
    this.upkeep.start();
    this.recheck.start();
  }

  /** Answers calls and commands from now on. @throws StartError naming the setting */
  async listen(): Promise<AddressInfo> {
    await this.control.start();
    const { host, port } = this.present.settings;
    return listen(this.rpc, { host, port, setting: 'port' });
  }

  /**
   * Reads what new settings name.
   * @throws StartError where they cannot be used; then nothing has changed, but that a key which lies in the state
   * folder unused may have been made
   */
  prepare(settings: Settings): Promise<Prepared> {
    return prepareAll([
      () => this.preparePresent(settings),
      () => this.preparePasswordKey(settings),
      () => this.prepareStore(settings),
    ]);
  }

  private preparePresent(settings: Settings): Prepared {
    const next = presentOf(settings);
    return {
      take: () => {
        this.present = next;
      },
    };
  }

  private preparePasswordKey(settings: Settings): Prepared {
    const next = passwordKeyOf(settings, this.stateFolder);
    return {
      take: () => {
        // Grants that were sealed before are still there.
        this.passwordKey = next ?? this.passwordKey;
      },
    };
  }

  /** No new calls; those that are being answered are waited for. */
  async refuse(deadlineMs: number): Promise<void> {
    this.stopping.abort();
    await Promise.all([closeServer(this.rpc, deadlineMs), this.control.stop(), this.recheck.stop()]);
  }

  /** When no session is left. */
  async close(): Promise<void> {
    await this.upkeep.stop();
    this.summedAudit.flush();
    await this.store.close();
  }
}

const SEALED_NOTE =
  'sealed tokens cannot be ended on other hosts, nor here before their first use; they open until token_ttl';

function presentOf(settings: Settings): Present {
  return {
    settings,
    trustedProxies: new TrustedProxies(settings.trusted_proxies),
    serverUsers: new Set(settings.server_users),
    ownHosts: ownHostsOf(settings),
    serviceSession: settings.service_auth === undefined ? undefined : readServiceAuth(settings.service_auth),
    rules: {
      ttlMs: settings.token_ttl * 1000,
      graceMs: settings.reconnect_grace * 1000,
      maxAgeMs: settings.token_max_age === 0 ? undefined : settings.token_max_age * 1000,
      sessions: settings.token_sessions,
      bindClient: settings.bind_client === 'ip',
      maxUnknownTokens: settings.max_unknown_tokens,
    },
  };
}

/** Made when it is first needed; also without vnc_auth: proxy there may be grants from before. */
function passwordKeyOf(settings: Settings, stateFolder: string): PasswordKey | undefined {
  const { password_key: file, vnc_auth: auth } = settings;
  if (file !== undefined) return readPasswordKey(file, 'password_key');
  const folder = join(stateFolder, 'vnctoken');
  // Version 1.1 made it in a folder of its own. There it stays.
  const key = findPasswordKey(join(stateFolder, 'vnctoken-key')) ?? findPasswordKey(folder);
  if (key !== undefined || auth !== 'proxy') return key;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new StartError(`the password key: cannot write ${folder}: ${causeOf(error)}`);
  }
  return ownPasswordKey(folder);
}

function sessionLimits(settings: Settings) {
  return {
    perVm: settings.max_sessions_per_vm,
    perUser: settings.max_sessions_per_user,
    perAddress: settings.max_sessions_per_address,
    perHost: settings.max_sessions,
  };
}

function onedSettings({ one_xmlrpc: url, oned_timeout: seconds, oned_connections: connections }: Settings) {
  return { url, timeoutMs: seconds * 1000, connections };
}

function issueSettings({ settings, rules, serviceSession }: Present, passwordKey: PasswordKey | undefined) {
  return {
    ttlMs: settings.token_ttl * 1000,
    consolePorts: consolePortsOf(settings),
    maxTokensPerVm: settings.max_tokens_per_vm,
    maxTokensPerUser: settings.max_tokens_per_user,
    serviceSession,
    vnc: { ...vncSettings(settings), passwordKey },
    bindClient: rules.bindClient,
  };
}

function vncSettings(settings: Settings): Omit<VncSettings, 'passwordKey'> {
  return {
    // Without a proxy of ours consoles go through OpenNebula 6's, which answers nothing.
    auth: settings.vnc_proxy_port.kind === 'off' ? 'pass' : settings.vnc_auth,
    clipboard: settings.clipboard,
    viewOnlyWithoutManage: settings.view_only_without_manage,
  };
}

function narrowSettings({ settings }: Present): NarrowSettings {
  return {
    consolePorts: settings.console_ports,
    vnc: vncSettings(settings),
    // As configured: what a rule means is the data plane's matter.
    requiresSecurity: settings.targets.some(
      (rule) => typeof rule === 'object' && rule !== null && 'require' in rule,
    ),
  };
}

/** Names that are ours beside those of loopback. */
function ownHostsOf({ allowed_hosts: allowed, host, public_url: publicUrl }: Settings): Set<string> {
  const own = [host, publicUrl === undefined ? '' : new URL(publicUrl).hostname];
  return new Set([...allowed, ...own.flatMap((name) => canonicalHost(name) ?? [])]);
}

function endpointSettings({ settings, trustedProxies, serverUsers, ownHosts }: Present) {
  return {
    publicUrl: settings.public_url,
    allowedOrigins: settings.allowed_origins,
    ownHosts,
    wss: tellsWss(settings),
    trustedProxies,
    serverUsers,
    maxCallsPerAddress: settings.max_calls_per_address,
    maxFailedLogins: settings.max_failed_logins,
    maxFailedLoginsPerAddress: settings.max_failed_logins_per_address,
  };
}

/** Whether browsers can reach the proxy by TLS: under its public name, or else on its own port. */
function tellsWss({ public_url: publicUrl, vnc_proxy_support_wss: wss }: Settings): boolean {
  return publicUrl?.startsWith('https:') === true || wss !== 'no';
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
