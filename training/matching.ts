/**
 * How well generated titles match an item: the density of the samples at its title, over that of the catalog's items there.
 * A title that many items share is near to many samples, and each of its items is the less likely to be the one.
 */
import type { Embedder } from '../src/inference/embedder.ts';
import { sum } from './ranking.ts';

export interface MatchingOptions {
  /** how fast likeness falls with the angle: exp(sharpness · (cosine - 1)) */
  sharpness: number;
  /** items that are thought to lie at every title beside those that do: keeps a rare title from ranking by its rarity */
  floor: number;
}

/** Vectors of length 1. */
export class Titles {
  readonly #embedder: Embedder;
  readonly #vectors = new Map<string, Float32Array>();
  /** items by title */
  readonly counts: ReadonlyMap<string, number>;
  readonly #cosines = new Map<string, Float32Array>();

  constructor(embedder: Embedder, titles: readonly string[]) {
    this.#embedder = embedder;
    const counts = new Map<string, number>();
    for (const title of titles) counts.set(title, (counts.get(title) ?? 0) + 1);
    this.counts = counts;
  }

  async vectors(texts: readonly string[]): Promise<Float32Array[]> {
    const missing = [...new Set(texts)].filter((text) => !this.#vectors.has(text));
    const made = await this.#embedder.embed(missing);
    missing.forEach((text, i) => this.#vectors.set(text, unit(made[i]!)));
    return texts.map((text) => this.#vectors.get(text)!);
  }

  vector(text: string): Float32Array {
    return this.#vectors.get(text)!;
  }

  /** To each distinct title of the catalog, whose vectors are made already. */
  cosines(text: string): Float32Array {
    let all = this.#cosines.get(text);
    if (all === undefined) {
      const vector = this.vector(text);
      all = Float32Array.from(this.counts.keys(), (title) => dot(vector, this.vector(title)));
      this.#cosines.set(text, all);
    }
    return all;
  }

  /** The catalog's titles that are nearest, best first. */
  nearest(text: string, count: number): string[] {
    const titles = [...this.counts.keys()];
    const near = this.cosines(text);
    return [...near.keys()]
      .sort((a, b) => near[b]! - near[a]! || a - b)
      .slice(0, count)
      .map((i) => titles[i]!);
  }
}

export class Matching {
  readonly #titles: Titles;
  readonly #options: MatchingOptions;
  readonly #items: number;
  readonly #crowds = new Map<string, number>();

  constructor(titles: Titles, options: MatchingOptions) {
    this.#titles = titles;
    this.#options = options;
    this.#items = sum([...titles.counts.values()]);
  }

  /** Above 0; 1 where the samples lie as the catalog does. */
  score(title: string, samples: readonly Float32Array[]): number {
    const vector = this.#titles.vector(title);
    const { floor } = this.#options;
    const density =
      samples.length === 0 ? 0 : sum(samples.map((one) => this.#likeness(dot(vector, one)))) / samples.length;
    return (density * this.#items + floor) / (this.#crowd(title) + floor);
  }

  /** Items at a title, those nearby in part. */
  #crowd(title: string): number {
    let crowd = this.#crowds.get(title);
    if (crowd === undefined) {
      crowd = 0;
      const near = this.#titles.cosines(title);
      let i = 0;
      for (const count of this.#titles.counts.values()) crowd += count * this.#likeness(near[i++]!);
      this.#crowds.set(title, crowd);
    }
    return crowd;
  }

  #likeness(cosine: number): number {
    return Math.exp(this.#options.sharpness * (cosine - 1));
  }
}

function dot(a: Float32Array, b: Float32Array): number {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i]! * b[i]!;
  return total;
}

function unit(vector: Int8Array): Float32Array {
  const length = Math.sqrt(sum([...vector].map((part) => part * part))) || 1;
  return Float32Array.from(vector, (part) => part / length);
}
