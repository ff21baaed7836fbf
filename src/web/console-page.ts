// The console page's place in the proxy's HTTP: our page, and noVNC's core/ and vendor/ from its package.
// Every answer has the same security headers, and none repeats anything of the request.
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import express from 'express';

/** What the page needs to know of the configuration. */
export interface ConsolePageOptions {
  /** More origins that may embed the page, or `*`. Asked at each request: the configuration can be reloaded. */
  frameAncestors(): readonly string[];
  /** Where the built page lies; beside this file unless told otherwise. */
  readonly pageFolder?: string;
}

// A CSP host-source, the wildcard or files (CSP 3, 2.3.1); anything else could end the directive or begin another.
const hostSource = /^(?:\*|file:|(?:[a-z][a-z0-9+.-]*:\/\/)?(?:\*\.)?[a-z0-9._-]+(?::(?:[0-9]+|\*))?)$/i;

/**
 * The page's Content-Security-Policy. noVNC draws JPEG rectangles and cursors from data: URLs and sets styles by
 * script alone, so nothing inline is needed.
 */
export function contentSecurityPolicy(frameAncestors: readonly string[]): string {
  const ancestors = ["'self'", ...frameAncestors.filter((origin) => hostSource.test(origin))];
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
    `frame-ancestors ${ancestors.join(' ')}`,
  ].join('; ');
}

// No X-Frame-Options: it cannot name origins and would overrule frame-ancestors in old browsers. No
// Cross-Origin-Opener-Policy: portals open consoles in windows of their own and keep a hand on them.
const fixedHeaders = {
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'Cache-Control': 'no-cache',
  'Permissions-Policy':
    'camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=(), ' +
    'clipboard-read=(self), clipboard-write=(self), fullscreen=(self)',
};

const pageTypes = new Set(['.html', '.css', '.svg', '.js']);

function novncFolder(): string {
  const entry = createRequire(import.meta.url).resolve('@novnc/novnc');
  return dirname(dirname(entry));
}

function serveFolder(folder: string, index: string | false = false): express.Handler {
  return express.static(folder, { index, redirect: false, dotfiles: 'ignore', cacheControl: false });
}

/** A router to be mounted at `/console`: the page at `/console/`, noVNC below `/console/novnc/`. */
export function consolePage(options: ConsolePageOptions): express.Router {
  const router = express.Router();
  const pageFolder = options.pageFolder ?? fileURLToPath(new URL('./page', import.meta.url));

  router.use((request, response, next) => {
    response.set(fixedHeaders);
    response.set('Content-Security-Policy', contentSecurityPolicy(options.frameAncestors()));
    if (request.method === 'GET' || request.method === 'HEAD') next();
    else response.status(405).set('Allow', 'GET, HEAD').type('text/plain').send('Method not allowed\n');
  });
  // The page's own URLs are relative, so it must be at a path that ends in a slash. The redirect is relative too:
  // it holds behind a path prefix, and the browser keeps the fragment.
  router.use((request, response, next) => {
    const [path = ''] = request.originalUrl.split('?', 1);
    if (request.path !== '/' || path.endsWith('/')) next();
    else response.status(301).set('Location', 'console/').end();
  });
  for (const part of ['core', 'vendor']) router.use(`/novnc/${part}`, serveFolder(join(novncFolder(), part)));
  const servePage = serveFolder(pageFolder, 'index.html');
  router.use((request, response, next) => {
    if (request.path === '/' || pageTypes.has(extname(request.path))) servePage(request, response, next);
    else next();
  });
  router.use((_request, response) => {
    response.status(404).type('text/plain').send('Not found\n');
  });
  return router;
}
