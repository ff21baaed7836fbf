// One attempt at one console: a WebSocket of our own, handed to noVNC once we listen for its close.
// Each session ends exactly once, by `ended` or by `abandon`; after that it calls nobody.
import type { Ending } from './endings.js';
import { Greeting } from './greeting.js';
import RFB, { type Credentials } from './novnc/core/rfb.js';

/** What the server asks the person for. */
export type CredentialName = keyof Credentials;

/** Whom a session tells. */
export interface SessionEvents {
  connected(): void;
  named(name: string): void;
  asked(names: readonly CredentialName[]): void;
  ended(ending: Ending): void;
}

// The service's code for a machine's console that it could not open (RFC 6455, 7.4.1).
const unreachable = 1011;
// How long to wait for the Close frame that follows a refusal.
const closeTimeoutMs = 2_000;

// Longer than the service waits for the machine, so that its own words come first.
const answerTimeoutMs = 30_000;

export class Session {
  readonly #rfb: RFB;
  readonly #greeting = new Greeting();
  readonly #events: SessionEvents;
  #hasPassword: boolean;
  #wasConnected = false;
  #isOver = false;
  #close: { code: number; reason: string } | undefined;
  #refusal: string | undefined;
  #awaitsClose = false;
  #answerTimer: number | undefined;

  /** Opens `url` with the token as a subprotocol and draws into `screen`. Throws where the browser cannot. */
  constructor(
    screen: HTMLElement,
    url: string,
    token: string,
    credentials: Credentials,
    events: SessionEvents,
  ) {
    this.#events = events;
    this.#hasPassword = credentials.password !== undefined;
    const socket = new WebSocket(url, ['binary', `vnctoken.${token}`]);
    socket.binaryType = 'arraybuffer';
    this.#watch(socket);
    this.#rfb = new RFB(screen, socket, { credentials });
    this.#rfb.scaleViewport = true;
    this.#rfb.background = 'transparent';
    this.#listen();
    this.#expectAnswer();
  }

  get connected(): boolean {
    return this.#wasConnected && !this.#isOver;
  }

  set viewOnly(on: boolean) {
    this.#rfb.viewOnly = on;
  }

  /** Whether touching the screen takes the keyboard focus; not while a phone's own keyboard is up. */
  set focusOnTouch(on: boolean) {
    this.#rfb.focusOnClick = on;
  }

  focus(): void {
    this.#rfb.focus({ preventScroll: true });
  }

  sendKey(keysym: number, code: string, down: boolean): void {
    this.#rfb.sendKey(keysym, code, down);
  }

  sendCredentials(credentials: Credentials): void {
    this.#hasPassword = true;
    this.#expectAnswer();
    this.#rfb.sendCredentials(credentials);
  }

  /** Ends it without a word to anybody: something else takes its place. */
  abandon(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    window.clearTimeout(this.#answerTimer);
    this.#rfb.disconnect();
  }

  #expectAnswer(): void {
    window.clearTimeout(this.#answerTimer);
    this.#answerTimer = window.setTimeout(() => this.#stop({ kind: 'timeout' }), answerTimeoutMs);
  }

  // Registered before noVNC's own handlers, so that the close is known when noVNC reports the end.
  #watch(socket: WebSocket): void {
    const read = (event: MessageEvent<ArrayBuffer>): void => {
      this.#greeting.read(new Uint8Array(event.data));
      if (this.#greeting.complete) socket.removeEventListener('message', read);
    };
    socket.addEventListener('message', read);
    socket.addEventListener('close', ({ code, reason }) => {
      this.#close = { code, reason };
      if (this.#awaitsClose) this.#end(this.#ending());
    });
  }

  #listen(): void {
    this.#rfb.addEventListener('connect', () => {
      window.clearTimeout(this.#answerTimer);
      this.#wasConnected = true;
      if (!this.#isOver) this.#events.connected();
    });
    this.#rfb.addEventListener('desktopname', (event) => {
      if (!this.#isOver) this.#events.named(event.detail.name);
    });
    this.#rfb.addEventListener('credentialsrequired', (event) => {
      // A person may take their time; the server has its own patience.
      window.clearTimeout(this.#answerTimer);
      if (!this.#isOver) this.#events.asked(event.detail.types);
    });
    this.#rfb.addEventListener('serververification', () => this.#stop({ kind: 'identity' }));
    this.#rfb.addEventListener('securityfailure', (event) => {
      this.#refusal = event.detail.reason ?? '';
    });
    this.#rfb.addEventListener('disconnect', () => {
      // noVNC leaves as soon as it has read a refusal; what it was about, the code says that comes behind.
      if (this.#refusal !== undefined && this.#greeting.refused && !this.#close) this.#awaitClose();
      else this.#end(this.#ending());
    });
  }

  #awaitClose(): void {
    this.#awaitsClose = true;
    window.clearTimeout(this.#answerTimer);
    this.#answerTimer = window.setTimeout(() => this.#end(this.#ending()), closeTimeoutMs);
  }

  #ending(): Ending {
    if (this.#refusal !== undefined) {
      if (this.#greeting.refused && this.#close?.code === unreachable) {
        const reason = this.#refusal || this.#close.reason;
        return { kind: 'closed', code: unreachable, reason, wasConnected: false };
      }
      const isPassword = this.#hasPassword && !this.#greeting.refused;
      return { kind: isPassword ? 'password' : 'refused', reason: this.#refusal };
    }
    // noVNC gave up by itself when it reports an end before the socket does.
    if (this.#close === undefined) return { kind: 'protocol' };
    return { kind: 'closed', ...this.#close, wasConnected: this.#wasConnected };
  }

  #stop(ending: Ending): void {
    const wasOver = this.#isOver;
    this.abandon();
    if (!wasOver) this.#events.ended(ending);
  }

  #end(ending: Ending): void {
    if (this.#isOver) return;
    this.#isOver = true;
    window.clearTimeout(this.#answerTimer);
    this.#events.ended(ending);
  }
}
