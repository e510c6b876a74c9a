import { describe, expect, test } from 'vitest';
import { Bootstrap } from '../../src/report/bootstrap.ts';
import { estimate, liftOf } from '../../src/report/lift.ts';
import { METRICS, type MetricName } from '../../src/report/measures.ts';
import type { Moments } from '../../src/report/moments.ts';
import { day, inArm, person, populationOf, randomOf } from './people.ts';

const metric = (name: MetricName) => METRICS.find((one) => one.name === name)!;
const arm = (moments: Moments) => ({ sums: moments.sums, moments });

function lifts(users: Parameters<typeof populationOf>[0], name: MetricName, bootstrap?: Bootstrap) {
  const { arms } = populationOf(users, bootstrap);
  return liftOf(arm(arms.get('b')!), arm(arms.get('a')!), metric(name), 0.95);
}

describe('by hand', () => {
  // purchases per user: a has 1, 2, 3 (mean 2, variance of the mean 1/3), b has 2, 4, 6 (mean 4, 4/3)
  const users = [1, 2, 3].flatMap((n) => [
    [day(`a${n}`, { arm: 'a', purchases: n })],
    [day(`b${n}`, { arm: 'b', purchases: 2 * n })],
  ]);

  test('a mean per user has the interval of Student', () => {
    const { arms } = populationOf(users);
    const { value, interval } = estimate(arms.get('a')!.sums, arms.get('a')!, metric('tv'), 0.95);
    expect(value).toBe(2);
    expect(interval!.high).toBeCloseTo(2 + 4.30265 * Math.sqrt(1 / 3), 4);
  });

  test("a difference has that of Welch's test", () => {
    const { difference, relative, p } = lifts(users, 'tv');
    // (5/3)² / ((1/3)²/2 + (4/3)²/2) = 2.941 degrees of freedom; t = 2 / sqrt(5/3) = 1.549
    expect(difference.value).toBe(2);
    expect(difference.interval!.low).toBeCloseTo(2 - 3.2196 * Math.sqrt(5 / 3), 2);
    expect(p).toBeCloseTo(0.2209, 3);
    // each mean is known to a relative variance of 1/12: log(2) ± t(4) sqrt(1/6)
    expect(relative.value).toBe(1);
    expect(relative.interval!.low).toBeCloseTo(2 * Math.exp(-2.77645 * Math.sqrt(1 / 6)) - 1, 4);
    expect(relative.interval!.high).toBeCloseTo(2 * Math.exp(2.77645 * Math.sqrt(1 / 6)) - 1, 4);
  });

  test('a rate is one of sums, and its spread is that of users, not of exposures', () => {
    // 1 of 2 and 9 of 18 exposures: every user at 50 %, so nothing is left to chance however many exposures there are
    const same = [
      [day('a1', { arm: 'a', exposures: 2, s_exposures: 1 })],
      [day('a2', { arm: 'a', exposures: 18, s_exposures: 9 })],
      [day('b1', { arm: 'b', exposures: 10, s_exposures: 10 })],
      [day('b2', { arm: 'b', exposures: 30, s_exposures: 10 })],
    ];
    const { arms } = populationOf(same);
    const a = estimate(arms.get('a')!.sums, arms.get('a')!, metric('s_pvr'), 0.95);
    expect(a).toEqual({ value: 0.5, interval: { low: 0.5, high: 0.5 } });
    // residuals of b about 20/40: 10 - 5 and 10 - 15, so 50 / 1 * 2 / 40²
    const b = estimate(arms.get('b')!.sums, arms.get('b')!, metric('s_pvr'), 0.95);
    expect(b.interval!.high - 0.5).toBeCloseTo(12.7062 * Math.sqrt(1 / 16), 4);
  });

  test('what cannot be told is null', () => {
    const empty = [[day('a1', { arm: 'a' })], [day('b1', { arm: 'b', exposures: 3 })], [day('b2', { arm: 'b' })]];
    expect(lifts(empty, 'ctr')).toMatchObject({ difference: { value: null }, relative: { value: null }, p: null });
    // one user says nothing of the spread
    expect(lifts(empty, 'tv')).toMatchObject({ difference: { value: 0, interval: null }, relative: { value: null } });
    const none = [...empty, [day('a2', { arm: 'a' })]];
    expect(lifts(none, 'tv')).toMatchObject({ difference: { interval: { low: 0, high: 0 } }, p: 1 });
  });
});

describe('an A/A test', () => {
  const random = randomOf(7);
  const people = Array.from({ length: 300 }, (_, i) => person(`u${i}`, random));

  test('has the truth, no lift, in 95 % of its intervals', () => {
    const splits = 600;
    const covered = new Map<MetricName, { difference: number; relative: number }>();
    for (let split = 0; split < splits; split++) {
      const { arms } = populationOf(people.map((rows) => inArm(rows, random() < 0.5 ? 'a' : 'b')));
      for (const { name } of METRICS) {
        if (name.startsWith('uv3')) continue; // too rare among these to have a distribution
        const lift = liftOf(arm(arms.get('b')!), arm(arms.get('a')!), metric(name), 0.95);
        const count = covered.get(name) ?? { difference: 0, relative: 0 };
        for (const of of ['difference', 'relative'] as const) {
          const { low, high } = lift[of].interval!;
          if (low <= 0 && high >= 0) count[of]++;
        }
        covered.set(name, count);
      }
    }
    for (const [name, count] of covered) {
      for (const of of ['difference', 'relative'] as const) {
        expect(count[of] / splits, `${name} ${of}`).toBeGreaterThan(0.925);
        expect(count[of] / splits, `${name} ${of}`).toBeLessThan(0.98);
      }
    }
  });
});

describe('a planted lift', () => {
  const random = randomOf(11);
  const people = Array.from({ length: 3000 }, (_, i) =>
    i % 2 === 0 ? inArm(person(`u${i}`, random), 'a') : inArm(person(`u${i}`, random, 0.3), 'b'),
  );

  test('is found where it is, and nowhere else', () => {
    const found = lifts(people, 's_click');
    expect(found.p).toBeLessThan(0.001);
    expect(found.relative.interval!.low).toBeGreaterThan(0.1);
    // clicks of nearly sure clickers cannot rise by 30 %
    expect(found.relative.interval!.low).toBeLessThan(0.3);
    expect(found.relative.interval!.high).toBeGreaterThan(0.2);
    expect(lifts(people, 's_pvr').p).toBeGreaterThan(0.01);
  });
});

describe('resampling', () => {
  const random = randomOf(5);
  const people = Array.from({ length: 1500 }, (_, i) =>
    inArm(person(`u${i}`, random, i % 2 === 0 ? 0.2 : 0), i % 2 === 0 ? 'b' : 'a'),
  );

  test("gives the delta method's intervals", () => {
    const bootstrap = new Bootstrap(2000, 3);
    const { arms } = populationOf(people, bootstrap);
    for (const { name } of METRICS) {
      if (name.startsWith('uv3')) continue;
      const lift = liftOf(arm(arms.get('b')!), arm(arms.get('a')!), metric(name), 0.95);
      const again = bootstrap.lift('b', 'a', name, 0.95);
      for (const of of ['difference', 'relative'] as const) {
        const [one, two] = [lift[of].interval!, again[of]!];
        const width = one.high - one.low;
        expect(Math.abs(one.low - two.low) / width, `${name} ${of}`).toBeLessThan(0.06);
        expect(Math.abs(one.high - two.high) / width, `${name} ${of}`).toBeLessThan(0.06);
      }
    }
  });

  test('is the same for the same seed, and another for another', () => {
    const by = (seed: number) => {
      const bootstrap = new Bootstrap(50, seed);
      populationOf(people.slice(0, 50), bootstrap);
      return bootstrap.lift('b', 'a', 'ctr', 0.9);
    };
    expect(by(1)).toEqual(by(1));
    expect(by(1)).not.toEqual(by(2));
  });

  test('sees that arms of the same users differ by nothing', () => {
    const both = people.slice(0, 100).map((rows) => [...inArm(rows, 'a'), ...inArm(rows, 'b')]);
    const bootstrap = new Bootstrap(100, 1);
    populationOf(both, bootstrap);
    expect(bootstrap.lift('b', 'a', 'ctr', 0.95).difference).toEqual({ low: 0, high: 0 });
  });
});
