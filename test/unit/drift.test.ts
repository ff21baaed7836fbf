// The option table is the only source of what is written about options: --help, README and the shipped
// configuration say what it says, or this fails. `UPDATE_DOCS=1` writes the README's table anew. And what the documents
// promise is held by tests that are there.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { helpText, optionTable } from '../../src/config/help.ts';
import { loadSettings } from '../../src/config/load.ts';
import { optionNames, optionOf } from '../../src/config/options.ts';
import { temporaryFolder } from '../support/folder.ts';

const root = join(import.meta.dirname, '../..');
const table = /(<!-- options: begin -->\n)[\s\S]*?(<!-- options: end -->)/;

describe('the option table', () => {
  it('is the one in the README', () => {
    const path = join(root, 'README.md');
    const readme = readFileSync(path, 'utf8');
    const wanted = readme.replace(table, `$1${optionTable().replaceAll('$', '$$$$')}\n$2`);
    if (process.env['UPDATE_DOCS'] === '1') writeFileSync(path, wanted);
    else expect(readme).toBe(wanted);
    expect(readme).toMatch(table);
  });

  it('is what --help lists, with every default', () => {
    for (const name of optionNames) {
      const value = optionOf(name).default;
      const line = helpText()
        .split('\n')
        .find((one) => one.startsWith(`  --${name} `));
      expect(line).toContain(value === undefined || value === '' ? 'default: not set' : `default: ${value}`);
    }
  });

  it('is what the shipped configuration explains, key by key with its default', () => {
    const shipped = readFileSync(join(root, 'etc/one/vnctoken-server.conf'), 'utf8');
    const keys = [...shipped.matchAll(/^#?\s*:(\w+):/gm)].map(([, key]) => key);
    expect(keys.toSorted()).toEqual([...optionNames].toSorted());
    // Every setting active, as an operator would have it who removes every `#` before a key.
    const path = join(temporaryFolder(), 'vnctoken-server.conf');
    writeFileSync(path, shipped.replace(/^#\s*:/gm, ':'));
    const load = (configFiles: string[]) => loadSettings({ configFiles, flags: new Map(), env: {} }).settings;
    expect(load([path])).toEqual({
      ...load(['/dev/null']),
      log_file: '/var/log/one/vnctoken.log',
      vnc_auth: 'proxy',
    });
  });
});

it('the promises of docs/security.md name tests that there are, each at least one', () => {
  const text = readFileSync(join(root, 'docs/security.md'), 'utf8');
  const named = [...text.matchAll(/`(test\/[^`]+)`/g)].map(([, path = '']) => path);
  expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  const promises = text.split(/\n(?=- )/).slice(1);
  expect(promises.length).toBeGreaterThan(0);
  expect(promises.filter((promise) => !promise.includes('`test/'))).toEqual([]);
});
