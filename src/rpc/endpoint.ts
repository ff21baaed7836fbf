// HTTP in and out for XML-RPC. What always holds: a call is answered with HTTP 200 and XML whatever became of it;
// only what never was a call (wrong path, verb, size, coding) gets a status of its own.
import { createServer, type Server } from 'node:http';
import express, { type NextFunction, type Request, type Response } from 'express';
import { clientAddress, type TrustedProxies } from '../client-address.js';
import { GatewayError, toGatewayError } from '../errors.js';
import { httpLimits, limitReply, limitServer } from '../http-limits.js';
import { hasAllHeaders, requestPath } from '../http-request.js';
import { printable } from '../printable.js';
import { newRef } from '../ref.js';
import { RefusalLog } from '../refusal-log.js';
import { Answerer, type AnswererParts, type AnswerSettings } from './answer.js';
import { BodyBudget } from './body-budget.js';
import { type CallerSettings, checkCaller } from './caller.js';
import { limitConnections } from './connections.js';
import { contentCoding } from './content-coding.js';

export interface EndpointSettings extends AnswerSettings, CallerSettings {
  readonly trustedProxies: TrustedProxies;
}

/** `stopping`: answers from then on close their connection. */
export interface EndpointParts extends Omit<AnswererParts, 'refusals'> {
  readonly maxBodyBytes: number;
  readonly settings: () => EndpointSettings;
}

type OpenParts = EndpointParts & AnswererParts;

const RPC_PATH = /^\/RPC2/;
const ALLOWED_VERBS = 'GET, POST';
/** Characters of a stranger's header. */
const MAX_LOGGED = 200;

/** The XML-RPC listener, not yet listening. */
export function createEndpoint(given: EndpointParts): Server {
  const refusals = new RefusalLog(given.logger, 'call refused', given.isExempt);
  const parts: OpenParts = { ...given, refusals };
  const answerer = new Answerer(parts);
  const budget = new BodyBudget(parts.maxBodyBytes);
  const app = express();
  const server = createServer(httpLimits, app);
  const isRefused = limitConnections(server, {
    isExempt: parts.isExempt,
    trustedProxies: () => parts.settings().trustedProxies,
    onRefusal: (client) => tellRefusal(parts, client, new GatewayError('too-many-connections')),
  });
  app.disable('x-powered-by');
  app.disable('etag');
  app.use((request, response, next) => {
    if (parts.stopping.aborted) response.set('Connection', 'close');
    const path = requestPath(request) ?? '';
    if (isRefused(request.socket)) request.socket.destroy();
    else if (!hasAllHeaders(request)) sendText(response, 431, 'Too many headers');
    else if (path === '/healthz' && /^(GET|HEAD)$/.test(request.method))
      response.type('text/plain').send('ok');
    else if (!RPC_PATH.test(path)) sendText(response, 404, 'Not found; XML-RPC is at /RPC2');
    else if (/^(GET|POST)$/.test(request.method)) admitCaller(request, response, next, parts);
    else sendText(response.set('Allow', ALLOWED_VERBS), 405, `Allowed here: ${ALLOWED_VERBS}`);
  });
  app.use(async (request, response, next) => {
    const refusal = await answerer.admit(clientOf(request, parts), goneSignal(response));
    if (refusal === undefined) next();
    else sendXml(response, refusal);
  });
  app.use((request, _response, next) => {
    request.headers['content-encoding'] = contentCoding(request.headers['content-encoding']);
    next();
  });
  app.use((request, response, next) => {
    const client = clientOf(request, parts);
    budget.hold(request, client, () => {
      const refused = new GatewayError('over-limit', { detail: 'too many bytes of unfinished calls' });
      sendText(response, refused.httpStatus, refused.toldAs(tellRefusal(parts, client, refused)));
    });
    next();
  });
  app.use(express.raw({ type: () => true, limit: parts.maxBodyBytes }));
  app.use(async (request: Request, response: Response) => {
    sendXml(response, await answerCall(request, response, parts, answerer));
  });
  app.use((error: unknown, _request: Request, response: Response, _next: NextFunction) => {
    sendFailure(response, error, parts);
  });
  server.once('close', () => refusals.flush());
  return limitServer(server);
}

/** @returns the reference under which it stands in the log */
function tellRefusal(
  { refusals }: OpenParts,
  client: string,
  { logLevel: level, code, detail: reason }: GatewayError,
  about: object = {},
): string {
  const fields = { ...about, code, reason };
  return refusals.write({ client, ref: newRef(), level, kind: code, fields }).ref;
}

/** A refused caller's body is not read. */
function admitCaller(request: Request, response: Response, next: NextFunction, parts: OpenParts): void {
  try {
    checkCaller(request.headers, parts.settings());
  } catch (error) {
    const refused = toGatewayError(error);
    const { origin = '', host = '' } = request.headers;
    const about = { origin: printable(origin, MAX_LOGGED), host: printable(host, MAX_LOGGED) };
    const ref = tellRefusal(parts, clientOf(request, parts), refused, about);
    sendText(response, refused.httpStatus, refused.toldAs(ref));
    return;
  }
  next();
}

function clientOf({ socket, headers }: Request, { settings }: EndpointParts): string {
  return clientAddress(socket.remoteAddress, headers['x-forwarded-for'], settings().trustedProxies);
}

function answerCall(request: Request, response: Response, parts: EndpointParts, answerer: Answerer) {
  const body: unknown = request.body;
  return answerer.answer({
    body: Buffer.isBuffer(body) ? body : Buffer.alloc(0),
    contentType: request.headers['content-type'],
    client: clientOf(request, parts),
    gone: goneSignal(response),
  });
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
