// Some elements of a document. What always holds: what is not read can be anything that leaves the tags in balance, what
// is read is well-formed and alone, and the time that it takes grows with the text and no faster.
import { describe, expect, it } from 'vitest';
import { type XmlElement, XmlError } from '../../src/xml.ts';
import { type Shape, selectXml } from '../../src/xml-selection.ts';

const shape: Shape = {
  children: {
    ID: {},
    NAME: {},
    LIST: { children: { ITEM: { children: { VALUE: {} }, most: 3 } } },
    OPEN: { skipped: true, guarded: true },
    SHUT: { children: { PART: { children: { PORT: {} }, guarded: true } }, guarded: true },
  },
};

const read = (inside: string) => selectXml(`<R>${inside}</R>`, 'R', shape);
/** As XML again, so that a case is one line. */
const written = ({ name, text, children }: XmlElement): string =>
  `<${name}>${text}${children.map(written).join('')}</${name}>`;

/** What is wrong with a document. */
function problemOf(xml: string): string {
  try {
    selectXml(xml, 'R', shape);
  } catch (error) {
    if (error instanceof XmlError) return error.message;
    throw error;
  }
  return 'none';
}

describe('what is read', () => {
  it.each([
    ['<ID>1</ID>', '<R><ID>1</ID></R>'],
    ['<ID/>', '<R><ID></ID></R>'],
    ['<ID />', '<R><ID></ID></R>'],
    ['<ID></ID>', '<R><ID></ID></R>'],
    ['<ID\n>1</ID\t>', '<R><ID>1</ID></R>'],
    ['<ID a="b">1</ID>', '<R><ID>1</ID></R>'],
    ['<NAME> a </NAME>', '<R><NAME> a </NAME></R>'],
    ['<NAME><![CDATA[<&]]>x&lt;<![CDATA[]]]]><![CDATA[>]]></NAME>', '<R><NAME><&x<]]></NAME></R>'],
    ['<NAME>&#65;&#x42;&amp;lt;</NAME>', '<R><NAME>AB&lt;</NAME></R>'],
    ['<NAME>a\r\nb\rc</NAME>', '<R><NAME>a\nb\nc</NAME></R>'],
    ['<NAME>a&#13;b</NAME>', '<R><NAME>a\rb</NAME></R>'],
    ['<X/><ID>1</ID><Y><ID>2</ID></Y>', '<R><ID>1</ID></R>'],
    [
      '<LIST><ITEM><VALUE>1</VALUE></ITEM><X/><ITEM/></LIST>',
      '<R><LIST><ITEM><VALUE>1</VALUE></ITEM><ITEM></ITEM></LIST></R>',
    ],
    ['<OPEN><ID>2</ID></OPEN>', '<R></R>'],
    ['text <ID>1</ID> & text', '<R><ID>1</ID></R>'],
    ['<id>1</id>', '<R></R>'],
    ['<__proto__><ID>1</ID></__proto__><constructor/><toString>x</toString>', '<R></R>'],
  ])('%s', (inside, meant) => {
    expect(written(read(inside))).toBe(meant);
  });

  it('may stand behind a byte order mark, white space and a declaration, and before white space', () => {
    const xml = '\ufeff\r\n <?xml version="1.0" encoding="UTF-8"?>\n<R><ID>1</ID></R>\n\n';
    expect(written(selectXml(xml, 'R', shape))).toBe('<R><ID>1</ID></R>');
    expect(written(selectXml('<R/>', 'R', shape))).toBe('<R></R>');
  });

  it.each([
    ['a control character', '<NAME>a\x1b</NAME>'],
    ['one in CDATA', '<NAME><![CDATA[a\x1b]]></NAME>'],
    ['a reference to one', '<NAME>&#27;</NAME>'],
    ['an entity that nothing defines', '<NAME>&nbsp;</NAME>'],
    ['a bare &', '<NAME>a & b</NAME>'],
    ['half of a pair', '<NAME>\ud800</NAME>'],
    ['a tag that is none', '<NAME>a < b</NAME>'],
    ['an end of CDATA', '<NAME>a]]></NAME>'],
    ['a comment', '<NAME>a<!-- b -->c</NAME>'],
    ['a processing instruction', '<NAME>a<?b c?>d</NAME>'],
    ['an element', '<NAME>a<B/></NAME>'],
    ['no end', '<NAME>a'],
    ['another end', '<NAME>a</NAMES>'],
    ['two of it', '<ID>1</ID><ID>1</ID>'],
    ['two of it, one empty', '<ID/><ID>1</ID>'],
    ['more of it than there may be', '<LIST><ITEM/><ITEM/><ITEM/><ITEM/></LIST>'],
    ['two lists', '<LIST/><LIST/>'],
    ['CDATA between elements', '<LIST><![CDATA[<ITEM/>]]></LIST>'],
  ])('is refused with %s', (_what, inside) => {
    expect(problemOf(`<R>${inside}</R>`)).not.toBe('none');
  });

  it('is refused without quoting it', () => {
    for (const inside of ['<NAME>sesame&x;</NAME>', '<NAME>sesame', '<sesame><ID>', '<ID>sesame</ID><ID/>'])
      expect(problemOf(`<R>${inside}</R>`)).not.toMatch(/none|sesame/);
  });
});

describe('what is not read', () => {
  it.each([
    ['every forbidden character', '\0\x01\x08\x0b\x0c\x1b\x1f\ufffe\uffff\ud800'],
    ['the same in CDATA', '<![CDATA[\0\x1b\ufffe\udc00]]>'],
    ['references to them', '&#0;&#27;&#xFFFE;&#x110000;'],
    ['entities of HTML', '&nbsp;&copy;&nosuch;'],
    ['an ampersand', 'a & b && c &'],
    ['a less-than', 'a < b <= c << d <'],
    ['an end of CDATA', 'a]]>b'],
    ['names that begin with digits', '<1A>x</1A><2/>'],
    ['names of other characters', '<a.b:c-d>x</a.b:c-d><ü/><"x">y</"x">'],
    ['the names of a JavaScript object', '<__proto__/><constructor>x</constructor>'],
    ['an attribute with a quote too few', '<a b="c>x</a>'],
    ['a comment and a DOCTYPE', '<!-- x --><!DOCTYPE y><!ENTITY z "z"><?php ?>'],
    ['elements nested deep', `${'<a>'.repeat(90)}x${'</a>'.repeat(90)}`],
    [
      'elements that are read elsewhere',
      '<ID>2</ID><NAME/><LIST><ITEM/></LIST><SHUT><PART><PORT/></PART></SHUT>',
    ],
    ['markup in CDATA', '<![CDATA[</R></OPEN><ID>2</ID><!--]]>'],
  ])('may have %s in it', (_what, junk) => {
    const xml = `<R><X>${junk}</X><OPEN>${junk}</OPEN><ID>1</ID></R>`;
    if (junk.includes('SHUT'))
      expect(written(read(`<OPEN>${junk}</OPEN><ID>1</ID>`))).toBe('<R><ID>1</ID></R>');
    else expect(written(selectXml(xml, 'R', shape))).toBe('<R><ID>1</ID></R>');
  });

  it.each([
    ['tags that cross', '<R><X><A><B></A></B></X></R>'],
    ['a tag too few', '<R><X><A></X></R>'],
    ['a tag too many', '<R><X></A></X></R>'],
    ['a name that continues', '<R><X><A></AB></X></R>'],
    ['CDATA without an end', '<R><X><![CDATA[</X></R>'],
    ['no end', '<R><X>'],
    ['levels without end', `<R>${'<X>'.repeat(200)}${'</X>'.repeat(200)}</R>`],
    ['elements without end', `<R>${'<X/>'.repeat(250_001)}</R>`],
    ['another root', '<S></S>'],
    ['something before the root', 'x<R></R>'],
    ['a comment before the root', '<!-- <R> --><R></R>'],
    ['a DOCTYPE before the root', '<!DOCTYPE R><R></R>'],
    ['two roots', '<R></R><R></R>'],
    ['text behind the root', '<R></R>x'],
    ['a comment behind the root', '<R></R><!-- -->'],
    ['nothing', ''],
    ['half a root', '<R'],
  ])('cannot have %s', (_what, xml) => {
    expect(problemOf(xml)).not.toBe('none');
  });
});

/** oned writes users' values into CDATA as they are, so that one can end it and write elements. */
describe('a value that breaks out', () => {
  const document = ({ open = 'x', part = '', shut = '' }) =>
    `<R><ID>1</ID><SHUT><A><![CDATA[${shut}]]></A><PART><PORT>1</PORT></PART><Z><![CDATA[${part}]]></Z></SHUT>` +
    `<OPEN><A><![CDATA[${open}]]></A></OPEN><LIST><ITEM><VALUE>1</VALUE></ITEM></LIST><LATE><![CDATA[x]]></LATE></R>`;
  const evilPart = '<PART><PORT>2</PORT></PART>';
  const evilList = '<LIST><ITEM><VALUE>2</VALUE></ITEM></LIST>';

  it('is the case that is meant', () => {
    expect(problemOf(document({}))).toBe('none');
    expect(problemOf(document({ open: ']]></A><A><![CDATA[', shut: ']]>]]></A><A><![CDATA[' }))).toBe('none');
  });

  it.each([
    ['adds a part', { shut: `]]></A>${evilPart}<A><![CDATA[` }],
    ['adds a second SHUT', { open: `]]></A></OPEN><SHUT>${evilPart}</SHUT><OPEN><A><![CDATA[` }],
    ['adds a second LIST', { open: `]]></A></OPEN>${evilList}<OPEN><A><![CDATA[` }],
    ['adds an ID', { open: ']]></A></OPEN><ID>2</ID><OPEN><A><![CDATA[' }],
    ['ends SHUT early', { shut: `]]></A>${evilPart}</SHUT><SHUT><A><![CDATA[` }],
    [
      'hides the part in an element',
      { shut: `]]></A>${evilPart}<B><A><![CDATA[`, part: ']]></Z></B><Z><![CDATA[' },
    ],
    ['hides the part in a comment', { shut: `]]></A>${evilPart}<!--`, part: '--><Z><![CDATA[' }],
    ['hides the part in an instruction', { shut: `]]></A>${evilPart}<?x `, part: '?><Z><![CDATA[' }],
    ['hides the part in an attribute', { shut: `]]></A>${evilPart}<Y a="`, part: '"/><Z><![CDATA[' }],
    ['hides the rest in a comment', { open: `]]></A></OPEN>${evilList}</R><!--` }],
    ['hides the rest in CDATA', { open: `]]></A></OPEN>${evilList}</R><![CDATA[` }],
    ['leaves something open', { open: ']]></A><B>' }],
    [
      'takes the part into another OPEN',
      {
        shut: `]]></A>${evilPart}</SHUT><OPEN><A><![CDATA[`,
        part: ']]></Z><SHUT><Z><![CDATA[',
        open: ']]></A></OPEN><A><![CDATA[',
      },
    ],
    [
      'takes the part into an element that nobody reads',
      {
        shut: `]]></A>${evilPart}</SHUT><B><A><![CDATA[`,
        part: ']]></Z><SHUT><Z><![CDATA[',
        open: ']]></A></OPEN></B><OPEN><A><![CDATA[',
      },
    ],
    [
      'takes the list into an element that nobody reads',
      { open: `]]></A></OPEN>${evilList}<B><OPEN><A><![CDATA[`, late: ']]></LATE></B><LATE><![CDATA[' },
    ],
  ])('is refused where it %s', (_what, values) => {
    const { late = 'x', ...rest } = values as Record<string, string>;
    const xml = document(rest).replace('<![CDATA[x]]></LATE>', () => `<![CDATA[${late}]]></LATE>`);
    expect(problemOf(xml)).not.toBe('none');
  });

  it('can, whatever it is made of, never change what is read', () => {
    const pieces = [
      ...[
        ']]>',
        '<![CDATA[',
        '<!--',
        '-->',
        '<?',
        '?>',
        '"',
        '</A>',
        '<A>',
        '</Z>',
        '<Z>',
        '</SHUT>',
        '<SHUT>',
      ],
      ...[
        '</OPEN>',
        '<OPEN>',
        evilPart,
        evilList,
        '<B>',
        '</B>',
        '</R>',
        '<R>',
        '<B/>',
        '<!DOCTYPE',
        'x',
        '<LATE>',
      ],
      ...['</LATE>', '<B a="', '<LIST>', '</LIST>', '<PART>', '</PART>', '<ID>1</ID>'],
    ];
    const truth = written(selectXml(document({}), 'R', shape));
    const outcomes = { same: 0, refused: 0 };
    let seed = 1;
    // Numbers of Park and Miller: the same in every run.
    const next = (limit: number) => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % limit;
    };
    const value = (most: number) =>
      `]]>${Array.from({ length: next(most) }, () => pieces[next(pieces.length)]).join('')}<![CDATA[`;
    for (let round = 0; round < 20_000; round++) {
      const xml = document({ shut: value(4), part: value(3), open: value(4) });
      try {
        expect(written(selectXml(xml, 'R', shape))).toBe(truth);
        outcomes.same++;
      } catch (error) {
        if (!(error instanceof XmlError)) throw error;
        outcomes.refused++;
      }
    }
    expect(Math.min(outcomes.same, outcomes.refused)).toBeGreaterThan(1000);
  });
});
