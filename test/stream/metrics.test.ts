import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { Metrics } from '../../src/stream/metrics.ts';

test('a level shows with the commit, as it was said last, and goes with its partition', async () => {
  const registry = new Registry();
  const metrics = new Metrics(registry);
  const [one, other] = [metrics.task('t', 0), metrics.task('t', 1)];
  const shown = async () => (await registry.metrics()).split('\n').filter((line) => line.startsWith('seral_line{'));
  one.level('line', 3);
  one.level('line', 5);
  other.level('line', 7);
  expect(await shown()).toEqual([]);
  one.publishCounts();
  other.dropCounts();
  other.publishCounts();
  expect(await shown()).toEqual(['seral_line{topology="t",partition="0"} 5']);
  other.level('line', 1);
  other.publishCounts();
  one.gone();
  expect(await shown()).toEqual(['seral_line{topology="t",partition="1"} 1']);
});
