// The gate of the proxy: an upgrade comes in, and leaves as a session, as an HTTP status, or as a refusal in RFB.
// What always holds: the cheapest problem is refused first, and the Origin before the token is looked at.
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { clientAddress, type TrustedProxies } from '../client-address.js';
import type { Admitted, Door } from '../console/gate.js';
import { GatewayError, toGatewayError } from '../errors.js';
import { hasAllHeaders, requestUrl } from '../http-request.js';
import type { Logger } from '../log.js';
import { type OriginSettings, originAllowed } from '../origin.js';
import { printable } from '../printable.js';
import { newRef } from '../ref.js';
import type { RefusalLog } from '../refusal-log.js';
import { hashToken, isSealedForm, type Token } from '../tokens/token.js';
import type { BrowserChannel } from './browser-channel.js';
import { BrowserSocket } from './browser-socket.js';
import type { Handshakes } from './handshakes.js';
import { refuseInRfb, refuseUpgrade } from './refusal.js';
import { BINARY, findToken, offeredProtocols } from './token-place.js';
import { tidyUpgradeHeaders } from './upgrade-headers.js';

export type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

export interface UpgradeSettings extends OriginSettings {
  readonly trustedProxies: TrustedProxies;
}

/** Somebody with a valid token, upgraded. */
export interface Admission {
  readonly browser: BrowserChannel;
  readonly admitted: Admitted;
  /** It named its Origin: what fails is told in RFB too, as its page can read it there. */
  readonly isBrowser: boolean;
}

export interface UpgradeParts {
  readonly door: Door;
  readonly handshakes: Handshakes;
  readonly logger: Logger;
  readonly refusals: RefusalLog;
  /** Asked at every upgrade, so that it may change while running. */
  readonly settings: () => UpgradeSettings;
  /** Fires when the service stops: nobody is let in any more. */
  readonly stopping: AbortSignal;
  readonly onAdmission: (admission: Admission) => void;
  /** A browser that is upgraded only to be told no; and its end. */
  readonly onRefusal: (browser: BrowserChannel) => () => void;
}

/** What is known about a request before it is decided on. */
interface Knock {
  readonly ref: string;
  readonly client: string;
  readonly origin: string | undefined;
}

export function createUpgrade(parts: UpgradeParts): UpgradeListener {
  const { door, handshakes, logger, refusals, settings, stopping } = parts;
  const webSockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    // It does the handshake; the data phase is ours.
    WebSocket: BrowserSocket as unknown as typeof WebSocket,
    handleProtocols: (offered) => (offered.has(BINARY) ? BINARY : false),
  });
  // A header that `ws` itself finds wrong (the key, mostly).
  webSockets.on('wsClientError', (error, socket) => {
    refuseUpgrade(socket, new GatewayError('bad-upgrade', { detail: error.message }), newRef());
  });

  /**
   * `then` runs before the first frame is read, so that none is missed.
   * @returns false where it did not run: `ws` has refused the handshake, or the browser has ended its side of TCP
   */
  const upgrade = (
    request: IncomingMessage,
    socket: Socket,
    head: Buffer,
    then: (browser: BrowserChannel) => void,
  ): boolean => {
    let upgraded = false;
    // Calls back at once, or never.
    webSockets.handleUpgrade(request, socket, head, (webSocket: unknown) => {
      upgraded = true;
      then(webSocket as BrowserSocket);
    });
    return upgraded;
  };

  const decide = async (request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> => {
    if (!hasAllHeaders(request)) {
      const peer = clientAddress(socket.remoteAddress, undefined, settings().trustedProxies);
      const knock = { ref: newRef(), client: peer, origin: undefined };
      return refuse(socket, new GatewayError('headers-too-many'), knock);
    }
    tidyUpgradeHeaders(request.headers);
    const { origin, 'x-forwarded-for': forwardedFor } = request.headers;
    const { trustedProxies } = settings();
    const peer = clientAddress(socket.remoteAddress, undefined, trustedProxies);
    const client = clientAddress(socket.remoteAddress, forwardedFor, trustedProxies);
    const knock: Knock = { ref: newRef(), client, origin };
    // A direct client was counted as it connected; a proxy names its client only now.
    const entered = client === peer ? () => handshakes.admitConnection(socket) : handshakes.enter(client);
    const leave = entered instanceof Promise ? await entered : entered;
    if (leave === undefined) return refuse(socket, new GatewayError('too-many-connections'), knock);
    if (client !== peer) socket.once('close', leave);
    if (socket.destroyed) return leave();
    const verdict = await judge(request, knock).catch(toGatewayError);
    // The client may have gone while the store was asked, or the service begun to stop.
    const late = socket.destroyed
      ? 'the browser vanished'
      : stopping.aborted
        ? 'the service stops'
        : undefined;
    if (late !== undefined) {
      if (!(verdict instanceof GatewayError)) door.closed(verdict.session, neverBegan(late));
      if (!socket.destroyed) refuse(socket, new GatewayError('stopping'), knock);
      return;
    }
    if (!(verdict instanceof GatewayError)) {
      leave();
      const isBrowser = origin !== undefined;
      const begin = (browser: BrowserChannel) => parts.onAdmission({ browser, admitted: verdict, isBrowser });
      if (upgrade(request, socket, head, begin)) return;
      door.closed(verdict.session, neverBegan('the handshake failed'));
    } else if (origin === undefined || !TOLD_IN_RFB.has(verdict.code)) {
      refuse(socket, verdict, knock);
    } else {
      const told = verdict.toldAs(log(verdict, knock));
      upgrade(request, socket, head, (browser) => {
        refuseInRfb(browser, told, parts.onRefusal(browser));
      });
    }
  };

  /** @throws GatewayError */
  const judge = async (request: IncomingMessage, { client, ref }: Knock): Promise<Admitted> => {
    if (stopping.aborted) throw new GatewayError('stopping');
    const token = readToken(request, settings());
    const hash = hashToken(token);
    const key = isSealedForm(token) ? { hash, sealed: token } : { hash };
    return door.open({ key, client, ref });
  };

  const refuse = (socket: Duplex, refused: GatewayError, knock: Knock): void => {
    refuseUpgrade(socket, refused, log(refused, knock));
  };

  /** @returns the reference to tell */
  const log = ({ code, detail, logLevel }: GatewayError, { ref, client, origin }: Knock): string => {
    const about = code === 'origin-refused' ? { origin: printable(origin ?? '', MAX_LOGGED_ORIGIN) } : {};
    const fields = { ...about, code, reason: detail };
    return refusals.write({ client, ref, level: logLevel, kind: code, fields }).ref;
  };

  return (request, socket, head) => {
    socket.on('error', () => {});
    // Both kinds of servers hand over a net.Socket or a TLSSocket, which is one.
    decide(request, socket as Socket, head).catch((error: unknown) => {
      logger.error({ reason: toGatewayError(error).detail }, 'upgrade failed');
      socket.destroy();
    });
  };
}

const MAX_LOGGED_ORIGIN = 200;

/** What a person, not a program, has to be told; everything else is a mistake in a page or an address. */
const TOLD_IN_RFB: ReadonlySet<string> = new Set([
  'token-not-valid',
  'store-unavailable',
  'cannot-check',
  'token-in-use',
  'too-many-sessions',
  'too-many-unknown-tokens',
]);

/** Of a session that was opened for nobody. */
function neverBegan(reason: string) {
  return { reason, bytesToBrowser: 0, bytesToTarget: 0, seconds: 0 };
}

/** The token, where everything about the request is right but perhaps the token itself. @throws GatewayError */
function readToken(request: IncomingMessage, settings: UpgradeSettings): Token {
  const {
    origin,
    host,
    upgrade,
    'sec-websocket-version': version,
    'sec-websocket-key': key,
  } = request.headers;
  const url = requestUrl(request);
  if (request.method !== 'GET' || upgrade !== 'websocket' || url === undefined) {
    throw new GatewayError('bad-upgrade');
  }
  if (version !== '13' && version !== '8') throw new GatewayError('wrong-version');
  if (key === undefined || !/^[+/0-9A-Za-z]{22}==$/.test(key)) {
    throw new GatewayError('bad-upgrade', { detail: 'bad Sec-WebSocket-Key' });
  }
  if (origin !== undefined && !originAllowed(origin, host, settings)) {
    throw new GatewayError('origin-refused', { detail: 'the origin is not in allowed_origins' });
  }
  const token = findToken(url, offeredProtocols(request.headers['sec-websocket-protocol']));
  if (token !== undefined) return token;
  // Refused like one that is not valid.
  throw new GatewayError('token-not-valid', { detail: 'no token in query, path or subprotocol' });
}
