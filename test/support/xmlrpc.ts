// XML-RPC written and read by hand, so that the tests do not believe the library that the service uses.
// The reader is strict: it knows only what OpenNebula's clients know, so no <nil/>, no CDATA, no bare text.

export type XmlRpcValue = string | number | boolean | XmlRpcValue[] | { [name: string]: XmlRpcValue };

export interface XmlRpcReply {
  /** What the method returned; undefined for a fault. */
  value?: XmlRpcValue;
  fault?: { code: number; message: string };
}

export function encodeCall(method: string, params: readonly XmlRpcValue[]): string {
  const list = params.map((value) => `<param>${encodeValue(value)}</param>`).join('');
  const call = `<methodName>${escapeXml(method)}</methodName><params>${list}</params>`;
  return `<?xml version="1.0"?>\n<methodCall>${call}</methodCall>\n`;
}

export function encodeValue(value: XmlRpcValue): string {
  if (typeof value === 'string') return `<value><string>${escapeXml(value)}</string></value>`;
  if (typeof value === 'boolean') return `<value><boolean>${value ? 1 : 0}</boolean></value>`;
  if (typeof value === 'number') return `<value><int>${value}</int></value>`;
  if (Array.isArray(value))
    return `<value><array><data>${value.map(encodeValue).join('')}</data></array></value>`;
  const members = Object.entries(value).map(
    ([name, member]) => `<member><name>${escapeXml(name)}</name>${encodeValue(member)}</member>`,
  );
  return `<value><struct>${members.join('')}</struct></value>`;
}

export function escapeXml(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/\r/g, '&#13;');
}

/** Reads a methodResponse; anything that is not exactly one is an error. */
export function decodeReply(xml: string): XmlRpcReply {
  const reader = new Reader(xml);
  reader.open('methodResponse');
  const reply: XmlRpcReply = {};
  if (reader.sees('<fault>')) {
    reader.open('fault');
    const fault = reader.value() as { faultCode: number; faultString: string };
    reply.fault = { code: fault.faultCode, message: fault.faultString };
    reader.close('fault');
  } else {
    for (const tag of ['params', 'param']) reader.open(tag);
    reply.value = reader.value();
    for (const tag of ['param', 'params']) reader.close(tag);
  }
  reader.close('methodResponse');
  reader.end();
  return reply;
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(xml: string) {
    this.#text = xml.replace(/^<\?xml[^?]*\?>/, '');
  }

  value(): XmlRpcValue {
    this.open('value');
    const value = this.#typed();
    this.close('value');
    return value;
  }

  #typed(): XmlRpcValue {
    const tag = /^\s*<([a-z0-9]+)>/.exec(this.#text.slice(this.#at))?.[1] ?? '';
    if (tag === 'array') return this.#array();
    if (tag === 'struct') return this.#struct();
    const text = this.element(tag);
    if (tag === 'string') return text;
    if ((tag === 'i4' || tag === 'int') && /^-?\d+$/.test(text)) return Number(text);
    if (tag === 'boolean' && /^[01]$/.test(text)) return text === '1';
    throw this.#error(`no value of type "${tag}" with "${text.slice(0, 40)}" may be here`);
  }

  #array(): XmlRpcValue[] {
    const values: XmlRpcValue[] = [];
    for (const tag of ['array', 'data']) this.open(tag);
    while (this.sees('<value>')) values.push(this.value());
    for (const tag of ['data', 'array']) this.close(tag);
    return values;
  }

  #struct(): Record<string, XmlRpcValue> {
    const members: Record<string, XmlRpcValue> = {};
    this.open('struct');
    while (this.sees('<member>')) {
      this.open('member');
      const name = this.element('name');
      if (name in members) throw this.#error(`member ${name} comes twice`);
      members[name] = this.value();
      this.close('member');
    }
    this.close('struct');
    return members;
  }

  /** The text of `<tag>text</tag>`; white space counts. */
  element(tag: string): string {
    this.#skipSpace();
    const rest = this.#text.slice(this.#at);
    if (rest.startsWith(`<${tag}/>`)) {
      this.#at += tag.length + 3;
      return '';
    }
    this.open(tag);
    const end = this.#text.indexOf('<', this.#at);
    const text = this.#text.slice(this.#at, end);
    this.#at = end;
    this.close(tag);
    return text.replace(/&(lt|gt|amp|quot|apos|#\d+|#x[\da-fA-F]+);|&/g, (entity, name) =>
      this.#entity(entity, name),
    );
  }

  #entity(entity: string, name: string | undefined): string {
    const named: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };
    if (name === undefined) throw this.#error('a bare &');
    const known = named[name];
    if (known !== undefined) return known;
    const digits = entity.slice(2, -1);
    return String.fromCodePoint(
      digits.startsWith('x') ? Number.parseInt(digits.slice(1), 16) : Number(digits),
    );
  }

  sees(text: string): boolean {
    this.#skipSpace();
    return this.#text.startsWith(text, this.#at);
  }

  open(tag: string): void {
    this.#expect(`<${tag}>`);
  }

  close(tag: string): void {
    this.#expect(`</${tag}>`);
  }

  end(): void {
    this.#skipSpace();
    if (this.#at !== this.#text.length) throw this.#error('more text follows the reply');
  }

  #expect(text: string): void {
    // White space before an opening tag means nothing; before a closing one it is part of the text.
    if (!this.sees(text)) throw this.#error(`${text} expected`);
    this.#at += text.length;
  }

  #skipSpace(): void {
    while (/\s/.test(this.#text[this.#at] ?? '')) this.#at++;
  }

  #error(problem: string): Error {
    const near = this.#text.slice(this.#at, this.#at + 80);
    return new Error(`not a reply that OpenNebula's clients can read: ${problem}, near "${near}"`);
  }
}
