import fc from 'fast-check';
import { expect, test } from 'vitest';
import { partitionOf } from '../../src/log/murmur2.ts';
import { bucketOf, turnOf } from '../../src/shop/buckets.ts';

const DAY = 86_400_000;

test('users are spread evenly over the buckets, and each bucket over the partitions', () => {
  const perBucket = new Array<number>(100).fill(0);
  const perPartition = new Array<number>(12).fill(0);
  for (let i = 0; i < 100_000; i++) {
    const user = `user-${i}`;
    const bucket = bucketOf(user, 100);
    perBucket[bucket]!++;
    if (bucket === 7) perPartition[partitionOf(Buffer.from(user), 12)]!++;
  }
  // of 1,000 each; five standard deviations
  for (const count of perBucket) expect(Math.abs(count - 1000)).toBeLessThan(160);
  const mean = perBucket[7]! / 12;
  for (const count of perPartition) expect(Math.abs(count - mean)).toBeLessThan(5 * Math.sqrt(mean));
});

test("a bucket's turn is the next time of day that is its own", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 99 }), fc.integer({ min: 0, max: 4e12 }), (bucket, time) => {
      const turn = turnOf(bucket, time, DAY, 100);
      expect(turn).toBeGreaterThanOrEqual(time);
      expect(turn - time).toBeLessThan(DAY);
      expect(turn % DAY).toBe(Math.floor((bucket * DAY) / 100));
    }),
  );
});
