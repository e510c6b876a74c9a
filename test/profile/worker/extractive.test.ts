import { describe, expect, it } from 'vitest';
import { lengthOf } from '../../../src/inference/words.ts';
import { CatalogWords } from '../../../src/profile/worker/catalog-words.ts';
import { extract } from '../../../src/profile/worker/extractive.ts';
import { phrasesOf, plainLabel } from '../../../src/profile/worker/phrases.ts';
import type { ProfileRequest } from '../../../src/profile/records.ts';
import type { CatalogItem } from '../../../src/shop/catalog.ts';
import { bought, requestWith, searched } from './requests.ts';
import { sampleCatalog } from '../sample-catalog.ts';

const DAY = 86_400_000;
const items = sampleCatalog();
const catalog = new CatalogWords();
for (const item of items) catalog.add(CatalogWords.row(item));

const purchaseOf = (title: string, more: Partial<ProfileRequest['purchases'][0]> = {}) => {
  const item = items.find((one) => one.title === title)!;
  return bought(title, { category: item.category_path.at(-1)!, brand: item.brand_name, ...more });
};
const tagsOf = (request: Partial<ProfileRequest>, words = catalog) => extract(requestWith(request), words).proposals;

describe('phrases', () => {
  it('are whole words without sizes', () => {
    expect(plainLabel('snack crackers, 9.5 oz')).toBe('snack crackers');
    expect(plainLabel('sft drnk 2 liter btl carb incl, 2 l')).toBe('sft drnk, btl carb incl');
    expect(plainLabel('potatoes russet (bulk&bag), 10 lb bag')).toBe('potatoes russet, bulk, bag');
    expect(phrasesOf('snack crackers, 9.5 oz', 16).map(({ text, extent }) => [text, extent])).toEqual([
      ['snack crackers', 'whole'],
      ['crackers', 'end'],
    ]);
  });

  it('are words in scripts without spaces too', () => {
    const found = phrasesOf('户外帐篷 2人', 16).map(({ text }) => text);
    expect(found).toEqual(['户外帐篷', '帐篷']);
  });
});

describe('the extractive profiler', () => {
  it('makes tags of what a household buys', () => {
    const proposals = tagsOf({
      purchases: [
        purchaseOf('snack crackers, 9.5 oz', { times: 3 }),
        purchaseOf('yogurt, 6 oz', { times: 2 }),
        purchaseOf('dog biscuits (hard biscuit), 26 oz'),
      ],
    });
    expect(proposals.map(({ tag, group }) => [tag, group])).toEqual(
      expect.arrayContaining([
        ['snack crackers', 'category'],
        ['yogurt', 'category'],
        ['dog biscuits', 'category'],
      ]),
    );
    expect(proposals.find(({ tag }) => tag === 'snack crackers')).toMatchObject({
      behaviours: ['snack crackers, 9.5 oz'],
      reason: expect.stringMatching(/^in 1 of 3 searches and purchases, and in [\d.]+ % of the shop's items$/),
    });
  });

  it('takes no brand that half the shop has, and takes a real one', () => {
    const brands = tagsOf({
      purchases: [
        purchaseOf('snack crackers, 9.5 oz', { brand: 'national brand' }),
        purchaseOf('yogurt, 6 oz', { brand: 'private label' }),
      ],
    }).filter(({ group }) => group === 'brand');
    expect(brands).toEqual([]);
    const withBrand = new CatalogWords();
    const row = { ...items[0]!, brand_name: 'Kettle Bros' };
    for (const item of [...items, row, row]) withBrand.add(CatalogWords.row(item));
    const own = tagsOf({ purchases: [purchaseOf('yogurt, 6 oz', { brand: 'Kettle Bros' })] }, withBrand);
    expect(own).toContainEqual(expect.objectContaining({ tag: 'kettle bros', group: 'brand' }));
  });

  it('puts what is lately bought before what is long past', () => {
    const asked_at = 40 * DAY;
    const [first] = tagsOf({
      asked_at,
      purchases: [
        purchaseOf('yogurt, 6 oz', { time: asked_at - 28 * DAY }),
        purchaseOf('snack crackers, 9.5 oz', { time: asked_at - DAY }),
      ],
    });
    expect(first!.tag).toBe('snack crackers');
  });

  it('says of a search what it is, or that it is an interest', () => {
    const proposals = tagsOf({ searches: [searched('mountain tent'), searched('dog biscuits')] });
    expect(proposals.map(({ tag, group }) => [tag, group])).toEqual(
      expect.arrayContaining([
        ['mountain tent', 'interest'],
        ['dog biscuits', 'category'],
      ]),
    );
  });

  it('keeps within the length and the number, each tag another thing', () => {
    const purchases = items
      .filter((_, i) => i % 97 === 0)
      .slice(0, 200)
      .map(({ title, category_path, brand_name }) =>
        bought(title ?? '', { category: category_path.at(-1) ?? null, brand: brand_name }),
      );
    for (const [number_of_tags, tag_length] of [
      [20, 16],
      [3, 8],
      [50, 30],
    ] as const) {
      const proposals = tagsOf({ purchases, number_of_tags, tag_length });
      expect(proposals.length).toBeGreaterThan(0);
      expect(proposals.length).toBeLessThanOrEqual(number_of_tags);
      for (const { tag } of proposals) {
        expect(lengthOf(tag)).toBeLessThanOrEqual(tag_length);
        expect(tag).not.toMatch(/\d|\boz\b|[,/()]/);
      }
    }
  });

  it('gives the same for the same', () => {
    const request = requestWith({
      purchases: items
        .slice(0, 60)
        .map(({ title, category_path }) => bought(title ?? '', { category: category_path.at(-1)! })),
    });
    expect(extract(request, catalog)).toEqual(extract(structuredClone(request), catalog));
  });

  it('says that it is not enough where there is nothing', () => {
    expect(extract(requestWith(), catalog)).toEqual({ outcome: 'not_enough', proposals: [], dropped: {} });
    expect(extract(requestWith({ purchases: [bought('12 oz')] }), catalog).outcome).toBe('not_enough');
  });

  it('works before it knows a catalog', () => {
    expect(tagsOf({ searches: [searched('mountain tent')] }, new CatalogWords())).toMatchObject([
      { tag: 'mountain tent' },
    ]);
  });

  it('gives the candidates of a long-term request back, with their figures', () => {
    const candidate = {
      tag: 'dog food',
      group: 'category',
      frequency: 0.75,
      regularity: 0.5,
      effectiveness: 1,
    } as const;
    expect(tagsOf({ kind: 'long_term', candidates: [candidate] })).toEqual([
      {
        tag: 'dog food',
        group: 'category',
        reason: 'given in 75 % of the last refreshes, evenness 50 %, borne out after 100 % of them',
        behaviours: [],
      },
    ]);
  });
});

describe('the words of a catalog', () => {
  it('forget a row that changed or went', () => {
    const words = new CatalogWords();
    const item = (title: string): CatalogItem => ({ ...items[0]!, title, category_path: [title], brand_name: 'Acme' });
    const [tents, boats] = [CatalogWords.row(item('tents')), CatalogWords.row(item('boats'))];
    const empty = words.countOf(['tent']);
    words.add(tents);
    words.add(boats);
    words.remove(tents);
    expect([words.items, words.ofCategories(['tent']), words.ofCategories(['boat'])]).toEqual([1, false, true]);
    words.remove(boats);
    expect([words.items, words.isBrand('acme'), words.countOf(['tent'])]).toEqual([0, false, empty]);
  });
});
