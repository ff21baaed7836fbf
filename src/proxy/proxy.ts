// The proxy as a whole: its ports, its gate and its live sessions.
// What always holds: a browser is in `live` from its upgrade until its connection is gone, so that stopping misses none.
import type { AddressInfo, Socket } from 'node:net';
import { clientAddress, isLoopback } from '../client-address.js';
import type { WssSupport } from '../config/types.js';
import type { Door } from '../console/gate.js';
import { PROBE_TIMEOUT_MS, type SessionPlace } from '../console/sessions.js';
import { listen } from '../listen.js';
import type { Logger } from '../log.js';
import { frameAncestor } from '../origin.js';
import { RefusalLog } from '../refusal-log.js';
import type { SessionId } from '../tokens/record.js';
import type { ConnectTarget } from '../transport/transport.js';
import { CloseCode } from './browser-channel.js';
import { type Certificate, type CertificateFiles, readCertificate } from './certificate.js';
import { Handshakes } from './handshakes.js';
import { createHttpApp } from './http-app.js';
import { createListener, type Listener } from './listener.js';
import { type SecureConsole, Session, type SessionSettings } from './session.js';
import { type Admission, createUpgrade, type UpgradeSettings } from './upgrade.js';

export type ProxySettings = UpgradeSettings & SessionSettings;

export interface ProxyParts {
  readonly door: Door;
  readonly connect: ConnectTarget;
  readonly secure: SecureConsole;
  readonly logger: Logger;
  /** Asked at every request, so that it may change while running. */
  readonly settings: () => ProxySettings;
  readonly wss: WssSupport;
  readonly certificateFiles: CertificateFiles;
  readonly handshakes?: Handshakes;
}

interface Live {
  close(code: number, reason: string): void;
  terminate(): void;
}

/** An end may overtake the answer of the door by so much. */
const EARLY_END_MS = 2_000;
const MAX_EARLY_ENDS = 1000;

const PORT_IN_USE =
  "where that is OpenNebula 6's own proxy (opennebula-novnc), stop it, or set vnc_proxy_port: off to leave the consoles to it";
const TOO_MANY = 'HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nContent-Length: 0\r\n\r\n';

export class ConsoleProxy implements SessionPlace {
  private readonly parts: ProxyParts;
  private readonly handshakes: Handshakes;
  private readonly refusals: RefusalLog;
  private readonly listeners: Listener[] = [];
  private readonly live = new Set<Live>();
  private readonly sessions = new Map<SessionId, Session>();
  /** Ends of sessions that are not there: they have ended already, or they have yet to begin. */
  private readonly earlyEnds = new Map<SessionId, { code: number; reason: string }>();
  private readonly stopping = new AbortController();
  private readonly onIdle: (() => void)[] = [];
  /** Of the listeners to come. */
  private certificate: Certificate | undefined;

  constructor(parts: ProxyParts) {
    this.parts = parts;
    this.handshakes = parts.handshakes ?? new Handshakes();
    const isMany = (client: string) => isLoopback(client) || parts.settings().trustedProxies.has(client);
    this.refusals = new RefusalLog(parts.logger, 'console refused', isMany);
  }

  /** Reads what listening takes; start() does it too, where it was not done. @throws StartError naming the setting */
  open(): void {
    if (this.parts.wss !== 'no') this.certificate ??= readCertificate(this.parts.certificateFiles);
  }

  /** Listens on every address; port 0 is chosen once, for the first. @throws StartError naming the setting */
  async start(addresses: readonly { host: string; port: number }[]): Promise<AddressInfo[]> {
    const bound: AddressInfo[] = [];
    if (addresses.length > 0) this.open();
    for (const address of addresses) {
      const listener = this.createListener();
      this.listeners.push(listener);
      const port = address.port === 0 ? (bound[0]?.port ?? 0) : address.port;
      bound.push(
        await listen(listener.server, { ...address, port, setting: 'vnc_proxy_port', hint: PORT_IN_USE }),
      );
    }
    return bound;
  }

  /** Reads another certificate. @returns a function that takes it, for connections to come. @throws StartError naming the setting */
  prepareCertificate(files: CertificateFiles): () => void {
    if (this.parts.wss === 'no') return () => {};
    const certificate = readCertificate(files);
    return () => {
      this.certificate = certificate;
      for (const listener of this.listeners) listener.setCertificate(certificate);
    };
  }

  end(session: SessionId, code: number, reason: string): void {
    const present = this.sessions.get(session);
    if (present !== undefined) present.close(code, reason);
    else if (this.earlyEnds.size < MAX_EARLY_ENDS) {
      this.earlyEnds.set(session, { code, reason });
      setTimeout(() => this.earlyEnds.delete(session), EARLY_END_MS).unref();
    }
  }

  async probe(session: SessionId): Promise<boolean> {
    return (await this.sessions.get(session)?.probe(PROBE_TIMEOUT_MS)) ?? false;
  }

  traffic(): Promise<ReadonlyMap<SessionId, number>> {
    return Promise.resolve(new Map([...this.sessions].map(([id, { bytes }]) => [id, bytes])));
  }

  /** No new connections; those that are open are served to their end. @returns when the last one has ended */
  async retire(): Promise<void> {
    await Promise.all(this.listeners.map(({ server }) => new Promise((resolve) => server.close(resolve))));
    this.refusals.flush();
  }

  /** No new connections; consoles end with 1001, by force at the deadline. */
  async stop(deadlineMs: number): Promise<void> {
    this.stopping.abort();
    const retired = this.retire();
    for (const one of this.live) one.close(CloseCode.goingAway, 'The service stops');
    const force = setTimeout(() => {
      for (const one of this.live) one.terminate();
    }, deadlineMs);
    await this.idle();
    clearTimeout(force);
    for (const listener of this.listeners) listener.destroyConnections();
    await retired;
  }

  private idle(): Promise<void> {
    return new Promise((resolve) => {
      this.onIdle.push(resolve);
      this.tellIdle();
    });
  }

  private createListener(): Listener {
    const { wss, door, logger, settings } = this.parts;
    return createListener({
      wss,
      certificate: this.certificate,
      onRequest: createHttpApp({
        frameAncestors: () => settings().allowedOrigins.flatMap((origin) => frameAncestor(origin) ?? []),
      }),
      onConnection: (socket) => this.admitConnection(socket),
      onUpgrade: createUpgrade({
        door,
        logger,
        refusals: this.refusals,
        settings,
        stopping: this.stopping.signal,
        handshakes: this.handshakes,
        onAdmission: (admission) => this.openSession(admission),
        onRefusal: (browser) => this.keep(browser),
      }),
    });
  }

  /** Proxies carry many clients on their connections; theirs are counted at the upgrade. */
  private admitConnection(socket: Socket): boolean | Promise<boolean> {
    const { trustedProxies } = this.parts.settings();
    const peer = clientAddress(socket.remoteAddress, undefined, trustedProxies);
    if (trustedProxies.has(peer)) return true;
    const refuse = (entered: boolean): boolean => {
      if (!entered && !socket.destroyed) socket.end(TOO_MANY, () => socket.destroy());
      return entered;
    };
    const entered = this.handshakes.enterConnection(socket, peer);
    return typeof entered === 'boolean' ? refuse(entered) : entered.then(refuse);
  }

  private openSession({ browser, admitted, isBrowser }: Admission): void {
    const { connect, secure, settings, door } = this.parts;
    const { session: id, grant, vnc } = admitted;
    const session: Session = new Session({
      browser,
      tellsInRfb: isBrowser,
      grant,
      vnc,
      connect,
      secure,
      settings: settings(),
      onEnd: (end) => {
        this.sessions.delete(id);
        door.closed(id, end);
      },
      onClosed: () => forget(),
    });
    const forget = this.keep(session);
    this.sessions.set(id, session);
    session.start();
    const end = this.earlyEnds.get(id);
    if (end !== undefined) session.close(end.code, end.reason);
  }

  /** @returns a function to call when the connection is gone */
  private keep(one: Live): () => void {
    this.live.add(one);
    return () => {
      this.live.delete(one);
      this.tellIdle();
    };
  }

  private tellIdle(): void {
    if (this.live.size > 0) return;
    for (const told of this.onIdle.splice(0)) told();
  }
}
