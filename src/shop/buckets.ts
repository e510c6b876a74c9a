/** Users in buckets (paper, 5.1.4), so that those who come due together are asked about one bucket after the other. */
import { hashId } from './behaviour.ts';

/** 0 <= bucket < buckets. The hash is salted: a bucket's users are spread over all partitions. */
export function bucketOf(user: string, buckets: number): number {
  let hash = hashId(`bucket ${user}`);
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  return ((hash ^ (hash >>> 16)) >>> 0) % buckets;
}

/** The first time at or after `time` (ms) at which the bucket has its turn: every `spread` ms, each bucket once. */
export function turnOf(bucket: number, time: number, spread: number, buckets: number): number {
  const offset = Math.floor((bucket * spread) / buckets);
  const turn = Math.floor(time / spread) * spread + offset;
  return turn >= time ? turn : turn + spread;
}
