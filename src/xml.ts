// The only place that knows fast-xml-parser: text from the network becomes a plain tree, a plain tree becomes text.
// What always holds: a value is never converted, trimmed or expanded beyond the five predefined entities and
// character references, and no text gets into XML unescaped.
import { XMLBuilder, XMLParser, XMLValidator } from 'fast-xml-parser';

/** An element without its attributes (XML-RPC and OpenNebula use none that matter to us). */
export interface XmlElement {
  readonly name: string;
  readonly children: readonly XmlElement[];
  /** All text directly inside the element, CDATA included, white space kept. */
  readonly text: string;
}

/** The input is not well-formed XML, or uses something that we refuse. Its text never quotes the input. */
export class XmlError extends Error {}

type ParsedNode = Record<string, ParsedNode[] | string | undefined>;

const TEXT = '#text';
const CDATA = '#cdata';

const parser = new XMLParser({
  preserveOrder: true,
  parseTagValue: false,
  trimValues: false,
  ignoreAttributes: true,
  ignoreDeclaration: true,
  ignorePiTags: true,
  cdataPropName: CDATA,
  // References are checked before, and decoded after: the library's own way costs twice as much.
  processEntities: false,
});

const builder = new XMLBuilder({ preserveOrder: true, suppressEmptyNode: false, processEntities: true });

/** Everything that XML 1.0 section 2.2 does not call a Char, lone surrogates included. */
const FORBIDDEN = /[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|\p{Surrogate}/u;
const FORBIDDEN_ALL = new RegExp(FORBIDDEN.source, 'gu');

/** The five predefined entities and character references; everything else would have to be declared. */
const REFERENCE = /&(?:(lt|gt|amp|apos|quot)|#(\d+)|#x([\dA-Fa-f]+));/y;
const REFERENCES = new RegExp(REFERENCE.source, 'g');
const PREDEFINED: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', apos: "'", quot: '"' };
const MAX_CODE_POINT = 0x10ffff;

/**
 * Parses a document with one root element. White space before the prolog is ignored.
 * A DOCTYPE is refused before any entity is looked at; nesting is bounded at 100 by the library.
 * @throws XmlError
 */
export function parseXml(source: string): XmlElement {
  const text = source.trimStart();
  if (FORBIDDEN.test(text)) throw new XmlError('a character that XML does not allow');
  checkMarkup(text);
  let nodes: ParsedNode[];
  try {
    if (XMLValidator.validate(text) !== true) throw new XmlError('not well-formed');
    nodes = parser.parse(text) as ParsedNode[];
  } catch (error) {
    if (error instanceof XmlError) throw error;
    throw new XmlError('not well-formed or nested too deeply');
  }
  const roots = elementsOf(nodes);
  const root = roots[0];
  if (root === undefined || roots.length !== 1) throw new XmlError('not one root element');
  return root;
}

/** Makes an element of a name and either its text or its children. */
export function element(name: string, ...content: readonly (string | XmlElement)[]): XmlElement {
  return {
    name,
    children: content.filter((part) => typeof part !== 'string'),
    text: content.filter((part) => typeof part === 'string').join(''),
  };
}

/** The element as text, without a prolog, every special character escaped; empty elements as `<A></A>`. */
export function serializeXml(root: XmlElement): string {
  const text: string = builder.build([nodeOf(root)]);
  // A raw carriage return would be read back as a line feed (XML 1.0 section 2.11).
  return text.replaceAll('\r', '&#13;');
}

/** The first child of that name, or undefined. */
export function child(parent: XmlElement | undefined, name: string): XmlElement | undefined {
  return parent?.children.find((candidate) => candidate.name === name);
}

/**
 * What the characters between two tags mean: references decoded, line ends made one character (XML 1.0 section 2.11).
 * @param literal in CDATA there are no references
 * @throws XmlError
 */
export function decodeText(written: string, literal?: 'literal'): string {
  if (written === '') return '';
  if (FORBIDDEN.test(written)) throw new XmlError('a character that XML does not allow');
  const text = written.replace(/\r\n?/g, '\n');
  if (literal) return text;
  if (text.includes('<') || text.includes(']]>')) throw new XmlError('not well-formed');
  if (!text.includes('&')) return text;
  checkMarkup(text);
  return text.replace(REFERENCES, decodeReference);
}

/**
 * What the library lets pass. Outside comments and CDATA, `<!` can only begin a DOCTYPE or what belongs into one, and
 * `&` a reference; one to a forbidden character would be dropped silently. One pass, never backwards.
 */
function checkMarkup(text: string): void {
  const mark = /<!|&/g;
  for (let found = mark.exec(text); found !== null; found = mark.exec(text)) {
    const { index } = found;
    mark.lastIndex = found[0] === '&' ? endOfReference(text, index) : endOfSection(text, index);
  }
}

function endOfSection(text: string, start: number): number {
  const end = text.startsWith('<![CDATA[', start)
    ? ']]>'
    : text.startsWith('<!--', start)
      ? '-->'
      : undefined;
  if (end === undefined) throw new XmlError('a DOCTYPE is not accepted');
  const at = text.indexOf(end, start + '<!--'.length);
  if (at === -1) throw new XmlError('not well-formed');
  return at + end.length;
}

function endOfReference(text: string, start: number): number {
  REFERENCE.lastIndex = start;
  const [, name, decimal, hexadecimal] = REFERENCE.exec(text) ?? [];
  const end = REFERENCE.lastIndex;
  if (end === 0) throw new XmlError('an entity that is not defined');
  if (name !== undefined) return end;
  const codePoint = codePointOf(decimal, hexadecimal);
  if (codePoint > MAX_CODE_POINT || FORBIDDEN.test(String.fromCodePoint(codePoint))) {
    throw new XmlError('a reference to a character that XML does not allow');
  }
  return end;
}

function codePointOf(decimal: string | undefined, hexadecimal = ''): number {
  return decimal === undefined ? Number.parseInt(hexadecimal, 16) : Number(decimal);
}

/** Of a reference that endOfReference() has found to be a good one. */
function decodeReference(_all: string, name?: string, decimal?: string, hexadecimal?: string): string {
  return name === undefined
    ? String.fromCodePoint(codePointOf(decimal, hexadecimal))
    : (PREDEFINED[name] ?? '');
}

function elementsOf(nodes: readonly ParsedNode[]): XmlElement[] {
  const elements: XmlElement[] = [];
  for (const node of nodes) {
    for (const [name, content] of Object.entries(node)) {
      if (name === TEXT || name === CDATA || !Array.isArray(content)) continue;
      elements.push({ name, children: elementsOf(content), text: textOf(content) });
    }
  }
  return elements;
}

/** @param literal in CDATA an ampersand is one */
function textOf(nodes: readonly ParsedNode[], literal = false): string {
  let text = '';
  for (const node of nodes) {
    const own = node[TEXT];
    const cdata = node[CDATA];
    if (typeof own === 'string')
      text += literal || !own.includes('&') ? own : own.replace(REFERENCES, decodeReference);
    if (Array.isArray(cdata)) text += textOf(cdata, true);
  }
  return text;
}

function nodeOf({ name, children, text }: XmlElement): ParsedNode {
  const content: ParsedNode[] = children.map(nodeOf);
  if (text !== '') content.unshift({ [TEXT]: text.replace(FORBIDDEN_ALL, '\ufffd') } as ParsedNode);
  return { [name]: content };
}
