/**
 * The delta method's intervals a second time, by resampling users. Each user gets a weight of Poisson(1) in each resample
 * (the Poisson bootstrap), so that one pass over users that are not kept is enough; a user of two arms has one weight in
 * both, as the one person that it is.
 */
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import type { Interval } from './lift.ts';
import { MEASURES, METRICS, type MetricName, type Sums } from './measures.ts';

const D = MEASURES.length;
/** P(Poisson(1) <= k): beyond the last one weights are 8, which happens once in a million. */
const CUMULATIVE = [0, 1, 2, 3, 4, 5, 6, 7].map((k) => {
  let [term, sum] = [Math.exp(-1), 0];
  for (let i = 0; i <= k; i++) {
    sum += term;
    term /= i + 1;
  }
  return sum;
});

export interface Resampled {
  difference: Interval | null;
  relative: Interval | null;
}

export class Bootstrap {
  readonly resamples: number;
  readonly #random: () => number;
  readonly #arms = new Map<string | null, Float64Array>();

  /** Equal seeds and users in equal order give equal intervals. */
  constructor(resamples: number, seed: number) {
    this.resamples = resamples;
    const generator = xoroshiro128plus(seed);
    this.#random = () => (generator.next() >>> 0) / 2 ** 32;
  }

  /** One user, with what it adds to each of its arms. */
  add(arms: ReadonlyMap<string | null, Sums>): void {
    const rows = [...arms].map(([arm, sums]) => ({
      totals: this.#totals(arm),
      values: MEASURES.map((measure) => sums[measure]),
    }));
    for (let b = 0; b < this.resamples; b++) {
      const weight = this.#weight();
      if (weight === 0) continue;
      for (const { totals, values } of rows) {
        for (let i = 0; i < D; i++) totals[b * D + i]! += weight * values[i]!;
      }
    }
  }

  /** By percentiles of the resamples; null where a resample had nothing to divide by. */
  lift(arm: string | null, baseline: string | null, metric: MetricName, confidence: number): Resampled {
    const [over, of] = this.#columns(metric);
    const [a, b] = [this.#totals(arm), this.#totals(baseline)];
    const differences: number[] = [];
    const relatives: number[] = [];
    for (let at = 0; at < this.resamples * D; at += D) {
      const [value, base] = [a[at + over]! / a[at + of]!, b[at + over]! / b[at + of]!];
      differences.push(value - base);
      relatives.push(value / base - 1);
    }
    return { difference: percentiles(differences, confidence), relative: percentiles(relatives, confidence) };
  }

  #totals(arm: string | null): Float64Array {
    let totals = this.#arms.get(arm);
    if (totals === undefined) this.#arms.set(arm, (totals = new Float64Array(this.resamples * D)));
    return totals;
  }

  #columns(name: MetricName): [number, number] {
    const { over, of } = METRICS.find((metric) => metric.name === name)!;
    return [MEASURES.indexOf(over), MEASURES.indexOf(of)];
  }

  #weight(): number {
    const random = this.#random();
    let weight = 0;
    while (weight < CUMULATIVE.length && random >= CUMULATIVE[weight]!) weight++;
    return weight;
  }
}

function percentiles(values: number[], confidence: number): Interval | null {
  if (values.length === 0 || !values.every(Number.isFinite)) return null;
  const sorted = Float64Array.from(values).sort();
  const rank = (p: number) =>
    sorted[Math.min(Math.max(Math.round(p * (sorted.length + 1)) - 1, 0), sorted.length - 1)]!;
  return { low: rank((1 - confidence) / 2), high: rank((1 + confidence) / 2) };
}
