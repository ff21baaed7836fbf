// What the `xmlrpc` library leaves open in reading a reply, closed from outside. Loaded once, before any call.
import { createRequire } from 'node:module';

/** A reply's own elements; the VM inside is a text. */
const MAX_REPLY_DEPTH = 32;

/** What of the library's parser is put right below. */
interface Deserializer {
  readonly error: unknown;
  readonly parser: {
    write(chunk: unknown): boolean;
    readonly _parser: { readonly tags: readonly unknown[] };
  };
  deserializeMethodResponse(stream: unknown, callback: unknown): void;
  onOpentag(node: unknown): void;
  onDone(): void;
  onError(error: unknown): void;
}

/**
 * The library's parser throws in events that nobody can catch, which would end the process: for an empty `<fault>`,
 * for a reference to a character that there is not. Closing tags cost it the depth of the open ones each. What it
 * throws becomes a failed call, what is too deep as well, and after that it parses nothing any more.
 */
export function guardDeserializer(): void {
  const { prototype } = createRequire(import.meta.url)('xmlrpc/lib/deserializer') as {
    prototype: Deserializer;
  };
  const { deserializeMethodResponse, onOpentag, onDone } = prototype;
  const guarded = (deserializer: Deserializer, step: () => void) => {
    try {
      if (!deserializer.error) step();
    } catch (error) {
      deserializer.onError(error);
    }
  };
  prototype.deserializeMethodResponse = function (stream, callback) {
    const write = this.parser.write.bind(this.parser);
    this.parser.write = (chunk) => {
      guarded(this, () => write(chunk));
      return true;
    };
    deserializeMethodResponse.call(this, stream, callback);
  };
  prototype.onOpentag = function (node) {
    if (this.parser._parser.tags.length > MAX_REPLY_DEPTH) throw new Error('nested too deeply');
    onOpentag.call(this, node);
  };
  prototype.onDone = function () {
    guarded(this, () => onDone.call(this));
  };
}
