import { expect, it } from 'vitest';
import { median, medians, percentile, slope } from '../../bench/stats.ts';
import { verdicts, type Sample } from '../../bench/soak-samples.ts';

it('takes medians figure by figure and leaves words alone', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(
    medians([
      { seconds: 1, digest: 'a' },
      { seconds: 9, digest: 'a' },
      { seconds: 2, digest: 'a' },
    ]),
  ).toEqual({ seconds: 2, digest: 'a' });
});

it('gives a percentile that was measured', () => {
  const values = Array.from({ length: 100 }, (_, i) => 100 - i);
  expect([0.5, 0.99, 1].map((share) => percentile(values, share))).toEqual([50, 99, 100]);
  expect(percentile([], 0.5)).toBeNaN();
});

const samples = (stateAt: (n: number) => number): Sample[] =>
  Array.from({ length: 60 }, (_, n) => ({
    seconds: n * 10,
    sent: 1,
    processed: 1,
    lag: 0,
    resident: n % 7 === 0 ? [null, 5e8] : [5e8, 5e8],
    state: stateAt(n),
    source: 0,
    changelog: 1e6,
    labels: n * 1e6,
    happened: '',
  }));
const verdictOn = (name: string, taken: Sample[]) => verdicts(taken).find(([what]) => what === name)!;

it('fits a line', () => {
  expect(
    slope([
      [0, 1],
      [1, 3],
      [2, 5],
    ]),
  ).toBe(2);
});

it('calls growth growth, in the second half alone, and says when it cannot tell', () => {
  expect(
    verdictOn(
      'state on disk',
      samples((n) => 1e8 + n * 2e6),
    ).at(-1),
  ).toBe('GROWS');
  expect(
    verdictOn(
      'state on disk',
      samples((n) => 1e8 + Math.min(n, 25) * 4e6),
    ).at(-1),
  ).toBe('flat');
  expect(
    verdictOn(
      'memory of all workers',
      samples(() => 0),
    ),
  ).toEqual(['memory of all workers', '1000 MB', '0 MB', 'flat']);
  expect(verdictOn('state on disk', samples(() => 1e8).slice(0, 10)).at(-1)).toMatch(/too short to tell/);
});
