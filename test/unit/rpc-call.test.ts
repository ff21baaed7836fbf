// What a request body means. What always holds: a text arrives as its sender meant it, in whatever encoding he says;
// what is no call is a fault that quotes nothing.
import { describe, expect, it } from 'vitest';
import { decodeCall, FaultCode, type RpcCall, RpcFault, type RpcValue } from '../../src/rpc/call.ts';

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
    ['<value><i8>9007199254740993</i8></value>', other],
    ['<value><int>3.0</int></value>', other],
    ['<value><int>3x</int></value>', other],
    ['<value><int>0x3</int></value>', other],
    ['<value><int>1e3</int></value>', other],
    ['<value><int></int></value>', other],
    ['<value><int>3 4</int></value>', other],
    ['<value><boolean>1</boolean></value>', { type: 'boolean', value: true }],
    ['<value><boolean>0</boolean></value>', { type: 'boolean', value: false }],
    ['<value><nil/></value>', other],
    ['<value><ex:nil/></value>', other],
    ['<value><double>3</double></value>', other],
    ['<value><base64>MTI=</base64></value>', other],
    ['<value><dateTime.iso8601>19980717T14:08:55</dateTime.iso8601></value>', other],
    ['<value><array><data><value>3</value></data></array></value>', other],
    ['<value><nosuch>3</nosuch></value>', other],
    ['', other],
  ])('%s', (written, meant) => {
    expect(valueIn(written)).toEqual(meant);
  });

  it('of a struct has its members by name, whatever they are called', () => {
    const member = (name: string, value: string) => `<member><name>${name}</name>${value}</member>`;
    const members = [
      member('a', '<value><int>1</int></value>'),
      member('__proto__', '<value>x</value>'),
      member('toString', '<value/>'),
      '<member/>',
    ];
    expect(valueIn(`<value><struct>${members.join('')}</struct></value>`)).toEqual({
      type: 'struct',
      members: new Map<string, RpcValue>([
        ['a', int(1)],
        ['__proto__', string('x')],
        ['toString', string('')],
        ['', other],
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

  it('may have thousands of them', () => {
    const many = '<param><value><int>1</int></value></param>'.repeat(5000);
    expect(decode(call(many)).parameters).toHaveLength(5000);
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
