// Getting past sshd: keys of each kind, an agent, and every reason for which it or we refuse, each told as what it is.
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { SshRule } from '../../src/transport/ssh.ts';
import { temporaryFolder } from '../support/folder.ts';
import { freePort } from '../support/ports.ts';
import { openPool, startHypervisor } from '../support/ssh-pool.ts';
import { hashNames, makeKey, startAgent, writeKnownHosts } from '../support/sshd.ts';
import { greetAndEcho, rfbGreeting, startVncTarget } from '../support/vnc-target.ts';
import { waitFor } from '../support/wait.ts';

function secretFile(text: string, mode = 0o600): string {
  const file = join(temporaryFolder(), 'secret');
  writeFileSync(file, text, { mode });
  return file;
}

async function echoes(rule: SshRule): Promise<void> {
  const target = await startVncTarget(greetAndEcho);
  const opened = await openPool(rule).open(target.port);
  opened.connection.write(Buffer.from('typed'));
  const all = `${rfbGreeting}typed`;
  expect((await opened.waitForBytes(all.length)).toString()).toBe(all);
}

describe('a login', () => {
  it.each(['ed25519', 'rsa', 'ecdsa'] as const)('with an %s key opens a console', async (type) => {
    const key = await makeKey({ type });
    const { rule } = await startHypervisor({ authorizedKeys: [key.publicKey] });
    await echoes({ ...rule, keyFile: key.file });
  });

  it.each(['ed25519', 'rsa'] as const)('with an %s key and its passphrase opens a console', async (type) => {
    const key = await makeKey({ type, passphrase: 'correct horse' });
    const { rule } = await startHypervisor({ authorizedKeys: [key.publicKey] });
    await echoes({ ...rule, keyFile: key.file, passphraseFile: secretFile('correct horse\n') });
  });

  it.each(['ed25519', 'rsa'] as const)('with an %s key of an agent opens a console', async (type) => {
    const agent = await startAgent();
    const key = await makeKey({ type });
    await agent.add(key);
    const { rule } = await startHypervisor({ authorizedKeys: [key.publicKey] });
    await echoes({ ...rule, keyFile: undefined, agent: agent.socket });
  });

  it('goes on to the agent where the key is not taken', async () => {
    const agent = await startAgent();
    const key = await makeKey();
    await agent.add(key);
    const { rule } = await startHypervisor({ authorizedKeys: [key.publicKey] });
    await echoes({ ...rule, keyFile: (await makeKey()).file, agent: agent.socket });
  });

  it('that sshd refuses is told as such', async () => {
    const { rule, sshd } = await startHypervisor({ authorizedKeys: [(await makeKey()).publicKey] });
    const said = await openPool(rule).refusal(5900);
    expect(said).toContain(`sshd of [127.0.0.1]:${sshd.port} refused the login of ${sshd.user}`);
  });

  it('with an agent that is not there says so', async () => {
    const { rule } = await startHypervisor();
    const agent = join(temporaryFolder(), 'nobody.sock');
    const said = await openPool({ ...rule, keyFile: undefined, agent }).refusal(5900);
    expect(said).toMatch(/refused the login of .*: Failed to connect to agent/);
  });

  it('to a port where nobody listens says which', async () => {
    const { rule } = await startHypervisor();
    const port = await freePort();
    const said = await openPool({ ...rule, port }).refusal(5900);
    expect(said).toContain(`cannot reach sshd of [127.0.0.1]:${port}: `);
    expect(said).toContain('ECONNREFUSED');
  });

  it('to a name that cannot be resolved says so', async () => {
    const { rule } = await startHypervisor();
    const said = await openPool(rule).refusal(5900, { host: 'no-such-host.invalid' });
    expect(said).toContain('cannot reach sshd of [no-such-host.invalid]');
    expect(said).toMatch(/ENOTFOUND|EAI_AGAIN/);
  });

  it('to something that is no sshd ends in time and says so', async () => {
    const { rule } = await startHypervisor();
    const talker = await startVncTarget((socket) => socket.end('220 mail.example.com ESMTP\r\n'));
    const said = await openPool({ ...rule, port: talker.port }).refusal(5900);
    expect(said).toContain(`[127.0.0.1]:${talker.port}`);
    expect(said).toContain('handshake');
    const silent = await startVncTarget((socket) => socket.resume());
    const late = await openPool({ ...rule, port: silent.port, connectTimeoutMs: 300 }).refusal(5900);
    expect(late).toContain('did not finish the handshake within 0.3 s');
    await waitFor(() => silent.connections[0]?.closed(), { what: 'the connection to be given up' });
  });

  it('goes to the address of the rule, under the name of the hypervisor', async () => {
    const { sshd, rule } = await startHypervisor();
    const target = await startVncTarget(greetAndEcho);
    const knownHosts = [writeKnownHosts(sshd.knownHosts(`[kvm1]:${sshd.port}`))];
    const { open } = openPool({ ...rule, address: '127.0.0.1', knownHosts });
    await (await open(target.port, { host: 'kvm1' })).waitForBytes(rfbGreeting.length);
  });
});

describe('the host key', () => {
  it.each(['ed25519', 'rsa', 'ecdsa'] as const)('of type %s is known under a hashed name', async (type) => {
    const { rule } = await startHypervisor({ hostKeys: [type] });
    await hashNames(rule.knownHosts[0] ?? '');
    await echoes(rule);
  });

  it.each(['ed25519', 'rsa', 'ecdsa'] as const)(
    'of type %s is asked for where the host has more',
    async (type) => {
      const { sshd, rule } = await startHypervisor({ hostKeys: ['ed25519', 'rsa', 'ecdsa'] });
      const lines = sshd.knownHosts().filter((line) => line.includes(type));
      expect(lines).toHaveLength(1);
      await echoes({ ...rule, knownHosts: [writeKnownHosts(lines)] });
    },
  );

  it('that is not known is refused, named, and not learned', async () => {
    const { sshd, rule } = await startHypervisor();
    const file = writeKnownHosts([]);
    const missing = join(temporaryFolder(), 'none');
    const { refusal } = openPool({ ...rule, knownHosts: [file, missing] });
    for (let times = 0; times < 2; times++) {
      expect(await refusal(5900)).toMatch(
        new RegExp(
          `^host key of \\[127\\.0\\.0\\.1\\]:${sshd.port} is not in known_hosts ${file}, ${missing} ` +
            '\\(the server shows ssh-ed25519 SHA256:[A-Za-z0-9+/]{43}\\)$',
        ),
      );
    }
    expect(readFileSync(file, 'utf8')).toBe('');
    expect(sshd.logins()).toBe(0);
  });

  it('that has changed is refused', async () => {
    const { sshd, rule } = await startHypervisor();
    const file = writeKnownHosts([`[127.0.0.1]:${sshd.port} ${(await makeKey()).publicKey}`]);
    const said = await openPool({ ...rule, knownHosts: [file] }).refusal(5900);
    expect(said).toContain(`host key of [127.0.0.1]:${sshd.port} has changed: the server shows ssh-ed25519 `);
    expect(said).toContain(file);
    expect(sshd.logins()).toBe(0);
  });

  it('of which the host has only other types has changed', async () => {
    const { sshd, rule } = await startHypervisor({ hostKeys: ['rsa'] });
    const file = writeKnownHosts([`[127.0.0.1]:${sshd.port} ${(await makeKey()).publicKey}`]);
    expect(await openPool({ ...rule, knownHosts: [file] }).refusal(5900)).toBe(
      `host key of [127.0.0.1]:${sshd.port} has changed: the server has none of the types in known_hosts ${file} (ssh-ed25519)`,
    );
  });

  it('that is revoked is refused although it is known', async () => {
    const { sshd, rule } = await startHypervisor();
    const file = writeKnownHosts([
      ...sshd.knownHosts(),
      ...sshd.knownHosts('*').map((line) => `@revoked ${line}`),
    ]);
    const said = await openPool({ ...rule, knownHosts: [file] }).refusal(5900);
    expect(said).toContain(`host key of [127.0.0.1]:${sshd.port} is revoked in known_hosts ${file}`);
    expect(sshd.logins()).toBe(0);
  });

  it('that is added to the file is known at the next console', async () => {
    const { sshd, rule } = await startHypervisor();
    const target = await startVncTarget(greetAndEcho);
    const file = writeKnownHosts([]);
    const { refusal, open } = openPool({ ...rule, knownHosts: [file] });
    await refusal(target.port);
    writeFileSync(file, sshd.knownHosts().join('\n'));
    await open(target.port);
  });

  it('of a certificate authority is no known key, which the log says once', async () => {
    const { sshd, rule } = await startHypervisor();
    const file = writeKnownHosts(sshd.knownHosts('*').map((line) => `@cert-authority ${line}`));
    const { refusal, log } = openPool({ ...rule, knownHosts: [file] });
    expect(await refusal(5900)).toContain('is not in known_hosts');
    await refusal(5900);
    expect(log().match(/@cert-authority is not supported/g)).toHaveLength(1);
  });

  it('cannot be judged by a file that cannot be read', async () => {
    const { rule } = await startHypervisor();
    const folder = temporaryFolder();
    const said = await openPool({ ...rule, knownHosts: [...rule.knownHosts, folder] }).refusal(5900);
    expect(said).toContain(`known_hosts ${folder} cannot be read`);
  });
});

describe('a key file', () => {
  const bad: [what: string, rule: () => Promise<Partial<SshRule>>, says: RegExp][] = [
    [
      'that is missing',
      async () => ({ keyFile: '/nonexistent/key' }),
      /key_file.*\/nonexistent\/key.*ENOENT/,
    ],
    ['that is no key', async () => ({ keyFile: secretFile('hunter2') }), /key_file .* holds no private key/],
    [
      'that is a public key',
      async () => ({ keyFile: secretFile((await makeKey()).publicKey) }),
      /key_file .* holds no private key/,
    ],
    [
      'that the group may read',
      async () => {
        const { file } = await makeKey();
        chmodSync(file, 0o640);
        return { keyFile: file };
      },
      /key_file .* is open to others than its owner \(mode 0640, wanted 0600\)/,
    ],
    [
      'whose passphrase others may read',
      async () => ({
        keyFile: (await makeKey({ passphrase: 'hunter2' })).file,
        passphraseFile: secretFile('hunter2', 0o604),
      }),
      /passphrase_file .* is open to others than its owner/,
    ],
    [
      'without the passphrase that it needs',
      async () => ({ keyFile: (await makeKey({ passphrase: 'hunter2' })).file }),
      /key_file .* is encrypted, and passphrase_file is not set/,
    ],
    [
      'with a wrong passphrase',
      async () => ({
        keyFile: (await makeKey({ passphrase: 'hunter2' })).file,
        passphraseFile: secretFile('hunter3'),
      }),
      /key_file .* cannot be decrypted with passphrase_file/,
    ],
    [
      'of type RSA with a wrong passphrase',
      async () => ({
        keyFile: (await makeKey({ type: 'rsa', passphrase: 'hunter2' })).file,
        passphraseFile: secretFile('hunter3'),
      }),
      /key_file .* cannot be decrypted with passphrase_file/,
    ],
    ['that is not set, nor an agent', async () => ({}), /via ssh needs key_file or agent/],
  ];

  it.each(bad)(
    '%s is an error at the start that names the setting and no secret',
    async (_what, make, says) => {
      const rule: SshRule = { knownHosts: [], ...(await make()) };
      let said = '';
      try {
        openPool(rule);
      } catch (error) {
        said = String(error);
      }
      expect(said).toMatch(says);
      expect(said).toContain('targets');
      expect(said).not.toMatch(/hunter/);
    },
  );

  it('of several that are bad is told with the others', async () => {
    const rules = [{ keyFile: '/nonexistent/one' }, { keyFile: '/nonexistent/two' }];
    const first = { keyFile: '/nonexistent/three', knownHosts: [] };
    const all = [first, ...rules.map((rule) => ({ ...rule, knownHosts: [] }))];
    expect(() => openPool(first, {}, all)).toThrow(/three.*\n.*one.*\n.*two/);
  });

  it('that is bad at a reload leaves all as it was', async () => {
    const { rule } = await startHypervisor();
    const target = await startVncTarget(greetAndEcho);
    const { pool, open } = openPool(rule);
    const before = await open(target.port);
    expect(() => pool.reload([rule, { ...rule, keyFile: '/nonexistent/key' }])).toThrow(/ENOENT/);
    await (await open(target.port)).waitForBytes(rfbGreeting.length);
    expect(before.endedBy()).toBeUndefined();
  });
});

it('writes neither key nor passphrase into its log, in any of its ends', async () => {
  const key = await makeKey({ passphrase: 'correct horse' });
  const { rule, sshd } = await startHypervisor({ authorizedKeys: [key.publicKey] });
  const passphraseFile = secretFile('correct horse');
  const target = await startVncTarget(greetAndEcho);
  const { open, log, refusal } = openPool({ ...rule, keyFile: key.file, passphraseFile }, { idleMs: 1 });
  const opened = await open(target.port);
  opened.connection.end();
  await waitFor(() => log().includes('SSH connection closed'), { what: 'the idle end' });
  await sshd.stop();
  await refusal(target.port);
  expect(log()).toContain('SSH connection opened');
  const [, ...lines] = readFileSync(key.file, 'utf8').trim().split('\n');
  for (const secret of ['correct horse', ...lines.slice(0, -1)]) expect(log()).not.toContain(secret);
});

it('knows no rule that it was not given', async () => {
  const { rule } = await startHypervisor();
  const { refusal } = openPool(rule);
  expect(await refusal(5900, { rule: { ...rule, user: 'somebody' } })).toContain(
    'not one of those that were loaded',
  );
});
