// The error of both RFB ends of the demo: the other side broke the protocol or refused us.
// What always holds: it ends one connection, never the process, and its text holds no secret.

/** The peer sent what RFB does not allow, or more than the demo takes. */
export class ProtocolError extends Error {}
