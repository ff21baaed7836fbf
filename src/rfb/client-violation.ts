// What ends a session that is read message by message: bytes whose length nobody can know, or that no honest peer sends.
// What always holds: the text is ours, and holds nothing that a peer sent but a number.

/** A peer breaks the protocol. Its message is for the log, and may be told to the person. */
export class RfbViolation extends Error {
  constructor(what: string) {
    super(what);
    this.name = 'RfbViolation';
  }
}
