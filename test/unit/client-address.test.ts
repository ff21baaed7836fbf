// Whose request it is. What always holds: nobody can choose his own address, for only what trusted proxies added to
// X-Forwarded-For counts.
import { describe, expect, it } from 'vitest';
import {
  clientAddress,
  isLoopback,
  networkOf,
  TrustedProxies,
  UNNAMED_CLIENT,
} from '../../src/client-address.ts';

const byDefault = new TrustedProxies(['127.0.0.0/8', '::1']);
const wider = new TrustedProxies(['10.0.0.0/8', '192.0.2.1', 'fd00::/8', '::1']);

describe('the client', () => {
  it.each<[string | undefined, string | string[] | undefined, string]>([
    ['127.0.0.1', undefined, '127.0.0.1'],
    ['127.0.0.1', '203.0.113.9', '203.0.113.9'],
    ['127.9.9.9', '203.0.113.9', '203.0.113.9'],
    ['::1', '203.0.113.9', '203.0.113.9'],
    ['::ffff:127.0.0.1', '203.0.113.9', '203.0.113.9'],
    ['::ffff:198.51.100.7', '203.0.113.9', '198.51.100.7'],
    ['198.51.100.7', '203.0.113.9', '198.51.100.7'],
    ['127.0.0.1', '203.0.113.9, 198.51.100.7', '198.51.100.7'],
    ['127.0.0.1', '198.51.100.7,203.0.113.9', '203.0.113.9'],
    ['127.0.0.1', '203.0.113.9, 127.0.0.1', '203.0.113.9'],
    ['127.0.0.1', '127.0.0.2, ::1', '127.0.0.2'],
    ['127.0.0.1', '  203.0.113.9\t', '203.0.113.9'],
    ['127.0.0.1', '2001:db8::9', '2001:db8::9'],
    ['127.0.0.1', '[2001:db8::9]:4711', '2001:db8::9'],
    ['127.0.0.1', '[2001:db8::9]', '2001:db8::9'],
    ['127.0.0.1', 'fe80::1%eth0', 'fe80::1'],
    ['127.0.0.1', '203.0.113.9:4711', '203.0.113.9'],
    ['127.0.0.1', '::ffff:203.0.113.9', '203.0.113.9'],
    ['127.0.0.1', '::ffff:cb00:7109', '203.0.113.9'],
    ['127.0.0.1', '::FFFF:203.0.113.9', '203.0.113.9'],
    ['127.0.0.1', '203.0.113.9, ::ffff:7f00:1', '203.0.113.9'],
    ['127.0.0.1', '2001:0DB8:0:0::0009', '2001:db8::9'],
    ['127.0.0.1', '[fe80::1%25eth0]:4711', 'fe80::1'],
    ['::ffff:7f00:1', '203.0.113.9', '203.0.113.9'],
    ['127.0.0.1', ['203.0.113.9', '198.51.100.7'], '198.51.100.7'],
    [undefined, '203.0.113.9', 'unknown'],
    ['', undefined, 'unknown'],
  ])('of the peer %s that says %j is %s', (peer, forwardedFor, client) => {
    expect(clientAddress(peer, forwardedFor, byDefault)).toBe(client);
  });

  it.each([
    ['10.1.2.3', '203.0.113.9, 192.0.2.1, 10.9.9.9', '203.0.113.9'],
    ['192.0.2.1', '203.0.113.9', '203.0.113.9'],
    ['192.0.2.2', '203.0.113.9', '192.0.2.2'],
    ['fd12::1', '203.0.113.9', '203.0.113.9'],
    ['fe80::1', '203.0.113.9', 'fe80::1'],
    ['127.0.0.1', '203.0.113.9', '127.0.0.1'],
    ['11.0.0.1', '203.0.113.9', '11.0.0.1'],
  ])('behind other proxies, of the peer %s that says %s, is %s', (peer, forwardedFor, client) => {
    expect(clientAddress(peer, forwardedFor, wider)).toBe(client);
  });

  it.each([
    '',
    ' ',
    ',',
    ',,',
    'unknown',
    '203.0.113.9, unknown',
    '203.0.113.9, _hidden',
    '203.0.113.9,',
    '203.0.113.9, ,',
    '203.0.113.9, , 127.0.0.1',
    '203.0.113.9, "198.51.100.7"',
    '203.0.113.9, for=198.51.100.7',
    '203.0.113.9, nginx.example',
    '203.0.113.9, unix:',
    '203.0.113.9; 198.51.100.7',
    '1.2.3',
    '010.0.0.1',
    '0x7f000001',
    '2130706433',
    '127.0.0.1:x',
    '127.0.0.1:80:80',
    '[127.0.0.1]x',
    '[::1',
    '::1]',
    '::1%',
    '::ffff:127.0.0.256',
    '198.51.100.7\t127.0.0.1',
    '<script>',
  ])("that a trusted proxy tells as %j has no address, least of all the proxy's", (forwardedFor) => {
    const client = clientAddress('127.0.0.1', forwardedFor, byDefault);
    expect(client).toBe(UNNAMED_CLIENT);
    expect([isLoopback(client), byDefault.has(client)]).toEqual([false, false]);
  });

  it('is the peer where nobody is trusted', () => {
    expect(clientAddress('127.0.0.1', '203.0.113.9', new TrustedProxies([]))).toBe('127.0.0.1');
  });

  it('is found in a chain of thousands', () => {
    const chain = `203.0.113.9${', 127.0.0.1'.repeat(5000)}`;
    expect(clientAddress('127.0.0.1', chain, byDefault)).toBe('203.0.113.9');
  });
});

describe('this host itself', () => {
  it.each(['127.0.0.1', '127.255.0.9', '::1'])('is %s', (address) => {
    expect(isLoopback(address)).toBe(true);
  });

  it.each(['126.0.0.1', '192.0.2.1', '::2', 'unknown', ''])('is not %j', (address) => {
    expect(isLoopback(address)).toBe(false);
  });

  it('is remembered for some addresses, and not for all that ever came', () => {
    for (let i = 0; i < 5000; i++) expect(isLoopback(`10.0.${i >> 8}.${i & 255}`)).toBe(false);
    expect(isLoopback('127.0.0.1')).toBe(true);
  });
});

describe('the network that attempts are counted for', () => {
  it.each([
    ['203.0.113.9', '203.0.113.9'],
    ['unknown', 'unknown'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::6', '2001:db8:1:2::/64'],
    ['2001:DB8:1:2:ffff::', '2001:db8:1:2::/64'],
    ['2001:0db8:0001:0002::1', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['1::', '1:0:0:0::/64'],
    ['2001:db8:1:2:3::5:6', '2001:db8:1:2::/64'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
  ])('of %s is %s', (address, network) => {
    expect(networkOf(address)).toBe(network);
  });
});
