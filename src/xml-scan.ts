// Marks of an XML text, one after the other, in one pass: tags and CDATA sections; all else is text.
// What always holds: only CDATA hides what stands in it. A comment, a processing instruction, an attribute's value is
// text here, so that no tag behind one can be hidden by whoever wrote a part of the document.

export type MarkKind = 'open' | 'close' | 'empty' | 'cdata' | 'end';

const CDATA = '<![CDATA[';
const CDATA_END = ']]>';
const SLASH = 0x2f;
const LESS = 0x3c;
const GREATER = 0x3e;

/** Walks over a text. After `next()` the fields describe the mark; offsets are those of the text. */
export class XmlScan {
  readonly text: string;
  /** Where the mark begins. */
  start = 0;
  /** Behind it. */
  end = 0;
  /** Of a tag its name, of a CDATA section its content. */
  from = 0;
  to = 0;

  constructor(text: string) {
    this.text = text;
  }

  /** Goes on to the next mark; undefined for a CDATA section without an end. */
  next(): MarkKind | undefined {
    const { text } = this;
    let at = text.indexOf('<', this.end);
    for (; at !== -1; at = text.indexOf('<', at + 1)) {
      if (text.startsWith(CDATA, at)) return this.section(at);
      const kind = this.tag(at);
      if (kind !== undefined) return kind;
    }
    this.start = text.length;
    this.end = text.length;
    return 'end';
  }

  /** The present mark's name or content. */
  content(): string {
    return this.text.slice(this.from, this.to);
  }

  /** Whether what stands there is the present mark's name. */
  isNamedAs(from: number, to: number): boolean {
    const { text } = this;
    if (to - from !== this.to - this.from) return false;
    for (let offset = 0; from + offset < to; offset++) {
      if (text.charCodeAt(from + offset) !== text.charCodeAt(this.from + offset)) return false;
    }
    return true;
  }

  private section(at: number): MarkKind | undefined {
    const from = at + CDATA.length;
    const to = this.text.indexOf(CDATA_END, from);
    if (to === -1) return undefined;
    return this.mark('cdata', at, to + CDATA_END.length, from, to);
  }

  /** A tag has a name, perhaps attributes, which nobody reads, and an end before the next `<`. */
  private tag(at: number): MarkKind | undefined {
    const { text } = this;
    const closing = text.charCodeAt(at + 1) === SLASH;
    const from = closing ? at + 2 : at + 1;
    let to = from;
    while (to < text.length && !endsName(text.charCodeAt(to))) to++;
    const first = text.charCodeAt(from);
    // `<!` and `<?` begin no tag.
    if (to === from || first === 0x21 || first === 0x3f) return undefined;
    let end = to;
    while (end < text.length && text.charCodeAt(end) !== GREATER && text.charCodeAt(end) !== LESS) end++;
    if (text.charCodeAt(end) !== GREATER) return undefined;
    const empty = !closing && end > to && text.charCodeAt(end - 1) === SLASH;
    return this.mark(closing ? 'close' : empty ? 'empty' : 'open', at, end + 1, from, to);
  }

  private mark(kind: MarkKind, start: number, end: number, from: number, to: number): MarkKind {
    this.start = start;
    this.end = end;
    this.from = from;
    this.to = to;
    return kind;
  }
}

/** White space, `/`, `<` and `>` do; all else may be in a name, as users give them. */
function endsName(code: number): boolean {
  return code <= 0x20 || code === SLASH || code === LESS || code === GREATER;
}
