// Reading oned's documents: the texts in its replies that are XML themselves.
// What always holds: what is missing or has no sense is `oned-nonsense`, and an error names the element, not its content.
import { GatewayError } from '../errors.js';
import { child, type XmlElement, XmlError } from '../xml.js';
import { type Shape, selectXml } from '../xml-selection.js';

/** Of an XML-RPC int, and so of every id that oned gives. */
const MAX_INT = 2 ** 31 - 1;

/** Which document is wanted, and what is read of it. */
export interface Wanted {
  /** Whose reply it is, for errors. */
  readonly method: string;
  /** The name of its root element. */
  readonly root: string;
  readonly shape: Shape;
  /** What is read where the whole shape cannot be: what stands before anything that users write. */
  readonly fallback?: Shape;
}

export type SelectedDocument =
  /** `doubt`: what is wrong with the rest, of which nothing was read. */
  { readonly root: XmlElement; readonly doubt?: string } | { readonly problem: string };

/** A kind of document. */
export interface OnedDocument<T> extends Wanted {
  /**
   * Makes sense of the elements that the shape names, without a look at the text.
   * @throws GatewayError `oned-nonsense`
   */
  readonly read: (root: XmlElement, doubt?: string) => T;
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
  const selected = selectDocument(xml, document);
  if ('problem' in selected) throw nonsense(selected.problem);
  return document.read(selected.root, selected.doubt);
}

/** Plain data, so that it may be done elsewhere. Never throws. */
export function selectDocument(xml: string, { method, root, shape, fallback }: Wanted): SelectedDocument {
  const selected = trySelect(xml, root, shape);
  if (typeof selected !== 'string') return { root: selected };
  const problem = `${method} returned XML that makes no sense: ${selected}`;
  const less = fallback === undefined ? selected : trySelect(xml, root, fallback);
  return typeof less === 'string' ? { problem } : { root: less, doubt: problem };
}

/** @returns what is wrong with it, in a text */
function trySelect(xml: string, root: string, shape: Shape): XmlElement | string {
  try {
    return selectXml(xml, root, shape);
  } catch (error) {
    if (error instanceof XmlError) return error.message;
    throw error;
  }
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
