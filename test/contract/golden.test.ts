// The recorded exchanges: what the Ruby addon was asked and what a real oned answered. Each goes through the
// real service, and comes back as the addon's reply did, but for what is written down here as different.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { readGolden, startTestOned, type TestOned } from '../support/oned.ts';
import { exchange, oneReply, type Service, startService } from '../support/service.ts';
import { decodeReply, type XmlRpcValue } from '../support/xmlrpc.ts';

const tokenForm = /^[a-z0-9]{25,}$/;
const goldenFolder = join(import.meta.dirname, '../golden');

let oned: TestOned;
let service: Service;

beforeAll(async () => {
  oned = await startTestOned();
  service = await startService({ oned });
  const recorded: [vmId: number, session: string, name: string][] = [
    [0, 'oneadmin:oneadmin', 'vm.info.00-run-vnc.oneadmin'],
    [0, 'alice:alicepw', 'vm.info.00-run-vnc.alice'],
    [0, 'oneadmin:nope', 'error.wrong-password'],
    [2, 'oneadmin:oneadmin', 'vm.info.02-run-spice.oneadmin'],
    [8, 'oneadmin:oneadmin', 'vm.info.08-pending-vnc.oneadmin'],
  ];
  for (const [vmId, session, golden] of recorded) oned.answer(vmId, { golden }, session);
});

/** The message and the length, as recorded: `POST /RPC2 HTTP/1.1 …`. */
interface Recorded {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string;
}

function recordedMessage(path: string): Recorded {
  const text = readGolden(path).toString('utf8');
  const end = text.indexOf('\r\n\r\n');
  const [first = '', ...lines] = text.slice(0, end).split('\r\n');
  const [method = '', target = ''] = first.split(' ');
  const headers = lines.map((line) => line.split(/: */, 2) as [string, string]);
  return { method, path: target, headers: Object.fromEntries(headers), body: text.slice(end + 4) };
}

const files = (folder: string, ending: string) =>
  readdirSync(join(goldenFolder, folder))
    .filter((name) => name.endsWith(ending))
    .map((name) => name.slice(0, -ending.length));

describe('a request to the Ruby addon', () => {
  /** Where ours is another answer on purpose: oned's own code, in the place of 0x0400 for everything. */
  const codes: Record<string, number> = {
    'not-authorized.one.vm.vnctoken': 0x0200,
    'wrong-password.one.vm.vnctoken': 0x0100,
  };

  test.each(files('addon', '.request'))('%s is answered as the addon answered', async (name) => {
    const { body, ...request } = recordedMessage(`addon/${name}.request`);
    const [ok, value, code] = oneReply(await exchange(`http://127.0.0.1:${service.rpcPort}`, body, request));
    const theirs = oneReply({
      status: 200,
      headers: {},
      body: recordedMessage(`addon/${name}.response`).body,
    });

    expect([ok, code]).toEqual([theirs[0], codes[name] ?? theirs[2]]);
    const told = theirs[1];
    if (!ok) expect(sameMessage(value)).toBe(sameMessage(told));
    else if (typeof told === 'object')
      expect(value).toMatchObject({ ...told, token: expect.stringMatching(tokenForm) });
    else expect(withoutToken(value)).toBe(withoutToken(told));
  });

  /** The list of methods that follows an unknown one has grown. */
  function sameMessage(message: XmlRpcValue): string {
    return String(message).replace(/(Unknown method '.*?'\. Expected).*/, '$1');
  }

  /** The two kinds of replies that hold a token: nothing else, or one.vm.vnc's XML. */
  function withoutToken(value: XmlRpcValue): string {
    return String(value).replace(/^[a-z0-9]{19,}$|(?<=<TOKEN>)[a-z0-9]{19,}(?=<\/TOKEN>)/, 'TOKEN');
  }

  test.each(files('addon', '.tokenfile'))(
    '%s leaves a file for websockify as the addon did',
    async (name) => {
      const { body, ...request } = recordedMessage(`addon/${name}.request`);
      const before = new Set(readdirSync(service.tokenFolder));
      await exchange(`http://127.0.0.1:${service.rpcPort}`, body, request);
      const added = readdirSync(service.tokenFolder).filter((file) => !before.has(file));
      expect(added).toEqual([expect.stringMatching(/^vnctoken-0-[0-9a-f]{12}$/)]);
      const [comment, line, ...more] = readFileSync(join(service.tokenFolder, added[0] ?? ''), 'utf8').split(
        '\n',
      );
      const theirs = readGolden(`addon/${name}.tokenfile`).toString('utf8');
      expect(comment).toMatch(/^# \{.*\}$/);
      expect(line).toMatch(/^[a-z0-9]{25,}: /);
      expect(line?.replace(/^[a-z0-9]+/, 'TOKEN')).toBe(theirs.trim().replace(/^[a-z0-9]+/, 'TOKEN'));
      expect(more).toEqual(['']);
    },
  );
});

describe('a reply of oned', () => {
  const console = (host: string, port: number, password: string) => ({
    ...{ host, port, password, type: 'VNC', listen: '0.0.0.0', wss: false },
  });
  const noConsole = (type: string) => [`Graphics type '${type}' but 'VNC' expected`, 0x0400];
  const wrongState = (state: number, lcmState: number) => [
    `Unsupported VM state! STATE:${state} LCM_STATE:${lcmState}`,
    0x0800,
  ];
  const nonsense = [
    expect.stringMatching(/^OpenNebula gave an answer that makes no sense \(ref \w{6}\)$/),
    0x2000,
  ];

  /** What the portal gets: the console, or message and code. */
  const outcomes: Record<string, object> = {
    'vm.info.00-run-vnc.oneadmin': console('127.0.0.1', 5901, 'secret12'),
    'vm.info.00-run-vnc.alice': ['[one.vm.info] User [2] : Not authorized to perform USE VM [0].', 0x0200],
    'vm.info.01-run-vnc-nopasswd.oneadmin': console('127.0.0.1', 5902, ''),
    'vm.info.02-run-spice.oneadmin': noConsole('SPICE'),
    'vm.info.03-run-nographics.oneadmin': noConsole(''),
    'vm.info.06-alice-run-vnc.alice': console('127.0.0.1', 5911, 'alicepw1'),
    'vm.info.08-pending-vnc.oneadmin': wrongState(1, 0),
    'vm.info.10-poweroff-vnc.oneadmin': wrongState(8, 0),
    'vm.info.13-undeployed-vnc.oneadmin': wrongState(9, 0),
    // Two history records: the VM is on the host of the last.
    'vm.info.15-migrated-live-vnc.oneadmin': console('localhost', 5950, 'secret12'),
    // Only an administrator can have it decrypted: the owner is given what oned gave.
    'encrypted-passwd.alice.default': console('127.0.0.1', 5991, 'Xb/OyOPb1gLlG4zcJbANcQ=='),
    'encrypted-passwd.oneadmin.decrypt-true': console('127.0.0.1', 5990, 'secret12'),
    'error.vm-missing': ['[one.vm.info] Error getting virtual machine [99999].', 0x0400],
    'error.wrong-password': ["[one.vm.info] User couldn't be authenticated, aborting call.", 0x0100],
    // Faults, and good replies to other questions.
    'error.no-params': nonsense,
    'error.not-xml': nonsense,
    'error.unknown-method': nonsense,
    'error.vmid-string-0': nonsense,
    'one.system.version': nonsense,
    'one.user.info.alice-self': nonsense,
    'one.user.info.oneadmin-self': nonsense,
    'one.zonepool.info': nonsense,
  };

  test('is known in this table for every recording', () => {
    expect(Object.keys(outcomes).sort()).toEqual(files('oned', '.response').sort());
  });

  test.each(Object.entries(outcomes))('%s becomes what a portal can use', async (golden, outcome) => {
    oned.answer(77, { golden });
    const [ok, value, code] = await service.call('one.vm.vnctoken', ['oneadmin:oneadmin', 77]);
    if (Array.isArray(outcome)) expect([ok, value, code]).toEqual([false, ...outcome]);
    else expect([ok, value, code]).toEqual([true, expect.objectContaining(outcome), 0]);
  });

  test('that is no refusal of a console is told with a reference that stands in the log', async () => {
    oned.answer(77, { golden: 'error.no-params' });
    const { value } = decodeReply((await service.rawCall(callFor77)).body);
    const ref = /\(ref (\w{6})\)$/.exec(String((value as XmlRpcValue[])[1]))?.[1] ?? 'none';
    const line = await service.waitForLog((entry) => entry['ref'] === ref, `reference ${ref}`);
    expect(JSON.stringify(line)).toContain('-500');
  });

  const callFor77 = recordedMessage('addon/00-run-vnc.vnctoken.POST.request').body.replace(
    '<int>0<',
    '<int>77<',
  );
});
