/** What every retriever promises, whatever finds for it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NgramEmbedder } from '../../../src/inference/ngram-embedder.ts';
import type { Found, Retriever } from '../../../src/nearline/retriever.ts';
import type { CatalogItem } from '../../../src/shop/catalog.ts';
import { item, said } from '../given.ts';

export interface RetrieverUnderTest {
  retriever: Retriever;
  /** Brings changes of the catalog, in their order, until they can be found. A text: the item of that id is removed. */
  change(...changes: (CatalogItem | string)[]): Promise<void>;
  close(): Promise<void>;
}

const SHOP = [
  item('tent', 'two person camping tent', {
    category_id: 'tents',
    category_path: ['outdoor', 'tents'],
    brand_id: 'b1',
    brand_name: 'Nordwand',
    seller_id: 's1',
    price: 99.5,
    tags: ['hiking'],
  }),
  item('bag', 'down sleeping bag', { category_id: 'bags', category_path: ['outdoor', 'sleeping bags'] }),
  item('stove', 'camping stove', { category_id: 'stoves', category_path: ['outdoor', 'stoves'] }),
  item('tea', 'green tea, 20 bags', { category_id: 'teas', category_path: ['grocery', 'tea'] }),
  item('pot', 'cast iron tea pot', { category_id: 'pots', category_path: ['kitchen', 'pots'] }),
  item('chinese', '双人露营帐篷', { category_id: 'tents', category_path: ['outdoor', 'tents'] }),
];

export function retrieverContract(name: string, open: () => Promise<RetrieverUnderTest>): void {
  describe(`a retriever: ${name}`, () => {
    let made: RetrieverUnderTest;
    const { signal } = new AbortController();
    beforeEach(async () => {
      made = await open();
      await made.change(...SHOP);
    });
    afterEach(() => made.close());

    const retrieve = async (texts: (string | ReturnType<typeof said>)[], k = 10): Promise<Found[]> => {
      const list = texts.map((text) => (typeof text === 'string' ? said(text) : text));
      return (await made.retriever.retrieve(list, k, signal)).found;
    };
    const ids = (found: readonly Found[]): string[] => found.map((one) => one.item.item_id);

    it('finds the item of a title first, in both channels, with all that is known of it', async () => {
      const [best] = await retrieve(['two person camping tent']);
      expect(best!.item).toMatchObject({
        item_id: 'tent',
        title: 'two person camping tent',
        category_id: 'tents',
        category_path: ['outdoor', 'tents'],
        brand_id: 'b1',
        seller_id: 's1',
        price: 99.5,
      });
      expect(best!.item.vector).toEqual(new NgramEmbedder().embedNow('two person camping tent'));
      expect(best!.vector).toEqual({ text: 0, score: 1 });
      expect(best!.keyword!.score).toBeGreaterThan(0.8);
      expect(best!.fused).toBe(1);
    });

    it('finds by category, brand and tag what the title does not say, and by spelling what no word says', async () => {
      for (const text of ['nordwand', 'hiking', 'kitchen']) {
        const [best] = await retrieve([text]);
        expect(best!.item.item_id).toBe(text === 'kitchen' ? 'pot' : 'tent');
        expect(best!.keyword).not.toBeNull();
      }
      const [best] = await retrieve(['campingtent']);
      expect(best!).toMatchObject({ item: { item_id: 'tent' }, keyword: null });
    });

    it('finds words of scripts without spaces', async () => {
      const [best] = await retrieve(['露营帐篷']);
      expect(best!.item.item_id).toBe('chinese');
      expect(best!.keyword).not.toBeNull();
    });

    it('says which text led to an item best, and how many of the samples found it', async () => {
      const found = await retrieve([said('camping', { times: 3 }), said('camping stove'), said('tea pot')]);
      const stove = found.find(({ item }) => item.item_id === 'stove')!;
      expect(stove.keyword).not.toBeNull();
      expect(stove.vector!.text).toBe(1);
      expect(stove.share).toBeCloseTo(4 / 5);
      for (const { keyword, vector, fused, share } of found) {
        for (const value of [keyword?.score ?? 0, vector?.score ?? 0, fused, share]) {
          expect(value >= 0 && value <= 1).toBe(true);
        }
      }
    });

    it('gives each item once, and of each text and channel no more than k', async () => {
      const found = await retrieve(['camping tent', 'camping stove', 'tea'], 2);
      expect(new Set(ids(found)).size).toBe(found.length);
      expect(found.length).toBeLessThanOrEqual(3 * 2 * 2);
      expect((await retrieve(['camping'], 1)).length).toBeLessThanOrEqual(2);
    });

    it('scores a text of which little is known below one that is known whole', async () => {
      const [whole] = await retrieve(['green tea']);
      const [part] = await retrieve(['green velvet xylophone dust']);
      expect(whole!.keyword!.score).toBeGreaterThan(2 * part!.keyword!.score);
    });

    it('finds nothing for nothing, and for texts without words', async () => {
      expect(await retrieve([])).toEqual([]);
      expect(await retrieve(['', '!?', '  '])).toEqual([]);
    });

    it('takes a text for a text, whatever it looks like', async () => {
      const harmful = [
        'tea" OR "x',
        '{"match_all":{}}',
        '../_search\n{"size":9}',
        'tea\u0000pot',
        'tent~ *:*',
        '\ud800',
      ];
      for (const text of harmful) expect((await retrieve([text])).length).toBeLessThanOrEqual(SHOP.length);
      expect(ids(await retrieve(['word '.repeat(5000) + 'tea']))).not.toContain('tea');
    });

    it('follows the catalog: what is new, renamed, sold out, back, or gone', async () => {
      await made.change(item('kettle', 'whistling kettle'), item('tea', 'espresso beans'));
      expect(ids(await retrieve(['whistling kettle']))[0]).toBe('kettle');
      expect(ids(await retrieve(['espresso beans']))[0]).toBe('tea');
      expect((await retrieve(['green'])).filter(({ keyword }) => keyword !== null)).toEqual([]);
      await made.change({ ...SHOP[4]!, available: false }, 'stove');
      expect(ids(await retrieve(['cast iron tea pot', 'camping stove']))).not.toContain('pot');
      expect(ids(await retrieve(['cast iron tea pot', 'camping stove']))).not.toContain('stove');
      await made.change(SHOP[4]!);
      expect(ids(await retrieve(['cast iron tea pot']))[0]).toBe('pot');
    });

    it('keeps the newest of several changes of one item', async () => {
      await made.change(item('x', 'first name'), 'x', item('x', 'second name'), item('x', 'third thing'));
      expect(ids(await retrieve(['third thing']))[0]).toBe('x');
      expect((await retrieve(['second'])).filter(({ keyword }) => keyword !== null)).toEqual([]);
      await made.change('x');
      expect(ids(await retrieve(['third thing']))).not.toContain('x');
    });

    it('knows items by their ids, sold out ones too', async () => {
      await made.change({ ...SHOP[0]!, available: false }, 'bag');
      const known = await made.retriever.items(['tent', 'bag', 'nobody', 'tea'], signal);
      expect([...known.keys()].sort()).toEqual(['tea', 'tent']);
      expect(known.get('tent')).toMatchObject({ category_path: ['outdoor', 'tents'], price: 99.5 });
      expect(known.get('tent')!.vector).toEqual(new NgramEmbedder().embedNow('two person camping tent'));
      expect((await made.retriever.items([], signal)).size).toBe(0);
    });

    it("takes the catalog's own vectors where the same embedder made them, and no others", async () => {
      const embedder = new NgramEmbedder();
      const embedding = Buffer.from(embedder.embedNow('garden chair').buffer);
      await made.change(
        item('own', 'zzz', { embedding, embedder: embedder.name }),
        item('other', 'yyy', { embedding, embedder: 'another-1' }),
        item('cut', 'xxx', { embedding: embedding.subarray(1), embedder: embedder.name }),
      );
      const found = await retrieve(['garden chair']);
      expect(found[0]).toMatchObject({ item: { item_id: 'own' }, keyword: null, vector: { score: 1 } });
      for (const { item, vector } of found) {
        if (item.item_id === 'other' || item.item_id === 'cut') expect(vector!.score).toBeLessThan(0.3);
      }
    });

    it('holds items of which nothing is said', async () => {
      await made.change(item('blank', null), item('signs', '!!!'));
      const known = await made.retriever.items(['blank', 'signs'], signal);
      expect(known.get('blank')).toMatchObject({ title: null, vector: null });
      expect(known.get('signs')).toMatchObject({ title: '!!!', vector: null });
      expect(ids(await retrieve(['!!!', 'tea']))).not.toContain('signs');
    });
  });
}
