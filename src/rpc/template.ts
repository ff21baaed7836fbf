// OpenNebula's template form, in which pyone sends a dict: `NAME="value"`, one after the other.
// What always holds: a text is read whole or not at all. Source: OpenNebula's src/parsers/template_parser.l.
import type { RpcValue } from './value.js';

/** Between two attributes; a comment ends with its line. */
const BETWEEN = /(?:[\s,]|#[^\n]*)*/y;
/** Wider than oned's, which is letters, digits and `_`: so that a name that is nearly one can be told. */
const NAME = /([^=\n,[\]"#]{1,128})=[^\S\n]*/y;
const QUOTED = /"((?:[^"\\]|\\[\s\S])*)"/y;
const OPEN = /\[/y;
const CLOSE = /\]/y;
const BARE = /[^=#\s,[\]"]*/y;

/**
 * @returns its attributes as a struct of strings, vectors as structs in it, and as an array what comes more than once, as
 * oned lets it; undefined where it has another form
 */
export function readTemplate(text: string): RpcValue | undefined {
  return new TemplateReader(text).read();
}

class TemplateReader {
  private readonly text: string;
  private at = 0;

  constructor(text: string) {
    this.text = text;
  }

  read(): RpcValue | undefined {
    const members = this.attributes(false);
    return members === undefined || this.at < this.text.length ? undefined : { type: 'struct', members };
  }

  private attributes(inVector: boolean): Map<string, RpcValue> | undefined {
    const members = new Map<string, RpcValue>();
    for (;;) {
      this.take(BETWEEN);
      if (inVector ? this.take(CLOSE) : this.at === this.text.length) return members;
      const name = this.take(NAME)?.[1]?.trim();
      const value = name === undefined ? undefined : this.value(inVector);
      if (name === undefined || value === undefined) return undefined;
      const before = members.get(name);
      members.set(name, before === undefined ? value : { type: 'array', items: [before, value] });
    }
  }

  private value(inVector: boolean): RpcValue | undefined {
    const quoted = this.take(QUOTED)?.[1];
    if (quoted !== undefined) return { type: 'string', text: quoted.replaceAll('\\"', '"') };
    if (!inVector && this.take(OPEN)) {
      const members = this.attributes(true);
      return members && { type: 'struct', members };
    }
    return { type: 'string', text: this.take(BARE)?.[0] ?? '' };
  }

  private take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text) ?? undefined;
    if (found !== undefined) this.at = pattern.lastIndex;
    return found;
  }
}
