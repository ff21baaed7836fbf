// Reading oned's documents: the texts in its replies that are XML themselves.
// What always holds: what is missing or has no sense is `oned-nonsense`, and an error names the element, not its content.
import { GatewayError } from '../errors.js';
import { child, parseXml, type XmlElement, XmlError } from '../xml.js';
import { type Shape, selectXml } from '../xml-selection.js';

/** Of an XML-RPC int, and so of every id that oned gives. */
const MAX_INT = 2 ** 31 - 1;

/** A kind of document, and what of it is read. */
export interface OnedDocument<T> {
  /** Whose reply it is, for errors. */
  readonly method: string;
  /** The name of its root element. */
  readonly root: string;
  readonly shape: Shape;
  /**
   * Makes sense of the elements that the shape names, without a look at the text.
   * @throws GatewayError `oned-nonsense`
   */
  readonly read: (root: XmlElement) => T;
}

/** The shape of elements in which only texts are read. */
export function textsOf(...names: readonly string[]): Readonly<Record<string, Shape>> {
  return Object.fromEntries(names.map((name) => [name, {}]));
}

/**
 * Reads what is wanted of a document. What nobody reads of it costs little and cannot refuse it; what is read has to be
 * well-formed, and once where one is wanted.
 * @throws GatewayError `oned-nonsense`
 */
export function readDocument<T>(xml: string, document: OnedDocument<T>): T {
  const { method, root, shape, read } = document;
  let selected: XmlElement;
  try {
    selected = selectXml(xml, root, shape);
  } catch (error) {
    if (!(error instanceof XmlError)) throw error;
    throw nonsense(`${method} returned XML that makes no sense: ${error.message}`);
  }
  return read(selected);
}

/**
 * The document's root element, with everything in it.
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
