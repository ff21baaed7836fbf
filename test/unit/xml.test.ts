// XML in and out, without a network. What always holds: a text arrives as it was written, what is not well-formed or
// declares something is refused without being quoted, and every text that goes out comes back the same.
import { describe, expect, it } from 'vitest';
import { element, parseXml, serializeXml, XmlError } from '../../src/xml.ts';

const textIn = (xml: string) => parseXml(`<a>${xml}</a>`).text;

/** What is wrong, as far as its sender may know. */
function problemOf(xml: string): string {
  try {
    parseXml(xml);
  } catch (error) {
    if (error instanceof XmlError) return error.message;
    throw error;
  }
  return 'none';
}

describe('a text', () => {
  it.each([
    ['00123'],
    ['1e5'],
    ['0x10'],
    ['1.0'],
    ['true'],
    ['null'],
    ['NaN'],
    ['-0'],
    ['9'.repeat(40)],
    [' a b '],
    ['   '],
    ['\n\t '],
    ['Grüße, 世界, 😀'],
    ['\u00a0\u2028\u0085'],
    [']]>'],
  ])('%j arrives as it is', (text) => {
    expect(textIn(text)).toBe(text);
  });

  it.each([
    ['&lt;&gt;&amp;&quot;&apos;', '<>&"\''],
    ['&#38;', '&'],
    ['&#x26;', '&'],
    ['&#0038;', '&'],
    ['&#65;&#x42;&#x1F600;', 'AB😀'],
    ['&#13;&#10;&#9;', '\r\n\t'],
    [' a&amp;b ', ' a&b '],
  ])('%s means %j', (written, meant) => {
    expect(textIn(written)).toBe(meant);
  });

  it.each([
    ['&amp;lt;', '&lt;'],
    ['&#38;lt;', '&lt;'],
    ['&#x26;amp;', '&amp;'],
    ['&#38;#60;', '&#60;'],
    ['&amp;#x3c;', '&#x3c;'],
  ])('%s is decoded once', (written, meant) => {
    expect(textIn(written)).toBe(meant);
  });

  it.each([
    ['<![CDATA[<b>&lt;</b>]]>', '<b>&lt;</b>'],
    ['<![CDATA[00123]]>', '00123'],
    ['<![CDATA[  ]]>', '  '],
    ['<![CDATA[]]>', ''],
    ['<![CDATA[]]]]><![CDATA[>]]>', ']]>'],
    ['x<![CDATA[y]]>z', 'xyz'],
    ['<![CDATA[<!DOCTYPE a>]]>', '<!DOCTYPE a>'],
    ['<![CDATA[<!--]]>', '<!--'],
    ['<![CDATA[&nosuch;&#0;]]>', '&nosuch;&#0;'],
    ['x<!-- &nosuch; <!DOCTYPE a> -->y', 'xy'],
    ['x<?php y?>z', 'xz'],
    ['a\r\nb\rc', 'a\nb\nc'],
  ])('%j is read as %j', (written, meant) => {
    expect(textIn(written)).toBe(meant);
  });

  it('of a hundred thousand references arrives whole: they are no bomb', () => {
    expect(textIn('&amp;'.repeat(100_000))).toBe('&'.repeat(100_000));
  });
});

describe('a document', () => {
  it('may begin with white space and a byte order mark', () => {
    expect(parseXml('\ufeff\r\n <?xml version="1.0"?>\n<a>x</a>\n').text).toBe('x');
  });

  it('may declare itself as clients do', () => {
    for (const declaration of [
      'version="1.0"',
      "version='1.0' encoding='x'",
      'encoding="UTF-8"',
      'version="1.1"',
      'x',
    ])
      expect(parseXml(`<?xml ${declaration}?>\n<a>x</a>`).text).toBe('x');
  });

  it('may have names that mean something in JavaScript', () => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
    const tree = parseXml(`<a>${names.map((name) => `<${name} __proto__="x">y</${name}>`).join('')}</a>`);
    expect(tree.children).toEqual(names.map((name) => ({ name, text: 'y', children: [] })));
  });

  it('has as many elements as its reader wants, and not one more', () => {
    const xml = `<a>${'<b/>'.repeat(9)}</a>`;
    expect(parseXml(xml, 10).children).toHaveLength(9);
    expect(() => parseXml(xml, 9)).toThrow('more than 9 elements');
  });

  it('gives children in order, and one or several of a name alike', () => {
    const tree = parseXml('<a><b>1</b><c/><b>2</b></a>');
    expect(tree.children.map(({ name, text }) => [name, text])).toEqual([
      ['b', '1'],
      ['c', ''],
      ['b', '2'],
    ]);
  });

  it('loses its attributes and nothing else', () => {
    expect(parseXml('<a x="1>2" y=\'&amp;\'><b z="">t</b></a>').children[0]).toEqual({
      ...{ name: 'b', text: 't' },
      children: [],
    });
  });

  it.each([
    ['nothing', ''],
    ['no element', 'x'],
    ['an open element', '<a>'],
    ['elements that cross', '<a><b></a></b>'],
    ['another closing name', '<a></b>'],
    ['two roots', '<a/><b/>'],
    ['text before the root', 'x<a/>'],
    ['a bare &', '<a>a & b</a>'],
    ['an unquoted attribute', '<a x=1/>'],
    ['an attribute twice', '<a x="1" x="2"/>'],
    ['an open comment', '<a><!-- </a>'],
    ['an open CDATA section', '<a><![CDATA[ </a>'],
    ['a name that is none', '<#text>x</#text>'],
    ['a name that begins with a digit', '<a><1/></a>'],
    ['an attribute without quotes around a tag', '<a x="<b/>"/>'],
    ['CDATA outside the root', '<![CDATA[x]]><a/>'],
  ])('with %s is refused', (_what, xml) => {
    expect(problemOf(xml)).toMatch(/^(not well-formed|not one root element|an entity that is not defined)/);
  });

  it.each([
    '<!DOCTYPE a><a/>',
    '<?xml version="1.0"?><!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
    '<!-- x --><!doctype a><a/>',
    '<!DOCTYPE a [<!ENTITY b "secret">]><a>&b;</a>',
    '<a><!ENTITY b "secret">&b;</a>',
    '<a><![INCLUDE[x]]></a>',
    '<!\tDOCTYPE a><a/>',
  ])('that declares something is refused before any entity is looked at: %s', (xml) => {
    expect(problemOf(xml)).toBe('a DOCTYPE is not accepted');
  });

  it.each(['&nosuch;', '&copy;', '&nbsp;', '&AMP;', '&;', '&#;', '&#x;', '&#-1;', '&lt', '&'])(
    'with %s, which nothing defines, is refused',
    (reference) => {
      expect(problemOf(`<a>${reference}</a>`)).toMatch(
        /^an entity that is not|^a reference to a char|^not well-f/,
      );
    },
  );

  it.each(['\0', '\x01', '\x08', '\x0b', '\x1b', '\x1f', '\ufffe', '\uffff', '\ud800', '\udc00'])(
    'with the character %j is refused, written as it is or as a reference',
    (character) => {
      expect(problemOf(`<a>x${character}y</a>`)).toBe('a character that XML does not allow');
      const code = character.charCodeAt(0);
      for (const reference of [`&#${code};`, `&#x${code.toString(16)};`])
        expect(problemOf(`<a>x${reference}y</a>`)).toBe('a reference to a character that XML does not allow');
    },
  );

  it.each(['&#x110000;', `&#${'9'.repeat(400)};`, `&#x${'f'.repeat(400)};`])(
    'with a reference beyond Unicode is refused',
    (reference) => {
      expect(problemOf(`<a>${reference}</a>`)).toBe('a reference to a character that XML does not allow');
    },
  );

  it('may be nested fifty deep, but not a thousand', () => {
    const nested = (depth: number) => `${'<a>'.repeat(depth)}${'</a>'.repeat(depth)}`;
    expect(problemOf(nested(50))).toBe('none');
    expect(problemOf(nested(1000))).toMatch(/nested too deeply/);
  });

  it('is not quoted by what is said of it', () => {
    const secret = 'oneadmin:opensesame';
    for (const xml of [
      `<a>${secret}`,
      `<a>${secret}&nosuch;</a>`,
      `<a x="${secret}>`,
      `<!DOCTYPE ${secret}>`,
    ])
      expect(problemOf(xml)).not.toContain('sesame');
  });
});

describe('what is written', () => {
  it('has every special character escaped, no CDATA, and empty elements in full', () => {
    const xml = serializeXml(element('A', element('B', `<&>"'\r]]>`), element('C')));
    expect(xml).toBe('<A><B>&lt;&amp;&gt;&quot;&apos;&#13;]]&gt;</B><C></C></A>');
  });

  it.each(['\0', '\x1b', '\ufffe', '\ud800', 'x\udc00y'])(
    'has no character that XML forbids (%j)',
    (text) => {
      const xml = serializeXml(element('A', text));
      expect(parseXml(xml).text).toBe(text.replace(/[^xy]/, '\ufffd'));
    },
  );

  it('is read back as it was, whatever it is', () => {
    const pieces = [
      '<',
      '>',
      '&',
      '"',
      "'",
      ']]>',
      '<![CDATA[',
      '<!--',
      '-->',
      '&lt;',
      '&#38;',
      '\r',
      '\n',
      ' ',
    ];
    pieces.push(
      '\t',
      '0',
      '1e5',
      'ü',
      '😀',
      '<?xml?>',
      '</A>',
      '%',
      '{',
      '__proto__',
      'javascript:',
      '<script>',
    );
    let seed = 1;
    const next = (limit: number) => {
      // Numbers of Park and Miller: the same in every run.
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % limit;
    };
    for (let round = 0; round < 2000; round++) {
      let text = '';
      for (let length = next(8); length >= 0; length--) text += pieces[next(pieces.length)] ?? '';
      expect(parseXml(serializeXml(element('A', text))).text).toBe(text);
    }
  });
});
