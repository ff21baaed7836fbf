// Takes the members of one rule, or of a part of it, one by one, and notes what is wrong with them.
// What always holds: a member that nobody took is a problem, and every problem names its place: `targets[2].ca_file`.

/** A step from text to value, as the other settings have it. */
export interface Parser<T> {
  safeParse(text: string):
    | { readonly success: true; readonly data: T }
    | {
        readonly success: false;
        readonly error: { readonly issues: readonly { readonly message: string }[] };
      };
}

/** A parser of a few words of code. */
export function parser<T>(expected: string, parse: (text: string) => T | undefined): Parser<T> {
  return {
    safeParse: (text) => {
      const data = parse(text.trim());
      return data === undefined
        ? { success: false, error: { issues: [{ message: expected }] } }
        : { success: true, data };
    },
  };
}

export class RuleReader {
  private readonly setting: string;
  private readonly problems: string[];
  private readonly members = new Map<string, unknown>();

  /** @param value what YAML made of it: scalars as text, or as numbers and booleans */
  constructor(setting: string, value: unknown, problems: string[]) {
    this.setting = setting;
    this.problems = problems;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      this.problem('', 'expected lines of the form "member: value"');
      return;
    }
    for (const [name, member] of Object.entries(value)) this.members.set(name.replace(/^:/, ''), member);
  }

  /** @returns undefined where the member is missing, empty, or wrong */
  take<T>(name: string, { safeParse }: Parser<T>): T | undefined {
    const text = textOf(this.taken(name));
    if (text === '') return undefined;
    if (text === undefined) {
      this.problem(name, 'expected a value');
      return undefined;
    }
    const result = safeParse(text);
    if (result.success) return result.data;
    this.problem(name, result.error.issues[0]?.message ?? 'not valid');
    return undefined;
  }

  /** Items of a list in YAML, or of a text with commas. */
  takeList<T>(name: string, { safeParse }: Parser<T>): readonly T[] | undefined {
    const value = this.taken(name);
    const texts = Array.isArray(value) ? value.map(textOf) : textOf(value)?.split(',');
    const items: T[] = [];
    for (const text of texts ?? [undefined]) {
      if (text !== undefined && text.trim() === '') continue;
      const result = text === undefined ? undefined : safeParse(text.trim());
      if (result?.success) items.push(result.data);
      else this.problem(name, result?.error.issues[0]?.message ?? 'expected a value or a list of values');
    }
    return items.length > 0 ? items : undefined;
  }

  /** A part with members of its own. */
  takePart<T>(name: string, read: (reader: RuleReader) => T): T | undefined {
    const value = this.taken(name);
    if (textOf(value) === '') return undefined;
    const reader = new RuleReader(`${this.setting}.${name}`, value, this.problems);
    const part = read(reader);
    reader.finish(() => 'unknown');
    return part;
  }

  has(name: string): boolean {
    return textOf(this.members.get(name)) !== '';
  }

  problem(name: string, what: string): void {
    this.problems.push(`${this.setting}${name === '' ? '' : `.${name}`}: ${what}`);
  }

  /** @param why what is wrong with a member that nobody took */
  finish(why: (name: string) => string): void {
    for (const name of this.members.keys()) this.problem(name.slice(0, 60), why(name));
  }

  private taken(name: string): unknown {
    const value = this.members.get(name);
    this.members.delete(name);
    return value;
  }
}

/** Empty where nothing is written; undefined where it is no single value. */
function textOf(value: unknown): string | undefined {
  if (value === undefined || value === null || value === '~') return '';
  if (typeof value === 'string') return value.trim();
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}
