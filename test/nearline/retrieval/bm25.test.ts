import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bm25Index } from '../../../src/nearline/retrieval/bm25.ts';

type Documents = Map<string, string[]>;

/** BM25 as it stands in books, over all documents. */
function byBruteForce(documents: Documents, query: readonly string[]): { id: string; score: number }[] {
  const all = [...documents].filter(([, words]) => words.length > 0);
  const mean = all.reduce((sum, [, words]) => sum + words.length, 0) / all.length;
  const terms = [...new Set(query)];
  const idf = new Map(
    terms.map((term) => {
      const having = all.filter(([, words]) => words.includes(term)).length;
      return [term, Math.log(1 + (all.length - having + 0.5) / (having + 0.5))];
    }),
  );
  const most = [...idf.values()].reduce((sum, one) => sum + one, 0);
  return all
    .map(([id, words]) => {
      let sum = 0;
      for (const term of terms) {
        const times = words.filter((word) => word === term).length;
        sum += (idf.get(term)! * times * 2.2) / (times + 1.2 * (0.25 + (0.75 * words.length) / mean));
      }
      return { id, score: Math.min(sum / most, 1) };
    })
    .filter(({ score }) => score > 0);
}

const word = fc.constantFrom('tea', 'pot', 'cup', 'green', 'red', 'iron', 'set', 'tin');
const id = fc.constantFrom(...'abcdefghij');
const change = fc.oneof(
  { weight: 3, arbitrary: fc.record({ id, words: fc.array(word, { maxLength: 6 }) }) },
  { weight: 1, arbitrary: fc.record({ id, words: fc.constant(null) }) },
);

describe('the keyword index', () => {
  it('finds what brute force finds, after any adding, changing and removing', () => {
    fc.assert(
      fc.property(
        fc.array(change, { maxLength: 60 }),
        fc.array(fc.oneof(word, fc.constant('unknown')), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 0, max: 3 }),
        (changes, query, k, fewRemoved) => {
          const index = new Bm25Index({ fewRemoved });
          const documents: Documents = new Map();
          for (const { id, words } of changes) {
            if (words === null) index.remove(id);
            else index.put(id, words);
            if (words === null) documents.delete(id);
            else documents.set(id, words);
          }
          expect(index.size).toBe([...documents.values()].filter((words) => words.length > 0).length);
          const expected = byBruteForce(documents, query);
          const scoreOf = new Map(expected.map(({ id, score }) => [id, score]));
          const found = index.search(query, k);
          // which of several with about the same score are in the list is up to rounding
          expect(found).toHaveLength(Math.min(k, expected.length));
          const best = expected.map(({ score }) => score).sort((a, b) => b - a);
          found.forEach(({ id, score }, i) => {
            expect(score).toBeCloseTo(scoreOf.get(id)!, 9);
            expect(score).toBeCloseTo(best[i]!, 9);
          });
        },
      ),
      { numRuns: 500 },
    );
  });

  it('gives equal ones in the order of their ids, whatever the order of their coming', () => {
    const index = new Bm25Index();
    for (const id of ['c', 'a', 'd', 'b']) index.put(id, ['tea', 'pot']);
    expect(index.search(['tea'], 3).map(({ id }) => id)).toEqual(['a', 'b', 'c']);
  });

  it('finds nothing in an empty index, and nothing for no words', () => {
    const index = new Bm25Index();
    expect(index.search(['tea'], 5)).toEqual([]);
    index.put('a', ['tea']);
    expect(index.search([], 5)).toEqual([]);
    index.remove('a');
    expect(index.search(['tea'], 5)).toEqual([]);
  });

  it('forgets the room of what was removed', () => {
    const index = new Bm25Index({ fewRemoved: 100 });
    const fill = (round: number) => {
      for (let i = 0; i < 500; i++) index.put(`i${i}`, ['tea', `w${round}-${i}`, `x${round}-${i}`]);
    };
    fill(0);
    for (let round = 1; round < 5; round++) fill(round);
    const early = index.bytes;
    for (let round = 5; round < 25; round++) fill(round);
    expect(index.bytes).toBeLessThan(early * 1.5);
    expect(index.search(['w24-7'], 5).map(({ id }) => id)).toEqual(['i7']);
    expect(index.search(['w23-7'], 5)).toEqual([]);
  });
});
