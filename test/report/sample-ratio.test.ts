import { expect, test } from 'vitest';
import { sampleRatio } from '../../src/report/sample-ratio.ts';

const shares = (of: Record<string, number>) => new Map<string | null, number>(Object.entries(of));

test('a split is held against the shares that it should have', () => {
  // (520 - 500)² / 500 twice
  const fair = sampleRatio(shares({ a: 520, b: 480 }), shares({ a: 1, b: 1 }))!;
  expect(fair.chiSquare).toBeCloseTo(1.6);
  expect(fair.p).toBeCloseTo(0.2059, 4);
  expect(sampleRatio(shares({ a: 5200, b: 4800 }), shares({ a: 1, b: 1 }))!.p).toBeLessThan(0.001);
  expect(sampleRatio(shares({ a: 1040, b: 8960 }), shares({ a: 10, b: 90 }))!.p).toBeGreaterThan(0.1);
});

test('an arm that nobody came to is missed', () => {
  const ratio = sampleRatio(shares({ a: 50, b: 50 }), shares({ a: 1, b: 1, c: 1 }))!;
  expect(ratio.arms.at(-1)).toEqual({ arm: 'c', users: 0, expected: 100 / 3 });
  expect(ratio.p).toBeLessThan(0.001);
});

test('one arm, or nobody, has no ratio', () => {
  expect(sampleRatio(shares({ a: 5 }), shares({ a: 1 }))).toBeNull();
  expect(sampleRatio(shares({}), shares({ a: 1, b: 1 }))).toBeNull();
});
