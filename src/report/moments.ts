import { MEASURES, nothing, type Measure, type Sums } from './measures.ts';

const D = MEASURES.length;
const at = new Map<Measure, number>(MEASURES.map((measure, i) => [measure, i]));

/**
 * Sums over users and sums of products, which is all that the variance of a ratio needs: no user is kept. Counts are
 * whole numbers, so the sums are exact to 2^53 and nothing is lost by subtracting them at the end.
 */
export class Moments {
  readonly sums: Sums = nothing();
  readonly #products = new Float64Array(D * D);

  /** Users added. */
  n = 0;

  add(user: Sums): void {
    this.n++;
    for (let i = 0; i < D; i++) {
      const value = user[MEASURES[i]!];
      if (value === 0) continue;
      this.sums[MEASURES[i]!] += value;
      for (let j = 0; j <= i; j++) this.#products[i * D + j]! += value * user[MEASURES[j]!];
    }
  }

  /** Σ a b over users */
  product(a: Measure, b: Measure): number {
    const [i, j] = [at.get(a)!, at.get(b)!];
    return this.#products[Math.max(i, j) * D + Math.min(i, j)]!;
  }
}
