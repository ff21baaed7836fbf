// Which web sites may open consoles: a table, since every row is somebody's deployment or somebody's attack.
import { describe, expect, it } from 'vitest';
import { originAllowed } from '../../src/proxy/origin.ts';

const none = { publicUrl: undefined, allowedOrigins: [] };
const withUrl = { publicUrl: 'https://console.example/vnc', allowedOrigins: [] };
const withPortal = {
  publicUrl: undefined,
  allowedOrigins: ['https://portal.example', 'http://portal.example:8080'],
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
    ['of anybody where * is allowed', 'https://evil.example', 'console.example', withAll, true],
    ['null where * is allowed', 'null', 'console.example', withAll, true],
  ])('%s', (_what, origin, host, settings, allowed) => {
    expect(originAllowed(origin, host, settings)).toBe(allowed);
  });
});
