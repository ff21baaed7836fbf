// XML-RPC in: the bytes of a request become a method name and typed parameters.
// What always holds: a text arrives as it was sent, in whatever encoding; what is no call is a fault, never a throw
// of something else. Source: the XML-RPC specification, and what real clients send beyond it.
import { child, parseXml, type XmlElement, XmlError } from '../xml.js';

export type RpcValue =
  | { readonly type: 'string'; readonly text: string }
  | { readonly type: 'int'; readonly value: number }
  | { readonly type: 'boolean'; readonly value: boolean }
  | { readonly type: 'struct'; readonly members: ReadonlyMap<string, RpcValue> }
  /** double, dateTime.iso8601, base64, nil, array, or a number that is none: no method here takes them. */
  | { readonly type: 'other' };

export interface RpcCall {
  readonly method: string;
  readonly parameters: readonly RpcValue[];
}

/** Codes of the XML-RPC fault code interoperability specification. */
export const FaultCode = { notWellFormed: -32700, noCall: -32600 } as const;

/** Answered as `<fault>`; the message quotes nothing of the request. */
export class RpcFault extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Decodes a request body.
 * @param contentType the HTTP header; its charset counts where the document names none
 * @throws RpcFault
 */
export function decodeCall(body: Buffer, contentType: string | undefined): RpcCall {
  let root: XmlElement;
  try {
    root = parseXml(decodeText(body, contentType));
  } catch (error) {
    if (!(error instanceof XmlError || error instanceof RpcFault)) throw error;
    throw new RpcFault(FaultCode.notWellFormed, `Request is not well-formed XML: ${error.message}`);
  }
  const method = child(root, 'methodName')?.text.trim() ?? '';
  if (root.name !== 'methodCall' || method === '') {
    throw new RpcFault(FaultCode.noCall, 'Request is no XML-RPC methodCall');
  }
  const parameters = child(root, 'params')?.children.filter(({ name }) => name === 'param') ?? [];
  return { method, parameters: parameters.map((parameter) => decodeValue(child(parameter, 'value'))) };
}

function decodeValue(value: XmlElement | undefined): RpcValue {
  if (value === undefined) return { type: 'other' };
  const typed = value.children[0];
  // A value without a type is a string, white space included.
  if (typed === undefined) return { type: 'string', text: value.text };
  switch (typed.name) {
    case 'string':
      return { type: 'string', text: typed.text };
    case 'i4':
    case 'int':
    case 'i8':
      return decodeInteger(typed.text.trim());
    case 'boolean':
      return { type: 'boolean', value: typed.text.trim() === '1' };
    case 'struct':
      return { type: 'struct', members: decodeMembers(typed) };
    default:
      return { type: 'other' };
  }
}

/** i8 goes beyond what a number holds exactly; such a one is no id of anything. */
export function decodeInteger(text: string): RpcValue {
  const value = /^[+-]?\d{1,19}$/.test(text) ? Number(text) : Number.NaN;
  // `+ 0` turns -0 into 0.
  return Number.isSafeInteger(value) ? { type: 'int', value: value + 0 } : { type: 'other' };
}

function decodeMembers(struct: XmlElement): Map<string, RpcValue> {
  const members = new Map<string, RpcValue>();
  for (const member of struct.children) {
    if (member.name === 'member')
      members.set(child(member, 'name')?.text ?? '', decodeValue(child(member, 'value')));
  }
  return members;
}

/** Byte order mark first, then the prolog, then HTTP's charset, then UTF-8 (XML 1.0 appendix F). */
function decodeText(body: Buffer, contentType: string | undefined): string {
  const marked = /^(\xef\xbb\xbf|\xfe\xff|\xff\xfe)/.exec(body.toString('latin1', 0, 3))?.[1];
  const marks: Record<string, string> = {
    '\xef\xbb\xbf': 'utf-8',
    '\xfe\xff': 'utf-16be',
    '\xff\xfe': 'utf-16le',
  };
  const prolog = /^\s*<\?xml[^>]{0,200}?\sencoding\s*=\s*["']([A-Za-z0-9._:-]{1,40})["']/.exec(
    body.toString('latin1', 0, 300),
  );
  const charset = /;\s*charset\s*=\s*"?([A-Za-z0-9._:-]{1,40})/i.exec(contentType ?? '');
  const label = (marks[marked ?? ''] ?? prolog?.[1] ?? charset?.[1] ?? 'utf-8').toLowerCase();
  // The web's decoder reads these labels as windows-1252, which differs from them in 0x80 to 0x9f.
  if (/^(iso-8859-1|latin1|us-ascii|ascii)$/.test(label)) return body.toString('latin1');
  try {
    return new TextDecoder(label, { fatal: true }).decode(body);
  } catch {
    throw new RpcFault(
      FaultCode.notWellFormed,
      'its bytes do not fit its encoding, or the encoding is not known',
    );
  }
}
