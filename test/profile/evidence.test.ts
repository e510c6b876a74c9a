import { describe, expect, test } from 'vitest';
import { wordsOf } from '../../src/inference/words.ts';
import type { CatalogItem } from '../../src/shop/catalog.ts';
import { bytesOf } from '../../src/inference/embedder.ts';
import { behaviourOf, DAY, embedder, item, options, SHOP, type Did } from './given.ts';

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

  describe('by vectors of an embedder that is not ours', () => {
    const sofa = Int8Array.from({ length: 256 }, (_, i) => (i === 3 ? 127 : 0));
    const couch = (id: string, title: string) =>
      item(id, title, [id], { embedding: bytesOf(sofa), embedder: 'trained-1', seller_id: `seller ${id}` });
    const items = [
      couch('c1', 'Couch, grey'),
      couch('c2', 'Blue couch'),
      couch('c3', 'Sofa, red'),
      couch('c4', 'My sofa'),
    ];
    const judged = (believedEmbedder: string | null, ...bought: string[]) =>
      behaviourOf(
        bought.map((buy, n) => ({ buy, at: n + 1 })),
        { items, embedder: 'trained-1', approval: { ...options, believedEmbedder } },
      ).judge('sofa', sofa);

    test('which add to what words say, and say nothing alone: an answer may forge them', () => {
      expect(judged(null, 'c1', 'c2')).toMatchObject({ posterior: 0, support: 2, unsaid: ['sofa'] });
      const said = judged(null, 'c3', 'c4').posterior;
      expect(said).toBeGreaterThan(options.credible);
      expect(judged(null, 'c1', 'c2', 'c3', 'c4').posterior).toBeGreaterThan(said);
    });

    test('where words fail, if they are believed, and products of two sellers are near', () => {
      expect(judged('trained-1', 'c1')).toMatchObject({ posterior: 0, uncorroborated: true });
      const borne = judged('trained-1', 'c1', 'c2');
      expect(borne.evidence.map(({ by }) => by)).toEqual(['embedding', 'embedding']);
      expect(borne.posterior).toBeGreaterThan(options.credible);
    });
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

test('titles of two sellers bear each other out, and say less than a category does', () => {
  const mugs = [
    { buy: 'mug', at: 1 },
    { buy: 'mug2', at: 2 },
  ];
  const judged = judge('enamel', mugs);
  expect(judged).toMatchObject({ uncorroborated: false, support: 2 });
  expect(judged.posterior).toBeGreaterThan(options.credible);
  expect(judged.posterior).toBeLessThan(judge('mugs', mugs).posterior);
});

describe("a seller's words", () => {
  const bought = (items: CatalogItem[], tag: string) =>
    judge(
      tag,
      items.map(({ item_id: buy }, n) => ({ buy, at: n + 1 })),
      { items },
    );
  const two = (title: (n: number) => string, more: Partial<CatalogItem> = {}) =>
    [1, 2].map((n) => item(`i${n}`, title(n), ['toys'], { seller_id: `s${n}`, ...more }));

  test("that are a copy of another's are one voice", () => {
    expect(
      bought(
        two((n) => `gold for you ${n}`),
        'gold',
      ),
    ).toMatchObject({ uncorroborated: true, posterior: 0 });
    expect(
      bought(
        two((n) => ['gold for you', 'my gold mine'][n - 1]!),
        'gold',
      ).uncorroborated,
    ).toBe(false);
  });

  test('say little in a title of dozens', () => {
    const many = (n: number) => Array.from({ length: 30 }, (_, i) => `gold${n}${i}`).join(' ');
    expect(
      bought(
        two((n) => `gold ${many(n)}`),
        'gold',
      ).support,
    ).toBe(0);
  });

  test("are its tags and a brand without an id too; a brand with one is the shop's", () => {
    const [one] = two(() => 'car');
    expect(bought([{ ...one!, tags: ['gold'] }], 'gold')).toMatchObject({ uncorroborated: true });
    expect(bought([{ ...one!, brand_name: 'gold' }], 'gold')).toMatchObject({ uncorroborated: true });
    expect(bought([{ ...one!, brand_name: 'gold', brand_id: 'b1' }], 'gold').posterior).toBeCloseTo(0.6);
  });

  test('of nobody known are of one author', () => {
    const items = two((n) => ['gold for you', 'my gold mine'][n - 1]!, { seller_id: null });
    expect(bought(items, 'gold')).toMatchObject({ uncorroborated: true });
  });
});

describe('every word of a tag is to be said', () => {
  test.each([
    ['no cat food', ['no']],
    ['cat food scam', ['scam']],
    ['cats pets gold', ['gold']],
  ])('%s', (tag, unsaid) => {
    expect(judge(tag, [{ buy: 'kibble', at: DAY }])).toMatchObject({ posterior: 0, unsaid });
  });

  test('in Chinese by every character', () => {
    const did = [{ search: '露营装备', at: DAY }];
    expect(judge('露營裝備', did).unsaid).toEqual([]);
    expect(judge('不露營裝備', did)).toMatchObject({ posterior: 0, unsaid: ['不'] });
  });

  test('by what bears it out, not by anything that was touched', () => {
    const did = [
      { buy: 'kibble', at: DAY },
      { buy: 'tent', at: DAY },
    ];
    expect(judge('cat food tents', did).unsaid).toEqual(['tent']);
  });
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
