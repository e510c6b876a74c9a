import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fuse, leadOf } from '../../../src/nearline/retrieval/fusion.ts';
import { said } from '../given.ts';

const found = (...ids: string[]) => ids.map((id, i) => ({ id, score: 1 - i / 10 }));

describe('fusion', () => {
  it('gives 1 to what is first in every list, and the share of its texts', () => {
    const texts = [said('tea', { times: 3 }), said('pot')];
    const [best, second] = fuse(texts, { keyword: [found('a', 'b'), found('a')], vector: [found('a'), found('a')] });
    expect(best).toMatchObject({ item_id: 'a', fused: 1, share: 1 });
    expect(second!.fused).toBeCloseTo(((3 / 4) * (61 / 62)) / 2);
    expect(second!.share).toBe(0.75);
  });

  it('keeps of each channel the text that led to an item best, of equal ones the first', () => {
    const texts = [said('tea'), said('pot'), said('cup')];
    const [one] = fuse(texts, {
      keyword: [[{ id: 'a', score: 0.2 }], [{ id: 'a', score: 0.7 }], [{ id: 'a', score: 0.7 }]],
      vector: [[{ id: 'a', score: 0.5 }], [], []],
    });
    expect(one).toMatchObject({ keyword: { text: 1, score: 0.7 }, vector: { text: 0, score: 0.5 } });
    expect(leadOf(one!)).toEqual({ text: 1, score: 0.7 });
  });

  it('does not depend on the order of the texts but for ties of leads', () => {
    const list = fc.uniqueArray(fc.constantFrom(...'abcdef'), { maxLength: 6 });
    const texts = fc.array(fc.record({ times: fc.integer({ min: 1, max: 9 }), keyword: list, vector: list }), {
      maxLength: 5,
    });
    fc.assert(
      fc.property(texts, (given) => {
        const fused = (order: typeof given) =>
          fuse(
            order.map(({ times }, i) => said(`t${i}`, { times })),
            { keyword: order.map((one) => found(...one.keyword)), vector: order.map((one) => found(...one.vector)) },
          );
        const [forth, back] = [fused(given), fused([...given].reverse())];
        const scores = new Map(back.map((one) => [one.item_id, one]));
        expect(scores.size).toBe(forth.length);
        for (const one of forth) {
          expect(one.fused).toBeCloseTo(scores.get(one.item_id)!.fused, 12);
          expect(one.share).toBeCloseTo(scores.get(one.item_id)!.share, 12);
          for (const value of [one.fused, one.share]) expect(value > 0 && value <= 1).toBe(true);
        }
      }),
    );
  });
});
