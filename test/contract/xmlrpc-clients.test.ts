// The XML-RPC clients that portals are written with, unchanged, against the real service.
// Each makes the same calls and must come back with the same values.
import { join } from 'node:path';
import { XMLParser } from 'fast-xml-parser';
import { beforeAll, expect, test } from 'vitest';
import { run, runWell } from '../support/child.ts';
import { temporaryFolder } from '../support/folder.ts';
import { startTestOned, type TestOned } from '../support/oned.ts';
import { type Service, startService } from '../support/service.ts';

/** Both with everything that XML, and a client's or our own reading of it, could get wrong. */
const session = 'portal:p<&amp;>"\'w ]]> 1';
const password = 'a<&é" 0]]>';
const publicUrl = 'https://portal.example/vnc';

const programs = join(import.meta.dirname, 'clients');
const goProgram = join(programs, 'client.go');

/** Name, and the command line before URL and calls. */
const clients: [name: string, command: string[]][] = [
  ["Python's xmlrpc.client", ['/usr/bin/python3', join(programs, 'client.py')]],
  ['the xmlrpc gem of Ruby', ['ruby', join(programs, 'client.rb')]],
  ["PHP's xmlrpc extension", ['php', join(programs, 'client.php')]],
  ['kolo/xmlrpc of Go', ['GO']],
  ["Perl's RPC::XML", ['perl', join(programs, 'rpc-xml.pl')]],
  ["Perl's Frontier::Client", ['perl', join(programs, 'frontier.pl')]],
  ['curl -X GET with a form', ['/usr/bin/python3', join(programs, 'curl.py')]],
];

const calls = [
  ['one.vm.vnctoken', session, 7],
  ['one.vm.vnctokenonly', session, 7],
  ['one.vm.vnc', session, 7],
  ['one.vm.vncurl', session, 7],
  ['one.vm.vnctoken', session, 8],
  ['one.vm.vnctokenonly', 'oneadmin:wrong', 7],
  ['one.vm.vncsessions', session, 7],
  ['one.vm.vncrevoke', session, 7],
  ['one.vm.vncrevoke', session, 7],
];

let oned: TestOned;
let service: Service;

beforeAll(async () => {
  oned = await startTestOned();
  oned.runVm(7, { host: 'node-1', port: 5907 }, { PASSWD: password, LISTEN: '127.0.0.1' });
  oned.answer(8, { vm: { id: 8, state: 1, lcmState: 0 } });
  oned.answer(7, { golden: 'error.wrong-password' }, 'oneadmin:wrong');
  service = await startService({ oned, flags: { public_url: publicUrl } });
});

test.each(clients)('%s gets every value and every error as it was meant', async (_name, command) => {
  oned.calls.length = 0;
  const [file = '', ...args] = command[0] === 'GO' ? [await buildGoClient()] : command;
  const { code, stdout, stderr } = await run(file, [...args, service.rpcUrl, JSON.stringify(calls)]);
  expect(`${code} ${stderr}`).toBe('0 ');
  const asked = oned.calls.filter(({ method }) => method === 'one.vm.info').map((call) => call.session);
  // A refused login may be asked about once more.
  const once = asked.filter((sent, index) => sent !== 'oneadmin:wrong' || asked[index - 1] !== sent);
  expect(once).toEqual(calls.map(([, sent]) => sent));
  const [struct, only, xml, url, pending, refused, sessions, revoked, nothing] = JSON.parse(
    stdout,
  ) as Reply[];

  const members = struct?.[1] as Record<string, unknown>;
  const token = String(members['token']);
  expect(token).toMatch(/^[a-z0-9]{25,}$/);
  expect(texts(struct)).toEqual(texts([true, expectedMembers(token), 0]));

  expect(texts(only)).toEqual(texts([true, expect.stringMatching(/^[a-z0-9]{25,}$/), 0]));
  expect(texts(xml)).toEqual(texts([true, expect.any(String), 0]));
  expect(new XMLParser(asWritten).parse(String(xml?.[1]))).toEqual({ VM: expectedElements });
  const link = `^${publicUrl}/console/#token=[a-z0-9]{25,}&password=${encodeURIComponent(password)}$`;
  expect(texts(url)).toEqual(texts([true, expect.stringMatching(new RegExp(link)), 0]));

  expect(texts(pending)).toEqual(texts([false, 'Unsupported VM state! STATE:1 LCM_STATE:0', 0x0800]));
  const message = "[one.vm.info] User couldn't be authenticated, aborting call.";
  expect(texts(refused)).toEqual(texts([false, message, 0x0100]));

  expect(texts(sessions)).toEqual(texts([true, '<VNC_SESSIONS></VNC_SESSIONS>', 0]));
  // The four that were issued above.
  expect(texts(revoked)).toEqual(texts([true, 4, 0]));
  expect(texts(nothing)).toEqual(texts([true, 0, 0]));
});

test("Go's goca, which takes a string or an int for the value, can have all but the struct", async () => {
  const asked = [...calls.slice(0, 4), ...calls.slice(5, 8)];
  const program = await buildGoClient();
  const { code, stdout, stderr } = await run(program, [service.rpcUrl, JSON.stringify(asked), 'types']);
  expect(`${code} ${stderr}`).toBe('0 ');
  const [struct, ...others] = JSON.parse(stdout) as string[][];
  expect(struct).toEqual(['bool', 'map[string]interface {}', 'int64']);
  expect(new Set(others.map((types) => types.join(' ')))).toEqual(
    new Set(['bool string int64', 'bool int64 int64']),
  );
});

const asWritten = { parseTagValue: false, trimValues: false };

const expectedElements = {
  ...{ ID: '7', HOST: 'node-1', TYPE: 'VNC', PORT: '5907', LISTEN: '127.0.0.1', PASSWORD: password },
  ...{ WSS: 'true', TOKEN: expect.stringMatching(/^[a-z0-9]{25,}$/) },
};

type Reply = [ok: unknown, value: unknown, code: unknown];

function expectedMembers(token: string): Record<string, unknown> {
  const fields = { type: 'VNC', listen: '127.0.0.1', password, wss: true, token };
  return {
    ...{ id: 7, host: 'node-1', port: 5907, ...fields },
    ...{
      VmId: 7,
      Host: 'node-1',
      Type: 'VNC',
      Listen: '127.0.0.1',
      Password: password,
      Wss: true,
      Token: token,
    },
    url: `${publicUrl}/console/#token=${token}&password=${encodeURIComponent(password)}`,
  };
}

/** Perl has neither numbers nor booleans: every value as text, 1 and 0 for true and false. */
function texts(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(texts);
  if (typeof value === 'boolean') return value ? '1' : '0';
  if (typeof value !== 'object' || value === null) return String(value);
  if ('asymmetricMatch' in value) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, texts(member)]));
}

async function buildGoClient(): Promise<string> {
  const folder = temporaryFolder();
  const program = join(folder, 'client');
  const env = {
    GO111MODULE: 'off',
    GOPROXY: 'off',
    GOPATH: '/usr/share/gocode',
    GOCACHE: join(folder, 'cache'),
  };
  await runWell('go', ['build', '-o', program, goProgram], { env, deadlineMs: 120_000 });
  return program;
}
