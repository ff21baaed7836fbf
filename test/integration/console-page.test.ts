// The console page as the proxy's HTTP serves it: a real server, the built page, real requests.
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import express from 'express';
import { beforeAll, describe, expect, it } from 'vitest';
import { consolePage } from '../../src/web/console-page.ts';
import { atEnd } from '../support/lifetime.ts';

const pageFolder = join(import.meta.dirname, '../../dist/web/page');
let origin = '';
let frameAncestors: readonly string[] = [];

beforeAll(async () => {
  const app = express();
  app.use('/console', consolePage({ frameAncestors: () => frameAncestors, pageFolder }));
  const server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

const get = (path: string, init: RequestInit = {}) =>
  fetch(`${origin}${path}`, { redirect: 'manual', ...init });

/** A request as it is: fetch would resolve the dots of the path and add headers of its own. */
async function getRaw(path: string, headers: Record<string, string> = {}) {
  const outgoing = request(origin, { path, headers, agent: false }).end();
  const [response] = await once(outgoing, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return {
    status: Number(response.statusCode),
    headers: response.headers,
    body: Buffer.concat(chunks).toString(),
  };
}

function directives(policy: string | null): Map<string, string> {
  const parts = (policy ?? '').split('; ').map((each) => each.split(/ (.*)/));
  return new Map(parts.map(([name = '', value = '']) => [name, value]));
}

describe('what the console page consists of', () => {
  it.each([
    ['/console/', 'text/html; charset=utf-8', '<!doctype html>'],
    ['/console/console.js', 'text/javascript; charset=utf-8', 'takeAddress'],
    ['/console/viewer.js', 'text/javascript; charset=utf-8', 'class Viewer'],
    ['/console/console.css', 'text/css; charset=utf-8', ':root'],
    ['/console/icons.svg', 'image/svg+xml', '<symbol'],
    ['/console/favicon.svg', 'image/svg+xml', '<svg'],
    ['/console/novnc/core/rfb.js', 'text/javascript; charset=utf-8', 'class RFB'],
    ['/console/novnc/core/input/keysymdef.js', 'text/javascript; charset=utf-8', 'codepoints'],
    ['/console/novnc/vendor/pako/lib/zlib/inflate.js', 'text/javascript; charset=utf-8', 'inflate'],
  ])('%s is %s', async (path, type, part) => {
    const response = await get(path);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe(type);
    expect(await response.text()).toContain(part);
  });

  it('has every file that the page and its scripts name, and all of them by relative URLs', async () => {
    const seen = new Set<string>();
    const queue = [`${origin}/console/`];
    for (let url = queue.pop(); url !== undefined; url = queue.pop()) {
      if (seen.has(url)) continue;
      seen.add(url);
      const response = await fetch(url);
      expect(response.status, url).toBe(200);
      const text = await response.text();
      const names = /(?:href|src)="([^"#]+)|(?:from|import) ?\(?["']([^"']+\.js)["']/g;
      for (const [, link, script] of text.matchAll(names)) {
        const name = link ?? script ?? '';
        expect(name, url).toMatch(/^\.\.?\//);
        queue.push(new URL(name, url).href);
      }
    }
    expect(seen.size).toBeGreaterThan(40);
  });

  it('has no inline script, style or handler', async () => {
    const html = await (await get('/console/')).text();
    expect(html).not.toMatch(/<style|\sstyle=|\son[a-z]+=|javascript:/i);
    expect(html.match(/<script[^>]*>[^<]*<\/script>/g)).toEqual([
      '<script type="module" src="./console.js"></script>',
    ]);
  });

  it.each(['/console', '/console?token=x', '/CONSOLE', '//evil.example/..//console'])(
    '%s is sent to the slash, by a relative address with nothing of the request in it',
    async (path) => {
      const { status, headers } = await getRaw(path);
      if (path.startsWith('//')) expect(status).toBe(404);
      else expect([status, headers.location]).toEqual([301, 'console/']);
    },
  );
});

describe('the headers of the console page', () => {
  const everywhere = [
    '/console/',
    '/console',
    '/console/console.js',
    '/console/novnc/core/rfb.js',
    '/console/none',
  ];

  it.each(everywhere)('%s is guarded', async (path) => {
    const { headers } = await get(path);
    expect(headers.get('referrer-policy')).toBe('no-referrer');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('cache-control')).toBe('no-cache');
    expect(headers.get('permissions-policy')).toContain('camera=()');
    expect(headers.get('permissions-policy')).toContain('fullscreen=(self)');
    expect(headers.has('x-frame-options')).toBe(false);
    expect(headers.has('set-cookie')).toBe(false);
    const policy = directives(headers.get('content-security-policy'));
    expect(Object.fromEntries(policy)).toEqual({
      'default-src': "'none'",
      'script-src': "'self'",
      'style-src': "'self'",
      'img-src': "'self' data:",
      'connect-src': "'self'",
      'base-uri': "'none'",
      'form-action': "'none'",
      'require-trusted-types-for': "'script'",
      'trusted-types': "'none'",
      'frame-ancestors': "'self'",
    });
  });

  it.each([
    [[], "'self'"],
    [['https://portal.example'], "'self' https://portal.example"],
    [
      ['https://portal.example', 'http://10.0.0.1:8080'],
      "'self' https://portal.example http://10.0.0.1:8080",
    ],
    [['*'], "'self' *"],
    [
      ["https://a.example; script-src 'unsafe-inline'", 'https://b.example\r\nX-Evil: 1', "'unsafe-inline'"],
      "'self'",
    ],
  ])('lets %j embed the page, as configured at that moment', async (origins, expected) => {
    frameAncestors = origins;
    const { headers } = await get('/console/');
    frameAncestors = [];
    expect(directives(headers.get('content-security-policy')).get('frame-ancestors')).toBe(expected);
    expect(headers.has('x-evil')).toBe(false);
  });

  it('answers 304 to a browser that has the file', async () => {
    for (const path of ['/console/', '/console/novnc/core/rfb.js']) {
      const etag = (await get(path)).headers.get('etag') ?? '';
      expect(etag).not.toBe('');
      const again = await getRaw(path, { 'If-None-Match': etag });
      expect([again.status, again.body]).toEqual([304, '']);
    }
  });
});

describe('what the console page does not serve', () => {
  it.each([
    '/console/none',
    '/console/<script>alert(1)</script>',
    '/console/tsconfig.json',
    '/console/console.ts',
    '/console/novnc/',
    '/console/novnc',
    '/console/novnc/core',
    '/console/novnc/core/',
    '/console/novnc/package.json',
    '/console/novnc/README.md',
    '/console/novnc/docs/API.md',
    '/console/novnc/core/../package.json',
    '/console/novnc/core/..%2fpackage.json',
    '/console/novnc/core/%2e%2e/package.json',
    '/console/novnc/core/..%5cpackage.json',
    '/console/novnc/core/%00rfb.js',
    '/console/novnc/core/.hidden',
    '/console/../console-page.js',
    '/console/..%2fconsole-page.js',
    '/console/%2e%2e/console-page.js',
    '/console/..%2f..%2fmain.js',
    '/console//etc/passwd.js',
    '/console/.git/config.js',
  ])('%s', async (path) => {
    const { status, headers, body } = await getRaw(path);
    expect(status).toBe(404);
    if (path.startsWith('/console/../')) return;
    expect([headers['content-type'], body]).toEqual(['text/plain; charset=utf-8', 'Not found\n']);
  });

  it.each(['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])(
    '%s is 405 and told what is allowed',
    async (method) => {
      for (const path of ['/console/', '/console', '/console/novnc/core/rfb.js']) {
        const response = await get(path, { method });
        expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
      }
    },
  );

  it('a body for HEAD', async () => {
    const response = await get('/console/', { method: 'HEAD' });
    expect([response.status, await response.text()]).toEqual([200, '']);
    expect(Number(response.headers.get('content-length'))).toBeGreaterThan(1000);
  });
});
