/** The metrics that the code makes, by name: what the documentation and the alerts are held to. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { ModelMetrics } from '../../src/inference/model-metrics.ts';
import { ServeMetrics } from '../../src/nearline/serve/metrics.ts';
import { RetrievalMetrics } from '../../src/nearline/worker/metrics.ts';
import { droppedCounter } from '../../src/profile/worker/profile-worker.ts';
import { SerengptMetrics } from '../../src/serengpt/worker/serengpt-metrics.ts';
import { Metrics } from '../../src/stream/metrics.ts';
import { RequestMetrics } from '../../src/stream/request-metrics.ts';

const root = join(import.meta.dirname, '../..');

/** What the runtime and the workers register, and what topologies (and the engine for them) count by name; sorted. */
export function knownMetrics(): string[] {
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
