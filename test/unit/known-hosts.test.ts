// known_hosts as OpenSSH writes and reads it: names, patterns, hashes, ports, markers, and lines that are none.
import { createHmac } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  fingerprintOf,
  HostKeys,
  knownHostsName,
  parseKnownHosts,
  typeOf,
} from '../../src/transport/known-hosts.ts';
import { run, runWell } from '../support/child.ts';
import { temporaryFolder } from '../support/folder.ts';

/** A public key in its outer form; what is in it does not matter here. */
function key(type: string, text: string): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(type.length);
  return Buffer.concat([length, Buffer.from(type), Buffer.from(text)]);
}

function line(names: string, which: Buffer, marker = ''): string {
  return `${marker}${marker && ' '}${names} ${typeOf(which)} ${which.toString('base64')} a comment`;
}

function hashed(name: string): string {
  const salt = Buffer.from('a salt of 20 bytes..');
  const hash = createHmac('sha1', salt).update(name).digest('base64');
  return `|1|${salt.toString('base64')}|${hash}`;
}

function hostKeys(lines: string | readonly string[], host = 'hv1', port = 22, address = host): HostKeys {
  const text = typeof lines === 'string' ? lines : lines.join('\n');
  return new HostKeys([parseKnownHosts(text)], [host, address], port);
}

const good = key('ssh-ed25519', 'the key of hv1');
const other = key('ssh-ed25519', 'the key of somebody else');
const rsa = key('ssh-rsa', 'an RSA key of hv1');

describe('a name in known_hosts', () => {
  it.each([
    ['hv1', 'hv1', 22, 'known'],
    ['HV1', 'hv1', 22, 'known'],
    ['hv1', 'HV1', 22, 'known'],
    ['hv1,10.0.0.1', '10.0.0.1', 22, 'known'],
    ['hv1', 'hv10', 22, 'unknown'],
    ['hv10', 'hv1', 22, 'unknown'],
    ['hv1', 'hv1', 2222, 'unknown'],
    ['[hv1]:2222', 'hv1', 2222, 'known'],
    ['[hv1]:2222', 'hv1', 22, 'unknown'],
    ['[hv1]:2222', 'hv1', 222, 'unknown'],
    ['[hv1]:*', 'hv1', 2222, 'known'],
    ['fe80::1', 'fe80::1', 22, 'known'],
    ['[fe80::1]:2222', 'fe80::1', 2222, 'known'],
    ['hv?', 'hv1', 22, 'known'],
    ['hv?', 'hv', 22, 'unknown'],
    ['*.example.com', 'hv1.example.com', 22, 'known'],
    ['*.example.com', 'example.com', 22, 'unknown'],
    ['*.example.com,!hv1.*', 'hv1.example.com', 22, 'unknown'],
    ['!hv1.*,*.example.com', 'hv1.example.com', 22, 'unknown'],
    ['*.example.com,!hv1.*', 'hv2.example.com', 22, 'known'],
    ['!hv2', 'hv1', 22, 'unknown'],
    ['*', 'hv1', 22, 'known'],
    ['**v*1*', 'hv1', 22, 'known'],
    ['h*v*2', 'hv1', 22, 'unknown'],
    [hashed('hv1'), 'hv1', 22, 'known'],
    [hashed('hv1'), 'HV1', 22, 'known'],
    [hashed('hv1'), 'hv2', 22, 'unknown'],
    [hashed('[hv1]:2222'), 'hv1', 2222, 'known'],
    [hashed('hv1'), 'hv1', 2222, 'unknown'],
    [hashed('hv1').replace('|1|', '|2|'), 'hv1', 22, 'unknown'],
    ['|1|', 'hv1', 22, 'unknown'],
    ['|1|c2FsdA==|', 'hv1', 22, 'unknown'],
  ])('%s for %s port %i: %s', (names, host, port, verdict) => {
    expect(hostKeys(line(names, good), host, port).check(good)).toBe(verdict);
  });

  it('of many stars costs no time', () => {
    const started = performance.now();
    expect(hostKeys(line('*a'.repeat(500), good), 'a'.repeat(250)).check(good)).toBe('unknown');
    expect(performance.now() - started).toBeLessThan(2_000);
  });

  it('is written with brackets where the port is not 22', () => {
    expect(knownHostsName('HV1', 22)).toBe('hv1');
    expect(knownHostsName('HV1', 2222)).toBe('[hv1]:2222');
  });
});

describe('a host key', () => {
  it.each([
    ['one of several lines', [line('hv1', other), line('hv1', good)], good, 'known'],
    ['another one than the known', [line('hv1', good)], other, 'changed'],
    ['of another type than the known', [line('hv1', good)], rsa, 'changed'],
    ['of a host without a line', [line('hv2', good)], good, 'unknown'],
    ['of an empty file', [], good, 'unknown'],
    ['revoked after it was known', [line('hv1', good), line('hv1', good, '@revoked')], good, 'revoked'],
    ['revoked before it was known', [line('*', good, '@revoked'), line('hv1', good)], good, 'revoked'],
    ['revoked and nowhere known', [line('*', good, '@revoked')], good, 'revoked'],
    ['revoked for another host', [line('hv2', good, '@revoked'), line('hv1', good)], good, 'known'],
    ['beside a revoked one', [line('hv1', other, '@revoked'), line('hv1', good)], good, 'known'],
    ['of a certificate authority', [line('hv1', good, '@cert-authority')], good, 'unknown'],
    ['under a marker that nobody knows', [line('hv1', good, '@trusted')], good, 'unknown'],
  ] as const)('%s is judged', (_what, lines, shown, verdict) => {
    expect(hostKeys(lines).check(shown)).toBe(verdict);
  });

  it('that is revoked for a host is revoked on all its ports', () => {
    const lines = [line('[hv1]:2222', good), line('hv1', good, '@revoked')];
    expect(hostKeys(lines, 'hv1', 2222).check(good)).toBe('revoked');
  });

  it('is looked up by the address where nothing is known of the name', () => {
    const lines = [line('10.0.0.1', good)];
    expect(hostKeys(lines, 'hv1', 22, '10.0.0.1').check(good)).toBe('known');
    const both = [...lines, line('hv1', other)];
    expect(hostKeys(both, 'hv1', 22, '10.0.0.1').check(good)).toBe('changed');
    expect(hostKeys(both, 'hv1', 22, '10.0.0.1').check(other)).toBe('known');
  });

  it('that is revoked by the address is revoked', () => {
    const lines = [line('hv1', good), line('10.0.0.1', good, '@revoked')];
    expect(hostKeys(lines, 'hv1', 22, '10.0.0.1').check(good)).toBe('revoked');
  });

  it('is found in any of several files', () => {
    const files = [parseKnownHosts(line('hv2', other)), parseKnownHosts(line('hv1', good))];
    expect(new HostKeys(files, ['hv1'], 22).check(good)).toBe('known');
  });
});

describe('what is offered to the server', () => {
  it.each([
    ['an Ed25519 key', [line('hv1', good)], ['ssh-ed25519']],
    ['an RSA key', [line('hv1', rsa)], ['rsa-sha2-512', 'rsa-sha2-256']],
    ['two keys', [line('hv1', rsa), line('hv1', good)], ['ssh-ed25519', 'rsa-sha2-512', 'rsa-sha2-256']],
    [
      'a good and a revoked key',
      [line('hv1', rsa), line('hv1', good), line('*', good, '@revoked')],
      ['rsa-sha2-512', 'rsa-sha2-256'],
    ],
    [
      'a key of a type that is not spoken here, too',
      [line('hv1', key('ssh-dss', 'x')), line('hv1', good)],
      ['ssh-ed25519'],
    ],
  ])('has only the algorithms of %s', (_what, lines, algorithms) => {
    expect(hostKeys(lines).algorithms).toEqual(algorithms);
  });

  it('is everything, but nothing with SHA-1, for a host that is not known', () => {
    const { algorithms, types } = hostKeys('');
    expect(types).toEqual([]);
    expect(algorithms).toContain('ecdsa-sha2-nistp256');
    expect(algorithms).not.toContain('ssh-rsa');
    expect(algorithms).not.toContain('ssh-dss');
  });
});

describe('a line that is none', () => {
  const key64 = good.toString('base64');
  it.each([
    ['hv1'],
    ['hv1 ssh-ed25519'],
    ['hv1 ssh-ed25519 !!!!'],
    ['hv1 ssh-ed25519 AAAA'],
    ['hv1 ssh-ed25519 /////w=='],
    [`hv1 ssh-rsa ${key64}`],
    [`hv1 1024 65537 1234567890`],
    [`hv1 ssh-ed25519 ${key64} ${'x'.repeat(20_000)}`],
    ['\u0000\u0001\ufffd'],
  ])('%.40s is told and knows nothing', (text) => {
    const parsed = parseKnownHosts(`# a comment\n\n${text}\n`);
    expect(parsed.lines).toEqual([]);
    expect(parsed.broken).toEqual([3]);
  });

  it('does not hide the lines around it, whatever the ends of lines', () => {
    const parsed = parseKnownHosts(
      `${line('hv1', good)}\r\nnonsense\r\n  \t\r\n\t${line('hv2', rsa)}\r\n@cert-authority x\r\n`,
    );
    expect(parsed.lines.map(({ names }) => names)).toEqual(['hv1', 'hv2']);
    expect(parsed.broken).toEqual([2]);
    expect(parsed.authorities).toEqual([5]);
  });
});

it('reads what ssh-keygen writes, finds what ssh-keygen finds, and prints the same fingerprint', async () => {
  const folder = temporaryFolder();
  const file = join(folder, 'known_hosts');
  await runWell('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'key')]);
  const publicKey = readFileSync(join(folder, 'key.pub'), 'utf8');
  const raw = Buffer.from(publicKey.split(' ')[1] ?? '', 'base64');
  const names = ['hv1', '[hv1]:2222', 'fe80::1'];
  writeFileSync(file, names.map((name) => `${name} ${publicKey}`).join(''));
  await runWell('ssh-keygen', ['-H', '-f', file]);
  const text = readFileSync(file, 'utf8');
  expect(text).not.toContain('hv1');
  for (const [host, port] of [
    ['hv1', 22],
    ['hv1', 2222],
    ['fe80::1', 22],
    ['hv2', 22],
    ['fe80::1', 2222],
  ] as const) {
    const { code } = await run('ssh-keygen', ['-F', knownHostsName(host, port), '-f', file]);
    expect(hostKeys(text, host, port).check(raw), `${host} ${port}`).toBe(code === 0 ? 'known' : 'unknown');
  }
  expect(await runWell('ssh-keygen', ['-l', '-f', join(folder, 'key.pub')])).toContain(
    ` ${fingerprintOf(raw)} `,
  );
});
