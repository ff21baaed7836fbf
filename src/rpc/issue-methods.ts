// The methods that issue a console. The shapes are what portals were written against: the Ruby addon-vnctoken's members
// as its code sent them, and once more as its README named them.
// What always holds: nothing is issued that could not be told.
import type { IssuedConsole } from '../console/issue.js';
import { GatewayError } from '../errors.js';
import { fingerprint, hashToken } from '../tokens/token.js';
import { element, serializeXml } from '../xml.js';
import type { Method, MethodSettings } from './method.js';
import type { ReplyValue } from './reply.js';

type Shape = (issued: IssuedConsole, settings: MethodSettings) => ReplyValue;

export const issueMethods: Readonly<Record<string, Method>> = {
  'one.vm.vnctoken': issueAs(tokenStruct),
  'one.vm.vnctokenonly': issueAs(({ token }) => token),
  'one.vm.vnc': issueAs(vmXml),
  'one.vm.vncurl': async (request, parts, signal) => {
    const { publicUrl } = parts.settings;
    if (publicUrl === undefined) throw new GatewayError('no-public-url');
    return issueAs((issued) => consoleUrl(issued, publicUrl))(request, parts, signal);
  },
};

function issueAs(shape: Shape): Method {
  return async ({ session, vmId, options }, { issue, settings, by }, signal) => {
    const issued = await issue(session, vmId, options, signal, by);
    const name = fingerprint(hashToken(issued.token));
    return {
      value: shape(issued, settings),
      done: 'token issued',
      details: { fingerprint: name, target: issued.grant.target },
      caller: { uid: issued.grant.uid, user: issued.grant.user },
      fingerprint: name,
    };
  };
}

function tokenStruct(issued: IssuedConsole, { publicUrl, wss }: MethodSettings): ReplyValue {
  const { token, grant, graphics } = issued;
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
    ...(publicUrl === undefined ? {} : { url: consoleUrl(issued, publicUrl) }),
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
  return `${publicUrl}/console/#token=${encodeURIComponent(token)}${password}`;
}
