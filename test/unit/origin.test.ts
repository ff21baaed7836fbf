// Which web sites may open consoles: a table, since every row is somebody's deployment or somebody's attack.
import { describe, expect, it } from 'vitest';
import { canonicalHost, frameAncestor, hostIsOurs, originAllowed } from '../../src/origin.ts';

const none = { publicUrl: undefined, allowedOrigins: [] };
const withUrl = { publicUrl: 'https://console.example/vnc', allowedOrigins: [] };
const withPortal = {
  publicUrl: undefined,
  allowedOrigins: ['https://portal.example', 'http://portal.example:8080'],
};
const withPatterns = {
  publicUrl: undefined,
  allowedOrigins: ['https://*.example.com', 'http://*.lan:8080'],
};
const withApps = {
  publicUrl: undefined,
  allowedOrigins: ['null', 'file://', 'capacitor://localhost', 'app://.', 'moz-extension://0a-1b'],
};
const withAll = { publicUrl: undefined, allowedOrigins: ['*'] };

describe('an Origin', () => {
  it.each([
    ['of the same host and port', 'http://127.0.0.1:29876', '127.0.0.1:29876', none, true],
    ['of the same name, Host without port', 'https://cloud.example:8443', 'cloud.example', none, true],
    ['of the default port, Host with it', 'https://cloud.example', 'cloud.example:443', none, true],
    [
      'of the default port, Host with that of the other scheme',
      'https://cloud.example',
      'cloud.example:80',
      none,
      false,
    ],
    ['of another port', 'http://cloud.example:81', 'cloud.example:80', none, false],
    ['in other letters', 'https://CLOUD.example', 'cloud.EXAMPLE', none, true],
    ['of an IPv6 host', 'http://[::1]:29876', '[::1]:29876', none, true],
    ['of another host', 'https://evil.example', 'cloud.example', none, false],
    [
      'whose name only begins like the host',
      'https://cloud.example.evil.example',
      'cloud.example',
      none,
      false,
    ],
    ['whose name only ends like the host', 'https://evil-cloud.example', 'cloud.example', none, false],
    ['with a user part like the host', 'https://cloud.example@evil.example', 'cloud.example', none, false],
    ['null', 'null', 'cloud.example', none, false],
    ['empty', '', 'cloud.example', none, false],
    ['of a file', 'file://', 'cloud.example', none, false],
    ['of an extension', 'chrome-extension://cloud.example', 'cloud.example', none, false],
    ['sent twice', 'https://cloud.example, https://evil.example', 'cloud.example', none, false],
    ['without any Host', 'https://cloud.example', undefined, none, false],
    ['with a Host that is none', 'https://cloud.example', 'cloud.example/../x:y', none, false],
    ['of public_url', 'https://console.example', '10.0.0.5:29876', withUrl, true],
    ['of public_url by http', 'http://console.example', '10.0.0.5:29876', withUrl, false],
    ['of public_url on another port', 'https://console.example:8443', '10.0.0.5:29876', withUrl, false],
    ['in allowed_origins', 'https://portal.example', 'console.example', withPortal, true],
    ['in allowed_origins with its port', 'http://portal.example:8080', 'console.example', withPortal, true],
    [
      'in allowed_origins but for its port',
      'https://portal.example:8443',
      'console.example',
      withPortal,
      false,
    ],
    ['in allowed_origins but for its scheme', 'http://portal.example', 'console.example', withPortal, false],
    ['one label below a pattern', 'https://a.example.com', 'x', withPatterns, true],
    ['one label below a pattern, with its port', 'http://b.lan:8080', 'x', withPatterns, true],
    ['one label below a pattern, in other letters', 'https://A.EXAMPLE.com:443', 'x', withPatterns, true],
    ['of the name of a pattern itself', 'https://example.com', 'x', withPatterns, false],
    ['two labels below a pattern', 'https://a.b.example.com', 'x', withPatterns, false],
    ['below a pattern with another scheme', 'http://a.example.com', 'x', withPatterns, false],
    ['below a pattern with another port', 'https://a.example.com:8443', 'x', withPatterns, false],
    ['that only ends like a pattern', 'https://a-example.com', 'x', withPatterns, false],
    ['that goes on behind a pattern', 'https://a.example.com.evil.example', 'x', withPatterns, false],
    ['below a pattern, without a label', 'https://.example.com', 'x', withPatterns, false],
    ['with a star of its own', 'https://*.example.com', 'x', withPatterns, false],
    ['below a pattern, with a user', 'https://evil@a.example.com', 'x', withPatterns, false],
    ['below a pattern, with a path', 'https://evil.example/.example.com', 'x', withPatterns, false],
    ['below a pattern, two of them', 'https://a.example.com, https://evil.example', 'x', withPatterns, false],
    ['null, allowed by name', 'null', 'x', withApps, true],
    ['null in other letters', 'NULL', 'x', withApps, false],
    ['of a file, allowed by name', 'file://', 'x', withApps, true],
    ['of a file on a host', 'file://host', 'x', withApps, false],
    ['of an app', 'capacitor://localhost', 'x', withApps, true],
    ['of an app, in other letters', 'moz-extension://0A-1B', 'x', withApps, true],
    ['of an app at a dot', 'app://.', 'x', withApps, true],
    ['of an app with another scheme', 'ionic://localhost', 'localhost', withApps, false],
    ['of an app on another host', 'capacitor://evil', 'x', withApps, false],
    ['of an app, with a path', 'capacitor://localhost/', 'x', withApps, false],
    ['with a dot at its end', 'https://portal.example.', 'x', withPortal, true],
    ['of the same host, with a dot at its end', 'https://cloud.example.', 'cloud.example', none, true],
    ['of anybody where * is allowed', 'https://evil.example', 'console.example', withAll, true],
    ['null where * is allowed', 'null', 'console.example', withAll, true],
  ])('%s', (_what, origin, host, settings, allowed) => {
    expect(originAllowed(origin, host, settings)).toBe(allowed);
  });
});

describe('an allowed origin in frame-ancestors', () => {
  it.each([
    ['https://portal.example:8443', 'https://portal.example:8443'],
    ['https://*.example.com', 'https://*.example.com'],
    ['capacitor://localhost', 'capacitor://localhost'],
    ['*', '*'],
    ['file://', 'file:'],
    ['null', undefined],
    ['https://[::1]', undefined],
  ])('%s is %s', (origin, source) => {
    expect(frameAncestor(origin)).toBe(source);
  });
});

describe('a Host', () => {
  const own = new Set(['console.example', '192.0.2.1', '[2001:db8::1]', 'xn--bcher-kva.example']);

  it.each<[string | undefined, boolean]>([
    ['localhost', true],
    ['LOCALHOST:2644', true],
    ['localhost.:2644', true],
    ['127.0.0.1:2644', true],
    ['127.255.255.254', true],
    ['[::1]:2644', true],
    ['[0:0:0:0:0:0:0:1]', true],
    ['[::ffff:127.0.0.1]', true],
    ['console.example', true],
    ['Console.Example.:443', true],
    ['192.0.2.1:80', true],
    ['[2001:DB8::0:1]:80', true],
    ['xn--bcher-kva.example', true],
    [undefined, false],
    ['', false],
    [':2644', false],
    ['evil.example', false],
    ['evil.example:2644', false],
    ['localhost.evil.example', false],
    ['127.0.0.1.evil.example', false],
    ['a.console.example', false],
    ['0.0.0.0:2644', false],
    ['[::]', false],
    ['192.0.2.2', false],
    ['console.example@evil.example', false],
    ['evil.example/console.example', false],
    ['console.example, evil.example', false],
    ['console.example evil.example', false],
  ])('%s: %s', (host, ours) => {
    expect(hostIsOurs(host, own)).toBe(ours);
  });

  it.each([
    ['::1', '[::1]'],
    ['[::1]', '[::1]'],
    ['A.example.', 'a.example'],
    ['0x7f.1', '127.0.0.1'],
    ['a.example:80', undefined],
    ['[::1]:80', undefined],
    ['a b', undefined],
    ['', undefined],
    ['*', undefined],
  ])('the name %j is %j', (name, canonical) => {
    expect(canonicalHost(name)).toBe(canonical);
  });
});
