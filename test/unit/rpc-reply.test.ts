// The bytes of a reply, read by a reader that knows only what OpenNebula's oldest clients know.
// What always holds: an array of exactly three, or a fault; every text typed and escaped; nothing empty left out.
import { describe, expect, it } from 'vitest';
import { faultReply, refusalReply, successReply } from '../../src/rpc/reply.ts';
import { decodeReply } from '../support/xmlrpc.ts';

const nasty = [
  '<script>alert(1)</script>',
  ' a&b ',
  ']]>',
  '<![CDATA[x]]>',
  '&lt;&#38;',
  '"\'',
  'line\nline\r\nline\ttab',
  '00123',
  '  ',
  'ü 世界 😀',
  '</string></value><value><string>',
];

describe('a reply', () => {
  it.each(nasty)('tells %j as it is', (text) => {
    expect(decodeReply(successReply(text)).value).toEqual([true, text, 0]);
    expect(decodeReply(refusalReply(text, 0x2000)).value).toEqual([false, text, 0x2000]);
    expect(decodeReply(faultReply(-32700, text)).fault).toEqual({ code: -32700, message: text });
    expect(decodeReply(successReply({ text })).value).toEqual([true, { text }, 0]);
  });

  it('of a struct keeps the order, the types and the empty members', () => {
    const struct = { id: 7, host: 'h', type: '', wss: false, Wss: true, port: 0 };
    const [, value] = decodeReply(successReply(struct)).value as unknown[];
    expect(value).toEqual(struct);
    expect(Object.keys(value as object)).toEqual(Object.keys(struct));
  });

  it('is to the letter what it was meant to be', () => {
    expect(successReply('x')).toBe(
      '<?xml version="1.0" encoding="UTF-8"?>\n<methodResponse><params><param><value><array><data>' +
        '<value><boolean>1</boolean></value><value><string>x</string></value><value><i4>0</i4></value>' +
        '</data></array></value></param></params></methodResponse>\n',
    );
  });

  it('has no CDATA and no nil, and no character that XML forbids', () => {
    const xml = [...nasty, '\0', '\x1b[0m', '\ud800'].map(
      (text) => successReply({ text }) + refusalReply(text, 1),
    );
    expect(xml.join('')).not.toMatch(/<!\[CDATA|<nil|[\0-\x08\x0b\x0c\x0e-\x1f\r]/);
    expect(decodeReply(refusalReply('a\0b\ud800c', 1)).value).toEqual([false, 'a\ufffdb\ufffdc', 1]);
  });
});
