import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CUTS, interval, metricsOf, rankOf } from '../../training/ranking.ts';

test('a ranking is measured as the definitions say, over all places', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 20 }), (places) => {
      const measured = metricsOf(places.map((rank, i) => ({ user: `u${i}`, rank })));
      for (const cut of CUTS) {
        let [hits, gains, precisions] = [0, 0, 0];
        for (const place of places) {
          for (let at = 1; at <= cut; at++) {
            if (at !== place) continue;
            hits++;
            gains += Math.log(2) / Math.log(1 + at);
            precisions += 1 / at;
          }
        }
        expect(measured[`HR@${cut}`]!.mean).toBeCloseTo(hits / places.length, 10);
        expect(measured[`NDCG@${cut}`]!.mean).toBeCloseTo(gains / places.length, 10);
        expect(measured[`MAP@${cut}`]!.mean).toBeCloseTo(precisions / places.length, 10);
      }
    }),
  );
});

test('the rank of an item counts those that stand before it, and those beside it', () => {
  expect(rankOf([5, 7, 5, 1], 0)).toBe(3);
  expect(rankOf([9, 7], 0)).toBe(1);
});

test('an interval holds its mean, and is a point where all households are alike', () => {
  const values = Array.from({ length: 200 }, (_, i) => ({ user: `u${i % 20}`, value: (i % 20) / 20 }));
  const { low, mean, high } = interval(values);
  expect(low).toBeLessThan(mean);
  expect(high).toBeGreaterThan(mean);
  expect(interval(values.map(({ user }) => ({ user, value: 2 })))).toEqual({ mean: 2, low: 2, high: 2 });
});
