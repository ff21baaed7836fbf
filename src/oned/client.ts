// The only place that knows `xmlrpc`: calls of oned, as the caller, with a deadline and a bound on everything.
// What always holds: a call settles once; nothing that oned sends is passed on unparsed; no error quotes a session.
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { createRequire } from 'node:module';
import type { Duplex } from 'node:stream';
import xmlrpc from 'xmlrpc';
import { causeOf, GatewayError } from '../errors.js';
import type { SessionString } from './session-string.js';
import { Turnstile } from './turnstile.js';
import { parseVm, type VmFacts } from './vm.js';

/** A VM with a thousand history records has 700 KB. */
const MAX_REPLY_BYTES = 4 * 1024 * 1024;
/** Its own elements; the VM inside is a text. */
const MAX_REPLY_DEPTH = 32;
/** oned's messages are a sentence. */
const MAX_MESSAGE_LENGTH = 1000;
/** Of an XML-RPC int. */
const MAX_CODE = 2 ** 31 - 1;

export interface OnedSettings {
  /** http or https. */
  readonly url: string;
  /** Over waiting and call. */
  readonly timeoutMs: number;
  /** Calls at a time. */
  readonly connections: number;
}

export class OnedClient {
  private readonly settings: () => OnedSettings;
  private readonly turnstile: Turnstile;

  /** @param settings asked at every call, so that they may change while running */
  constructor(settings: () => OnedSettings) {
    this.settings = settings;
    this.turnstile = new Turnstile(() => settings().connections);
  }

  /**
   * `one.vm.info(session, vmId)` as the caller: oned's answer is the authorisation.
   * @param signal fires when nobody waits for the answer any more
   * @throws GatewayError `oned-refused` with oned's code and message, `oned-unreachable`, `oned-timeout`,
   * `oned-nonsense`, `over-limit`
   */
  async vmInfo(session: SessionString, vmId: number, signal: AbortSignal): Promise<VmFacts> {
    const { url, timeoutMs } = this.settings();
    const deadline = AbortSignal.timeout(timeoutMs);
    const either = AbortSignal.any([deadline, signal]);
    try {
      const reply = await this.turnstile.pass(either, () =>
        callOnce(url, 'one.vm.info', [new EscapedString(session), vmId], either),
      );
      return parseVm(replyValue(reply));
    } catch (error) {
      if (error instanceof GatewayError) throw error;
      if (deadline.aborted) {
        throw new GatewayError('oned-timeout', {
          detail: `no answer from oned within ${timeoutMs / 1000} s (oned_timeout)`,
        });
      }
      if (signal.aborted) throw new GatewayError('caller-gone');
      throw failureOf(error, url);
    }
  }
}

/** One call on a connection of its own, as oned closes it anyway. The library may call back twice, or never. */
function callOnce(url: string, method: string, parameters: unknown[], signal: AbortSignal): Promise<unknown> {
  const { protocol, hostname, port, pathname } = new URL(url);
  const secure = protocol === 'https:';
  const end = new AbortController();
  return new Promise<unknown>((resolve, reject) => {
    const options = {
      host: hostname.replace(/^\[|\]$/g, ''),
      port: port === '' ? (secure ? 443 : 80) : Number(port),
      path: pathname,
      headers: { Connection: 'close' },
      agent: boundedAgent(secure, () => reject(new OversizeError())),
      // The library's types do not know that all options reach `http.request`.
      signal: AbortSignal.any([signal, end.signal]),
    };
    const client = secure ? xmlrpc.createSecureClient(options) : xmlrpc.createClient(options);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    client.methodCall(method, parameters, (error: unknown, value: unknown) => {
      if (error) reject(error);
      else resolve(value);
    });
  }).finally(() => {
    // An answer that was given up must not go on arriving.
    end.abort();
  });
}

/** The library writes CDATA and escapes only the first `]]>` in it: a session string could leave its element. */
class EscapedString extends xmlrpc.CustomType {
  override tagName = 'string';
}

class OversizeError extends Error {}

/** The library collects a reply without a bound, so the bound is where its bytes arrive. */
function boundedAgent(secure: boolean, onOversize: () => void): HttpAgent {
  const agent = secure ? new HttpsAgent({ keepAlive: false }) : new HttpAgent({ keepAlive: false });
  const connect = agent.createConnection.bind(agent);
  agent.createConnection = (options, callback): Duplex => {
    const socket = connect(options, callback) as Duplex;
    let received = 0;
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (received > MAX_REPLY_BYTES) onOversize();
    });
    return socket;
  };
  return agent;
}

/** The value of `[true, value, …]`; a refusal becomes an error with oned's own words and code. */
function replyValue(reply: unknown): string {
  if (!Array.isArray(reply))
    throw new GatewayError('oned-nonsense', { detail: 'the reply of oned is no array' });
  const [success, value, code] = reply as unknown[];
  if (typeof success !== 'boolean' || typeof value !== 'string') {
    throw new GatewayError('oned-nonsense', { detail: 'the reply of oned is not [boolean, string, …]' });
  }
  if (success) return value;
  const message = value.slice(0, MAX_MESSAGE_LENGTH);
  if (!isCode(code) || message === '') {
    throw new GatewayError('oned-nonsense', { detail: 'oned refused without a message and a code' });
  }
  throw new GatewayError('oned-refused', { publicText: message, oneCode: code });
}

/** Anything else could not be passed on as an int, and might be a text. */
function isCode(code: unknown): code is number {
  return typeof code === 'number' && Number.isInteger(code) && Math.abs(code) <= MAX_CODE;
}

function failureOf(error: unknown, url: string): GatewayError {
  if (error instanceof OversizeError) {
    return new GatewayError('oned-nonsense', {
      detail: `the reply of oned has more than ${MAX_REPLY_BYTES} bytes`,
    });
  }
  const where = `one_xmlrpc ${url}`;
  if (error instanceof Error && 'faultCode' in error) {
    const code = isCode(error.faultCode) ? error.faultCode : 'without a code';
    return new GatewayError('oned-nonsense', { detail: `${where}: an XML-RPC fault, ${code}` });
  }
  // A system error has a code; everything else is the parser's view of what came back, and may quote it.
  if (error instanceof AggregateError || (error instanceof Error && 'code' in error)) {
    return new GatewayError('oned-unreachable', { detail: `${where}: ${causeOf(error)}` });
  }
  return new GatewayError('oned-nonsense', { detail: `${where}: the answer is not XML-RPC` });
}

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
function guardDeserializer(): void {
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

guardDeserializer();
