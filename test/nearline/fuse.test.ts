import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fuse, type FusedCandidate, type FusionRule, type PersonalisedItem } from '../../src/nearline/fuse.ts';

const rule = (given: Partial<FusionRule> = {}): FusionRule => ({
  weight: 0.5,
  atLeast: 0,
  within: 10,
  perCategory: 100,
  ...given,
});
const personalised = (...scores: number[]): PersonalisedItem[] =>
  scores.map((score, i) => ({ item_id: `p${i}`, score }));
const candidates = (...scores: number[]): FusedCandidate[] =>
  scores.map((score, i) => ({ item_id: `c${i}`, score, category_id: null }));
const ids = (rows: { item: { item_id: string } }[]) => rows.map(({ item }) => item.item_id).join(' ');

const anyScore = fc.oneof(
  fc.double({ min: -10, max: 10, noNaN: true }),
  fc.integer({ min: -2, max: 2 }),
  fc.constantFrom(NaN, Infinity, -Infinity, 0, 1e308, -1e308, 5e-324),
);
// few ids and categories, so that they meet
const id = fc.integer({ min: 0, max: 30 }).map((n) => `i${n}`);
const aPersonalised = fc.array(fc.record({ item_id: id, score: anyScore }), { maxLength: 30 });
const aCandidate = fc.record({
  item_id: id,
  score: anyScore,
  category_id: fc.option(fc.constantFrom('a', 'b'), { nil: null }),
});
const someCandidates = fc.array(aCandidate, { maxLength: 20 });
const aRule = fc.record({
  weight: fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 1)),
  atLeast: fc.integer({ min: 0, max: 5 }),
  within: fc.integer({ min: 1, max: 15 }),
  perCategory: fc.integer({ min: 1, max: 5 }),
});
const size = fc.integer({ min: 1, max: 60 });
const distinct = <T extends { item_id: string }>(items: readonly T[]): T[] =>
  items.filter(({ item_id }, i) => items.findIndex((item) => item.item_id === item_id) === i);

describe('fusion', () => {
  it('gives a candidate the personalised score of its own rank, as the weight lets it', () => {
    // one candidate is the middle of its list: the median of 0, 4, 10 is 4
    const [first] = fuse(personalised(10, 4, 0), candidates(0.9), rule({ weight: 0.5, atLeast: 1, within: 1 }), 9);
    expect(first).toMatchObject({ source: 'serendipity', calibrated: 2, why: 'guaranteed' });
    const rows = fuse(personalised(10, 4, 0), candidates(0.9, 0.1), rule({ weight: 1 }), 9);
    expect(rows.map(({ item, calibrated }) => [item.item_id, calibrated])).toEqual([
      ['p0', 10],
      ['c0', 7],
      ['p1', 4],
      ['c1', 2],
      ['p2', 0],
    ]);
  });

  it('knows nothing of the scale of either score', () => {
    const one = fuse(personalised(10, 4, 0), candidates(0.9, 0.8, 0.1), rule({ weight: 0.8 }), 9);
    const other = fuse(personalised(-1, -7, -11), candidates(900, 800, -5), rule({ weight: 0.8 }), 9);
    expect(ids(one)).toBe(ids(other));
  });

  it('leaves what is equal to the personalised items behind them', () => {
    expect(ids(fuse(personalised(1, 1, 1), candidates(0.9, 0.9), rule({ weight: 1 }), 9))).toBe('p0 p1 p2 c0 c1');
  });

  it('brings as many forward as are to be seen, and no further than that', () => {
    const rows = fuse(personalised(9, 9, 9, 9, 9), candidates(0.9, 0.8, 0.7), rule({ atLeast: 2, within: 4 }), 9);
    expect(ids(rows)).toBe('p0 p1 c0 c1 p2 p3 p4 c2');
    expect(rows.map(({ why }) => why).filter((why) => why === 'guaranteed')).toHaveLength(2);
  });

  it('keeps to so many of a category, but not of what has none', () => {
    const shoes = candidates(0.9, 0.8, 0.7).map((one) => ({ ...one, category_id: 'shoes' }));
    expect(ids(fuse([], [...shoes, { item_id: 'x', score: 0, category_id: null }], rule({ perCategory: 2 }), 9))).toBe(
      'c0 c1 x',
    );
  });

  it('has an item that is in both lists as a personalised one', () => {
    const rows = fuse(personalised(3, 2), [{ item_id: 'p1', score: 1, category_id: null }], rule({ atLeast: 1 }), 9);
    expect(rows.map(({ source }) => source)).toEqual(['personalised', 'personalised']);
  });
});

describe('whatever the lists are', () => {
  it('no item comes twice, the list is as long as it can be, and positions count from 1', () => {
    fc.assert(
      fc.property(aPersonalised, someCandidates, aRule, size, (ours, theirs, given, length) => {
        const rows = fuse(ours, theirs, given, length);
        expect(new Set(rows.map(({ item }) => item.item_id)).size).toBe(rows.length);
        expect(rows.map(({ position }) => position)).toEqual(rows.map((_, i) => i + 1));
        const unlimited = fuse(ours, theirs, given, 1000).length;
        expect(unlimited).toBeGreaterThanOrEqual(distinct(ours).length);
        expect(rows.length).toBe(Math.min(length, unlimited));
        for (const { calibrated } of rows) expect(calibrated).toSatisfy(Number.isFinite);
      }),
    );
  });

  it('personalised items keep their order, and those left out are the last', () => {
    fc.assert(
      fc.property(aPersonalised, someCandidates, aRule, size, (ours, theirs, given, length) => {
        const rows = fuse(ours, theirs, given, length).filter(({ source }) => source === 'personalised');
        expect(rows.map(({ item }) => item)).toEqual(distinct(ours).slice(0, rows.length));
      }),
    );
  });

  it('weight 0 is the personalised list', () => {
    fc.assert(
      fc.property(aPersonalised, someCandidates, aRule, size, (ours, theirs, given, length) => {
        const rows = fuse(ours, theirs, { ...given, weight: 0 }, length);
        expect(rows.map(({ item }) => item)).toEqual(distinct(ours).slice(0, length));
      }),
    );
  });

  it('the guarantee holds', () => {
    fc.assert(
      fc.property(aPersonalised, someCandidates, aRule, size, (ours, theirs, given, length) => {
        fc.pre(given.weight > 0);
        const there = fuse(ours, theirs, given, 1000).filter(({ source }) => source === 'serendipity').length;
        const window = Math.min(given.within, length);
        const shown = fuse(ours, theirs, given, length)
          .slice(0, window)
          .filter(({ source }) => source === 'serendipity').length;
        expect(shown).toBeGreaterThanOrEqual(Math.min(given.atLeast, there, window));
      }),
    );
  });

  it('nothing is brought forward where enough is seen without', () => {
    fc.assert(
      fc.property(aPersonalised, someCandidates, aRule, size, (ours, theirs, given, length) => {
        const free = fuse(ours, theirs, { ...given, atLeast: 0 }, length);
        const seen = free.slice(0, Math.min(given.within, length)).filter(({ source }) => source === 'serendipity');
        fc.pre(seen.length >= given.atLeast);
        expect(fuse(ours, theirs, given, length)).toEqual(free);
      }),
    );
  });

  it('more weight never takes a candidate further down', () => {
    const weights = fc.tuple(
      fc.double({ min: 0.001, max: 1, noNaN: true }),
      fc.double({ min: 0.001, max: 1, noNaN: true }),
    );
    fc.assert(
      fc.property(aPersonalised, someCandidates, aRule, weights, (ours, theirs, given, pair) => {
        const [less, more] = pair.toSorted((a, b) => a - b) as [number, number];
        const at = (weight: number) =>
          fuse(ours, theirs, { ...given, weight }, 1000).flatMap(({ source, position, item }) =>
            source === 'serendipity' ? [[item.item_id, position] as const] : [],
          );
        const [low, high] = [at(less), at(more)];
        expect(high.map(([name]) => name)).toEqual(low.map(([name]) => name));
        for (const [i, [, position]] of high.entries()) expect(position).toBeLessThanOrEqual(low[i]![1]);
      }),
    );
  });

  it('no category has more candidates than it may', () => {
    fc.assert(
      fc.property(aPersonalised, someCandidates, aRule, size, (ours, theirs, given, length) => {
        for (const category of ['a', 'b']) {
          const rows = fuse(ours, theirs, given, length).filter(
            ({ source, item }) => source === 'serendipity' && (item as FusedCandidate).category_id === category,
          );
          expect(rows.length).toBeLessThanOrEqual(given.perCategory);
        }
      }),
    );
  });

  it('rows are in the order of their calibrated scores where the personalised ones are and nothing is brought forward', () => {
    const finite = fc.double({ min: -5, max: 5, noNaN: true });
    fc.assert(
      fc.property(fc.array(finite), someCandidates, aRule, (scores, theirs, given) => {
        const ours = personalised(...scores.toSorted((a, b) => b - a));
        const rows = fuse(ours, theirs, { ...given, atLeast: 0 }, 1000);
        for (let i = 1; i < rows.length; i++) expect(rows[i]!.calibrated).toBeLessThanOrEqual(rows[i - 1]!.calibrated);
      }),
    );
  });
});
