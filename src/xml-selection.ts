// Some elements of a large document, the others skipped: no tree for them, nothing decoded, nothing refused for what is
// written in them. What always holds: one pass; what is read stands where its writer put it, once where it has to be.
//
// Who writes values into somebody else's document may break out of one (`]]>`) and write elements. Tags have to balance
// by name, nothing but CDATA hides one (`XmlScan`), an element that is read is alone, and a `guarded` one stands in the
// whole of its parent but once: so a true one can be neither replaced, nor hidden in another, nor be cut in two.
import { decodeText, type XmlElement, XmlError } from './xml.js';
import { decodeReferences } from './xml-references.js';
import { XmlScan } from './xml-scan.js';

/** What is read of an element. */
export interface Shape {
  /** Those of its children that are read, by name; none: its text. */
  readonly children?: Readonly<Record<string, Shape>>;
  /** So many of them beside each other at most; 1 where nothing is said. */
  readonly most?: number;
  /** Of several the last ones that are kept. */
  readonly last?: number;
  /** A text that may have characters in it that XML forbids: another document. */
  readonly raw?: boolean;
  /** Nothing of it is read, and anybody may write into it. */
  readonly skipped?: boolean;
  /**
   * An element of that name which has elements in it stands nowhere else in its parent, however deep. In a skipped one
   * only its own name counts, since whoever writes there may call things as he likes.
   */
  readonly guarded?: boolean;
}

/** An XML declaration may come before the root. */
const PROLOG = /^\s*(?:<\?xml\s[^<>]{0,200}\?>)?\s*/;
const MAX_DEPTH = 100;
/** A document of the longest kind, thousands of users in one, has half as many. */
const MAX_ELEMENTS = 250_000;

/**
 * Reads the elements that a shape names. Comments and a DOCTYPE are not known, and mean nothing.
 * @param root the name of the root element
 * @returns the root, with what was read in it, in the document's order
 * @throws XmlError naming the element, and quoting nothing else
 */
export function selectXml(source: string, root: string, shape: Shape): XmlElement {
  return new Selection(source).document(root, shape);
}

class Selection {
  private readonly scan: XmlScan;
  private elements = 0;
  private depth = 0;

  constructor(source: string) {
    this.scan = new XmlScan(source);
    this.scan.end = PROLOG.exec(source)?.[0].length ?? 0;
  }

  document(root: string, shape: Shape): XmlElement {
    const { scan } = this;
    const begin = scan.end;
    const kind = this.next();
    if ((kind !== 'open' && kind !== 'empty') || scan.start !== begin || scan.content() !== root) {
      throw new XmlError(`no ${root} element`);
    }
    const read = kind === 'open' ? this.read(root, shape, []) : { name: root, children: [], text: '' };
    const { end } = scan;
    if (this.next() !== 'end' || scan.text.slice(end).trim() !== '') {
      throw new XmlError(`something behind the ${root} element`);
    }
    return read;
  }

  /** Counts and bounds whatever comes next. */
  private next() {
    const kind = this.scan.next();
    if (kind === undefined) throw new XmlError('a CDATA section without an end');
    if ((kind === 'open' || kind === 'empty') && ++this.elements > MAX_ELEMENTS) {
      throw new XmlError(`more than ${MAX_ELEMENTS} elements`);
    }
    if (kind === 'open' && ++this.depth > MAX_DEPTH) throw new XmlError('nested too deeply');
    if (kind === 'close') this.depth--;
    return kind;
  }

  /** Behind the opening tag, to behind the closing one. */
  private read(name: string, { children, raw }: Shape, guarded: readonly string[]): XmlElement {
    return children === undefined
      ? { name, children: [], text: this.readText(name, raw ? decodeRaw : decodeText) }
      : { name, children: this.readChildren(name, children, guarded), text: '' };
  }

  private readChildren(
    parent: string,
    shapes: Readonly<Record<string, Shape>>,
    outer: readonly string[],
  ): XmlElement[] {
    const { scan } = this;
    const guarded = [...outer, ...Object.keys(shapes).filter((name) => shapes[name]?.guarded)];
    const found: XmlElement[] = [];
    const counts = new Map<string, number>();
    for (let kind = this.next(); kind !== 'close'; kind = this.next()) {
      if (kind === 'end' || kind === 'cdata') throw new XmlError(`${parent} is not well-formed`);
      const name = scan.content();
      const shape = Object.hasOwn(shapes, name) ? shapes[name] : undefined;
      if (shape === undefined) {
        if (kind === 'open') this.skip(guarded, guarded.includes(name));
        continue;
      }
      const count = (counts.get(name) ?? 0) + 1;
      if (count > (shape.most ?? 1)) throw new XmlError(`more than ${shape.most ?? 1} ${name} in ${parent}`);
      counts.set(name, count);
      if (shape.skipped) {
        if (kind === 'open') this.skip([name], false);
      } else {
        found.push(kind === 'open' ? this.read(name, shape, guarded) : { name, children: [], text: '' });
        if (count > (shape.last ?? count)) dropFirst(found, name);
      }
    }
    this.expectName(parent);
    return found;
  }

  private readText(name: string, decode: typeof decodeText): string {
    const { scan } = this;
    let text = '';
    let from = scan.end;
    for (let kind = this.next(); ; kind = this.next()) {
      text += decode(scan.text.slice(from, scan.start));
      if (kind === 'close') break;
      if (kind !== 'cdata') throw new XmlError(`${name} has more than text in it`);
      text += decode(scan.content(), 'literal');
      from = scan.end;
    }
    this.expectName(name);
    return text;
  }

  private expectName(name: string): void {
    if (this.scan.content() !== name) throw new XmlError(`${name} is not well-formed`);
  }

  /**
   * Behind an opening tag, to behind its closing one. Two numbers an open element are all that is kept.
   * @param guarded names that no element in it may have that has elements in it
   * @param top whether the element itself has such a name
   */
  private skip(guarded: readonly string[], top: boolean): void {
    const { scan } = this;
    const open = [scan.from, scan.to];
    const forbidden = [top];
    while (open.length > 0) {
      const kind = this.next();
      if (kind === 'end') throw new XmlError('an element without an end');
      if (kind === 'cdata') continue;
      if (kind === 'close') {
        const to = open.pop() ?? 0;
        if (!scan.isNamedAs(open.pop() ?? 0, to)) throw new XmlError('elements that cross');
        forbidden.pop();
        continue;
      }
      if (forbidden.at(-1)) throw new XmlError('an element that is read, in another place');
      if (kind === 'open') {
        open.push(scan.from, scan.to);
        forbidden.push(
          guarded.some((name) => name.length === scan.to - scan.from && scan.content() === name),
        );
      }
    }
  }
}

/** Without a look at what characters there are. */
function decodeRaw(written: string, literal?: 'literal'): string {
  const text = written.replace(/\r\n?/g, '\n');
  return literal ? text : decodeReferences(text);
}

function dropFirst(elements: XmlElement[], name: string): void {
  elements.splice(
    elements.findIndex((one) => one.name === name),
    1,
  );
}
