// When the things that a test started end: with the test that started them, or, when a hook started them,
// with the file. Last come, first gone, so that a server stops before its folder is removed.
import { afterAll, onTestFinished } from 'vitest';

type Cleanup = () => void | Promise<void>;

const ofTheFile: Cleanup[] = [];

afterAll(async () => {
  for (const cleanup of ofTheFile.splice(0).reverse()) await cleanup();
});

/** Runs `cleanup` when the current test ends; outside of a test (in `beforeAll`), when the file ends. */
export function atEnd(cleanup: Cleanup): void {
  try {
    onTestFinished(async () => cleanup());
  } catch {
    ofTheFile.push(cleanup);
  }
}
