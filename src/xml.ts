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
  htmlEntities: true,
  cdataPropName: CDATA,
  // A document cannot define entities here (no DOCTYPE), so every expansion makes the text shorter:
  // the limits of the library, made for nested definitions, would only refuse honest text.
  processEntities: {
    enabled: true,
    maxTotalExpansions: Number.MAX_SAFE_INTEGER,
    maxExpandedLength: Number.MAX_SAFE_INTEGER,
  },
});

const builder = new XMLBuilder({ preserveOrder: true, suppressEmptyNode: false, processEntities: true });

/** Everything that XML 1.0 section 2.2 does not call a Char, lone surrogates included. */
const FORBIDDEN = /[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|\p{Surrogate}/u;
const FORBIDDEN_ALL = new RegExp(FORBIDDEN.source, 'gu');

/**
 * Parses a document with one root element. White space before the prolog is ignored.
 * A DOCTYPE is refused before any entity is looked at; nesting is bounded at 100 by the library.
 * @throws XmlError
 */
export function parseXml(source: string): XmlElement {
  const text = source.trimStart();
  if (FORBIDDEN.test(text)) throw new XmlError('a character that XML does not allow');
  refuseDoctype(text);
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

/** Outside comments and CDATA, `<!` can only begin a DOCTYPE or what belongs into one. One pass, never backwards. */
function refuseDoctype(text: string): void {
  for (let at = text.indexOf('<!'); at !== -1; at = text.indexOf('<!', at)) {
    const end = text.startsWith('<![CDATA[', at) ? ']]>' : text.startsWith('<!--', at) ? '-->' : undefined;
    if (end === undefined) throw new XmlError('a DOCTYPE is not accepted');
    at = text.indexOf(end, at + '<!--'.length);
    if (at === -1) throw new XmlError('not well-formed');
  }
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

function textOf(nodes: readonly ParsedNode[]): string {
  let text = '';
  for (const node of nodes) {
    const own = node[TEXT];
    const cdata = node[CDATA];
    if (typeof own === 'string') text += own;
    if (Array.isArray(cdata)) text += textOf(cdata);
  }
  return text;
}

function nodeOf({ name, children, text }: XmlElement): ParsedNode {
  const content: ParsedNode[] = children.map(nodeOf);
  if (text !== '') content.unshift({ [TEXT]: text.replace(FORBIDDEN_ALL, '\ufffd') } as ParsedNode);
  return { [name]: content };
}
