// oned's reply, from its bytes to what is read of the document in it. Plain data in and out, so that a thread can do it.
// What always holds: what is no reply of oned is a problem in words of ours; nothing is quoted but oned's own refusal.
import { child, type XmlElement, XmlError } from '../xml.js';
import { type Shape, selectXml } from '../xml-selection.js';
import { type SelectedDocument, selectDocument, toNumber, type Wanted } from './document.js';

export type Selected =
  | SelectedDocument
  /** oned said no. */
  | { readonly refusal: string; readonly code: number };

/** oned's messages are a sentence. */
const MAX_MESSAGE_LENGTH = 1000;

const value: Shape = { children: { string: { raw: true }, boolean: {}, i4: {}, int: {} } };
const replyShape: Shape = {
  children: {
    params: {
      children: {
        param: {
          children: {
            value: {
              children: { array: { children: { data: { children: { value: { ...value, most: 16 } } } } } },
            },
          },
        },
      },
    },
    fault: {
      children: {
        value: {
          children: {
            struct: { children: { member: { children: { name: {}, value }, most: 16 } } },
          },
        },
      },
    },
  },
};

/** Reads `[true, document, …]` or `[false, message, code, …]`. Never throws. */
export function selectReply(reply: Uint8Array, wanted: Wanted): Selected {
  try {
    const text = new TextDecoder().decode(reply);
    return selectFrom(selectXml(text, 'methodResponse', replyShape), wanted);
  } catch (error) {
    if (error instanceof XmlError) return { problem: `the answer is not XML-RPC: ${error.message}` };
    throw error;
  }
}

function selectFrom(response: XmlElement, wanted: Wanted): Selected {
  const fault = child(response, 'fault');
  if (fault !== undefined) return { problem: `an XML-RPC fault, ${faultCode(fault) ?? 'without a code'}` };
  const path = ['params', 'param', 'value', 'array', 'data'];
  const data = path.reduce<XmlElement | undefined>((parent, name) => child(parent, name), response);
  const [success, content, code] = (data?.children ?? []).map(typedIn);
  const text = content?.name === 'string' ? content.text : undefined;
  if (success?.name !== 'boolean' || !/^[01]$/.test(success.text) || text === undefined) {
    return { problem: 'the answer is not [boolean, string, …]' };
  }
  if (success.text === '1') return selectDocument(text, wanted);
  const number = intIn(code);
  // Anything else could not be passed on as an int, and might be a text.
  return number === undefined || text === ''
    ? { problem: 'oned refused without a message and a code' }
    : { refusal: text.slice(0, MAX_MESSAGE_LENGTH), code: number };
}

function faultCode(fault: XmlElement): number | undefined {
  const members = child(child(fault, 'value'), 'struct')?.children ?? [];
  const member = members.find((one) => child(one, 'name')?.text === 'faultCode');
  return intIn(typedIn(child(member, 'value')));
}

/** Of two nobody could say which counts. */
function typedIn(value: XmlElement | undefined): XmlElement | undefined {
  return value?.children.length === 1 ? value.children[0] : undefined;
}

function intIn(typed: XmlElement | undefined): number | undefined {
  if (typed?.name !== 'int' && typed?.name !== 'i4') return undefined;
  const number = toNumber(typed.text.replace(/^-/, ''));
  return number === undefined || !typed.text.startsWith('-') ? number : -number;
}
