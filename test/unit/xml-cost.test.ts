// What hostile XML costs. What always holds: it is read or refused in one pass; were any step repeated for each of its
// characters, a case here would not end within the test's deadline.
import { describe, expect, it } from 'vitest';
import { GatewayError } from '../../src/errors.ts';
import { selectReply } from '../../src/oned/reply.ts';
import { vmDocument } from '../../src/oned/vm.ts';
import { decodeCall, RpcFault } from '../../src/rpc/call.ts';
import { methodNames } from '../../src/rpc/methods.ts';
import { readRequest } from '../../src/rpc/request.ts';
import { vmXml } from '../support/vm.ts';
import { escapeXml } from '../support/xmlrpc.ts';

/** The square of it is 7 × 10¹⁰ steps. */
const BYTES = 256 * 1024;

const units = [
  ...[
    'x',
    ' ',
    '\r',
    '&',
    '&amp;',
    '&lt;',
    '&#65;',
    '&#',
    `&#${'9'.repeat(50)}`,
    '<',
    '</',
    '<!',
    '<!--',
    '<?',
  ],
  ...[
    '<![CDATA[',
    '<![CDATA[]]>',
    '<!---->',
    '<?a?>',
    '<a/>',
    '<a>',
    '<a></a>',
    '</a>',
    '<a b="',
    '<a b="c"/>',
  ],
  ...[
    '<a ',
    '<a/',
    '"',
    '=',
    ']]>',
    ']]',
    '<ID>',
    '<ID/>',
    '<TEMPLATE><GRAPHICS>',
    '<GRAPHICS/>',
    '<1/>',
    '\0',
  ],
  ...['<HISTORY_RECORDS><HISTORY/></HISTORY_RECORDS>', '\ud800'],
];
const filled = (unit: string) => unit.repeat(Math.ceil(BYTES / unit.length));

it.each(units)('a VM with nothing but %j in it can be looked at, or makes no sense', (unit) => {
  const xml = vmXml({ id: 1 }).replace('<USER_TEMPLATE>', () => `<USER_TEMPLATE>${filled(unit)}`);
  const reply =
    '<methodResponse><params><param><value><array><data><value><boolean>1</boolean></value>' +
    `<value><string>${escapeXml(xml)}</string></value></data></array></value></param></params></methodResponse>`;
  const selected = selectReply(Buffer.from(reply), vmDocument);
  if ('root' in selected) expect(vmDocument.read(selected.root).id).toBe(1);
  else expect(selected).toHaveProperty('problem');
});

it.each(units)('a reply of nothing but %j is none', (unit) => {
  for (const before of ['', '<methodResponse>', '<methodResponse><params>'])
    expect(selectReply(Buffer.from(before + filled(unit)), vmDocument)).toHaveProperty('problem');
});

describe('a call', () => {
  const callWith = (place: number, inside: string) => {
    const [session, third, outside] = ['', '', ''].map((none, index) => (index === place ? inside : none));
    const param = (value: string) => `<param><value>${value}</value></param>`;
    const params = param(`a:b${session}`) + param('7') + param(third ?? '');
    return `<methodCall>${outside}<methodName>one.vm.vnctoken</methodName><params>${params}</params></methodCall>`;
  };
  const hints = [
    'view_onyl="1"\n',
    'abcdefgh ',
    '# x\n',
    'a=[',
    '\\"',
    'a="',
    '<member><name>viewonl</name></member>',
  ];

  it.each([...units, ...hints])('with nothing but %j in it is answered', (unit) => {
    for (const place of [0, 1, 2]) {
      try {
        const call = decodeCall(Buffer.from(callWith(place, filled(unit))), undefined);
        expect(readRequest(call, methodNames).vmId).toBe(7);
      } catch (error) {
        if (!(error instanceof RpcFault || error instanceof GatewayError)) throw error;
      }
    }
  });
});
