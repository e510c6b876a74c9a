import { defineConfig } from 'vitest/config';

/** Three rooms of tests: unit (pure, fast), topology (the embedded log, RocksDB on disk), broker (a real Kafka and registry). */
const project = (name: string, extra: object = {}) => ({
  extends: true as const,
  test: { name, include: [`test/${name}/**/*.test.ts`], ...extra },
});

export default defineConfig({
  test: {
    reporters: ['default', './test/support/closing-lines.ts'],
    pool: 'forks',
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.broker.test.ts'],
          testTimeout: 30_000,
        },
      },
      project('broker', {
        include: ['test/**/*.broker.test.ts'],
        globalSetup: ['test/support/broker-setup.ts'],
        testTimeout: 120_000,
        hookTimeout: 240_000,
        fileParallelism: false,
      }),
    ],
  },
});
