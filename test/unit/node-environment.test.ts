// What Node reads from the environment: what keeps the service from starting, and what workers inherit.
import { describe, expect, it } from 'vitest';
import { environmentForWorkers, nodeEnvironmentProblems } from '../../src/config/node-environment.ts';

describe('NODE_OPTIONS', () => {
  it.each([
    [''],
    ['   '],
    ['--max-old-space-size=512'],
    ['--max_old_space_size=512'],
    [' --max-semi-space-size=32  --dns-result-order=ipv4first '],
    ['--dns-result-order ipv4first --use-openssl-ca'],
    ['--no-warnings'],
  ])('%j is fine', (text) => {
    expect(nodeEnvironmentProblems({ NODE_OPTIONS: text })).toEqual([]);
  });

  it.each([
    ['--inspect', ['--inspect']],
    ['--inspect=0.0.0.0:9229', ['--inspect']],
    ['--inspect-brk', ['--inspect-brk']],
    ['--inspect_port=1', ['--inspect_port']],
    ['--debug-port=1', ['--debug-port']],
    ['-r /tmp/x.js', ['-r', '/tmp/x.js']],
    ['--require=/tmp/x.js', ['--require']],
    ['--import data:text/javascript,1', ['--import', 'data:text/javascript,1']],
    ['--loader=/tmp/x.js --experimental-loader=/tmp/x.js', ['--loader', '--experimental-loader']],
    ['--tls-keylog=/tmp/keys', ['--tls-keylog']],
    ['--tls-min-v1.0', ['--tls-min-v1.0']],
    ['--insecure-http-parser', ['--insecure-http-parser']],
    ['--max-http-header-size=1000000', ['--max-http-header-size']],
    ['--heapsnapshot-signal=SIGUSR2', ['--heapsnapshot-signal']],
    ['--report-on-signal', ['--report-on-signal']],
    ['--cpu-prof --heap-prof', ['--cpu-prof', '--heap-prof']],
    ['--env-file=/tmp/env', ['--env-file']],
    ['--openssl-config=/tmp/x', ['--openssl-config']],
    ['--max-old-space-size=1\n--inspect', ['--inspect']],
    ['"--inspect"', ['"--inspect"']],
    ['"--max-old-space-size=1"', ['"--max-old-space-size']],
    ['x', ['x']],
  ])('%j is refused, option by option', (text, options) => {
    const problems = nodeEnvironmentProblems({ NODE_OPTIONS: text });
    expect(problems).toEqual(
      options.map((option) => expect.stringContaining(`NODE_OPTIONS in the environment: ${option} is not`)),
    );
    for (const problem of problems) expect(problem).not.toContain('\n');
  });

  it('is told without what it may hold', () => {
    const [problem] = nodeEnvironmentProblems({ NODE_OPTIONS: '--title=secret\u001b' });
    expect(problem).toContain('--title is');
    expect(problem).not.toContain('secret');
    expect(nodeEnvironmentProblems({ NODE_OPTIONS: `--${'é\u0007'.repeat(500)}` })[0]?.length).toBeLessThan(
      250,
    );
  });
});

describe('other variables', () => {
  it.each([
    ['NODE_TLS_REJECT_UNAUTHORIZED', '0'],
    ['NODE_DEBUG', 'http,tls'],
    ['NODE_DEBUG_NATIVE', 'crypto'],
    ['NODE_PATH', '/tmp'],
  ])('%s=%s is refused by its name', (name, value) => {
    expect(nodeEnvironmentProblems({ [name]: value })).toEqual([
      expect.stringMatching(new RegExp(`^${name} in the environment: `)),
    ]);
  });

  it.each([
    ['NODE_TLS_REJECT_UNAUTHORIZED', '1'],
    ['NODE_DEBUG', ''],
    ['NODE_EXTRA_CA_CERTS', '/etc/ssl/own.pem'],
    ['NODE_ENV', 'production'],
  ])('%s=%j is fine', (name, value) => {
    expect(nodeEnvironmentProblems({ [name]: value })).toEqual([]);
  });
});

describe('workers', () => {
  it('inherit what Node and the C library need, and nothing else', () => {
    const env = {
      ...{ PATH: '/bin', TZ: 'UTC', LC_ALL: 'C', NODE_EXTRA_CA_CERTS: '/x', UV_THREADPOOL_SIZE: '8' },
      ...{ MALLOC_ARENA_MAX: '2', LD_PRELOAD: '/usr/lib/libjemalloc.so.2' },
      ...{ VNCTOKEN_REDIS_URL: 'redis://:s@h', ONE_AUTH: '/a', ONE_LOCATION: '/one', ANYTHING: '1' },
      ...{ NOTIFY_SOCKET: '/run/systemd/notify', SSH_AUTH_SOCK: '/s', INVOCATION_ID: '1' },
    };
    const names = Object.keys(environmentForWorkers(env)).toSorted();
    expect(names).toEqual(
      [
        ...['ANYTHING', 'INVOCATION_ID', 'NOTIFY_SOCKET', 'ONE_AUTH', 'ONE_LOCATION'],
        ...['SSH_AUTH_SOCK', 'VNCTOKEN_REDIS_URL'],
      ].toSorted(),
    );
    expect(Object.values(environmentForWorkers(env)).every((value) => value === undefined)).toBe(true);
  });
});
