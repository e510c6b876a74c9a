import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { ModelMetrics } from '../../src/inference/model-metrics.ts';
import { ServeMetrics } from '../../src/nearline/serve/metrics.ts';
import { droppedCounter } from '../../src/profile/worker/profile-worker.ts';
import { SerengptMetrics } from '../../src/serengpt/worker/serengpt-metrics.ts';
import { Metrics } from '../../src/stream/metrics.ts';
import { RetrievalMetrics } from '../../src/nearline/worker/metrics.ts';
import { RequestMetrics } from '../../src/stream/request-metrics.ts';

const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/metrics.md'), 'utf8');
const documented = [...page.matchAll(/^\| `(seral_\w+)` \|/gm)].map(([, name]) => name!).sort();

/** What the runtime and the workers register, and what topologies (and the engine for them) count by name. */
function known(): string[] {
  const registry = new Registry();
  new Metrics(registry);
  new RequestMetrics(registry, 'a worker', 1);
  new ModelMetrics(registry, 'a worker', { priceIn: 0, priceOut: 0 });
  droppedCounter(registry);
  new SerengptMetrics(registry);
  const status = () => ({ items: null, bytes: null, pending: 0, currentAt: null });
  new RetrievalMetrics(registry, status, Date.now);
  new ServeMetrics(registry, () => {
    throw new Error('nobody scrapes');
  });
  const names = new Set(registry.getMetricsAsArray().map(({ name }) => name));
  for (const file of globSync(['src/**/*.ts', 'topologies/*.ts'], { cwd: root })) {
    const source = readFileSync(join(root, file), 'utf8');
    // the first argument, which may choose between names
    for (const [, argument] of source.matchAll(/(?:[cC]ontext|host)\.count\(([^,)]*)/g)) {
      for (const [, name] of argument!.matchAll(/'(\w+)'/g)) names.add(`seral_${name}_total`);
    }
    for (const [, name] of source.matchAll(/[cC]ontext\.level\('(\w+)'/g)) names.add(`seral_${name}`);
  }
  return [...names].sort();
}

describe('docs/metrics.md', () => {
  test('has every metric, and none that is not there', () => {
    expect(documented).toEqual(known());
  });

  test('finds the names that topologies count', () => {
    expect(known()).toContain('seral_labels_total');
    expect(known()).toContain('seral_orphaned_timers_total');
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
