// The methods, with a console that is issued without oned. What always holds: what is wrong with a call is said
// before anything is asked or made; the members are those that portals know.
import { describe, expect, it } from 'vitest';
import type { IssueConsole } from '../../src/console/issue.ts';
import type { SessionView } from '../../src/console/revoke.ts';
import { GatewayError } from '../../src/errors.ts';
import type { RpcCall } from '../../src/rpc/call.ts';
import type { MethodParts, MethodSettings } from '../../src/rpc/method.ts';
import { answerRequest, methodNames } from '../../src/rpc/methods.ts';
import type { ReplyValue } from '../../src/rpc/reply.ts';
import { readRequest } from '../../src/rpc/request.ts';
import type { RpcValue } from '../../src/rpc/value.ts';
import type { SessionId } from '../../src/tokens/record.ts';
import type { Token } from '../../src/tokens/token.ts';

const string = (text: string): RpcValue => ({ type: 'string', text });
const int = (value: number): RpcValue => ({ type: 'int', value });
const session = string('alice:alicepw');
const token = 'abcdefghijklmnopqrstuvwxy' as Token;

function refusalOf(run: () => unknown): GatewayError {
  try {
    run();
  } catch (error) {
    if (error instanceof GatewayError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

const requestOf = (call: RpcCall) => readRequest(call, methodNames);
const vmIdOf = (value: RpcValue) => requestOf({ method: 'one.vm.vnc', parameters: [session, value] }).vmId;

describe('the VM id', () => {
  it.each<[RpcValue, number]>([
    [int(0), 0],
    [int(7), 7],
    [int(2 ** 31 - 1), 2 ** 31 - 1],
    [int(-1), -1],
    [string('7'), 7],
    [string('+7'), 7],
    [string('-7'), -7],
    [string('007'), 7],
    [string('0'), 0],
  ])('may be %j', (value, vmId) => {
    expect(vmIdOf(value)).toBe(vmId);
  });

  it.each<[RpcValue]>([
    [int(2 ** 31)],
    [int(-(2 ** 31) - 1)],
    [int(2 ** 40)],
    [string('2147483648')],
    [string('')],
    [string(' 7')],
    [string('7 ')],
    [string('7\n')],
    [string('7x')],
    [string('0x7')],
    [string('7.0')],
    [string('1e1')],
    [string('--7')],
    [string('+')],
    [string('٣')],
    [string('9'.repeat(400))],
    [{ type: 'boolean', value: true }],
    [{ type: 'struct', members: new Map() }],
    [{ type: 'scalar' }],
    [{ type: 'other' }],
    [{ type: 'nil' }],
    [{ type: 'unreadable' }],
  ])('may not be %j', (value) => {
    const { oneCode, publicText } = refusalOf(() => vmIdOf(value));
    expect([oneCode, publicText]).toEqual([
      0x1000,
      'The second parameter, the VM id, is no integer in range',
    ]);
  });
});

describe('the parameters', () => {
  const read = (...parameters: RpcValue[]) => requestOf({ method: 'one.vm.vnctoken', parameters });

  it.each<[string, RpcValue[]]>([
    ['none', []],
    ['the session alone', [session]],
    ['four', [session, int(1), int(2), int(3)]],
    ['thousands', [session, ...Array.from({ length: 5000 }, () => int(1))]],
  ])('may not be %s', (_what, parameters) => {
    const { oneCode, publicText } = refusalOf(() => read(...parameters));
    expect(oneCode).toBe(0x1000);
    expect(publicText).toBe(
      `one.vm.vnctoken takes a session string, a VM id and optionally a struct; ${parameters.length} parameters came`,
    );
  });

  it.each<[RpcValue]>([[int(1)], [{ type: 'boolean', value: true }], [{ type: 'other' }]])(
    'may not begin with %j in the place of the session',
    (value) => {
      const { oneCode, publicText } = refusalOf(() => read(value, int(1)));
      expect([oneCode, publicText]).toEqual([0x1000, 'The first parameter, the session, is no string']);
    },
  );

  it.each<[RpcValue]>([
    [{ type: 'struct', members: new Map([['x', int(1)]]) }],
    [int(0)],
    [string('')],
    [{ type: 'boolean', value: false }],
    [{ type: 'scalar' }],
    [{ type: 'nil' }],
    [{ type: 'array', items: [] }],
  ])('may have %j as the third', (third) => {
    expect(read(session, int(1), third)).toEqual(read(session, int(1)));
  });

  it.each([
    ['a:b\n', 'a:b'],
    ['a:b\r\n', 'a:b'],
    ['a:b\n\n', 'a:b\n'],
    ['a:b\r', 'a:b\r'],
    ['a:b ', 'a:b '],
    ['\na:b', '\na:b'],
    ['', ''],
  ])('have a session %j that means %j', (given, meant) => {
    expect(read(string(given), int(1)).session).toBe(meant);
  });
});

describe('the options of a call', () => {
  const optionsOf = (members: [string, RpcValue][]) =>
    readRequest(
      {
        method: 'one.vm.vnctoken',
        parameters: [session, int(1), { type: 'struct', members: new Map(members) }],
      },
      methodNames,
    ).options;
  const boolean = (value: boolean): RpcValue => ({ type: 'boolean', value });

  it('ask for nothing where there are none, or unknown ones', () => {
    const nothing = { viewOnly: false, clipboard: 'both' };
    expect(optionsOf([])).toEqual(nothing);
    expect(optionsOf([['colour', string('blue')]])).toEqual(nothing);
  });

  it.each<[RpcValue, boolean]>([
    [boolean(true), true],
    [boolean(false), false],
    [int(1), true],
    [string('Yes'), true],
    [string('0'), false],
  ])('view_only may be %j', (value, viewOnly) => {
    expect(optionsOf([['view_only', value]])).toEqual({ viewOnly, clipboard: 'both' });
  });

  it.each([
    ['both', 'both'],
    ['to_vm', 'to_vm'],
    ['from_vm', 'from_vm'],
    ['off', 'off'],
    ['OFF', 'off'],
  ])('clipboard may be %s', (text, clipboard) => {
    expect(optionsOf([['clipboard', string(text)]])).toEqual({ viewOnly: false, clipboard });
  });

  it.each<[string, RpcValue, string]>([
    ['view_only', string('perhaps'), 'view_only is no boolean'],
    ['view_only', { type: 'other' }, 'view_only is no boolean'],
    ['clipboard', string('to-vm'), 'clipboard is none of both, to_vm, from_vm, off'],
    ['clipboard', string(''), 'clipboard is none of both, to_vm, from_vm, off'],
    ['clipboard', string(' off'), 'clipboard is none of both, to_vm, from_vm, off'],
    ['clipboard', boolean(false), 'clipboard is none of both, to_vm, from_vm, off'],
    ['clipboard', { type: 'other' }, 'clipboard is none of both, to_vm, from_vm, off'],
  ])('%s may not be %j', (name, value, told) => {
    const { oneCode, publicText } = refusalOf(() => optionsOf([[name, value]]));
    expect([oneCode, publicText]).toEqual([0x1000, told]);
  });
});

describe('an unknown method', () => {
  const refusal = (method: string) => refusalOf(() => requestOf({ method, parameters: [session, int(1)] }));

  it.each([
    ['one.vm.info', 'one.vm.info'],
    ['ONE.VM.VNC', 'ONE.VM.VNC'],
    ['constructor', 'constructor'],
    ['__proto__', '__proto__'],
    ['toString', 'toString'],
    ['a\x1b[2Jb\nc', 'a?[2Jb?c'],
    ['größe', 'gr??e'],
    ['m'.repeat(5000), 'm'.repeat(64)],
  ])('%j is named as %s, with those that there are', (method, named) => {
    const { oneCode, publicText } = refusal(method);
    expect(oneCode).toBe(0x1000);
    expect(publicText).toBe(
      `Unknown method '${named}'. Expected one of: one.vm.vnctoken, one.vm.vnctokenonly, one.vm.vnc, one.vm.vncurl, ` +
        'one.vm.vncrevoke, one.vm.vncsessions',
    );
  });

  it('is not named in the log: it may be a session that was put in the wrong place', () => {
    expect(refusal('alice:alicepw').detail).toBe('unknown method');
  });
});

describe('an answer', () => {
  const caller = { uid: 2, user: 'alice' };
  const issueWith =
    (password: string, token: Token): IssueConsole =>
    (_session, vmId) =>
      Promise.resolve({
        token,
        grant: {
          vmId,
          target: { host: 'node1', port: 5907 },
          uid: 2,
          user: 'alice',
          issuedAt: 0,
          expiresAt: 1,
        },
        graphics: { type: 'vnc', listen: '0.0.0.0', port: '5907', password },
      });

  const refuse = () => Promise.reject(new Error('it was asked'));

  const answerFrom = (method: string, parts: Partial<MethodParts>) => {
    const request = requestOf({ method, parameters: [session, int(7)] });
    const all: MethodParts = {
      issue: refuse,
      management: { revoke: refuse, sessions: refuse },
      settings: { publicUrl: undefined, wss: false },
      by: ['user alice'],
      ...parts,
    };
    return answerRequest(request, all, new AbortController().signal);
  };

  const answer = async (
    method: string,
    settings: Partial<MethodSettings> = {},
    password = 'p&<w',
    issuedToken = token,
  ): Promise<ReplyValue> => {
    const how = { publicUrl: undefined, wss: false, ...settings };
    const issue = issueWith(password, issuedToken);
    return (await answerFrom(method, { issue, settings: how })).value;
  };

  const struct = {
    ...{
      id: 7,
      host: 'node1',
      type: 'vnc',
      port: 5907,
      listen: '0.0.0.0',
      password: 'p&<w',
      wss: false,
      token,
    },
    ...{ VmId: 7, Host: 'node1', Type: 'vnc', Listen: '0.0.0.0', Password: 'p&<w', Wss: false, Token: token },
  };

  it('of one.vm.vnctoken is the struct, in both spellings', async () => {
    expect(await answer('one.vm.vnctoken')).toEqual(struct);
    expect(await answer('one.vm.vnctoken', { wss: true })).toEqual({ ...struct, wss: true, Wss: true });
  });

  it('of one.vm.vnctoken has a url where public_url is set', async () => {
    const publicUrl = 'https://cloud.example/vnc';
    expect(await answer('one.vm.vnctoken', { publicUrl })).toEqual({
      ...struct,
      url: `https://cloud.example/vnc/console/#token=${token}&password=p%26%3Cw`,
    });
  });

  it('of one.vm.vnctokenonly is the token', async () => {
    expect(await answer('one.vm.vnctokenonly')).toBe(token);
  });

  it('of one.vm.vnc is XML with everything escaped', async () => {
    expect(await answer('one.vm.vnc', { wss: true }, ' <&>]]>" ')).toBe(
      '<VM><ID>7</ID><HOST>node1</HOST><TYPE>vnc</TYPE><PORT>5907</PORT><LISTEN>0.0.0.0</LISTEN>' +
        `<PASSWORD> &lt;&amp;&gt;]]&gt;&quot; </PASSWORD><WSS>true</WSS><TOKEN>${token}</TOKEN></VM>`,
    );
    expect(await answer('one.vm.vnc', {}, '')).toContain('<PASSWORD></PASSWORD><WSS>false</WSS>');
  });

  it.each([
    ['', ''],
    ['secret', '&password=secret'],
    ['a b#c&d=e%ü', '&password=a%20b%23c%26d%3De%25%C3%BC'],
  ])('of one.vm.vncurl is the address of the console, with the password %j', async (password, inFragment) => {
    expect(await answer('one.vm.vncurl', { publicUrl: 'http://p.example' }, password)).toBe(
      `http://p.example/console/#token=${token}${inFragment}`,
    );
  });

  it('of one.vm.vncurl has a sealed token as it is', async () => {
    const sealed = `eyJhbGciOiJkaXIi_-.${'Ab0-_'.repeat(200)}..x.y` as Token;
    expect(await answer('one.vm.vncurl', { publicUrl: 'http://p.example' }, '', sealed)).toBe(
      `http://p.example/console/#token=${sealed}`,
    );
  });

  it('of one.vm.vncurl without public_url is a refusal, and no token is made', async () => {
    await expect(answerFrom('one.vm.vncurl', {})).rejects.toMatchObject({
      ...{ oneCode: 0x2000, publicText: 'public_url is not set' },
    });
  });

  it.each([0, 1, 300])('of one.vm.vncrevoke is a number: %i', async (count) => {
    const management = { revoke: () => Promise.resolve({ caller, count }), sessions: refuse };
    expect((await answerFrom('one.vm.vncrevoke', { management })).value).toBe(count);
  });

  const view = (more: Partial<SessionView> = {}): SessionView => ({
    ...{ session: 'id' as SessionId, fingerprint: 'f', vmId: 7, user: 'alice', client: '192.0.2.1' },
    ...{ since: 1_700_000_000_999, bytes: 0, ...more },
  });
  const sessionsOf = async (views: SessionView[]) => {
    const management = { revoke: refuse, sessions: () => Promise.resolve({ caller, sessions: views }) };
    return (await answerFrom('one.vm.vncsessions', { management })).value;
  };

  it('of one.vm.vncsessions is XML, the oldest session first, with everything escaped', async () => {
    const views = [
      view({ user: 'a&<b>"', client: '2001:db8::1', bytes: 2 ** 40, since: 1_700_000_001_000 }),
      view(),
    ];
    expect(await sessionsOf(views)).toBe(
      '<VNC_SESSIONS>' +
        '<SESSION><VM_ID>7</VM_ID><USER>alice</USER><SINCE>1700000000</SINCE>' +
        '<CLIENT>192.0.2.1</CLIENT><BYTES>0</BYTES></SESSION>' +
        '<SESSION><VM_ID>7</VM_ID><USER>a&amp;&lt;b&gt;&quot;</USER><SINCE>1700000001</SINCE>' +
        '<CLIENT>2001:db8::1</CLIENT><BYTES>1099511627776</BYTES></SESSION></VNC_SESSIONS>',
    );
  });

  it('of one.vm.vncsessions has its element where there are none', async () => {
    expect(await sessionsOf([])).toBe('<VNC_SESSIONS></VNC_SESSIONS>');
  });

  it('of one.vm.vncsessions has a thousand of them at most', async () => {
    const views = Array.from({ length: 5000 }, (_value, since) => view({ since: since * 1000 }));
    const xml = String(await sessionsOf(views));
    expect(xml.match(/<SESSION>/g)).toHaveLength(1000);
    expect(xml).toContain('<SINCE>999</SINCE>');
  });

  it.each(methodNames)('of %s is told to the log without a secret', async (method) => {
    const { done, details, fingerprint } = await answerFrom(method, {
      issue: issueWith('vncpassword', token),
      management: {
        revoke: () => Promise.resolve({ caller, count: 1 }),
        sessions: () => Promise.resolve({ caller, sessions: [view()] }),
      },
      settings: { publicUrl: 'https://p.example', wss: true },
    });
    const told = JSON.stringify({ done, details, fingerprint });
    for (const secret of [token, 'vncpassword', 'alicepw']) expect(told).not.toContain(secret);
    expect(done).toMatch(/^(token issued|tokens revoked|sessions listed)$/);
  });
});
