import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Found } from '../../../src/nearline/retriever.ts';
import { selected } from '../../../src/nearline/worker/select.ts';
import { said } from '../given.ts';

const texts = [said('tea'), said('pot', { kind: 'query' })];
const found = (item_id: string, category_id: string | null, given: Partial<Found> = {}): Found => ({
  item: {
    item_id,
    title: item_id,
    category_id,
    category_path: [],
    brand_id: null,
    seller_id: null,
    price: null,
    vector: null,
  },
  keyword: { text: 0, score: 0.3 },
  vector: null,
  fused: 0.1,
  share: 1,
  ...given,
});
const bounds = { items: 10, perCategory: 10, leastScore: 0 };

describe('the items of an answer', () => {
  it('carry what led to them, best first', () => {
    const list = [found('a', 'x'), found('b', 'y', { keyword: null, vector: { text: 1, score: 0.8 } })];
    const { items } = selected(list, [0.2, 0.9], texts, new Set(), bounds);
    expect(items).toMatchObject([
      { item_id: 'b', score: 0.9, retrieval_score: 0.8, led_by: 'pot', led_by_kind: 'query', channels: ['vector'] },
      { item_id: 'a', score: 0.2, retrieval_score: 0.3, led_by: 'tea', led_by_kind: 'title', channels: ['keyword'] },
    ]);
  });

  it('leave out what was bought, what scores too low, and what its category or the list has no room for', () => {
    const list = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((id, i) => found(id, i < 4 ? 'x' : 'y'));
    const { items, dropped } = selected(list, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.1], texts, new Set(['b']), {
      items: 3,
      perCategory: 2,
      leastScore: 0.2,
    });
    expect(items.map(({ item_id }) => item_id)).toEqual(['a', 'c', 'e']);
    expect(dropped).toEqual([
      { rule: 'bought', count: 1 },
      { rule: 'low_score', count: 1 },
      { rule: 'category_full', count: 1 },
      { rule: 'list_full', count: 1 },
    ]);
  });

  it('are counted, each once: in the answer or by a rule, and within all bounds', () => {
    const one = fc.record({
      id: fc.string({ minLength: 1, maxLength: 3 }),
      category: fc.constantFrom('x', 'y', null),
      score: fc.double({ min: 0, max: 1, noNaN: true }),
      bought: fc.boolean(),
    });
    const some = fc.uniqueArray(one, { selector: ({ id }) => id, maxLength: 30 });
    const limits = fc.record({
      items: fc.integer({ min: 1, max: 10 }),
      perCategory: fc.integer({ min: 1, max: 5 }),
      leastScore: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(some, limits, (list, limit) => {
        const bought = new Set(list.filter((one) => one.bought).map(({ id }) => id));
        const run = (order: typeof list) =>
          selected(
            order.map(({ id, category }) => found(id, category)),
            order.map(({ score }) => score),
            texts,
            bought,
            limit,
          );
        const { items, dropped } = run(list);
        expect(items.length + dropped.reduce((sum, { count }) => sum + count, 0)).toBe(list.length);
        expect(items.length).toBeLessThanOrEqual(limit.items);
        for (const category of ['x', 'y', null]) {
          expect(items.filter((one) => one.category_id === category).length).toBeLessThanOrEqual(limit.perCategory);
        }
        expect(items.every(({ item_id, score }) => !bought.has(item_id) && score >= limit.leastScore)).toBe(true);
        const scores = items.map(({ score }) => score);
        expect(scores).toEqual([...scores].sort((a, b) => b - a));
        expect(run([...list].reverse())).toEqual({ items, dropped });
      }),
    );
  });
});
