import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NgramEmbedder } from '../../../src/inference/ngram-embedder.ts';
import { contextOf, itemsNamed } from '../../../src/nearline/pre-rank/context.ts';
import { columnsOf, FEATURES, featuresOf, type Feature } from '../../../src/nearline/pre-rank/features.ts';
import type { Found, ShopItem } from '../../../src/nearline/retriever.ts';
import type { ChannelBehaviour } from '../../../src/serengpt/records.ts';
import { generation, said } from '../given.ts';

const embedder = new NgramEmbedder();
const shopItem = (title: string, given: Partial<ShopItem> = {}): ShopItem => ({
  item_id: title,
  title,
  category_id: null,
  category_path: [],
  brand_id: null,
  seller_id: null,
  price: null,
  vector: embedder.embedNow(title),
  ...given,
});
const found = (item: ShopItem, given: Partial<Found> = {}): Found => ({
  item,
  keyword: { text: 0, score: 0.5 },
  vector: null,
  fused: 0.4,
  share: 0.75,
  ...given,
});
const behaviour = (text: string, given: Partial<ChannelBehaviour> = {}): ChannelBehaviour => ({
  time: 1,
  kind: 'click',
  text,
  item_id: null,
  category_id: null,
  brand_id: null,
  ...given,
});

async function values(
  told: Parameters<typeof generation>[1],
  one: Found,
  items: ShopItem[] = [],
): Promise<Record<Feature, number>> {
  const record = generation([said('tea', { times: 3, logprob: -1 }), said('pot')], told);
  const known = new Map(items.map((item) => [item.item_id, item]));
  const rows = featuresOf(await contextOf(record, known, embedder), [one]);
  return Object.fromEntries(FEATURES.map((name, i) => [name, rows[i]])) as Record<Feature, number>;
}

describe('what the pre-ranking sees', () => {
  it('is the scores of retrieval, and what is known of the text that led to the item', async () => {
    const one = found(shopItem('green tea'), { keyword: { text: 1, score: 0.2 }, vector: { text: 0, score: 0.5 } });
    const seen = await values({}, one);
    expect(seen.keyword).toBeCloseTo(0.2);
    expect(seen.vector).toBeCloseTo(0.5);
    expect(seen.fused).toBeCloseTo(0.4);
    expect(seen).toMatchObject({ share: 0.75, lead_share: 0.75 });
    expect(seen.lead_likelihood).toBeCloseTo(Math.exp(-1));
  });

  it('is 0 where nothing is known of the user, and the distance 1', async () => {
    const seen = await values(
      {},
      found(shopItem('green tea', { category_path: ['grocery', 'tea'], category_id: 'tea' })),
    );
    expect(seen).toMatchObject({
      short_tags: 0,
      long_tags: 0,
      history_nearest: 0,
      history_mean: 0,
      category_distance: 1,
      category_seen: 0,
      brand_seen: 0,
      words_seen: 0,
    });
  });

  it('holds the item against the tags, each as sure as it is, of both terms apart', async () => {
    const tags = [
      { tag: 'green tea', group: 'category', score: 0.5, long_term: false },
      { tag: 'espresso', group: 'category', score: 1, long_term: true },
    ];
    const seen = await values({ tags }, found(shopItem('green tea')));
    expect(seen.short_tags).toBeCloseTo(0.5);
    expect(seen.long_tags).toBeLessThan(0.3);
  });

  it('holds it against the history: by meaning, category, brand and words', async () => {
    const item = shopItem('green tea tin', {
      category_id: 'tea',
      category_path: ['grocery', 'drinks', 'tea'],
      brand_id: 'b1',
    });
    const history = [behaviour('green tea', { item_id: 'old' }), behaviour('espresso cup', { brand_id: 'b1' })];
    const old = shopItem('old', {
      category_id: 'coffee',
      category_path: ['grocery', 'drinks', 'coffee'],
      vector: embedder.embedNow('green tea tin'),
    });
    const seen = await values({ history }, found(item), [old]);
    expect(seen.history_nearest).toBeCloseTo(1);
    expect(seen.history_mean).toBeGreaterThanOrEqual(0.5);
    expect(seen.history_mean).toBeLessThan(0.75);
    expect(seen.category_distance).toBeCloseTo(1 / 3);
    expect(seen).toMatchObject({ category_seen: 0, brand_seen: 1 });
    expect(seen.words_seen).toBeCloseTo(2 / 3);
    const again = await values({ history: [behaviour('x', { category_id: 'tea' })] }, found(item));
    expect(again.category_seen).toBe(1);
  });

  it('asks for the items of the newest behaviour, once each', () => {
    const history = Array.from({ length: 80 }, (_, i) =>
      behaviour('x', { item_id: i % 2 === 0 ? null : `i${i % 60}` }),
    );
    const named = itemsNamed(generation([], { history }));
    expect(new Set(named).size).toBe(named.length);
    expect(named).toHaveLength(25);
  });

  it('lies between 0 and 1, whatever a record says', async () => {
    const text = fc.string({ maxLength: 20, unit: 'grapheme' });
    const number = fc.oneof(fc.double({ min: -5, max: 5 }), fc.constant(NaN), fc.constant(null));
    const told = fc.record({
      tags: fc.array(
        fc.record({ tag: text, group: text, score: number.map((one) => one ?? 0), long_term: fc.boolean() }),
        { maxLength: 4 },
      ),
      history: fc.array(
        text.map((one) => behaviour(one, { category_id: one, item_id: one })),
        { maxLength: 4 },
      ),
      texts: fc.array(
        fc.record({ text, logprob: number }).map(({ text, logprob }) => said(text, { logprob })),
        { minLength: 1, maxLength: 3 },
      ),
    });
    await fc.assert(
      fc.asyncProperty(told, text, async (given, title) => {
        const record = generation([], given);
        const rows = featuresOf(await contextOf(record, new Map(), embedder), [found(shopItem(title))]);
        expect(rows).toHaveLength(FEATURES.length);
        for (const value of rows) expect(value >= 0 && value <= 1).toBe(true);
      }),
    );
  });

  it('is handed over in the order that a model asks for', () => {
    const rows = Float32Array.from({ length: 2 * FEATURES.length }, (_, i) => i);
    const [first, last] = [FEATURES[0], FEATURES.at(-1)!];
    const width = FEATURES.length;
    expect([...columnsOf(rows, [last, first])]).toEqual([width - 1, 0, 2 * width - 1, width]);
  });
});
