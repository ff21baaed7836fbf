// References in a long text. What always holds: each is decoded once, what is none stays, and twice the text takes twice the
// steps.
import { describe, expect, it } from 'vitest';
import { decodeReferences } from '../../src/xml-references.ts';

describe('a text', () => {
  it.each([
    ['', ''],
    ['nothing', 'nothing'],
    ['&lt;&gt;&amp;&quot;&apos;', '<>&"\''],
    ['&lt;A&gt;ü&lt;/A&gt;', '<A>ü</A>'],
    ['&amp;lt;', '&lt;'],
    ['&#38;lt;', '&lt;'],
    ['&#x26;#60;', '&#60;'],
    ['&amp;amp;amp;', '&amp;amp;'],
    ['&#65;&#x42;&#x1F600;&#xe9;&#x4e16;', 'AB😀é世'],
    ['&#x0d;&#13;&#27;&#x1b;&#0;', '\r\r\x1b\x1b\0'],
    ['&#xFFFE;', '\ufffe'],
    ['&#x10FFFF;', '\u{10ffff}'],
    ['&#x110000;', '&#x110000;'],
    [`&#${'9'.repeat(400)};`, `&#${'9'.repeat(400)};`],
    ['&#0065;', 'A'],
    [
      '&nbsp; & && &; &# &#; &#x; &#xg; &#6a; &#-1; &lt &ltx; &LT;',
      '&nbsp; & && &; &# &#; &#x; &#xg; &#6a; &#-1; &lt &ltx; &LT;',
    ],
    ['&', '&'],
    ['&#6', '&#6'],
    ['😀&amp;😀', '😀&😀'],
  ])('%j means %j', (written, meant) => {
    expect(decodeReferences(written)).toBe(meant);
  });

  it('of any pieces means what a regular expression makes of it', () => {
    const named: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };
    const plainly = (text: string) =>
      text.replace(
        /&(?:(lt|gt|amp|quot|apos)|#(\d{1,7})|#x([\dA-Fa-f]{1,6}));/g,
        (all, name, decimal, hexadecimal) => {
          const codePoint = decimal === undefined ? Number.parseInt(hexadecimal, 16) : Number(decimal);
          if (name !== undefined) return named[name] ?? '';
          return codePoint > 0x10ffff ? all : String.fromCodePoint(codePoint);
        },
      );
    const pieces = [
      '&',
      'amp',
      ';',
      '#',
      'x',
      'lt;',
      'gt;',
      '6',
      '41',
      'é',
      '😀',
      '<',
      'quot;',
      'apos',
      ' ',
      '&#x2026;',
    ];
    let seed = 7;
    for (let round = 0; round < 5000; round++) {
      let text = '';
      for (let length = 0; length < 12; length++) {
        // Numbers of Park and Miller: the same in every run.
        seed = (seed * 48_271) % 2_147_483_647;
        text += pieces[seed % pieces.length] ?? '';
      }
      expect(decodeReferences(text)).toBe(plainly(text));
    }
  });
});
