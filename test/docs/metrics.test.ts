import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { knownMetrics } from '../support/known-metrics.ts';

const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/metrics.md'), 'utf8');
const documented = [...page.matchAll(/^\| `(seral_\w+)` \|/gm)].map(([, name]) => name!).sort();

describe('docs/metrics.md', () => {
  test('has every metric, and none that is not there', () => {
    expect(documented).toEqual(knownMetrics());
  });

  test('finds the names that topologies count', () => {
    expect(knownMetrics()).toContain('seral_labels_total');
    expect(knownMetrics()).toContain('seral_orphaned_timers_total');
  });

  test('knows every place that makes a metric of its own', () => {
    const makers = globSync('src/**/*.ts', { cwd: root }).filter((file) =>
      /new (Counter|Gauge|Histogram)\b/.test(readFileSync(join(root, file), 'utf8')),
    );
    expect(makers.sort()).toEqual([
      'src/inference/model-metrics.ts',
      'src/nearline/serve/metrics.ts',
      'src/nearline/worker/metrics.ts',
      'src/profile/worker/profile-worker.ts',
      'src/serengpt/worker/serengpt-metrics.ts',
      'src/stream/metrics.ts',
      'src/stream/request-metrics.ts',
    ]);
  });

  test('says of each what it means', () => {
    for (const [line] of page.matchAll(/^\| `seral_.*$/gm)) expect(line.split('|')[3]!.trim(), line).not.toBe('');
  });
});
