// What the proxy's port answers without an upgrade: the console page, /healthz, and 426 for everything else.
import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import { limitReply } from '../http-limits.js';
import { hasAllHeaders, requestPath } from '../http-request.js';
import { type ConsolePageOptions, consolePage } from '../web/console-page.js';

export function createHttpApp(page: ConsolePageOptions): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use((request, response, next) => {
    limitReply(response);
    if (!hasAllHeaders(request)) {
      response.status(431).set('Connection', 'close').type('text/plain').send('Too many headers\n');
      return;
    }
    if (requestPath(request) !== '/healthz') return next();
    if (isRead(request)) return void response.type('text/plain').send('ok');
    notAllowed(response);
  });
  app.use('/console', consolePage(page));
  app.use((request: Request, response: Response) => {
    if (!isRead(request)) return notAllowed(response);
    response.status(426).set({ Upgrade: 'websocket', Connection: 'Upgrade, close' });
    response.type('text/plain').send('A WebSocket is spoken here; the console page is at /console/\n');
  });
  // A path that cannot be decoded, mostly; the request is not repeated to its sender.
  app.use((_error: unknown, _request: Request, response: Response, _next: NextFunction) => {
    if (!response.headersSent)
      response.status(400).set('Connection', 'close').type('text/plain').send('Bad request\n');
  });
  return app;
}

function isRead({ method }: Request): boolean {
  return method === 'GET' || method === 'HEAD';
}

function notAllowed(response: Response): void {
  response
    .status(405)
    .set({ Allow: 'GET, HEAD', Connection: 'close' })
    .type('text/plain')
    .send('Allowed here: GET, HEAD\n');
}
