// Values of XML-RPC, from the elements that they are written in.
// What always holds: a value is what its sender wrote or it is `unreadable`; nothing beside it is dropped in silence, for it
// may be the half that restricts.
import type { XmlElement } from '../xml.js';

export type RpcValue =
  | { readonly type: 'string'; readonly text: string }
  /** A whole number that a number holds exactly, in whatever type. */
  | { readonly type: 'int'; readonly value: number }
  | { readonly type: 'boolean'; readonly value: boolean }
  | { readonly type: 'struct'; readonly members: ReadonlyMap<string, RpcValue> }
  | { readonly type: 'array'; readonly items: readonly RpcValue[] }
  | { readonly type: 'nil' }
  /** A time, any other number, or what stands where a number or a boolean should: nothing that anybody could use. */
  | { readonly type: 'scalar' }
  /** base64, or of a type that nobody knows. */
  | { readonly type: 'other' }
  /** No value: of two types, with text around it, a member that comes twice. */
  | { readonly type: 'unreadable' };

const UNREADABLE: RpcValue = { type: 'unreadable' };

/** Numbers without a fraction, Apache's own among them (its namespace is `ex`). */
const INTEGERS: ReadonlySet<string> = new Set(['i1', 'i2', 'i4', 'i8', 'int', 'biginteger']);
const REALS: ReadonlySet<string> = new Set(['double', 'float', 'bigdecimal']);

/** Reads what stands in `<value>`; undefined: there is none. */
export function decodeValue(value: XmlElement | undefined): RpcValue {
  if (value === undefined) return UNREADABLE;
  const [typed, ...more] = value.children;
  // A value without a type is a string, white space included.
  if (typed === undefined) return { type: 'string', text: value.text };
  return more.length > 0 || !isBlank(value) ? UNREADABLE : decodeTyped(typed);
}

/** A text of digits, with a sign or without. i8 goes beyond what a number holds; such a one is no id of anything. */
export function decodeInteger(text: string): RpcValue {
  return /^[+-]?\d{1,19}$/.test(text) ? exact(Number(text)) : { type: 'scalar' };
}

function decodeTyped(typed: XmlElement): RpcValue {
  // Whatever prefix a client has given to Apache's namespace.
  const type = typed.name.replace(/^[^:]*:/, '');
  if (type === 'struct') return decodeStruct(typed);
  if (type === 'array') return decodeArray(typed);
  if (typed.children.length > 0) return UNREADABLE;
  if (type === 'string') return { type: 'string', text: typed.text };
  if (type === 'boolean') return decodeBoolean(typed.text.trim());
  if (type === 'nil') return { type: 'nil' };
  if (type === 'dateTime.iso8601') return { type: 'scalar' };
  if (INTEGERS.has(type)) return decodeInteger(typed.text.trim());
  if (REALS.has(type)) return decodeReal(typed.text.trim());
  return { type: 'other' };
}

function decodeBoolean(text: string): RpcValue {
  return text === '0' || text === '1' ? { type: 'boolean', value: text === '1' } : { type: 'scalar' };
}

/** Whole where its digits say so, not where they round to it: 2, 2.0, 2e3, 2.5e1; not 1e-400. */
function decodeReal(text: string): RpcValue {
  const [, fraction = '', exponent = '0'] = /^[+-]?\d{1,19}(?:\.(\d{0,40}))?(?:[eE]\+?(\d{1,2}))?$/.exec(
    text,
  ) ?? [undefined, '?'];
  const digits = fraction.replace(/0+$/, '').length;
  return digits > Number(exponent) || fraction === '?' ? { type: 'scalar' } : exact(Number(text));
}

function exact(value: number): RpcValue {
  // `+ 0` turns -0 into 0.
  return Number.isSafeInteger(value) ? { type: 'int', value: value + 0 } : { type: 'scalar' };
}

function decodeStruct(struct: XmlElement): RpcValue {
  const members = new Map<string, RpcValue>();
  for (const member of struct.children) {
    const name = onlyChild(member, 'name');
    if (member.name !== 'member' || name === undefined || name.children.length > 0) return UNREADABLE;
    const isPlain = isBlank(member) && member.children.length <= 2;
    const value = isPlain && !members.has(name.text) ? decodeValue(onlyChild(member, 'value')) : UNREADABLE;
    members.set(name.text, value);
  }
  return isBlank(struct) ? { type: 'struct', members } : UNREADABLE;
}

function decodeArray(array: XmlElement): RpcValue {
  const data = onlyChild(array, 'data');
  if (data === undefined || array.children.length > 1 || !isBlank(array) || !isBlank(data)) return UNREADABLE;
  if (data.children.some(({ name }) => name !== 'value')) return UNREADABLE;
  return { type: 'array', items: data.children.map(decodeValue) };
}

/** Undefined also where there are two. */
function onlyChild({ children }: XmlElement, name: string): XmlElement | undefined {
  const [found, ...more] = children.filter((child) => child.name === name);
  return more.length > 0 ? undefined : found;
}

function isBlank({ text }: XmlElement): boolean {
  return text.trim() === '';
}
