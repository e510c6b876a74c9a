import { describe, expect, test } from 'vitest';
import { wordsOf } from '../../src/inference/words.ts';
import { bytesOf } from '../../src/inference/embedder.ts';
import { behaviourOf, DAY, embedder, item, SHOP, type Did } from './given.ts';

const judge = (tag: string, dids: readonly Did[], rest: Parameters<typeof behaviourOf>[1] = {}) =>
  behaviourOf(dids, rest).judge(tag, embedder.embedNow(tag));

describe('a tag is borne out', () => {
  test('by the category of what was bought', () => {
    const judged = judge('cat food', [{ buy: 'kibble', at: DAY }]);
    expect(judged.posterior).toBeCloseTo(0.6);
    expect(judged.evidence).toEqual([
      { kind: 'purchase', text: 'Crunchy kibble, 2 kg', item_id: 'kibble', time: DAY, by: 'facts', relevance: 1 },
    ]);
  });

  test('by a brand, a parent category, a query, in any form of the words', () => {
    expect(judge('hilla', [{ click: 'tent', at: DAY }]).evidence[0]!.by).toBe('facts');
    expect(judge('Campings', [{ click: 'tent', at: DAY }]).support).toBe(1);
    expect(judge('winter boots', [{ search: 'boots for the WINTER', at: DAY }]).evidence[0]!.by).toBe('query');
    expect(judge('露營裝備', [{ search: '露营装备 推荐', at: DAY }]).support).toBe(1);
  });

  test('the more, the more often', () => {
    const once = judge('tents', [{ click: 'tent', at: DAY }]).posterior;
    const twice = judge('tents', [
      { click: 'tent', at: DAY },
      { click: 'tent', at: 2 * DAY },
    ]).posterior;
    const bought = judge('tents', [{ buy: 'tent', at: DAY }]).posterior;
    expect(once).toBeLessThan(bought);
    expect(once).toBeLessThan(twice);
    expect(twice).toBeLessThan(1);
  });

  test('by the vector that the catalog brings, where words fail', () => {
    const sofa = Int8Array.from({ length: 256 }, (_, i) => (i === 3 ? 127 : 0));
    const rows = [
      item('c1', 'Couch, grey', ['x1'], { embedding: bytesOf(sofa), embedder: 'ngram-256-1', seller_id: 'a' }),
      item('c2', 'Couch, blue', ['x2'], { embedding: bytesOf(sofa), embedder: 'ngram-256-1', seller_id: 'b' }),
    ];
    const behaviour = behaviourOf(
      [
        { buy: 'c1', at: 1 },
        { buy: 'c2', at: 2 },
      ],
      { items: rows },
    );
    expect(behaviour.judge('sofa', sofa).evidence.map(({ by }) => by)).toEqual(['embedding', 'embedding']);
    expect(behaviour.judge('sofa', null).support).toBe(0);
  });

  test('by no vector of another embedder', () => {
    const sofa = Int8Array.from({ length: 256 }, (_, i) => (i === 3 ? 127 : 0));
    const rows = [item('c1', 'Couch', ['x1'], { embedding: bytesOf(sofa), embedder: 'other-1' })];
    expect(behaviourOf([{ buy: 'c1', at: 1 }], { items: rows }).judge('sofa', sofa).support).toBe(0);
  });
});

describe('a tag is not borne out', () => {
  test('by what shares only a word with it', () => {
    expect(judge('dog food', [{ buy: 'kibble', at: DAY }], { kind: 'none' }).posterior).toBe(0);
  });

  test('by what lies outside of the window', () => {
    const window = { from: 10 * DAY, until: 20 * DAY };
    expect(judge('tents', [{ buy: 'tent', at: 10 * DAY }], window).support).toBe(0);
    expect(judge('tents', [{ buy: 'tent', at: 20 * DAY }], window).support).toBe(1);
    expect(judge('tents', [{ buy: 'tent', at: 20 * DAY + 1 }], window).support).toBe(0);
  });

  test("by one seller's titles alone, however many of them", () => {
    const rows = [1, 2, 3].map((n) => item(`x${n}`, `Buy gold now ${n}`, ['toys'], { seller_id: 'crook' }));
    const dids = rows.map(({ item_id }, i) => ({ buy: item_id, at: i + 1 }));
    const judged = judge('buy gold now', dids, { items: rows });
    expect(judged).toMatchObject({ posterior: 0, uncorroborated: true });
    expect(judged.evidence[0]!.by).toBe('title');
  });
});

test('titles of two sellers bear each other out', () => {
  const judged = judge('enamel', [
    { buy: 'mug', at: 1 },
    { buy: 'mug2', at: 2 },
  ]);
  expect(judged).toMatchObject({ uncorroborated: false, support: 2 });
  expect(judged.posterior).toBeGreaterThan(0.8);
});

test('breadth is the share of the categories touched, once there are eight', () => {
  const rows = Array.from({ length: 10 }, (_, n) => item(`i${n}`, `thing ${n}`, ['grocery', `leaf${n}`]));
  const dids = rows.map(({ item_id }, n) => ({ buy: item_id, at: n + 1 }));
  expect(judge('grocery', dids, { items: rows }).breadth).toBe(1);
  expect(judge('leaf3', dids, { items: rows }).breadth).toBeCloseTo(0.1);
  expect(judge('grocery', dids.slice(0, 5), { items: rows }).breadth).toBe(0);
});

test('the shop of these tests says what it is thought to', () => {
  expect(SHOP.flatMap(({ category_path }) => category_path.flatMap(wordsOf))).toContain('tent');
});
