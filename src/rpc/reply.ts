// XML-RPC out: a value, a refusal or a fault becomes the bytes of a reply.
// What always holds: exactly `[boolean, value, int]`, every text typed and escaped, no CDATA, no nil, nothing left out:
// the oldest clients of OpenNebula read nothing else.
import { element, serializeXml, type XmlElement } from '../xml.js';

/** What a method may answer with. Structs keep the order of their members. */
export type ReplyValue = string | number | boolean | { readonly [name: string]: string | number | boolean };

/** `[true, value, 0]`. */
export function successReply(value: ReplyValue): string {
  return arrayReply(true, value, 0);
}

/** `[false, message, code]`. */
export function refusalReply(message: string, oneCode: number): string {
  return arrayReply(false, message, oneCode);
}

export function faultReply(code: number, message: string): string {
  return document(element('fault', encode({ faultCode: code, faultString: message })));
}

function arrayReply(...values: readonly ReplyValue[]): string {
  const data = element('data', ...values.map(encode));
  return document(element('params', element('param', element('value', element('array', data)))));
}

function document(content: XmlElement): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${serializeXml(element('methodResponse', content))}\n`;
}

function encode(value: ReplyValue): XmlElement {
  switch (typeof value) {
    case 'string':
      return element('value', element('string', value));
    case 'number':
      return element('value', element('i4', String(value)));
    case 'boolean':
      return element('value', element('boolean', value ? '1' : '0'));
    default:
      return element('value', element('struct', ...Object.entries(value).map(encodeMember)));
  }
}

function encodeMember([name, value]: readonly [string, string | number | boolean]): XmlElement {
  return element('member', element('name', name), encode(value));
}
