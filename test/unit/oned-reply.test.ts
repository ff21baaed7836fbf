// oned's replies, byte by byte. What always holds: what is no reply is a problem in our words, never a throw; the document in
// it may have characters that XML forbids, as long as nobody reads them.
import { describe, expect, it } from 'vitest';
import type { Wanted } from '../../src/oned/document.ts';
import { selectReply } from '../../src/oned/reply.ts';
import { vmDocument } from '../../src/oned/vm.ts';
import { readGolden } from '../support/oned.ts';
import { vmXml } from '../support/vm.ts';
import { escapeXml } from '../support/xmlrpc.ts';

const wanted: Wanted = { method: 'one.x.info', root: 'X', shape: { children: { ID: {} } } };
const read = (xml: string | Buffer, what = wanted) => selectReply(Buffer.from(xml as string), what);
const response = (content: string) =>
  `<?xml version="1.0" encoding="UTF-8"?>\r\n<methodResponse>${content}</methodResponse>\r\n`;
const reply = (...values: string[]) =>
  response(
    `<params>\r\n<param><value><array><data>\r\n${values.map((value) => `<value>${value}</value>\r\n`).join('')}</data></array></value></param></params>`,
  );
const success = (text: string) =>
  reply('<boolean>1</boolean>', `<string>${escapeXml(text)}</string>`, '<i4>0</i4>');
const idOf = (text: string) => {
  const selected = read(success(text));
  return 'root' in selected
    ? selected.root.children.map((one) => `${one.name} ${one.text}`).join()
    : selected;
};

describe('a document', () => {
  it.each([
    ['<X><ID>1</ID></X>', 'ID 1'],
    ['<X><Y>\x1b\x0c\ufffe &nbsp; &#27;</Y><ID>1</ID></X>', 'ID 1'],
    ['<X><ID>&lt;]]&gt;</ID></X>', 'ID <]]>'],
    ['<X><ID><![CDATA[&lt;\r]]></ID></X>', 'ID &lt;\n'],
    ['<X><ID>ü世😀</ID></X>', 'ID ü世😀'],
  ])('%j has its ID', (text, id) => {
    expect(idOf(text)).toBe(id);
  });

  it.each([
    '<X><ID>\x1b</ID></X>',
    '<X><ID>1</ID><ID>1</ID></X>',
    '<X><Y></X>',
    '<Y/>',
    '',
    'OK',
    '<!DOCTYPE X><X/>',
  ])('%j makes no sense', (text) => {
    expect(idOf(text)).toEqual({
      problem: expect.stringMatching(/^one\.x\.info returned XML that makes no sense: /),
    });
  });

  it('may be raw where oned escaped nothing but markup, and in CDATA', () => {
    for (const written of [
      '<string>&lt;X>&lt;ID>\x1b1&lt;/ID>&lt;/X></string>',
      '<string><![CDATA[<X><ID>1</ID></X>]]></string>',
    ])
      expect(Object.keys(read(reply('<boolean>1</boolean>', written)))).toEqual(
        written.includes('\x1b') ? ['problem'] : ['root'],
      );
  });

  it('is found in every recorded reply', () => {
    for (const name of [
      'vm.info.00-run-vnc.oneadmin',
      'vm.info.15-migrated-live-vnc.oneadmin',
      'encrypted-passwd.alice.default',
    ]) {
      const golden = readGolden(`oned/${name}.response`);
      const body = golden.subarray(Math.max(0, golden.indexOf('<?xml')));
      expect(read(body, vmDocument)).toHaveProperty('root.name', 'VM');
    }
  });
});

describe('a refusal', () => {
  const refused = (message: string, code: string) =>
    read(reply('<boolean>0</boolean>', message, code, '<i4>-1</i4>', '<i8>0</i8>'));

  it.each([
    ['<i4>256</i4>', 256],
    ['<int>-32768</int>', -32768],
    ['<i4>0</i4>', 0],
  ])('has the code %s', (written, code) => {
    expect(refused('<string>No &lt;way&gt;</string>', written)).toEqual({ refusal: 'No <way>', code });
  });

  it('has a thousand characters at most', () => {
    expect(refused(`<string>${'x'.repeat(5000)}</string>`, '<i4>1</i4>')).toEqual({
      refusal: 'x'.repeat(1000),
      code: 1,
    });
  });

  it.each([
    '<i4>x</i4>',
    '<i4></i4>',
    '<i4>1.5</i4>',
    '<i4>2147483648</i4>',
    '<string>1</string>',
    '<i8>1</i8>',
    '<i4>--1</i4>',
    '',
  ])('cannot have the code %j', (written) => {
    expect(refused('<string>No</string>', written)).toEqual({
      problem: 'oned refused without a message and a code',
    });
  });
});

describe('what is no reply', () => {
  it.each([
    ['nothing', ''],
    ['another document', '<html/>'],
    ['half a reply', success('<X/>').slice(0, -30)],
    ['a DOCTYPE', `<!DOCTYPE x>${success('<X/>')}`],
    ['no value', response('<params/>')],
    ['two values', response('<params><param/><param/></params>')],
    ['no array', response('<params><param><value><string>x</string></value></param></params>')],
    ['an empty array', reply()],
    ['a success that is a text', reply('<string>1</string>', '<string>x</string>')],
    ['a success that is neither', reply('<boolean>2</boolean>', '<string>x</string>')],
    ['a success twice', reply('<boolean>1</boolean><boolean>0</boolean>', '<string>x</string>')],
    ['a value of two types', reply('<boolean>1</boolean>', '<string>x</string><i4>0</i4>')],
    ['a number for a text', reply('<boolean>1</boolean>', '<i4>1</i4>')],
    ['many values', reply(...Array.from({ length: 100 }, () => '<i4>1</i4>'))],
    ['deep nesting', '<a>'.repeat(1000)],
    ['many elements', response('<a/>'.repeat(300_000))],
    ['no XML', '\0\xff\xfe'],
  ])('is %s', (_what, xml) => {
    const selected = read(xml);
    expect(selected).toEqual({ problem: expect.stringMatching(/^the answer is not /) });
  });

  it.each([
    [
      '<value><struct><member><name>faultCode</name><value><int>-503</int></value></member></struct></value>',
      '-503',
    ],
    [
      '<value><struct><member><name>faultString</name><value><string>sesame</string></value></member></struct></value>',
      'without a code',
    ],
    [
      '<value><struct><member><name>faultCode</name><value>sesame</value></member></struct></value>',
      'without a code',
    ],
    ['', 'without a code'],
    ['<value><nil/></value>', 'without a code'],
  ])('is a fault: %s', (fault, code) => {
    expect(read(response(`<fault>${fault}</fault>`))).toEqual({ problem: `an XML-RPC fault, ${code}` });
  });
});

it('a VM may have a hundred thousand attributes, and of its history the last record is kept', () => {
  const attributes = Array.from({ length: 100_000 }, (_, index) => `<A${index}>x</A${index}>`).join('');
  const xml = vmXml({ id: 1, hosts: Array.from({ length: 5000 }, (_, index) => `node${index}`) }).replace(
    '<USER_TEMPLATE>',
    `<USER_TEMPLATE>${attributes}`,
  );
  const selected = read(success(xml), vmDocument);
  expect(selected).toHaveProperty('root');
  // What would go to another thread and back: nothing of all that.
  expect(JSON.stringify(selected).length).toBeLessThan(3000);
  expect('root' in selected && vmDocument.read(selected.root).host).toBe('node4999');
});
