/**
 * What a metric is and how it differs between two arms, with intervals. The user is what was randomised, so the user is
 * the unit: a metric is a ratio of sums over users, and its variance comes from the users' residuals (the delta method),
 * not from counting exposures as if each were a draw of its own.
 */
import { tQuantile, tTwoSided } from './distributions.ts';
import { ratio, type MetricSpec, type Sums } from './measures.ts';
import type { Moments } from './moments.ts';

export interface Interval {
  low: number;
  high: number;
}

export interface Estimate {
  /** null where there is nothing to divide by */
  value: number | null;
  interval: Interval | null;
}

export interface Lift {
  /** difference: of a rate 0.01 is one percentage point, of a count it is per user */
  difference: Estimate;
  /** relative: 0.01 is one percent more than the baseline */
  relative: Estimate;
  /** of no difference, two-sided; null where it cannot be told */
  p: number | null;
}

interface Spread {
  value: number;
  /** of `value`, by the delta method */
  variance: number;
  degreesOfFreedom: number;
}

/** Σ(x - R y)² / (n - 1), over n times the mean of y squared. Null without two users, or with nothing to divide by. */
function spreadOf(moments: Moments, { over, of }: MetricSpec): Spread | null {
  const { n, sums } = moments;
  if (n < 2 || sums[of] === 0) return null;
  const value = sums[over] / sums[of];
  const residuals =
    moments.product(over, over) - 2 * value * moments.product(over, of) + value ** 2 * moments.product(of, of);
  const variance = ((Math.max(residuals, 0) / (n - 1)) * n) / sums[of] ** 2;
  return { value, variance, degreesOfFreedom: n - 1 };
}

export function estimate(sums: Sums, moments: Moments | null, metric: MetricSpec, confidence: number): Estimate {
  const spread = moments === null ? null : spreadOf(moments, metric);
  return {
    value: ratio(sums, metric),
    interval: spread === null ? null : around(spread.value, spread.variance, spread.degreesOfFreedom, confidence),
  };
}

const around = (value: number, variance: number, degreesOfFreedom: number, confidence: number): Interval => {
  const reach = variance === 0 ? 0 : tQuantile(confidence, degreesOfFreedom) * Math.sqrt(variance);
  return { low: value - reach, high: value + reach };
};

/** `moments` of both arms, or null where only sums are known: then there is no interval. */
export function liftOf(
  arm: { sums: Sums; moments: Moments | null },
  baseline: { sums: Sums; moments: Moments | null },
  metric: MetricSpec,
  confidence: number,
): Lift {
  const [value, base] = [ratio(arm.sums, metric), ratio(baseline.sums, metric)];
  const lift: Lift = {
    difference: { value: value === null || base === null ? null : value - base, interval: null },
    relative: { value: value === null || base === null || base === 0 ? null : value / base - 1, interval: null },
    p: null,
  };
  if (arm.moments === null || baseline.moments === null) return lift;
  const [a, b] = [spreadOf(arm.moments, metric), spreadOf(baseline.moments, metric)];
  if (a === null || b === null) return lift;

  const variance = a.variance + b.variance;
  const freedom = welch([a.variance, b.variance], [a.degreesOfFreedom, b.degreesOfFreedom]);
  const difference = a.value - b.value;
  lift.difference.interval = around(difference, variance, freedom, confidence);
  if (variance > 0) lift.p = tTwoSided(difference / Math.sqrt(variance), freedom);
  else if (difference === 0) lift.p = 1;

  if (a.value > 0 && b.value > 0) {
    // by its logarithm: a lift cannot be below -100 %, and one of hundreds of percent is lopsided
    const parts = [a.variance / a.value ** 2, b.variance / b.value ** 2];
    const logs = around(
      Math.log(a.value / b.value),
      parts[0]! + parts[1]!,
      welch(parts, [a.degreesOfFreedom, b.degreesOfFreedom]),
      confidence,
    );
    lift.relative.interval = { low: Math.expm1(logs.low), high: Math.expm1(logs.high) };
  }
  return lift;
}

/** Welch and Satterthwaite's degrees of freedom of a sum of variances. */
function welch(variances: readonly number[], degreesOfFreedom: readonly number[]): number {
  const sum = variances.reduce((a, b) => a + b, 0);
  if (sum === 0) return Math.min(...degreesOfFreedom);
  return sum ** 2 / variances.reduce((all, variance, i) => all + variance ** 2 / degreesOfFreedom[i]!, 0);
}
