// oned's settings and the list of zones, as texts. What always holds: what is read are facts to the letter; nothing else
// of a document that holds oned's master key is in the result.
import { describe, expect, it } from 'vitest';
import { parseSystemConfig } from '../../src/oned/system-config.ts';
import { parseZonePool } from '../../src/oned/zone-pool.ts';
import { configXml, zonePoolXml } from '../support/oned-config.ts';

const root = (content: string) => `<OPENNEBULA_CONFIGURATION>${content}</OPENNEBULA_CONFIGURATION>`;
const federation = (content: string) => root(`<FEDERATION>${content}</FEDERATION>`);

describe('VM_ENCRYPTED_ATTR', () => {
  it.each<[string, string, boolean]>([
    ['nothing', '', false],
    ['it alone', '<VM_ENCRYPTED_ATTR><![CDATA[GRAPHICS/PASSWD]]></VM_ENCRYPTED_ATTR>', true],
    [
      'it after others',
      '<VM_ENCRYPTED_ATTR>CONTEXT/PASSWORD</VM_ENCRYPTED_ATTR><VM_ENCRYPTED_ATTR>GRAPHICS/PASSWD</VM_ENCRYPTED_ATTR>',
      true,
    ],
    ['another attribute of a console', '<VM_ENCRYPTED_ATTR>GRAPHICS/LISTEN</VM_ENCRYPTED_ATTR>', false],
    [
      'the section as if it were an attribute, which oned passes over',
      '<VM_ENCRYPTED_ATTR>GRAPHICS</VM_ENCRYPTED_ATTR>',
      false,
    ],
    ['a spelling that oned passes over', '<VM_ENCRYPTED_ATTR>graphics/passwd</VM_ENCRYPTED_ATTR>', false],
    ['a name that begins with it', '<VM_ENCRYPTED_ATTR>GRAPHICS/PASSWD_2</VM_ENCRYPTED_ATTR>', false],
    ['the same of other objects', '<IMAGE_ENCRYPTED_ATTR>GRAPHICS/PASSWD</IMAGE_ENCRYPTED_ATTR>', false],
    ['it below another section', '<X><VM_ENCRYPTED_ATTR>GRAPHICS/PASSWD</VM_ENCRYPTED_ATTR></X>', false],
  ])('%s', (_what, content, encrypts) => {
    expect(parseSystemConfig(root(content)).encryptsVncPassword).toBe(encrypts);
  });
});

describe('the id of the zone', () => {
  it.each<[string, string, number | undefined]>([
    ['no section', root(''), 0],
    ['an empty section', federation(''), 0],
    ['in no federation', federation('<MODE><![CDATA[STANDALONE]]></MODE><ZONE_ID>7</ZONE_ID>'), 0],
    ['a cache of another zone', federation('<MODE>CACHE</MODE><ZONE_ID>7</ZONE_ID>'), 0],
    ['a master', federation('<MODE>MASTER</MODE><ZONE_ID><![CDATA[0]]></ZONE_ID>'), 0],
    ['a slave', federation('<MODE>SLAVE</MODE><ZONE_ID><![CDATA[101]]></ZONE_ID>'), 101],
    [
      'a slave in small letters, as oned takes it',
      federation('<MODE>slave</MODE><ZONE_ID>101</ZONE_ID>'),
      101,
    ],
    ['a slave without an id', federation('<MODE>SLAVE</MODE>'), undefined],
    ['a slave with an id that is none', federation('<MODE>SLAVE</MODE><ZONE_ID>-1</ZONE_ID>'), undefined],
    [
      'a slave with an id beyond an int',
      federation('<MODE>SLAVE</MODE><ZONE_ID>2147483648</ZONE_ID>'),
      undefined,
    ],
  ])('%s', (_what, xml, zoneId) => {
    expect(parseSystemConfig(xml).zoneId).toBe(zoneId);
  });
});

it('has nothing else of the document', () => {
  const xml = configXml({ encrypted: ['GRAPHICS/PASSWD'], federation: { mode: 'SLAVE', zoneId: 101 } });
  expect(parseSystemConfig(xml)).toEqual({ encryptsVncPassword: true, zoneId: 101 });
});

it.each(['', '<VM/>', '<OPENNEBULA_CONFIGURATION>', 'no XML'])('%j is nonsense', (xml) => {
  expect(() => parseSystemConfig(xml)).toThrow(expect.objectContaining({ code: 'oned-nonsense' }));
});

describe('the zones', () => {
  it.each([
    ['none', '<ZONE_POOL></ZONE_POOL>', []],
    ['one', zonePoolXml({}), [0]],
    ['several', zonePoolXml({ zones: [0, 100, 101] }), [0, 100, 101]],
  ])('%s', (_what, xml, ids) => {
    expect(parseZonePool(xml)).toEqual(ids);
  });

  it.each([
    '<ZONE_POOL><ZONE></ZONE></ZONE_POOL>',
    '<ZONE_POOL><ZONE><ID>x</ID></ZONE></ZONE_POOL>',
    '<VM/>',
  ])('%s is nonsense', (xml) => {
    expect(() => parseZonePool(xml)).toThrow(expect.objectContaining({ code: 'oned-nonsense' }));
  });
});
