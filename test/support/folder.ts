// Temporary folders: 0700, unique, removed with the test (or the file) that made them, and in any case
// when the process ends.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atEnd } from './lifetime.ts';

const folders = new Set<string>();

process.on('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** The absolute path of a new, empty folder. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'vnctoken-test-'));
  folders.add(folder);
  atEnd(() => {
    rmSync(folder, { recursive: true, force: true });
    folders.delete(folder);
  });
  return folder;
}
