// What a request body means. What always holds: a text arrives as its sender meant it, in whatever encoding he says;
// what is no call is a fault that quotes nothing.
import { describe, expect, it } from 'vitest';
import { decodeCall, FaultCode, type RpcCall, RpcFault } from '../../src/rpc/call.ts';
import type { RpcValue } from '../../src/rpc/value.ts';

const call = (parameters: string, method = 'm') =>
  `<methodCall><methodName>${method}</methodName><params>${parameters}</params></methodCall>`;
const decode = (xml: string | Buffer, contentType?: string): RpcCall =>
  decodeCall(Buffer.from(xml as string), contentType);

/** The one parameter, written as it would stand inside `<param>`. */
function valueIn(written: string): RpcValue | undefined {
  return decode(call(`<param>${written}</param>`)).parameters[0];
}

function faultOf(body: string | Buffer, contentType?: string): RpcFault {
  try {
    decode(body, contentType);
  } catch (error) {
    if (error instanceof RpcFault) return error;
    throw error;
  }
  throw new Error('it is a call');
}

const string = (text: string): RpcValue => ({ type: 'string', text });
const int = (value: number): RpcValue => ({ type: 'int', value });
const other: RpcValue = { type: 'other' };
const scalar: RpcValue = { type: 'scalar' };
const nil: RpcValue = { type: 'nil' };
const unreadable: RpcValue = { type: 'unreadable' };

describe('a value', () => {
  it.each<[string, RpcValue]>([
    ['<value><string>a:b</string></value>', string('a:b')],
    ['<value>a:b</value>', string('a:b')],
    ['<value> a:b </value>', string(' a:b ')],
    ['<value></value>', string('')],
    ['<value/>', string('')],
    ['<value><string/></value>', string('')],
    ['\n <value>\n  <string> a b </string>\n </value>\n', string(' a b ')],
    ['<value><string><![CDATA[<&>]]></string></value>', string('<&>')],
    ['<value><![CDATA[a]]>b</value>', string('ab')],
    ['<value><string>&#103;&#x72;&amp;</string></value>', string('gr&')],
    ['<value><string>00123</string></value>', string('00123')],
    ['<value>1e5</value>', string('1e5')],
    ['<value><i4>3</i4></value>', int(3)],
    ['<value><int>3</int></value>', int(3)],
    ['<value><i8>3</i8></value>', int(3)],
    ['<value> <int> 3 </int> </value>', int(3)],
    ['<value><int>+3</int></value>', int(3)],
    ['<value><int>-3</int></value>', int(-3)],
    ['<value><int>-0</int></value>', int(0)],
    ['<value><int>007</int></value>', int(7)],
    ['<value><i1>3</i1></value>', int(3)],
    ['<value><i2>3</i2></value>', int(3)],
    ['<value><ex:i1>3</ex:i1></value>', int(3)],
    ['<value><ex:i2>3</ex:i2></value>', int(3)],
    ['<value><ex:i4>3</ex:i4></value>', int(3)],
    ['<value><ex:i8>3</ex:i8></value>', int(3)],
    ['<value><ex:i8> -3 </ex:i8></value>', int(-3)],
    ['<value><x:i8 xmlns:x="http://ws.apache.org/xmlrpc/namespaces/extensions">3</x:i8></value>', int(3)],
    ['<value><i8 xmlns="urn:x" kind="y">3</i8></value>', int(3)],
    ['<value xmlns:ex="urn:x"><ex:biginteger>3</ex:biginteger></value>', int(3)],
    ['<value><double>2</double></value>', int(2)],
    ['<value><double>2.0</double></value>', int(2)],
    ['<value><double>2.</double></value>', int(2)],
    ['<value><double>-2.000</double></value>', int(-2)],
    ['<value><double> +2.0 </double></value>', int(2)],
    ['<value><double>-0.0</double></value>', int(0)],
    ['<value><double>2e0</double></value>', int(2)],
    ['<value><double>2e+03</double></value>', int(2000)],
    ['<value><double>2.5E1</double></value>', int(25)],
    ['<value><ex:float>2.0</ex:float></value>', int(2)],
    ['<value><ex:bigdecimal>2.0</ex:bigdecimal></value>', int(2)],
    ['<value><double>2.5</double></value>', scalar],
    ['<value><double>2.25e1</double></value>', scalar],
    ['<value><double>1e-400</double></value>', scalar],
    ['<value><double>10e-1</double></value>', scalar],
    ['<value><double>1.00000000000000000001</double></value>', scalar],
    ['<value><double>1e30</double></value>', scalar],
    ['<value><double>1e400</double></value>', scalar],
    ['<value><double>.0</double></value>', scalar],
    ['<value><double>NaN</double></value>', scalar],
    ['<value><double>Infinity</double></value>', scalar],
    ['<value><double>INF</double></value>', scalar],
    ['<value><double>0x2</double></value>', scalar],
    ['<value><double>2,0</double></value>', scalar],
    ['<value><double></double></value>', scalar],
    ['<value><i8>9007199254740993</i8></value>', scalar],
    ['<value><int>3.0</int></value>', scalar],
    ['<value><int>3x</int></value>', scalar],
    ['<value><int>0x3</int></value>', scalar],
    ['<value><int>1e3</int></value>', scalar],
    ['<value><int>٣</int></value>', scalar],
    ['<value><int></int></value>', scalar],
    ['<value><int>3 4</int></value>', scalar],
    ['<value><boolean>1</boolean></value>', { type: 'boolean', value: true }],
    ['<value><boolean>0</boolean></value>', { type: 'boolean', value: false }],
    ['<value><boolean> 1 </boolean></value>', { type: 'boolean', value: true }],
    ['<value><boolean>true</boolean></value>', scalar],
    ['<value><boolean>false</boolean></value>', scalar],
    ['<value><boolean>yes</boolean></value>', scalar],
    ['<value><boolean>01</boolean></value>', scalar],
    ['<value><boolean/></value>', scalar],
    ['<value><nil/></value>', nil],
    ['<value><ex:nil/></value>', nil],
    ['<value><base64>MTI=</base64></value>', other],
    ['<value><dateTime.iso8601>19980717T14:08:55</dateTime.iso8601></value>', scalar],
    ['<value><array><data><value>3</value></data></array></value>', { type: 'array', items: [string('3')] }],
    ['<value><array><data/></array></value>', { type: 'array', items: [] }],
    ['<value><nosuch>3</nosuch></value>', other],
    ['<value><INT>3</INT></value>', other],
    ['', unreadable],
    ['<value><int>3</int><int>4</int></value>', unreadable],
    ['<value>x<int>3</int></value>', unreadable],
    ['<value><int>3</int>x</value>', unreadable],
    ['<value><int>3<b/></int></value>', unreadable],
    ['<value><string>a<b>c</b></string></value>', unreadable],
    ['<value>3</value><value>4</value>', unreadable],
    ['x<value>3</value>', unreadable],
    ['<Value>3</Value>', unreadable],
    ['<value><array/></value>', unreadable],
    ['<value><array><data/><data/></array></value>', unreadable],
    ['<value><array><value>3</value></array></value>', unreadable],
    ['<value><array><data><int>3</int></data></array></value>', unreadable],
    ['<value><struct>x</struct></value>', unreadable],
    ['<value><struct><name>a</name><value>b</value></struct></value>', unreadable],
    ['<value><struct><member/></struct></value>', unreadable],
    ['<value><struct><member><value>b</value></member></struct></value>', unreadable],
    [
      '<value><struct><member><name>a</name><name>b</name><value>c</value></member></struct></value>',
      unreadable,
    ],
    ['<value><struct><member><name>a<b/></name><value>c</value></member></struct></value>', unreadable],
  ])('%s', (written, meant) => {
    expect(valueIn(written)).toEqual(meant);
  });

  it('of a struct has its members by name, whatever they are called', () => {
    const member = (name: string, value: string) => `<member><name>${name}</name>${value}</member>`;
    const members = [
      member('a', '<value><int>1</int></value>'),
      member('__proto__', '<value>x</value>'),
      member('toString', '<value/>'),
      member('a b', ''),
      member('twice', '<value>x</value>'),
      member('twice', '<value>x</value>'),
      member('two', '<value>x</value><value>y</value>'),
      member('more', '<value>x</value><x/>'),
      member('text', 'x<value>x</value>'),
      member('', '<value>x</value>'),
    ];
    expect(valueIn(`<value><struct>${members.join('')}</struct></value>`)).toEqual({
      type: 'struct',
      members: new Map<string, RpcValue>([
        ['a', int(1)],
        ['__proto__', string('x')],
        ['toString', string('')],
        ['a b', unreadable],
        ['twice', unreadable],
        ['two', unreadable],
        ['more', unreadable],
        ['text', unreadable],
        ['', string('x')],
      ]),
    });
  });
});

describe('a call', () => {
  it('has a method and its parameters in order', () => {
    const parameters = '<param><value>s</value></param><param><value><i4>7</i4></value></param>';
    expect(decode(call(parameters, ' one.vm.vnc\n'))).toEqual({
      method: 'one.vm.vnc',
      parameters: [string('s'), int(7)],
    });
  });

  it('may have no parameters at all', () => {
    expect(decode('<methodCall><methodName>m</methodName></methodCall>').parameters).toEqual([]);
  });

  it('may have two hundred members of a struct, but not a thousand elements', () => {
    const member = '<member><name>a</name><value><int>1</int></value></member>';
    const withMembers = (count: number) =>
      call(`<param><value><struct>${member.repeat(count)}</struct></value></param>`);
    expect(decode(withMembers(200)).parameters).toHaveLength(1);
    expect(faultOf(withMembers(250)).message).toMatch(/more than 1000 elements$/);
    expect(faultOf(call('<param><value/></param>'.repeat(500))).code).toBe(-32700);
  });

  it('may have attributes and namespaces, which mean nothing', () => {
    const xml =
      '<methodCall xmlns="urn:a" xmlns:ex="urn:b"><methodName a="b">m</methodName><params c="d"><param e="f"/></params></methodCall>';
    expect(decode(xml)).toEqual({ method: 'm', parameters: [unreadable] });
  });

  it.each([
    ['nothing', ''],
    ['no XML', 'session=oneadmin:opensesame&id=3'],
    ['JSON', '{"jsonrpc":"2.0","method":"one.vm.vnctoken"}'],
    ['half a call', call('<param><value>oneadmin:opensesame').slice(0, 80)],
    ['a DOCTYPE', `<!DOCTYPE opensesame>${call('')}`],
    ['a control character', call('<param><value>opensesame\x01</value></param>')],
    ['a reference to one', call('<param><value>opensesame&#1;</value></param>')],
    ['deep nesting', call(`<param>${'<value><array><data>'.repeat(2000)}opensesame`)],
  ])('is not what has %s: fault -32700, which quotes nothing', (_what, body) => {
    const { code, message } = faultOf(body);
    expect(code).toBe(FaultCode.notWellFormed);
    expect(code).toBe(-32700);
    expect(message).toMatch(/^Request is not well-formed XML: /);
    expect(message).not.toMatch(/sesame|jsonrpc/);
  });

  it.each([
    ['another root', '<methodResponse><methodName>m</methodName></methodResponse>'],
    ['no method', '<methodCall><params/></methodCall>'],
    ['an empty method', call('', ' ')],
    ['two methods', '<methodCall><methodName>m</methodName><methodName>m</methodName></methodCall>'],
    ['two lists of parameters', call('').replace('</methodCall>', '<params/></methodCall>')],
    ['a parameter outside of them', call('').replace('</methodCall>', '<param/></methodCall>')],
    ['something else among them', call('<value>x</value>')],
    ['another case', call('').replaceAll('methodCall', 'METHODCALL')],
    ['HTML', '<html><body>opensesame</body></html>'],
  ])('is not what has %s: fault -32600', (_what, body) => {
    const { code, message } = faultOf(body);
    expect([code, message]).toEqual([-32600, 'Request is no XML-RPC methodCall']);
  });
});

describe('the encoding', () => {
  const text = 'Größe:pässwörd';
  const xml = (prolog: string) => prolog + call(`<param><value>${text}</value></param>`);
  const withProlog = (encoding: string) => xml(`<?xml version="1.0" encoding="${encoding}"?>\n`);
  const swapped = (body: string) => Buffer.from(body, 'utf16le').swap16();

  it.each<[string, Buffer, string?]>([
    ['UTF-8 where nothing is said', Buffer.from(xml(''))],
    ['UTF-8 by its prolog', Buffer.from(withProlog('UTF-8'))],
    ['UTF-8 by its mark, whatever the prolog says', Buffer.from(`\ufeff${withProlog('iso-8859-1')}`)],
    ['iso-8859-1 by its prolog', Buffer.from(withProlog('iso-8859-1'), 'latin1')],
    ['ISO-8859-1 in capitals', Buffer.from(withProlog('ISO-8859-1'), 'latin1')],
    ['iso-8859-1 in single quotes', Buffer.from(withProlog('x').replace('"x"', "'iso-8859-1'"), 'latin1')],
    ['iso-8859-1 behind white space', Buffer.from(`\n\n  ${withProlog('iso-8859-1')}`, 'latin1')],
    ['iso-8859-1 by its header', Buffer.from(xml(''), 'latin1'), 'text/xml; charset=iso-8859-1'],
    ['iso-8859-1 by its header, quoted', Buffer.from(xml(''), 'latin1'), 'text/xml; charset="ISO-8859-1"'],
    ['windows-1252 by its prolog', Buffer.from(withProlog('windows-1252'), 'latin1')],
    ['its prolog before its header', Buffer.from(withProlog('utf-8')), 'text/xml; charset=iso-8859-1'],
    ['UTF-16, little end first', Buffer.from(`\ufeff${withProlog('utf-16')}`, 'utf16le')],
    ['UTF-16, big end first', swapped(`\ufeff${withProlog('utf-16')}`)],
    ['UTF-16 without a prolog', Buffer.from(`\ufeff${xml('')}`, 'utf16le')],
  ])('is %s', (_what, body, contentType) => {
    expect(decode(body, contentType).parameters).toEqual([string(text)]);
  });

  it('iso-8859-1 is not windows-1252: each byte is the character of its number', () => {
    const body = withProlog('iso-8859-1').replace(text, '\x80\x9f\xff');
    expect(decode(Buffer.from(body, 'latin1')).parameters).toEqual([string('\x80\x9f\xff')]);
  });

  it.each<[string, Buffer, string?]>([
    ['bytes that are no UTF-8', Buffer.from(xml(''), 'latin1')],
    ['an overlong UTF-8', Buffer.concat([Buffer.from('<methodCall>'), Buffer.from([0xc0, 0xbc])])],
    ['an encoding that nobody knows', Buffer.from(withProlog('nosuch-1'))],
    ['an encoding that means something to the web only', Buffer.from(withProlog('replacement'))],
    ['UTF-7', Buffer.from(withProlog('utf-7'))],
    ['a charset that nobody knows', Buffer.from(xml('')), 'text/xml; charset=nosuch-1'],
    ['half a character of UTF-16', Buffer.from(`\ufeff${xml('')}`, 'utf16le').subarray(0, -1)],
    ['bytes of one in the other encoding', Buffer.from(withProlog('utf-16'))],
  ])('is told off where it has %s', (_what, body, contentType) => {
    expect(faultOf(body, contentType).code).toBe(-32700);
  });
});
