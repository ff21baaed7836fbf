// What the page uses of noVNC's RFB class (docs/API.md of @novnc/novnc 1.7). The script itself is served from
// the package, below the page; nothing here is emitted.

/** What a server may ask for before it lets a viewer in. */
export interface Credentials {
  username?: string;
  password?: string;
  target?: string;
}

interface RfbEvents {
  connect: CustomEvent<unknown>;
  disconnect: CustomEvent<{ clean: boolean }>;
  credentialsrequired: CustomEvent<{ types: (keyof Credentials)[] }>;
  securityfailure: CustomEvent<{ status: number; reason?: string }>;
  serververification: CustomEvent<{ type: string }>;
  desktopname: CustomEvent<{ name: string }>;
}

declare class RFB {
  constructor(
    target: HTMLElement,
    channel: WebSocket,
    options?: { credentials?: Credentials; shared?: boolean },
  );
  viewOnly: boolean;
  scaleViewport: boolean;
  focusOnClick: boolean;
  background: string;
  addEventListener<K extends keyof RfbEvents>(type: K, listener: (event: RfbEvents[K]) => void): void;
  sendCredentials(credentials: Credentials): void;
  sendKey(keysym: number, code: string, down?: boolean): void;
  focus(options?: FocusOptions): void;
  disconnect(): void;
}

// biome-ignore lint/style/noDefaultExport: noVNC's modules export this way.
export { RFB as default };
