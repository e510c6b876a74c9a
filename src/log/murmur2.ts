/**
 * Java's murmur2 and the partition that Kafka's own producer picks with it, so that any Kafka client's records of a key
 * and ours meet in one partition (test/log/murmur2.test.ts holds Kafka's vectors; the broker suite asks Java itself).
 */

const M = 0x5bd1e995;
const SEED = 0x9747b28c;

/** The 32-bit signed hash, as `org.apache.kafka.common.utils.Utils.murmur2` gives it. */
export function murmur2(data: Uint8Array): number {
  const length = data.length;
  const whole = length & ~3;
  let h = SEED ^ length;
  for (let i = 0; i < whole; i += 4) {
    let k = data[i]! | (data[i + 1]! << 8) | (data[i + 2]! << 16) | (data[i + 3]! << 24);
    k = Math.imul(k, M);
    k ^= k >>> 24;
    h = Math.imul(h, M) ^ Math.imul(k, M);
  }
  // the last one to three bytes
  const left = length - whole;
  if (left === 3) h ^= data[whole + 2]! << 16;
  if (left >= 2) h ^= data[whole + 1]! << 8;
  if (left >= 1) h = Math.imul(h ^ data[whole]!, M);
  h ^= h >>> 13;
  h = Math.imul(h, M);
  return h ^ (h >>> 15);
}

/** The partition of a key among `partitions`; a null key goes to partition 0 (the port's rule, not Kafka's). */
export function partitionOf(key: Uint8Array | null, partitions: number): number {
  return key === null ? 0 : (murmur2(key) & 0x7fffffff) % partitions;
}
