// What a token stands for. What always holds: host and port come from oned, never from a browser, and neither
// the token nor a VNC password is part of a grant, so a grant may rest on disk.

export interface Grant {
  readonly vmId: number;
  /** Where the VM's console listens. */
  readonly target: { readonly host: string; readonly port: number };
  /** Who asked for it: the session string up to its first colon. */
  readonly user: string;
  /** Milliseconds since 1970. */
  readonly issuedAt: number;
  /** Milliseconds since 1970; from then on the token is refused. */
  readonly expiresAt: number;
}
