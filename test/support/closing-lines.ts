import type { Reporter, TestModule } from 'vitest/node';

/** Prints the counts of the whole run as one plain line, which needs no knowledge of vitest to be read. */
export default class ClosingLines implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const count = { passed: 0, failed: 0, skipped: 0, pending: 0 };
    let broken = 0;
    for (const module of modules) {
      for (const test of module.children.allTests()) count[test.result().state]++;
      if (module.state() === 'failed' && !module.children.allTests('failed').next().value) broken++;
    }
    const skipped = count.skipped + count.pending;
    process.stdout.write(
      `tests: ${count.passed} passed, ${count.failed + broken} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`,
    );
  }
}
