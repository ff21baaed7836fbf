// Getting past sshd: keys of each kind, an agent, and every reason for which it or we refuse, each told as what it is.
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { SshRule } from '../../src/transport/ssh.ts';
import { runWell } from '../support/child.ts';
import { temporaryFolder } from '../support/folder.ts';
import { openTargets } from '../support/open-targets.ts';
import { freePort } from '../support/ports.ts';
import { openPool, startHypervisor } from '../support/ssh-pool.ts';
import {
  hashNames,
  makeKey,
  makePkcs8Key,
  publicKeyOf,
  startAgent,
  writeKnownHosts,
} from '../support/sshd.ts';
import { TargetReader } from '../support/target-reader.ts';
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

  it.each(['ed25519', 'rsa', 'ecdsa', 'P-384', 'P-521'] as const)(
    'with an %s key in PKCS#8, as OpenSSL makes it, opens a console, encrypted or not',
    async (type) => {
      const passphrase = 'correct horse';
      const [bare, encrypted] = [await makePkcs8Key(type), await makePkcs8Key(type, passphrase)];
      const { rule } = await startHypervisor({
        authorizedKeys: [publicKeyOf(bare), publicKeyOf(encrypted, passphrase)],
      });
      await echoes({ ...rule, keyFile: bare });
      await echoes({ ...rule, keyFile: encrypted, passphraseFile: secretFile(`${passphrase}\n`) });
    },
  );

  it.each([
    [
      'text before it',
      (pem: string) => `Bag Attributes\n    friendlyName: console\nKey Attributes: <No Attributes>\n${pem}`,
    ],
    ['lines as Windows ends them', (pem: string) => pem.replaceAll('\n', '\r\n')],
    ['nothing after its last line', (pem: string) => pem.trimEnd()],
    ['a blank line before and after it', (pem: string) => `\n${pem}\n`],
  ])('with a key in PKCS#8 with %s opens a console', async (_what, change) => {
    const file = await makePkcs8Key('ed25519');
    const { rule } = await startHypervisor({ authorizedKeys: [publicKeyOf(file)] });
    await echoes({ ...rule, keyFile: secretFile(change(readFileSync(file, 'utf8'))) });
  });

  it('with a key of OpenSSL 1, its parameters before it, opens a console', async () => {
    const text = await runWell('openssl', ['ecparam', '-name', 'prime256v1', '-genkey']);
    expect(text).toMatch(/BEGIN EC PARAMETERS(.|\n)*BEGIN EC PRIVATE KEY/);
    const file = secretFile(text);
    const { rule } = await startHypervisor({ authorizedKeys: [publicKeyOf(file)] });
    await echoes({ ...rule, keyFile: file });
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
      /\.key_file: cannot read \/nonexistent\/key: ENOENT$/,
    ],
    [
      'that is no key',
      async () => ({ keyFile: secretFile('hunter2') }),
      /\.key_file: .* holds no private key/,
    ],
    [
      'that is a public key',
      async () => ({ keyFile: secretFile((await makeKey()).publicKey) }),
      /\.key_file: .* holds no private key/,
    ],
    [
      'that the group may read',
      async () => {
        const { file } = await makeKey();
        chmodSync(file, 0o640);
        return { keyFile: file };
      },
      /\.key_file: .* has mode 0640; group and others must not have access/,
    ],
    [
      'whose passphrase others may read',
      async () => ({
        keyFile: (await makeKey({ passphrase: 'hunter2' })).file,
        passphraseFile: secretFile('hunter2', 0o604),
      }),
      /\.passphrase_file: .* has mode 0604;/,
    ],
    [
      'without the passphrase that it needs',
      async () => ({ keyFile: (await makeKey({ passphrase: 'hunter2' })).file }),
      /\.key_file: .* is encrypted, and passphrase_file is not set/,
    ],
    [
      'with a wrong passphrase',
      async () => ({
        keyFile: (await makeKey({ passphrase: 'hunter2' })).file,
        passphraseFile: secretFile('hunter3'),
      }),
      /\.key_file: .* cannot be decrypted with passphrase_file/,
    ],
    [
      'of type RSA with a wrong passphrase',
      async () => ({
        keyFile: (await makeKey({ type: 'rsa', passphrase: 'hunter2' })).file,
        passphraseFile: secretFile('hunter3'),
      }),
      /\.key_file: .* cannot be decrypted with passphrase_file/,
    ],
    ...(['ed25519', 'rsa', 'ecdsa'] as const).flatMap((type): typeof bad => [
      [
        `of type ${type} in PKCS#8 without the passphrase that it needs`,
        async () => ({ keyFile: await makePkcs8Key(type, 'hunter2') }),
        /\.key_file: .* is encrypted, and passphrase_file is not set/,
      ],
      [
        `of type ${type} in PKCS#8 with a wrong passphrase`,
        async () => ({ keyFile: await makePkcs8Key(type, 'hunter2'), passphraseFile: secretFile('hunter3') }),
        /\.key_file: .* cannot be decrypted with passphrase_file/,
      ],
      [
        `of type ${type} in PKCS#8 with an empty passphrase`,
        async () => ({ keyFile: await makePkcs8Key(type, 'hunter2'), passphraseFile: secretFile('\n') }),
        /\.key_file: .* cannot be decrypted with passphrase_file/,
      ],
    ]),
    ...(['ed448', 'x25519', 'rsa-pss', 'secp256k1'] as const).map((type): (typeof bad)[number] => [
      `of type ${type}, which SSH does not know`,
      async () => ({ keyFile: await makePkcs8Key(type) }),
      /\.key_file: .* holds no private key that can be used here: of RSA, ECDSA or Ed25519, in PEM/,
    ]),
    [
      'in PKCS#8 that is cut off',
      async () => {
        const text = readFileSync(await makePkcs8Key('rsa'), 'utf8');
        return { keyFile: secretFile(`${text.slice(0, 600)}\n-----END PRIVATE KEY-----\n`) };
      },
      /\.key_file: .* holds no private key/,
    ],
    [
      'that is a public key in PEM',
      async () => {
        const { publicKey } = generateKeyPairSync('ed25519');
        return { keyFile: secretFile(String(publicKey.export({ type: 'spki', format: 'pem' }))) };
      },
      /\.key_file: .* holds no private key/,
    ],
    [
      'that is a pipe, which would keep the service waiting',
      async () => {
        const pipe = join(temporaryFolder(), 'pipe');
        execFileSync('mkfifo', ['-m', '600', pipe]);
        return { keyFile: pipe };
      },
      /\.key_file: .* is not a file/,
    ],
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
      expect(said).toContain('targets[0]');
      expect(said).not.toMatch(/hunter/);
    },
  );

  it('of several that are bad is told with all that is wrong with other ways, a line each', async () => {
    const at = (name: string) => `/nonexistent/${name}`;
    await expect(
      openTargets([
        { via: 'ssh', key_file: at('one'), vnc_tls: { ca_file: at('ca') } },
        { via: 'tls', ca_file: at('two') },
        { via: 'ssh', key_file: at('three'), passphrase_file: at('four') },
      ]),
    ).rejects.toThrow(
      [
        `targets[0].key_file: cannot read ${at('one')}: ENOENT`,
        `targets[0].vnc_tls.ca_file: cannot read ${at('ca')}: ENOENT`,
        `targets[1].ca_file: cannot read ${at('two')}: ENOENT`,
        `targets[2].key_file: cannot read ${at('three')}: ENOENT`,
        `targets[2].passphrase_file: cannot read ${at('four')}: ENOENT`,
      ].join('\n'),
    );
  });

  it('that is bad at a reload leaves all as it was', async () => {
    const { rule } = await startHypervisor();
    const vnc = await startVncTarget(greetAndEcho);
    const good = {
      ...{ via: 'ssh', user: rule.user, port: rule.port },
      ...{ key_file: rule.keyFile, known_hosts: rule.knownHosts },
    };
    const targets = await openTargets([good]);
    const { host, port } = vnc;
    const never = new AbortController().signal;
    const before = new TargetReader(await targets.connect({ host, port }, never)).start();
    await before.waitForBytes(rfbGreeting.length);
    const bad = { ...good, match: 'elsewhere', key_file: '/nonexistent/key' };
    await expect(targets.load([good, bad])).rejects.toThrow(
      'targets[1].key_file: cannot read /nonexistent/key',
    );
    const after = new TargetReader(await targets.connect({ host, port }, never)).start();
    await after.waitForBytes(rfbGreeting.length);
    expect(before.ends).toEqual([]);
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
