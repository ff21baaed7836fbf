// XML-RPC in: the bytes of a request become a method name and typed parameters.
// What always holds: a text arrives as it was sent, in whatever encoding; what is no call is a fault, never a throw
// of something else. Source: the XML-RPC specification, and what real clients send beyond it.
import { parseXml, type XmlElement, XmlError } from '../xml.js';
import { decodeValue, type RpcValue } from './value.js';

/** A struct of two hundred members; more is work for nothing. */
const MAX_ELEMENTS = 1000;

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
    root = parseXml(decodeText(body, contentType), MAX_ELEMENTS);
  } catch (error) {
    if (!(error instanceof XmlError || error instanceof RpcFault)) throw error;
    throw new RpcFault(FaultCode.notWellFormed, `Request is not well-formed XML: ${error.message}`);
  }
  const { methodName, params } = partsOf(root);
  const method = methodName?.text.trim() ?? '';
  if (root.name !== 'methodCall' || method === '') throw noCall();
  const parameters = params?.children ?? [];
  if (parameters.some(({ name }) => name !== 'param')) throw noCall();
  return { method, parameters: parameters.map(decodeParameter) };
}

/** Each of them once, and nothing else: what would be dropped may have been meant. */
function partsOf({ children }: XmlElement): { methodName?: XmlElement; params?: XmlElement } {
  const parts: { methodName?: XmlElement; params?: XmlElement } = {};
  for (const part of children) {
    const { name } = part;
    if ((name !== 'methodName' && name !== 'params') || parts[name] !== undefined) throw noCall();
    parts[name] = part;
  }
  return parts;
}

function decodeParameter({ children, text }: XmlElement): RpcValue {
  const [value, ...more] = children;
  return value?.name === 'value' && more.length === 0 && text.trim() === ''
    ? decodeValue(value)
    : { type: 'unreadable' };
}

function noCall(): RpcFault {
  return new RpcFault(FaultCode.noCall, 'Request is no XML-RPC methodCall');
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
