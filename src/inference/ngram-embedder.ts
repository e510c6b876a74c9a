import { quantize, type Embedder } from './embedder.ts';
import { wordsOf } from './words.ts';

const DIMENSIONS = 256;
const SHORTEST = 3;
const LONGEST = 5;

/**
 * The embedded embedder: words and the character n-grams in them, each hashed to a dimension and a sign. It has no weights:
 * it knows of spelling alone, so "frozn veg" is near "frozen vegetables" and "sofa" is not near "couch". It is a pure
 * function and fast, so it may also run where topologies do.
 */
export class NgramEmbedder implements Embedder {
  readonly name = 'ngram-256-1';
  readonly dimensions = DIMENSIONS;

  embed(texts: readonly string[]): Promise<Int8Array[]> {
    return Promise.resolve(texts.map((text) => this.embedNow(text)));
  }

  embedNow(text: string): Int8Array {
    const vector = new Float64Array(DIMENSIONS);
    for (const word of wordsOf(text)) {
      add(vector, word, 1);
      const marked = `<${word}>`;
      const count = gramsIn(marked.length);
      if (count === 0) continue;
      // all of a word's n-grams together weigh as much as the word, so that long words do not drown short ones
      const weight = 1 / Math.sqrt(count);
      for (let n = SHORTEST; n <= Math.min(LONGEST, marked.length - 1); n++) {
        for (let i = 0; i + n <= marked.length; i++) add(vector, marked.slice(i, i + n), weight);
      }
    }
    return quantize(vector);
  }
}

function gramsIn(length: number): number {
  let count = 0;
  for (let n = SHORTEST; n <= Math.min(LONGEST, length - 1); n++) count += length - n + 1;
  return count;
}

function add(vector: Float64Array, feature: string, weight: number): void {
  let hash = 0x811c9dc5;
  for (let i = 0; i < feature.length; i++) hash = Math.imul(hash ^ feature.charCodeAt(i), 0x01000193);
  // FNV leaves its low bits poor: mix before cutting
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  hash ^= hash >>> 13;
  vector[(hash >>> 1) % DIMENSIONS]! += (hash & 1) === 0 ? weight : -weight;
}
