// One XML-RPC call by HTTP: one connection, with a bound on the reply and an end at the signal.
// What always holds: a call settles once, whatever the other side does, and then has no connection.
import { type RequestOptions, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { element, serializeXml, type XmlElement } from '../xml.js';

/** A VM with a thousand history records has 700 KB. */
export const MAX_REPLY_BYTES = 4 * 1024 * 1024;

export type RpcParameter = string | number | boolean;

/**
 * One call on a connection of its own, as oned closes it anyway.
 * @param parameters numbers are ints
 * @param onBytes is told how many have come, be the reply whole or not
 * @returns the reply's bytes
 * @throws OversizeError, StatusError, the signal's reason, or a system error
 */
export function callOnce(
  url: string,
  method: string,
  parameters: readonly RpcParameter[],
  signal: AbortSignal,
  onBytes: (count: number) => void = () => {},
): Promise<Buffer> {
  const { protocol, hostname, port, pathname } = new URL(url);
  const secure = protocol === 'https:';
  const body = Buffer.from(encodeCall(method, parameters));
  let connection: Socket | undefined;
  let giveUp: (() => void) | undefined;
  return new Promise<Buffer>((resolve, reject) => {
    signal.throwIfAborted();
    giveUp = () => reject(signal.reason);
    signal.addEventListener('abort', giveUp);
    const options: RequestOptions = {
      method: 'POST',
      host: hostname.replace(/^\[|\]$/g, ''),
      port: port === '' ? (secure ? 443 : 80) : Number(port),
      path: pathname,
      headers: { 'Content-Type': 'text/xml', 'Content-Length': body.length, Connection: 'close' },
      // Without an agent: the connection is this call's alone.
      createConnection: ({ host, port }) => {
        const to = { host: String(host), port: Number(port) };
        connection = secure ? connectTls({ ...to, ...serverName(to.host) }) : connectTcp(to);
        bindReply(connection, () => reject(new OversizeError()), onBytes);
        return connection;
      },
    };
    const call = (secure ? requestHttps : requestHttp)(options, (response) => {
      const { statusCode = 0 } = response;
      // Whatever oned has to say it says with 200.
      if (statusCode !== 200) return reject(new StatusError(statusCode));
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve(Buffer.concat(chunks)));
      response.on('error', reject);
    });
    call.on('error', reject);
    call.end(body);
  }).finally(() => {
    if (giveUp !== undefined) signal.removeEventListener('abort', giveUp);
    // An answer that was given up must not go on arriving.
    connection?.destroy();
  });
}

export class OversizeError extends Error {}

export class StatusError extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`HTTP status ${status}`);
    this.status = status;
  }
}

function encodeCall(method: string, parameters: readonly RpcParameter[]): string {
  const params = parameters.map((parameter) => element('param', element('value', encode(parameter))));
  const call = element('methodCall', element('methodName', method), element('params', ...params));
  return `<?xml version="1.0" encoding="UTF-8"?>${serializeXml(call)}`;
}

function encode(parameter: RpcParameter): XmlElement {
  if (typeof parameter === 'boolean') return element('boolean', parameter ? '1' : '0');
  return element(typeof parameter === 'number' ? 'int' : 'string', String(parameter));
}

/** An address is no server name (RFC 6066 section 3). */
function serverName(host: string): { servername?: string } {
  return isIP(host) === 0 ? { servername: host } : {};
}

/** Headers and whatever else comes count as well, so the bound is where bytes arrive. */
function bindReply(connection: Socket, onOversize: () => void, onBytes: (count: number) => void): void {
  let received = 0;
  connection.on('data', (chunk: Buffer) => {
    onBytes(chunk.length);
    received += chunk.length;
    if (received > MAX_REPLY_BYTES) onOversize();
  });
}
