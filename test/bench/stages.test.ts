import { expect, it } from 'vitest';
import { meter, stageLines, STAGES_HEAD } from '../../bench/stages.ts';

it('has a line for each unit, by the clock and by the processor', () => {
  const result = { seconds: 2, cpuSeconds: 4, residentBytes: 3e8, count: 50, digest: 'd' };
  const lines = stageLines('a worker', { ...result, work: { generations: 50, samples: 12_000 } });
  expect(lines).toEqual([
    ['a worker', 'generations', '50', '25.0', '12.5', '4.0', '300 MB', '50 d'],
    ['', 'samples', '12,000', '6,000', '3,000', '4.0', '300 MB', '50 d'],
  ]);
  expect(lines.every(({ length }) => length === STAGES_HEAD.length + 1)).toBe(true);
});

it('measures from when it was begun', () => {
  const first = meter();
  const second = meter();
  const later = second();
  const earlier = first();
  expect(earlier.seconds).toBeGreaterThanOrEqual(later.seconds);
  expect(earlier.cpuSeconds).toBeGreaterThanOrEqual(later.cpuSeconds);
});
