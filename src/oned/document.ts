// Reading oned's documents: the texts in its replies that are XML themselves.
// What always holds: what is missing or has no sense is `oned-nonsense`, and an error names the element, not its content.
import { GatewayError } from '../errors.js';
import { child, parseXml, type XmlElement } from '../xml.js';

/** Of an XML-RPC int, and so of every id that oned gives. */
const MAX_INT = 2 ** 31 - 1;

/**
 * The document's root element.
 * @param method whose reply it is, for the error
 * @throws GatewayError `oned-nonsense` where the text is no document of that root
 */
export function rootElement(xml: string, name: string, method: string): XmlElement {
  let root: XmlElement;
  try {
    root = parseXml(xml);
  } catch {
    throw nonsense(`${method} returned XML that is not well-formed`);
  }
  if (root.name !== name) throw nonsense(`${method} returned no ${name} element`);
  return root;
}

/** A number from 0 in an element that must be there. @throws GatewayError `oned-nonsense` */
export function numberOf(parent: XmlElement | undefined, name: string): number {
  const number = toNumber(textOf(parent, name) ?? '');
  if (number === undefined) throw nonsense(`the ${parent?.name ?? 'document'} of oned has no ${name}`);
  return number;
}

/** 1 or 0 in an element that must be there. @throws GatewayError `oned-nonsense` */
export function flagOf(parent: XmlElement | undefined, name: string): boolean {
  const text = textOf(parent, name);
  if (text !== '0' && text !== '1') {
    throw nonsense(`the ${parent?.name ?? 'document'} of oned has no ${name}`);
  }
  return text === '1';
}

/** Undefined where the element is missing or empty. */
export function textOf(parent: XmlElement | undefined, name: string): string | undefined {
  const text = child(parent, name)?.text ?? '';
  return text === '' ? undefined : text;
}

/** Undefined where it is no number from 0 to an int's end. */
export function toNumber(text: string): number | undefined {
  return /^\d{1,10}$/.test(text) && Number(text) <= MAX_INT ? Number(text) : undefined;
}

export function nonsense(detail: string): GatewayError {
  return new GatewayError('oned-nonsense', { detail });
}
