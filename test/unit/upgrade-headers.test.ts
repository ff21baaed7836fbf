// Headers of an upgrade as they arrive through other people's proxies: a table, so that the next one is a line.
import type { IncomingHttpHeaders } from 'node:http';
import { describe, expect, it } from 'vitest';
import { tidyUpgradeHeaders } from '../../src/proxy/upgrade-headers.ts';

function tidied(name: string, value: string | undefined): unknown {
  const headers: IncomingHttpHeaders = value === undefined ? {} : { [name]: value };
  tidyUpgradeHeaders(headers);
  return headers[name];
}

describe('of an upgrade', () => {
  it.each([
    ['upgrade', 'websocket', 'websocket'],
    ['upgrade', 'WebSocket', 'websocket'],
    ['upgrade', 'websocket, h2c', 'websocket'],
    ['upgrade', 'h2c,WEBSOCKET', 'websocket'],
    ['upgrade', ', websocket ,', 'websocket'],
    ['upgrade', 'websocket, websocket', 'websocket'],
    ['upgrade', 'websockets', 'websockets'],
    ['upgrade', 'h2c', 'h2c'],
    ['upgrade', undefined, undefined],
    ['sec-websocket-version', '13', '13'],
    ['sec-websocket-version', '13, 13', '13'],
    ['sec-websocket-version', '13, 8', '13'],
    ['sec-websocket-version', '8, 13', '13'],
    ['sec-websocket-version', '8,7', '8'],
    ['sec-websocket-version', '7', '7'],
    ['sec-websocket-version', '7, 0', '7, 0'],
    ['sec-websocket-version', '013', '013'],
    ['sec-websocket-version', '', ''],
    ['sec-websocket-protocol', 'binary', 'binary'],
    ['sec-websocket-protocol', 'binary, base64', 'binary, base64'],
    ['sec-websocket-protocol', 'binary,,binary', 'binary'],
    ['sec-websocket-protocol', ' , binary', 'binary'],
    ['sec-websocket-protocol', 'binary,', 'binary'],
    ['sec-websocket-protocol', '\tbinary\t,base64 , binary', 'binary, base64'],
    ['sec-websocket-protocol', '', undefined],
    ['sec-websocket-protocol', ' , ,', undefined],
    ['sec-websocket-protocol', undefined, undefined],
    ['sec-websocket-protocol', 'Binary', 'Binary'],
    ['sec-websocket-protocol', 'bin ary', 'bin ary'],
  ])('%s: %j is read as %j', (name, value, read) => {
    expect(tidied(name, value)).toBe(read);
  });

  it('a list of tens of thousands costs milliseconds', () => {
    const began = performance.now();
    tidied('sec-websocket-protocol', `${'a,'.repeat(30_000)}binary`);
    expect(performance.now() - began).toBeLessThan(1_000);
  });
});
