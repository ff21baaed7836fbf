// Who may import whom. Walks every import of src/ and fails on a breach, so that the tree stays what the
// architecture says: leaves below, stages of the two flows above them, the composition root on top.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

const src = join(import.meta.dirname, '../../src');

const leaves = [
  'errors',
  'log',
  'ref',
  'xml',
  'xml-references',
  'xml-scan',
  'xml-selection',
  'config/types',
  'clipboard',
  'high-water',
  'inspector',
  'parallel',
  'printable',
  'prepared',
  'remembered',
  'secret-file',
  'shared-call',
  'until-aborted',
  'waiter',
  'slices',
];
const http = [
  'address-places',
  'client-address',
  'http-limits',
  'http-refusal',
  'http-request',
  'refusal-log',
  'listen',
  'origin',
];

/** What each part may import besides itself; the first entry that fits a file counts. */
const rules: [part: string, mayImport: string[]][] = [
  ['main', ['allocator', 'command', 'inspector']],
  [
    'command',
    [
      'check-host',
      'check-vm',
      'config',
      'control/client',
      'errors',
      'inspector',
      'serve',
      'demo',
      'cluster/worker',
    ],
  ],
  [
    'serve',
    [
      ...[
        'app',
        'config',
        'console-targets',
        'errors',
        'inspector',
        'log',
        'oned/service-auth',
        'proxy/certificate',
      ],
      ...['service-manager', 'tokens/password-key', 'tokens/redis/url'],
    ],
  ],
  ['app', [...leaves, 'audit', 'cluster/supervisor', 'config', 'console', 'control-plane', 'data-plane']],
  [
    'control-plane',
    [...leaves, ...http, 'audit', 'config', 'console', 'control', 'oned', 'rpc', 'stores', 'tokens'],
  ],
  ['check-host', ['config', 'errors', 'listening-ports', 'oned/vnc-ports', 'transport/parse-rules']],
  [
    'check-vm',
    [
      ...['config', 'console-targets', 'console/accounts', 'console/policy', 'errors', 'log', 'oned'],
      ...['transport/greeting', 'transport/rules', 'transport/transport'],
    ],
  ],
  ['stores', ['config', 'log', 'prepared', 'tokens']],
  [
    'cluster',
    [
      ...leaves,
      'address-places',
      'proxy/handshakes',
      'config/options',
      'console/gate',
      'console/sessions',
      'data-plane',
      'tokens',
    ],
  ],
  ['data-plane', [...leaves, ...http, 'config/options', 'console', 'console-targets', 'proxy']],
  ['console-targets', ['log', 'proxy/session', 'rfb', 'transport']],
  ['demo', ['']],
  ['control', [...leaves, 'console', 'tokens']],
  ['rpc', [...leaves, ...http, 'audit', 'console', 'oned', 'tokens']],
  [
    'proxy',
    [
      ...leaves,
      ...http,
      'console/gate',
      'console/sessions',
      'console/vnc-access',
      'rfb',
      'tokens',
      'transport',
      'web',
    ],
  ],
  ['console', [...leaves, 'audit', 'client-address', 'oned', 'tokens']],
  ['oned', leaves],
  ['tokens', [...leaves, 'client-address']],
  ['rfb', [...leaves, 'transport']],
  ['transport', leaves],
  ['web', []],
  ['config', ['clipboard', 'errors', 'origin', 'transport/parse-rules']],
  ['audit', ['flood-gate', 'log']],
  ['flood-gate', ['client-address', 'ref']],
  ['refusal-log', ['errors', 'flood-gate', 'log']],
  ['address-places', ['client-address']],
  ['client-address', ['remembered']],
  ['log', ['errors']],
  ['http-limits', ['http-refusal']],
  ['http-refusal', ['errors']],
  ['http-request', ['http-limits']],
  ['listen', ['errors']],
  ['origin', ['client-address']],
  ['secret-file', ['errors']],
  ['xml-selection', ['xml', 'xml-references', 'xml-scan']],
  ['service-manager', ['log']],
  ['', []],
];

/** The files in which a package may be known; its API is wrapped there. */
const packages: Record<string, RegExp> = {
  'fast-xml-parser': /^xml\.ts$/,
  saxes: /^xml\.ts$/,
  pino: /^log\.ts$/,
  yaml: /^config\/file\.ts$/,
  zod: /^(config\/(types|options)|tokens\/(record-schema|file\/[a-z-]+|redis\/[a-z-]+|sealed\/[a-z-]+))\.ts$/,
  jose: /^tokens\/sealed\/seal\.ts$/,
  '@redis/client': /^tokens\/redis\/connection\.ts$/,
  ssh2: /^transport\/ssh-client\.ts$/,
  express: /^(rpc|web|proxy)\//,
  ws: /^(proxy|demo|transport)\//,
};

const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !name.startsWith('web/page'))
  .toSorted();

function importsOf(file: string): string[] {
  const text = readFileSync(join(src, file), 'utf8');
  const imports = /^(?:import [^'\n]*|export [^'\n=]* from |\} from )'([^']+)'|\bimport\('([^']+)'\)/gm;
  return [...text.matchAll(imports)].map(([, name, dynamic]) => name ?? dynamic ?? '');
}

function within(part: string, file: string): boolean {
  return part === '' || file === `${part}.ts` || file.startsWith(`${part}/`);
}

describe('every file of src', () => {
  it.each(files)('%s imports only what its layer may', (file) => {
    const [part, mayImport] = rules.find(([name]) => within(name, file)) ?? ['', []];
    const own = importsOf(file).filter((name) => name.startsWith('.'));
    const breaches = own
      .map((name) => relative(src, join(src, dirname(file), name)).replace(/\.js$/, '.ts'))
      .filter(
        (target) => !(part !== '' && within(part, target)) && !mayImport.some((one) => within(one, target)),
      );
    expect(breaches).toEqual([]);
  });

  it.each(files)('%s knows only the packages that have their place there', (file) => {
    const foreign = importsOf(file).filter((name) => !name.startsWith('.') && !name.startsWith('node:'));
    expect(foreign.filter((name) => !packages[name]?.test(file))).toEqual([]);
  });

  it.each(files)('%s leaves process.env and process.exit to their places', (file) => {
    const text = readFileSync(join(src, file), 'utf8').replace(/\/\/.*/g, '');
    if (file !== 'config/load.ts') expect(text).not.toContain('process.env');
    if (file !== 'command.ts') expect(text).not.toContain('process.exit');
  });
});

it('main.ts shuts the inspector and says how memory is kept before it loads anything else', () => {
  const text = readFileSync(join(src, 'main.ts'), 'utf8');
  const steps = text.split('\n').filter((line) => line !== '' && !/^(#!|\/\/)/.test(line));
  expect(steps).toEqual([
    "import { keepFreedMemory } from './allocator.js';",
    "import { ignoreInspectorSignal } from './inspector.js';",
    'ignoreInspectorSignal();',
    'keepFreedMemory();',
    "await import('./command.js');",
  ]);
});

describe('the rules themselves', () => {
  it('are about files and packages that exist', () => {
    for (const [part] of rules)
      expect(
        files.some((file) => within(part, file)),
        part,
      ).toBe(true);
    const used = new Set(files.flatMap(importsOf));
    for (const name of Object.keys(packages)) expect(used.has(name), name).toBe(true);
  });
});
