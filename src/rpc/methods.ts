// The methods: from decoded parameters to the value of a reply. The shapes are what portals were written against:
// the Ruby addon-vnctoken's members as its code sent them, and once more as its README named them.
import type { IssueConsole, IssuedConsole } from '../console/issue.js';
import { GatewayError } from '../errors.js';
import type { SessionString } from '../oned/session-string.js';
import { element, serializeXml } from '../xml.js';
import { decodeInteger, type RpcCall, type RpcValue } from './call.js';
import type { ReplyValue } from './reply.js';

export interface MethodSettings {
  /** Without a trailing slash. */
  readonly publicUrl: string | undefined;
  /** Whether browsers reach the proxy by TLS. */
  readonly wss: boolean;
}

type Answer = (issued: IssuedConsole, settings: MethodSettings) => ReplyValue;

const answers: Readonly<Record<string, Answer>> = {
  'one.vm.vnctoken': tokenStruct,
  'one.vm.vnctokenonly': ({ token }) => token,
  'one.vm.vnc': vmXml,
  'one.vm.vncurl': (issued, { publicUrl = '' }) => consoleUrl(issued, publicUrl),
};

/** session string, VM id, and options that this version has none of. */
const MAX_PARAMETERS = 3;
const MAX_INT = 2 ** 31 - 1;
const MAX_QUOTED_LENGTH = 64;

/** What a call asks for, checked: who, which VM, and what to answer with. */
export interface ConsoleRequest {
  readonly method: string;
  readonly session: SessionString;
  readonly vmId: number;
}

/** @throws GatewayError `unknown-method`, `bad-parameters` */
export function readRequest({ method, parameters }: RpcCall): ConsoleRequest {
  if (!Object.hasOwn(answers, method)) {
    const quoted = method.replace(/[^\x20-\x7e]/g, '?').slice(0, MAX_QUOTED_LENGTH);
    throw new GatewayError('unknown-method', {
      publicText: `Unknown method '${quoted}'. Expected one of: ${Object.keys(answers).join(', ')}`,
      detail: 'unknown method',
    });
  }
  const [session, vmId] = parameters;
  if (session === undefined || vmId === undefined || parameters.length > MAX_PARAMETERS) {
    throw wrongParameters(
      `${method} takes a session string, a VM id and optionally a struct; ${parameters.length} parameters came`,
    );
  }
  if (session.type !== 'string') throw wrongParameters('The first parameter, the session, is no string');
  return { method, session: session.text.replace(/\r?\n$/, '') as SessionString, vmId: vmIdOf(vmId) };
}

/**
 * Issues a console for a request and shapes the answer.
 * @throws GatewayError
 */
export async function answerRequest(
  { method, session, vmId }: ConsoleRequest,
  issue: IssueConsole,
  settings: MethodSettings,
  signal: AbortSignal,
): Promise<{ value: ReplyValue; issued: IssuedConsole }> {
  const answer = answers[method];
  if (answer === undefined) throw new GatewayError('unknown-method');
  // Before a token is made that nobody would get.
  if (method === 'one.vm.vncurl' && settings.publicUrl === undefined) throw new GatewayError('no-public-url');
  const issued = await issue(session, vmId, signal);
  return { value: answer(issued, settings), issued };
}

/** A 32-bit integer in any of the types that portals use, or a text of digits. */
function vmIdOf(value: RpcValue): number {
  const integer = value.type === 'string' ? decodeInteger(value.text) : value;
  if (integer.type !== 'int' || integer.value > MAX_INT || integer.value < -MAX_INT - 1) {
    throw wrongParameters('The second parameter, the VM id, is no integer in range');
  }
  return integer.value;
}

function wrongParameters(publicText: string): GatewayError {
  return new GatewayError('bad-parameters', { publicText });
}

function tokenStruct(
  { token, grant, graphics }: IssuedConsole,
  { publicUrl, wss }: MethodSettings,
): ReplyValue {
  const { host, port } = grant.target;
  const { type, listen, password } = graphics;
  return {
    id: grant.vmId,
    host,
    type,
    port,
    listen,
    password,
    wss,
    token,
    VmId: grant.vmId,
    Host: host,
    Type: type,
    Listen: listen,
    Password: password,
    Wss: wss,
    Token: token,
    ...(publicUrl === undefined ? {} : { url: consoleUrl({ token, grant, graphics }, publicUrl) }),
  };
}

function vmXml({ token, grant, graphics }: IssuedConsole, { wss }: MethodSettings): string {
  return serializeXml(
    element(
      'VM',
      element('ID', String(grant.vmId)),
      element('HOST', grant.target.host),
      element('TYPE', graphics.type),
      element('PORT', String(grant.target.port)),
      element('LISTEN', graphics.listen),
      element('PASSWORD', graphics.password),
      element('WSS', String(wss)),
      element('TOKEN', token),
    ),
  );
}

/** Token and password stand in the fragment, which no browser sends anywhere. */
function consoleUrl({ token, graphics }: IssuedConsole, publicUrl: string): string {
  const password = graphics.password === '' ? '' : `&password=${encodeURIComponent(graphics.password)}`;
  return `${publicUrl}/console/#token=${token}${password}`;
}
