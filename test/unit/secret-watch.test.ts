// The look that every test takes at what its service wrote: it sees what is there, wherever it is.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/folder.ts';
import { findNoSecret, watchCall } from '../support/secret-watch.ts';
import { encodeCall } from '../support/xmlrpc.ts';

const token = 'abcdefghijklmnopqrstuvwx1';
const session = 'alice:her <secret>';
const nothing = { texts: [], folder: '', except: '' };

watchCall(encodeCall('one.vm.vnctokenonly', [session, 1]), `<string>${token}</string>`);

describe('a secret', () => {
  it.each([session, 'her <secret>', token])('%s is found in a text', (secret) => {
    expect(() => findNoSecret({ ...nothing, texts: [`before ${secret} after`] })).toThrow('before ***');
  });

  it('is found in a file, and in the name of one, but not in the directory that may hold it', () => {
    const folder = temporaryFolder();
    for (const name of ['state', 'theirs']) mkdirSync(join(folder, name));
    writeFileSync(join(folder, 'theirs/one'), token);
    const look = () => findNoSecret({ ...nothing, folder, except: 'theirs' });
    expect(look).not.toThrow();
    writeFileSync(join(folder, 'state/one'), `{"token":"${token}"}`);
    expect(look).toThrow();
    writeFileSync(join(folder, 'state/one'), '');
    writeFileSync(join(folder, `state/${token}`), '');
    expect(look).toThrow();
  });
});
