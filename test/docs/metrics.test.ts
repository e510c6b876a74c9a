import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { Metrics } from '../../src/stream/metrics.ts';

const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/metrics.md'), 'utf8');
const documented = [...page.matchAll(/^\| `(seral_\w+)` \|/gm)].map(([, name]) => name!).sort();

/** What the runtime registers, and what topologies (and the engine for them) count by name. */
function known(): string[] {
  const registry = new Registry();
  new Metrics(registry);
  const names = new Set(registry.getMetricsAsArray().map(({ name }) => name));
  for (const file of globSync(['src/**/*.ts', 'topologies/*.ts'], { cwd: root })) {
    const source = readFileSync(join(root, file), 'utf8');
    // the first argument, which may choose between names
    for (const [, argument] of source.matchAll(/(?:[cC]ontext|host)\.count\(([^,)]*)/g)) {
      for (const [, name] of argument!.matchAll(/'(\w+)'/g)) names.add(`seral_${name}_total`);
    }
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

  test('says of each what it means', () => {
    for (const [line] of page.matchAll(/^\| `seral_.*$/gm)) expect(line.split('|')[3]!.trim(), line).not.toBe('');
  });
});
