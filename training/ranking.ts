/** Measures of a ranking with one right item, and how sure they are. */
import { randomOf } from '../src/inference/onnx/pick.ts';

export const CUTS = [1, 3, 5, 10] as const;

export interface Interval {
  mean: number;
  low: number;
  high: number;
}

export const sum = (values: readonly number[]): number => values.reduce((all, one) => all + one, 0);

/** 1-based; an item of equal score stands before it. */
export const rankOf = (scores: readonly number[], right: number): number =>
  1 + scores.filter((score, i) => i !== right && score >= scores[right]!).length;

/** HR, NDCG and MAP at each cut. With one right item MAP is its reciprocal rank, and the best possible DCG is 1. */
export function metricsOf(ranks: readonly { user: string; rank: number }[]): Record<string, Interval> {
  const out: Record<string, Interval> = {};
  const measures: Record<string, (rank: number) => number> = {
    HR: () => 1,
    NDCG: (rank) => 1 / Math.log2(rank + 1),
    MAP: (rank) => 1 / rank,
  };
  for (const [name, gain] of Object.entries(measures)) {
    for (const cut of CUTS) {
      out[`${name}@${cut}`] = interval(ranks.map(({ user, rank }) => ({ user, value: rank <= cut ? gain(rank) : 0 })));
    }
  }
  return out;
}

const RESAMPLES = 1000;

/**
 * The mean and its 95 % interval, by drawing households again, with replacement: clicks of one household are no
 * independent observations.
 */
export function interval(values: readonly { user: string; value: number }[]): Interval {
  const users = [...Map.groupBy(values, ({ user }) => user).values()].map((own) => ({
    total: sum(own.map(({ value }) => value)),
    count: own.length,
  }));
  const random = randomOf(users.length, 1);
  const means = Array.from({ length: RESAMPLES }, () => {
    let total = 0;
    let count = 0;
    for (let i = 0; i < users.length; i++) {
      const drawn = users[Math.floor(random() * users.length)]!;
      total += drawn.total;
      count += drawn.count;
    }
    return total / count;
  }).sort((a, b) => a - b);
  return {
    mean: sum(values.map(({ value }) => value)) / values.length,
    low: means[Math.floor(RESAMPLES * 0.025)]!,
    high: means[Math.floor(RESAMPLES * 0.975)]!,
  };
}
