// The option table is the only source of what is written about options: --help, README and the shipped
// configuration say what it says, or this fails. `UPDATE_DOCS=1` writes the README's table anew.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { helpText, optionTable } from '../../src/config/help.ts';
import { optionNames, optionOf } from '../../src/config/options.ts';

const root = join(import.meta.dirname, '../..');
const table = /(<!-- options: begin -->\n)[\s\S]*?(\n<!-- options: end -->)/;

describe('the option table', () => {
  it('is the one in the README', () => {
    const path = join(root, 'README.md');
    const readme = readFileSync(path, 'utf8');
    const wanted = readme.replace(table, `$1${optionTable().replaceAll('$', '$$$$')}$2`);
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
    for (const name of optionNames) {
      const line = shipped.split('\n').find((one) => one.replace(/^#\s*/, '').startsWith(`:${name}:`));
      expect(line, name).toBeDefined();
      const value = line?.replace(/^#?\s*:\w+:\s*/, '').replace(/^(["'])(.*)\1$/, '$2');
      if (name !== 'log_file') expect(value, name).toBe(optionOf(name).default ?? '');
    }
    const keys = [...shipped.matchAll(/^#?\s*:(\w+):/gm)].map(([, key]) => key);
    expect(keys.toSorted()).toEqual([...optionNames].toSorted());
  });
});
