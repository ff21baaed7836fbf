// HTTP in and out for XML-RPC. What always holds: a call is answered with HTTP 200 and XML whatever became of it;
// only what never was a call (wrong path, verb, size, coding) gets a status of its own.
import { createServer, type Server } from 'node:http';
import express, { type NextFunction, type Request, type Response } from 'express';
import { clientAddress, type TrustedProxies } from '../client-address.js';
import type { IssueConsole } from '../console/issue.js';
import { type GatewayError, toGatewayError } from '../errors.js';
import { httpLimits, limitReply, limitServer, requestPath } from '../http-limits.js';
import type { Logger } from '../log.js';
import { userOf } from '../oned/session-string.js';
import { newRef } from '../ref.js';
import { fingerprint, hashToken } from '../tokens/token.js';
import { decodeCall, RpcFault } from './call.js';
import { answerRequest, type ConsoleRequest, type MethodSettings, readRequest } from './methods.js';
import { faultReply, refusalReply, successReply } from './reply.js';

export interface EndpointSettings extends MethodSettings {
  readonly trustedProxies: TrustedProxies;
}

export interface EndpointParts {
  readonly issue: IssueConsole;
  readonly logger: Logger;
  readonly maxBodyBytes: number;
  /** Asked at every call, so that it may change while running. */
  readonly settings: () => EndpointSettings;
  /** Fires when the service stops: answers from then on close their connection. */
  readonly stopping: AbortSignal;
}

const RPC_PATH = /^\/RPC2/;
const ALLOWED_VERBS = 'GET, POST';

/** The XML-RPC listener, not yet listening. */
export function createEndpoint(parts: EndpointParts): Server {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use((request, response, next) => {
    if (parts.stopping.aborted) response.set('Connection', 'close');
    const path = requestPath(request) ?? '';
    if (path === '/healthz' && /^(GET|HEAD)$/.test(request.method)) response.type('text/plain').send('ok');
    else if (!RPC_PATH.test(path)) sendText(response, 404, 'Not found; XML-RPC is at /RPC2');
    else if (/^(GET|POST)$/.test(request.method)) next();
    else sendText(response.set('Allow', ALLOWED_VERBS), 405, `Allowed here: ${ALLOWED_VERBS}`);
  });
  app.use(express.raw({ type: () => true, limit: parts.maxBodyBytes }));
  app.use(async (request: Request, response: Response) => {
    sendXml(response, await answerCall(request, response, parts));
  });
  app.use((error: unknown, _request: Request, response: Response, _next: NextFunction) => {
    sendFailure(response, error, parts);
  });
  return limitServer(createServer(httpLimits, app));
}

async function answerCall(request: Request, response: Response, parts: EndpointParts): Promise<string> {
  const { logger, settings: readSettings } = parts;
  const settings = readSettings();
  const client = clientAddress(
    request.socket.remoteAddress,
    request.headers['x-forwarded-for'],
    settings.trustedProxies,
  );
  const ref = newRef();
  const startedAt = performance.now();
  const durationMs = () => Math.round(performance.now() - startedAt);
  let asked: ConsoleRequest | undefined;
  try {
    const body: unknown = request.body;
    asked = readRequest(
      decodeCall(Buffer.isBuffer(body) ? body : Buffer.alloc(0), request.headers['content-type']),
    );
    const { value, issued } = await answerRequest(asked, parts.issue, settings, goneSignal(response));
    const { vmId, user, target } = issued.grant;
    const token = fingerprint(hashToken(issued.token));
    logger.info(
      { ref, vm: vmId, user, client, fingerprint: token, target, durationMs: durationMs() },
      'token issued',
    );
    return successReply(value);
  } catch (error) {
    const about = {
      ref,
      vm: asked?.vmId,
      user: asked && userOf(asked.session),
      client,
      durationMs: durationMs(),
    };
    if (error instanceof RpcFault) {
      logger.info({ ...about, fault: error.code, reason: error.message }, 'call refused');
      return faultReply(error.code, error.message);
    }
    const refused = toGatewayError(error);
    logger[refused.logLevel]({ ...about, code: refused.code, reason: reasonOf(refused) }, 'call refused');
    return refusalReply(refused.toldAs(ref), refused.oneCode);
  }
}

/** oned's words can echo what it was sent; its code says enough. */
function reasonOf(refused: GatewayError): string {
  return refused.code === 'oned-refused' ? `oned's code ${refused.oneCode}` : refused.detail;
}

/** Fires when the caller closes the connection before it has its answer. */
function goneSignal(response: Response): AbortSignal {
  const gone = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) gone.abort();
  });
  return gone.signal;
}

function sendXml(response: Response, xml: string): void {
  limitReply(response);
  response.status(200).set('Content-Type', 'text/xml; charset=utf-8').send(Buffer.from(xml));
}

function sendText(response: Response, status: number, text: string): void {
  limitReply(response);
  // What is left of the request's body is not worth reading.
  response.status(status).set('Connection', 'close').type('text/plain').send(`${text}\n`);
}

/** What the body parser refuses (413 too large, 415 unknown coding, 400 broken coding), or a bug. */
function sendFailure(response: Response, error: unknown, { logger, maxBodyBytes }: EndpointParts): void {
  const status =
    error instanceof Error && 'status' in error && typeof error.status === 'number' ? error.status : 500;
  const ref = newRef();
  if (status >= 500) logger.error({ ref, reason: toGatewayError(error).detail }, 'request failed');
  if (response.headersSent || response.destroyed) return;
  const text: Record<number, string> = {
    413: `Request is larger than max_body, ${maxBodyBytes} bytes`,
    415: 'Content-Encoding is not supported; gzip, deflate and br are',
  };
  sendText(response, status, text[status] ?? (status >= 500 ? `Internal error (ref ${ref})` : 'Bad request'));
}
