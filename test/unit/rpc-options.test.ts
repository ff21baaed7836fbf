// What a call's third parameter asks for, from its XML. What always holds: what could restrict is understood or refused with
// its name; what resembles no option has no effect.
import { describe, expect, it } from 'vitest';
import { GatewayError } from '../../src/errors.ts';
import { decodeCall } from '../../src/rpc/call.ts';
import { methodNames } from '../../src/rpc/methods.ts';
import { resembledOption } from '../../src/rpc/option-name.ts';
import { readRequest } from '../../src/rpc/request.ts';

const nothing = { viewOnly: false, clipboard: 'both' };
const viewOnly = { viewOnly: true, clipboard: 'both' };

/** The options that a third parameter asks for, or what is said of it. */
function optionsIn(third: string): unknown {
  const parameters = ['a:b', '7'].map((text) => `<param><value>${text}</value></param>`).join('');
  const xml =
    '<methodCall><methodName>one.vm.vnctoken</methodName>' +
    `<params>${parameters}<param>${third}</param></params></methodCall>`;
  try {
    return readRequest(decodeCall(Buffer.from(xml), undefined), methodNames).options;
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    expect(error.oneCode).toBe(0x1000);
    return error.publicText;
  }
}

const member = (name: string, value: string) =>
  `<member><name>${name}</name><value>${value}</value></member>`;
const struct = (...members: string[]) => `<value><struct>${members.join('')}</struct></value>`;
const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

describe('view_only in a struct', () => {
  it.each([
    '<boolean>1</boolean>',
    '<boolean> 1\n</boolean>',
    '<int>1</int>',
    '<i4>1</i4>',
    '<i8>1</i8>',
    '<ex:i8>1</ex:i8>',
    '<double>1</double>',
    '<double>1.0</double>',
    '<string>1</string>',
    '<string>true</string>',
    '<string>True</string>',
    '<string>YES</string>',
    'yes',
  ])('as %s restricts', (value) => {
    expect(optionsIn(struct(member('view_only', value)))).toEqual(viewOnly);
  });

  it.each(['<boolean>0</boolean>', '<int>0</int>', '<double>0.0</double>', 'no', 'False', '0'])(
    'as %s does not',
    (value) => {
      expect(optionsIn(struct(member('view_only', value)))).toEqual(nothing);
    },
  );

  it.each([
    '<boolean>true</boolean>',
    '<boolean>yes</boolean>',
    '<boolean>2</boolean>',
    '<boolean/>',
    '<int>2</int>',
    '<int>-1</int>',
    '<int>one</int>',
    '<double>0.5</double>',
    '<double>NaN</double>',
    '<nil/>',
    '<ex:nil/>',
    '<base64>MQ==</base64>',
    '<array><data><value>1</value></data></array>',
    '<struct/>',
    '<nosuch>1</nosuch>',
    '<boolean>0</boolean><boolean>1</boolean>',
    'no<boolean>1</boolean>',
    ' 1 ',
    ' no',
    '',
    'on',
    'truе',
    '&#49;&#0049;',
  ])('as %j is refused', (value) => {
    expect(optionsIn(struct(member('view_only', value)))).toBe('view_only is no boolean');
  });

  it.each([
    ['no value', '<member><name>view_only</name></member>'],
    ['two values', '<member><name>view_only</name><value>no</value><value>yes</value></member>'],
    ['another brother', '<member><name>view_only</name><value>no</value><view_only/></member>'],
    ['a twin', member('view_only', 'no') + member('view_only', 'yes')],
    ['an equal twin', member('view_only', 'no') + member('view_only', 'no')],
  ])('with %s is refused', (_what, members) => {
    expect(optionsIn(struct(members))).toBe('view_only is no boolean');
  });
});

describe('clipboard in a struct', () => {
  it.each(['both', 'to_vm', 'from_vm', 'off', 'OFF'])('may be %s', (mode) => {
    expect(optionsIn(struct(member('clipboard', mode)))).toEqual({
      ...nothing,
      clipboard: mode.toLowerCase(),
    });
  });

  it.each(['to-vm', ' off', 'none', '', '<boolean>0</boolean>', '<nil/>', '<int>0</int>', 'οff'])(
    'may not be %j',
    (mode) => {
      expect(optionsIn(struct(member('clipboard', mode)))).toBe(
        'clipboard is none of both, to_vm, from_vm, off',
      );
    },
  );
});

/** What an odd but honest program may call an option. */
const near = {
  view_only: [
    ...[
      ' view_only',
      'view_only ',
      'view_only\n',
      '\u00a0view_only',
      'view\u2009only',
      'view only',
      'view-only',
    ],
    ...[
      'viewOnly',
      'ViewOnly',
      'VIEW_ONLY',
      'View_Only',
      'viewonly',
      'view.only',
      'view__only',
      '_view_only_',
    ],
    ...[
      ':view_only',
      'view_only:',
      'view_only=',
      '"view_only"',
      "'view_only'",
      '$view_only',
      '@view_only',
      '--view-only',
    ],
    ...[
      'view_onyl',
      'veiw_only',
      'view_onl',
      'viw_only',
      'vew_ony',
      'view_onlly',
      'views_only',
      'view_onlys',
    ],
    ...[
      'ｖｉｅｗ＿ｏｎｌｙ',
      'vіew_only',
      'view_оnly',
      'view\u200b_only',
      'view_on\u00adly',
      'vi\u0301ew_only',
    ],
    ...[
      'readonly',
      'read_only',
      'ReadOnly',
      'read-only',
      'only_view',
      'view_only_mode',
      'isViewOnly',
      'vnc_view_only',
    ],
  ],
  clipboard: [
    ...[
      'Clipboard',
      'CLIPBOARD',
      'clip_board',
      'clipBoard',
      ' clipboard',
      'clipboard:',
      'clipboards',
      'clipbord',
    ],
    ...[
      'clibpoard',
      'clipboard_mode',
      'disableClipboard',
      'copy_paste',
      'copy-paste',
      'cliрboard',
      'ｃlipboard',
    ],
  ],
};

describe('a name that is nearly one', () => {
  it.each(Object.entries(near).flatMap(([option, names]) => names.map((name) => [name, option] as const)))(
    '%j is refused as %s, wherever it stands',
    (name, option) => {
      const said = expect.stringMatching(new RegExp(`^${option} cannot be read`));
      expect(optionsIn(struct(member(name, '<boolean>1</boolean>')))).toEqual(said);
      expect(optionsIn(struct(member(name, '<boolean>0</boolean>')))).toEqual(said);
      expect(optionsIn(struct(member('a', struct(member(name, 'x')).slice(7, -8))))).toEqual(said);
    },
  );

  it.each([
    ...[
      '',
      'x',
      'colour',
      'kind',
      'zone',
      'record',
      'vm',
      'id',
      'host',
      'viewer',
      'view',
      'only',
      'overview',
      'preview',
    ],
    ...[
      'keyboard',
      'billboard',
      'dashboard',
      'decrypt',
      'comment',
      'language',
      'random',
      'monopoly',
      'width',
      'expires',
    ],
    ...['__proto__', 'constructor', 'toString', 'только чтение', '只读', 'ビューのみです', 'a'.repeat(5000)],
  ])('%j is none, and ignored', (name) => {
    expect(resembledOption(name)).toBeUndefined();
    for (const value of [
      'x',
      '<boolean>true</boolean>',
      '<nil/>',
      '<base64>eA==</base64>',
      '<double>1.5</double>',
    ])
      expect(optionsIn(struct(member(name, value)))).toEqual(nothing);
  });
});

describe('the third parameter', () => {
  it.each([
    ...[
      '<boolean>1</boolean>',
      '<boolean>0</boolean>',
      '<boolean>true</boolean>',
      '<int>-1</int>',
      '<i8>5</i8>',
    ],
    ...['<double>0.5</double>', '<int>x</int>', '<nil/>', '<ex:nil/>', '<struct/>', '<array><data/></array>'],
    ...[
      '<array><data><value><int>1</int></value><value/></data></array>',
      '',
      '<string/>',
      '  ',
      '\n',
      'false',
      '-1',
    ],
    ...[
      '<dateTime.iso8601>19980717T14:08:55</dateTime.iso8601>',
      'x',
      '<array><data><value>x</value></data></array>',
    ],
  ])('may be %j, which asks for nothing', (value) => {
    expect(optionsIn(`<value>${value}</value>`)).toEqual(nothing);
  });

  it.each([
    ['no value', ''],
    ['two values', '<value/><value/>'],
    ['text beside it', `x${struct()}`],
    [
      'a struct in an array',
      `<value><array><data>${struct(member('view_only', 'yes'))}</data></array></value>`,
    ],
    [
      'one deeper',
      `<value><array><data><value><array><data>${struct()}</data></array></value></data></array></value>`,
    ],
    ['an empty struct in an array', `<value><array><data>${struct()}</data></array></value>`],
    ['a text in an array', '<value><array><data><value>view_only</value></data></array></value>'],
    ['a template in an array', '<value><array><data><value>view_only="1"</value></data></array></value>'],
    [
      'more texts than are looked at',
      `<value><array><data>${`<value>${'x'.repeat(60)}</value>`.repeat(70)}</data></array></value>`,
    ],
    ['an array without data', '<value><array/></value>'],
    ['base64', '<value><base64>dmlld19vbmx5PSIxIg==</base64></value>'],
    ['an unknown type', '<value><map><view_only>1</view_only></map></value>'],
    ['a struct of no members', '<value><struct><view_only>1</view_only></struct></value>'],
    ['a struct beside a boolean', '<value><boolean>1</boolean><struct/></value>'],
    [
      'a member with two names',
      struct('<member><name>x</name><name>view_only</name><value>1</value></member>'),
    ],
    ['a member without a name', struct('<member><value>1</value></member>')],
    ['a member that is twice there', struct(member('x', '1'), member('x', struct(member('view_only', '1'))))],
  ])('may not have %s', (_what, third) => {
    expect(optionsIn(third)).toMatch(/^view_only.* cannot be (read|given so)/);
  });
});

/** As pyone sends a dict, and as people write it. */
describe('a third parameter in the template form', () => {
  it.each([
    ['view_only="True"\n', viewOnly],
    ['view_only="False"\n', nothing],
    ['view_only="1"', viewOnly],
    ['view_only=yes', viewOnly],
    ['view_only = "YES"', viewOnly],
    ['\r\n  view_only\t=\tyes\r\n', viewOnly],
    ['colour="blue"\nview_only="True"\n', viewOnly],
    ['view_only="True"\ncolour="say \\"no\\""\n', viewOnly],
    ['view_only="True"\nclipboard="off"\n', { viewOnly: true, clipboard: 'off' }],
    ['view_only="True" clipboard="off"', { viewOnly: true, clipboard: 'off' }],
    ['view_only="True",clipboard="off"', { viewOnly: true, clipboard: 'off' }],
    ['view_only=yes, clipboard=to_vm', { viewOnly: true, clipboard: 'to_vm' }],
    ['clipboard="off"', { viewOnly: false, clipboard: 'off' }],
    ['# a comment with view_only="False"\nview_only="True" # another\n#', viewOnly],
    ['colour=""', nothing],
    ['colour=', nothing],
    ['colour=\nview_only=1', viewOnly],
    ['colour="#view_only"', nothing],
    ['colour="view_only=\\"1\\""', nothing],
    ['colour=[ RED = "1",\n GREEN=2 ]\nview_only="True"', viewOnly],
    ['colour=[]', nothing],
    ['colour="a"\ncolour=[A="b"]\ncolour=c\nview_only=1', viewOnly],
    ['# nothing', nothing],
    ['x', nothing],
    ['hello, world', nothing],
    ['colour=[a="b"]]', nothing],
    ['="1"', nothing],
  ])('%j', (text, meant) => {
    expect(optionsIn(`<value><string>${escaped(text)}</string></value>`)).toEqual(meant);
  });

  it.each([
    ['view_only=""', 'view_only is no boolean'],
    ['view_only=', 'view_only is no boolean'],
    ['view_only=\nclipboard=off', 'view_only is no boolean'],
    ['view_only="perhaps"', 'view_only is no boolean'],
    ['view_only=" True"', 'view_only is no boolean'],
    ['view_only="True"\nview_only="False"', 'view_only is no boolean'],
    ['view_only=[x="1"]', 'view_only is no boolean'],
    ['x=1\nx=[view_only="True"]', /^view_only cannot be read/],
    ['view_only="{\'a\': 1}"', 'view_only is no boolean'],
    ['clipboard="None"', 'clipboard is none of both, to_vm, from_vm, off'],
    ['VIEW_ONLY="YES"', /^view_only cannot be read/],
    ['viewOnly="True"\n', /^view_only cannot be read/],
    ['view only="True"', /^view_only cannot be read/],
    ['view-only="True"', /^view_only cannot be read/],
    ['options=[view_only="True"]', /^view_only cannot be read/],
    ['view_only', /^view_only cannot be read/],
    ['view_only:true', /^view_only cannot be read/],
    ['{"view_only": true}', /^view_only cannot be read/],
    ['<OPTIONS><view_only>True</view_only></OPTIONS>', /^view_only cannot be read/],
    ['?clipboard', /^clipboard cannot be read/],
    ['view_only="True', /^view_only cannot be read/],
    ['view_only="a"b"\n', /^view_only cannot be read/],
    ['view_only="True";clipboard="off"', /^clipboard cannot be read/],
    ['colour=[view_only="True"', /^view_only cannot be read/],
    ['view only', /^view_only cannot be read/],
    ['{"veiw only": 1}', /^view_only cannot be read/],
    ['view.only = 1', /^view_only cannot be read/],
    [`${' '.repeat(1024)}view_only="1"`, /^view_only, clipboard cannot be read/],
  ])('%j is refused', (text, told) => {
    const said = optionsIn(`<value><string>${escaped(text)}</string></value>`);
    if (typeof told === 'string') expect(said).toBe(told);
    else expect(said).toMatch(told);
  });
});
