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

/** Texts as vectors of length 1, and the catalog's titles among them. */
export class Titles {
  readonly #embedder: Embedder;
  readonly #vectors = new Map<string, Float32Array>();
  readonly #nearest = new Map<string, string[]>();
  /** items by title */
  readonly counts: ReadonlyMap<string, number>;
  readonly #all: readonly string[];
  /** of all titles, one after the other */
  #matrix: Float32Array | null = null;

  constructor(embedder: Embedder, titles: readonly string[]) {
    this.#embedder = embedder;
    const counts = new Map<string, number>();
    for (const title of titles) counts.set(title, (counts.get(title) ?? 0) + 1);
    this.counts = counts;
    this.#all = [...counts.keys()];
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

  /** To each distinct title of the catalog; their vectors and the text's were made before. */
  cosines(text: string): Float32Array {
    const vector = this.vector(text);
    const width = vector.length;
    if (this.#matrix === null) {
      this.#matrix = new Float32Array(this.#all.length * width);
      this.#all.forEach((title, i) => this.#matrix!.set(this.vector(title), i * width));
    }
    const matrix = this.#matrix;
    const cosines = new Float32Array(this.#all.length);
    for (let row = 0, at = 0; row < cosines.length; row++) {
      let total = 0;
      for (let i = 0; i < width; i++) total += matrix[at++]! * vector[i]!;
      cosines[row] = total;
    }
    return cosines;
  }

  /** The catalog's titles that are nearest, best first. */
  nearest(text: string, count: number): readonly string[] {
    let found = this.#nearest.get(text);
    if (found === undefined) {
      const near = this.cosines(text);
      const least = Float32Array.from(near).sort()[Math.max(0, near.length - count)]!;
      found = [...near.keys()]
        .filter((i) => near[i]! >= least)
        .sort((a, b) => near[b]! - near[a]! || a - b)
        .slice(0, count)
        .map((i) => this.#all[i]!);
      this.#nearest.set(text, found);
    }
    return found;
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
