// The demo's portal: what any program does to get a console, one XML-RPC call over HTTP.
// What always holds: the call that is shown is the one that is made.
import { child, element, parseXml, serializeXml, type XmlElement } from '../xml.js';

/** A value of a reply. Numbers stay as they are written. */
export type PortalValue = string | boolean | ReadonlyMap<string, PortalValue>;

/** `[true, value, 0]` or `[false, message, code]`. */
export interface PortalReply {
  readonly ok: boolean;
  readonly value: PortalValue;
  readonly code: string;
}

/** The body of a call with a session string and a VM's id. */
export function writeCall(method: string, session: string, vmId: number): string {
  const parameter = (type: string, text: string) => element('param', element('value', element(type, text)));
  return serializeXml(
    element(
      'methodCall',
      element('methodName', method),
      element('params', parameter('string', session), parameter('int', String(vmId))),
    ),
  );
}

/**
 * Posts a call and reads the reply.
 * @throws where there is no HTTP 200 or no reply of OpenNebula's shape in it
 */
export async function postCall(url: string, body: string, signal: AbortSignal): Promise<PortalReply> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'text/xml' },
    body,
    signal,
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${url} answered HTTP ${response.status}`);
  const path = ['params', 'param', 'value', 'array', 'data'];
  const data = path.reduce<XmlElement | undefined>((parent, name) => child(parent, name), parseXml(text));
  const [ok, value, code] = (data?.children ?? []).map(readValue);
  if (typeof ok !== 'boolean' || value === undefined || typeof code !== 'string') {
    throw new Error(`${url} did not answer as OpenNebula does`);
  }
  return { ok, value, code };
}

function readValue(value: XmlElement): PortalValue {
  const typed = value.children[0];
  if (typed?.name === 'boolean') return typed.text === '1';
  if (typed?.name !== 'struct') return typed?.text ?? value.text;
  return new Map(
    typed.children.map((member) => {
      const content = child(member, 'value');
      return [child(member, 'name')?.text ?? '', content === undefined ? '' : readValue(content)];
    }),
  );
}
