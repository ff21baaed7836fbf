// XML-RPC as the library below oned speaks it: stricter than the service's own, with its own fault codes.
// What always holds: a body that is no call, or has a parameter of another type, becomes a CallFault.
import { child, element, parseXml, serializeXml, type XmlElement, XmlError } from '../xml.js';

/** A refusal by the XML-RPC library below oned. Codes of xmlrpc-c. */
export class CallFault extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

const FAULT_INTERNAL = -500;
const FAULT_TYPE = -501;
const FAULT_PARSE = -503;
export const FAULT_NO_METHOD = -506;

/** @throws CallFault for what is no call */
export function readCall(body: string): { method: string; parameters: readonly XmlElement[] } {
  let root: XmlElement;
  try {
    root = parseXml(body);
  } catch (error) {
    if (!(error instanceof XmlError)) throw error;
    throw new CallFault(
      FAULT_PARSE,
      'Call XML not a proper XML-RPC call.  Call is not valid XML.  syntax error',
    );
  }
  const method = child(root, 'methodName')?.text;
  if (root.name !== 'methodCall' || method === undefined) {
    throw new CallFault(FAULT_PARSE, 'Call XML not a proper XML-RPC call.');
  }
  return { method, parameters: child(root, 'params')?.children ?? [] };
}

const TYPES: Readonly<Record<'string' | 'integer' | 'boolean', readonly string[]>> = {
  string: ['string'],
  integer: ['i4', 'int'],
  boolean: ['boolean'],
};

/**
 * The text of a parameter that must have that type; `i8` is no integer to oned.
 * @throws CallFault
 */
export function readParameter(
  parameters: readonly XmlElement[],
  index: number,
  type: keyof typeof TYPES,
): string {
  const parameter = parameters[index];
  if (parameter === undefined) {
    throw new CallFault(
      FAULT_INTERNAL,
      'Unexpected error executing code for particular method, detected by Xmlrpc-c method registry code.  ' +
        'Method did not fail; rather, it did not complete at all.  ' +
        'Subscript of xmlrpc_c::paramList out of bounds',
    );
  }
  const value = child(parameter, 'value');
  const typed = value?.children[0];
  // A value without a type is a string.
  const { name, text } = typed ?? { name: 'string', text: value?.text ?? '' };
  if (!TYPES[type].includes(name)) {
    throw new CallFault(FAULT_TYPE, `Parameter that is supposed to be ${type} is not`);
  }
  if (type === 'integer' && !/^\s*[+-]?\d{1,10}\s*$/.test(text)) {
    throw new CallFault(FAULT_PARSE, 'Call XML not a proper XML-RPC call.');
  }
  return text;
}

/** The values of a reply's array, each with its type. */
export function writeReply(values: readonly XmlElement[]): string {
  const data = element('data', ...values.map((value) => element('value', value)));
  return writeResponse(element('params', element('param', element('value', element('array', data)))));
}

/** A `<fault>`. */
export function writeFault({ code, message }: CallFault): string {
  const member = (name: string, value: XmlElement) =>
    element('member', element('name', name), element('value', value));
  const struct = element(
    'struct',
    member('faultCode', element('i4', String(code))),
    member('faultString', element('string', message)),
  );
  return writeResponse(element('fault', element('value', struct)));
}

function writeResponse(content: XmlElement): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\r\n${serializeXml(element('methodResponse', content))}\r\n`;
}
