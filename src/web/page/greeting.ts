// The first bytes a server sends, read beside noVNC: they alone tell a refusal from a wrong password.
// It looks at no more than the version and the count of security types (RFC 6143, 7.1.1 and 7.1.2).

const versionLength = 12;

/** Collects the first bytes of an RFB server, in whatever pieces they come. */
export class Greeting {
  #head = '';

  /** True once nothing more is needed. */
  get complete(): boolean {
    return this.#head.length >= versionLength + (this.#isOld ? 4 : 1);
  }

  /** True where the server named a version and then no security type at all: it will only say why. */
  get refused(): boolean {
    return this.complete && /^\0+$/.test(this.#head.slice(versionLength));
  }

  // Before RFB 3.7 the server decides, in four bytes; noVNC takes 3.6 for 3.3 too.
  get #isOld(): boolean {
    return this.#head.startsWith('RFB 003.003') || this.#head.startsWith('RFB 003.006');
  }

  /** Takes the next bytes. */
  read(bytes: Uint8Array): void {
    for (const byte of bytes) {
      if (this.complete) return;
      this.#head += String.fromCharCode(byte);
    }
  }
}
