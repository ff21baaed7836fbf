// Four kinds of tests, slowest last. Only `unit` runs without a build; the others start dist/main.js.
import { defineConfig } from 'vitest/config';

const kinds = ['unit', 'contract', 'integration', 'e2e'];

export default defineConfig({
  test: {
    reporters: ['default', './test/support/count-reporter.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    maxConcurrency: 10,
    projects: kinds.map((name) => ({
      extends: true,
      test: { name, include: [`test/${name}/**/*.test.ts`] },
    })),
  },
});
