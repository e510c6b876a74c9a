import { describe, expect, it } from 'vitest';
import { cosine } from '../../../src/inference/embedder.ts';
import { VectorIndex } from '../../../src/nearline/retrieval/vector-index.ts';
import { sequence } from '../given.ts';

const DIMENSIONS = 32;
const random = sequence(7);
/** Of some fifty directions, so that there is something near. */
const centres = Array.from({ length: 50 }, () => Array.from({ length: DIMENSIONS }, () => random() - 0.5));
function vector(): Int8Array {
  const centre = centres[Math.floor(random() * centres.length)]!;
  return Int8Array.from(centre, (part) => Math.round((part + (random() - 0.5) * 0.6) * 120));
}

function recall(index: VectorIndex, all: ReadonlyMap<string, Int8Array>, k: number, queries: number): number {
  let [found, wanted] = [0, 0];
  for (let i = 0; i < queries; i++) {
    const query = vector();
    const nearest = [...all]
      .map(([id, other]) => ({ id, score: cosine(query, other) }))
      .sort((a, b) => b.score - a.score)
      .slice(0, k);
    const [hits] = index.search([query], k);
    const ids = new Set(hits!.map(({ id }) => id));
    wanted += nearest.length;
    found += nearest.filter(({ id }) => ids.has(id)).length;
  }
  return found / wanted;
}

describe('the vector index', () => {
  it('finds nearly all that brute force finds, also after half of it has come and gone', () => {
    const index = new VectorIndex(DIMENSIONS);
    const all = new Map(Array.from({ length: 3000 }, (_, i) => [`i${i}`, vector()]));
    index.put([...all].map(([id, vector]) => ({ id, vector })));
    expect(recall(index, all, 20, 40)).toBeGreaterThan(0.95);
    for (let i = 0; i < 3000; i += 2) {
      all.delete(`i${i}`);
      index.remove(`i${i}`);
    }
    for (let i = 3000; i < 4000; i++) {
      all.set(`i${i}`, vector());
      index.put([{ id: `i${i}`, vector: all.get(`i${i}`)! }]);
    }
    expect(index.size).toBe(all.size);
    expect(recall(index, all, 20, 40)).toBeGreaterThan(0.95);
  });

  it('is made anew when more was removed than is there, and finds as before', () => {
    const index = new VectorIndex(DIMENSIONS, { fewRemoved: 100 });
    const all = new Map<string, Int8Array>();
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 300; i++) all.set(`i${i}`, vector());
      index.put([...all].map(([id, vector]) => ({ id, vector })));
    }
    expect(index.size).toBe(300);
    expect(recall(index, all, 10, 40)).toBeGreaterThan(0.95);
  });

  it('scores by the cosine, best first, and takes what points elsewhere for not found', () => {
    const index = new VectorIndex(2);
    index.put([
      { id: 'same', vector: Int8Array.of(3, 4) },
      { id: 'near', vector: Int8Array.of(4, 3) },
      { id: 'opposite', vector: Int8Array.of(-3, -4) },
    ]);
    const [found] = index.search([Int8Array.of(6, 8)], 5);
    expect(found).toEqual([
      { id: 'same', score: 1 },
      { id: 'near', score: 0.96 },
    ]);
  });

  it('keeps the last vector of an id, and none of what was removed', () => {
    const index = new VectorIndex(2);
    index.put([
      { id: 'a', vector: Int8Array.of(1, 0) },
      { id: 'a', vector: Int8Array.of(0, 1) },
    ]);
    index.put([{ id: 'b', vector: Int8Array.of(1, 1) }]);
    expect(index.size).toBe(2);
    expect(index.search([Int8Array.of(0, 5)], 5)[0]![0]).toEqual({ id: 'a', score: 1 });
    index.remove('a');
    index.remove('nobody');
    expect(index.search([Int8Array.of(0, 5)], 5)[0]!.map(({ id }) => id)).toEqual(['b']);
    index.remove('b');
    expect(index.search([Int8Array.of(0, 5)], 5)).toEqual([[]]);
  });
});
