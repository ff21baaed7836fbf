// `redis_url`: all of its forms, and messages that never quote it.
import { describe, expect, it } from 'vitest';
import { StartError } from '../../src/errors.ts';
import { slotOf } from '../../src/tokens/redis/cluster.ts';
import { parseRedisUrl, serverName } from '../../src/tokens/redis/url.ts';

const local = { host: '127.0.0.1', port: 6379 };
const noFiles = { caFile: undefined, certFile: undefined, keyFile: undefined };
const single = { kind: 'single', servers: [local], login: undefined, tls: undefined, database: 0 };

describe('redis_url', () => {
  it.each([
    ['redis://127.0.0.1', single],
    ['  redis://127.0.0.1:6379/  ', single],
    ['redis://127.0.0.1:7000/3', { ...single, servers: [{ ...local, port: 7000 }], database: 3 }],
    ['redis://[::1]:7000', { ...single, servers: [{ host: '::1', port: 7000 }] }],
    ['redis://app:s3cret@127.0.0.1', { ...single, login: { user: 'app', password: 's3cret' } }],
    ['redis://:p%40ss%3a%2F%25@127.0.0.1', { ...single, login: { user: undefined, password: 'p@ss:/%' } }],
    ['redis://app:a:b@127.0.0.1', { ...single, login: { user: 'app', password: 'a:b' } }],
    ['rediss://127.0.0.1', { ...single, tls: noFiles }],
    [
      'rediss://127.0.0.1/1?ca=/etc/ca.pem&cert=%2Fc.pem&key=/k.pem',
      {
        ...single,
        database: 1,
        tls: { caFile: '/etc/ca.pem', certFile: '/c.pem', keyFile: '/k.pem' },
      },
    ],
    [
      'redis+cluster://app:pw@a.example:7000,b.example',
      {
        kind: 'cluster',
        servers: [
          { host: 'a.example', port: 7000 },
          { host: 'b.example', port: 6379 },
        ],
        login: { user: 'app', password: 'pw' },
        tls: undefined,
      },
    ],
    [
      'rediss+sentinel://app:pw@a,b:1/my-master/2?sentinel_user=s&sentinel_password=q',
      {
        kind: 'sentinel',
        servers: [
          { host: 'a', port: 26_379 },
          { host: 'b', port: 1 },
        ],
        login: { user: 'app', password: 'pw' },
        tls: noFiles,
        masterName: 'my-master',
        database: 2,
        sentinelLogin: { user: 's', password: 'q' },
      },
    ],
  ])('%s is understood', (text, address) => {
    expect(parseRedisUrl(text)).toEqual(address);
  });

  it.each([
    ['', 'expected redis://'],
    ['http://127.0.0.1', 'expected redis://'],
    ['redis://', 'expected redis://'],
    ['redis://app:hunter2@x@127.0.0.1', 'write @ / ? # % : as %40'],
    ['redis://app:hunter2/x@127.0.0.1', 'expected host:port'],
    ['redis://app:hunter2?x@127.0.0.1', 'the parameters are'],
    ['redis://app:hunter2#x@127.0.0.1', 'expected redis://'],
    ['redis://app:%hunter2@127.0.0.1', 'write % itself as %25'],
    ['redis://hunter2@127.0.0.1', 'a user needs a password'],
    ['redis://127.0.0.1:0', 'expected host:port'],
    ['redis://127.0.0.1:65536', 'expected host:port'],
    ['redis://127.0.0.1,', 'expected host:port'],
    ['redis://a,b', 'several hosts need'],
    [`redis+cluster://${Array(33).fill('a').join()}`, 'more than 32 hosts'],
    ['redis://a/x', 'the database is a number'],
    ['redis+cluster://a/1', 'a cluster has no databases'],
    ['redis+sentinel://a', 'expected /master-name'],
    ['redis+sentinel://a/m/1/2', 'expected /master-name'],
    ['redis://a?ca=/x', 'ca, cert and key are for rediss'],
    ['rediss://a?cert=/x', 'cert and key belong together'],
    ['rediss://a?ca=/x&ca=/y', 'ca needs one value'],
    ['rediss://a?hunter2=x', 'the parameters are'],
    ['redis://a?sentinel_password=hunter2', 'sentinel_password is for redis+sentinel'],
    ['redis+sentinel://a/m?sentinel_user=x', 'sentinel_user needs sentinel_password'],
  ])('%s is refused, without a word of it', (text, problem) => {
    const parse = () => parseRedisUrl(text);
    expect(parse).toThrow(StartError);
    expect(parse).toThrow(new RegExp(`^redis_url: .*${problem.replace(/[+/?]/g, '\\$&')}`));
    expect(parse).not.toThrow('hunter2');
  });

  it('is named in messages by its servers', () => {
    expect(serverName({ host: '::1', port: 1 })).toBe('[::1]:1');
    expect(serverName(local)).toBe('127.0.0.1:6379');
  });
});

it.each([
  // As redis-server's CLUSTER KEYSLOT says.
  ['123456789', 12_739],
  ['foo', 12_182],
  ['vnctoken:bus', 4484],
])('the slot of %s is %d', (key, slot) => {
  expect(slotOf(key)).toBe(slot);
});
