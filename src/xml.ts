// The only place that knows saxes, which reads, and fast-xml-parser, which writes: text from the network becomes a plain
// tree, a plain tree becomes text.
// What always holds: a value is never converted, trimmed or expanded beyond the five predefined entities and
// character references, and no text gets into XML unescaped.
import { XMLBuilder } from 'fast-xml-parser';
import { SaxesParser } from 'saxes';

/** An element without its attributes (XML-RPC and OpenNebula use none that matter to us). */
export interface XmlElement {
  readonly name: string;
  readonly children: readonly XmlElement[];
  /** All text directly inside the element, CDATA included, white space kept. */
  readonly text: string;
}

/** The input is not well-formed XML, or uses something that we refuse. Its text never quotes the input. */
export class XmlError extends Error {}

/** What the builder takes. */
type BuilderNode = Record<string, BuilderNode[] | string | undefined>;

const TEXT = '#text';

const builder = new XMLBuilder({ preserveOrder: true, suppressEmptyNode: false, processEntities: true });

/** Everything that XML 1.0 section 2.2 does not call a Char, lone surrogates included. */
const FORBIDDEN = /[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|\p{Surrogate}/u;
const FORBIDDEN_ALL = new RegExp(FORBIDDEN.source, 'gu');

/** The five predefined entities and character references; everything else would have to be declared. */
const REFERENCE = /&(?:(lt|gt|amp|apos|quot);|#(\d+);|#x([\dA-Fa-f]+);)?/g;
const PREDEFINED: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', apos: "'", quot: '"' };
const MAX_CODE_POINT = 0x10ffff;

/** What the library says of a text, in words of ours, for its own quote. */
const COMPLAINTS: readonly (readonly [of: RegExp, is: string])[] = [
  [/malformed character entity/, 'a reference to a character that XML does not allow'],
  [/entity/, 'an entity that is not defined'],
];
/** Not every client writes `]]&gt;`, and it can be nothing else. */
const HARMLESS = /"]]>" is disallowed in char data/;

/** Clients write declarations that are none; of what stands in one only the encoding counts, and not here. */
const DECLARATION = /^<\?xml\s[^<>]{0,200}\?>/;
const MAX_DEPTH = 100;
const MAX_ELEMENTS = 100_000;

/**
 * Parses a document with one root element. White space before the prolog is ignored.
 * A DOCTYPE is refused before any entity is looked at; nesting is bounded at 100.
 * @param maxElements more are refused before they cost anything
 * @throws XmlError
 */
export function parseXml(source: string, maxElements = MAX_ELEMENTS): XmlElement {
  const text = source.trimStart();
  if (FORBIDDEN.test(text)) throw new XmlError('a character that XML does not allow');
  refuseDeclarations(text);
  try {
    return treeOf(text.replace(DECLARATION, ''), maxElements);
  } catch (error) {
    if (error instanceof XmlError) throw error;
    const complaint = COMPLAINTS.find(([of]) => error instanceof Error && of.test(error.message));
    throw new XmlError(complaint?.[1] ?? 'not well-formed');
  }
}

interface OpenElement {
  readonly name: string;
  readonly children: OpenElement[];
  text: string;
}

function treeOf(text: string, maxElements: number): XmlElement {
  const document: OpenElement = { name: '', children: [], text: '' };
  const open = [document];
  let elements = 0;
  const add = (text: string) => {
    const parent = open.at(-1);
    if (parent !== undefined) parent.text += text;
  };
  const parser = new SaxesParser({ defaultXMLVersion: '1.0', forceXMLVersion: true, position: false });
  parser.on('opentag', ({ name }) => {
    if (++elements > maxElements) throw new XmlError(`more than ${maxElements} elements`);
    if (open.length > MAX_DEPTH) throw new XmlError('nested too deeply');
    const element: OpenElement = { name, children: [], text: '' };
    open.at(-1)?.children.push(element);
    open.push(element);
  });
  parser.on('closetag', () => open.pop());
  parser.on('text', add);
  parser.on('cdata', add);
  parser.on('error', (error) => {
    if (!HARMLESS.test(error.message)) throw error;
  });
  parser.write(text).close();
  const [root] = document.children;
  if (root === undefined) throw new XmlError('not one root element');
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
  return text.replace(REFERENCE, decodeReference);
}

/** Outside comments and CDATA, `<!` can only begin a DOCTYPE or what belongs into one. */
function refuseDeclarations(text: string): void {
  for (let at = text.indexOf('<!'); at !== -1; ) {
    const [begin, end] = text.startsWith('<![CDATA[', at) ? ['<![CDATA[', ']]>'] : ['<!--', '-->'];
    if (!text.startsWith(begin, at)) throw new XmlError('a DOCTYPE is not accepted');
    const ends = text.indexOf(end, at + begin.length);
    if (ends === -1) throw new XmlError('not well-formed');
    at = text.indexOf('<!', ends + end.length);
  }
}

/** Nothing of a reference but its `&`: nobody has defined it. */
function decodeReference(_all: string, name?: string, decimal?: string, hexadecimal?: string): string {
  if (name !== undefined) return PREDEFINED[name] ?? '';
  if (decimal === undefined && hexadecimal === undefined) {
    throw new XmlError('an entity that is not defined');
  }
  const codePoint = decimal === undefined ? Number.parseInt(hexadecimal ?? '', 16) : Number(decimal);
  const character = codePoint > MAX_CODE_POINT ? '\0' : String.fromCodePoint(codePoint);
  if (FORBIDDEN.test(character)) {
    throw new XmlError('a reference to a character that XML does not allow');
  }
  return character;
}

function nodeOf({ name, children, text }: XmlElement): BuilderNode {
  const content: BuilderNode[] = children.map(nodeOf);
  if (text !== '') content.unshift({ [TEXT]: text.replace(FORBIDDEN_ALL, '\ufffd') } as BuilderNode);
  return { [name]: content };
}
