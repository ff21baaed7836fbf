// Prints the one line that the outside reads at the end of a run: `N passed, N failed`.
import type { Reporter, TestModule } from 'vitest/node';

export class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    let passed = 0;
    let failed = unhandledErrors.length;
    for (const module of modules) {
      let own = 0;
      for (const test of module.children.allTests()) {
        own++;
        if (test.result().state === 'passed') passed++;
        // A skipped or never-run test is not a success: nothing here may be skipped.
        else failed++;
      }
      // A module that could not be loaded has no tests, and must not look like "nothing to do".
      if (module.state() === 'failed' && own === 0) failed++;
    }
    process.on('exit', () => process.stdout.write(`${passed} passed, ${failed} failed\n`));
  }
}

// vitest loads a reporter by its default export.
// biome-ignore lint/style/noDefaultExport: required by vitest
export default CountReporter;
