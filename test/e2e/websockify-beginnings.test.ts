// A file for websockify is written where websockify reads: at each look-up it may find any beginning of it. Debian's
// websockify, unchanged, is shown every one of them.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { websockifyText } from '../../src/tokens/file/token-files.ts';
import { newToken } from '../../src/tokens/token.ts';
import { runWell } from '../support/child.ts';
import { temporaryFolder } from '../support/folder.ts';

const LOOK_UP = `
import json, sys
from websockify.token_plugins import TokenFile
folder, file, text, token, beside = sys.argv[1:]
found = []
for length in range(len(text) + 1):
    with open(file, 'w') as one: one.write(text[:length])
    source = TokenFile(folder)
    found.append([source.lookup(beside), source.lookup(token)])
print(json.dumps(found))
`;

test('every beginning of a file leaves the tokens beside it as they are; the whole file serves its own', async () => {
  const folder = temporaryFolder();
  const beside = 'tokenbeside0123456789abcdefgh';
  writeFileSync(join(folder, 'beside'), `${beside}: 192.0.2.7:5907\n`);
  const token = newToken();
  const text = websockifyText(token, {
    vmId: 7,
    target: { host: '2001:db8::1', port: 5901 },
    expiresAt: 1_800_000_000_000,
  } as never);
  expect(text).toMatch(/^[\x20-\x7e\n]+$/);
  const args = ['-c', LOOK_UP, folder, join(folder, 'vnctoken-7-0123456789ab'), text, token, beside];
  const found = JSON.parse(await runWell('/usr/bin/python3', args)) as [string[] | null, string[] | null][];
  expect(found).toHaveLength(text.length + 1);
  for (const [one] of found) expect(one).toEqual(['192.0.2.7', '5907']);
  expect(found.at(-1)?.[1]).toEqual(['2001:db8::1', '5901']);
});
