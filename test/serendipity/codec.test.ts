import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StoreError } from '../../src/errors.ts';
import { avroType, LazyRecords } from '../../src/log/avro-types.ts';
import { readSchema } from '../../src/log/schemas.ts';
import { Reader, Writer } from '../../src/stream/bytes.ts';
import { decodeDay, encodeDay } from '../../src/serendipity/codec.ts';
import { Dictionary, type ItemRow } from '../../src/serendipity/dictionary.ts';
import { distinctItems, type BehaviorEvent, type BehaviorItem } from '../../src/shop/behaviour.ts';
import { BRAND, CATEGORY, Past, SELLER } from '../../src/serendipity/past.ts';
import { rowsOf, shownRows } from '../../src/serendipity/rows.ts';
import { Page } from '../../src/serendipity/user.ts';

const schema = JSON.parse(await readSchema('BehaviorEvent')) as { fields: { name: string; type: object }[] };
const list = avroType(schema.fields.find(({ name }) => name === 'items')!.type, { lazy: true });

const name = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom('a', 'b', 'c', 'a1', '1a') },
  { weight: 1, arbitrary: fc.constantFrom('', 'x'.repeat(63), 'y'.repeat(64), 'z'.repeat(200)) },
);
const maybe = fc.option(name, { nil: null });
const item: fc.Arbitrary<BehaviorItem> = fc.record({
  item_id: name.filter((id) => id !== ''),
  category_id: maybe,
  brand_id: maybe,
  seller_id: maybe,
  position: fc.option(fc.oneof(fc.nat(9), fc.integer()), { nil: null }),
  viewable: fc.constantFrom(true, true, true, false),
  price: fc.option(fc.double({ noNaN: true }), { nil: null }),
  quantity: fc.integer(),
});

describe('rows from bytes', () => {
  it('are those of the items: what was not seen or comes twice left out, what is missing filled in', () => {
    const names = new Dictionary();
    const known = new Map([
      ['a', { category: 'ca', brand: null, seller: 'sa' }],
      ['b', { category: null, brand: 'bb', seller: null }],
    ]);
    const filled = (one: BehaviorItem): BehaviorItem => ({
      ...one,
      category_id: one.category_id || known.get(one.item_id)?.category || null,
      brand_id: one.brand_id || known.get(one.item_id)?.brand || null,
      seller_id: one.seller_id || known.get(one.item_id)?.seller || null,
    });
    const fill = (row: ItemRow): void => {
      const facts = known.get(names.name(row.item)!);
      if (row.category < 0) row.category = names.id(facts?.category ?? null);
      if (row.brand < 0) row.brand = names.id(facts?.brand ?? null);
      if (row.seller < 0) row.seller = names.id(facts?.seller ?? null);
    };
    let straight = 0;
    fc.assert(
      fc.property(fc.array(item, { maxLength: 20 }), (items) => {
        const bytes = list.toBuffer(items);
        const read = list.decode(bytes, 0).value as BehaviorItem[] | LazyRecords<BehaviorItem>;
        const rows = shownRows(read, names, fill);
        const long = items.some((one) =>
          [one.item_id, one.category_id, one.brand_id, one.seller_id].some((text) => (text?.length ?? 0) > 9),
        );
        if (items.length > 0 && !long) expect(rows).not.toBeNull();
        if (rows === null) return;
        straight++;
        const event = { event_type: 'exposure', items } as unknown as BehaviorEvent;
        expect(rows).toEqual(rowsOf(distinctItems(event).map(filled), names));
      }),
      { numRuns: 2000 },
    );
    expect(straight).toBeGreaterThan(200);
  });

  it('are not read from numbers that are written longer than they need be', () => {
    const names = new Dictionary();
    const one: BehaviorItem = {
      item_id: 'i',
      category_id: 'c',
      brand_id: 'b',
      seller_id: 's',
      position: 3,
      viewable: true,
      price: null,
      quantity: 1,
    };
    const bytes = list.toBuffer([one]);
    const readable = (changed: Buffer): unknown => {
      try {
        return list.decode(changed, 0).value;
      } catch {
        return null;
      }
    };
    for (let at = 1; at < bytes.length - 1; at++) {
      // the same number, with a byte of nothing behind it; of a text this makes another text
      const longer = Buffer.concat([bytes.subarray(0, at), Buffer.of(bytes[at]! | 0x80, 0), bytes.subarray(at + 1)]);
      const read = readable(longer);
      if (!(read instanceof LazyRecords)) continue;
      const items = read as LazyRecords<BehaviorItem>;
      const rows = shownRows(items, names, () => {});
      if (rows === null) continue;
      const event = { event_type: 'exposure', items } as unknown as BehaviorEvent;
      // an empty name is as good as none, which the labeller's filling says of decoded items
      const filled = distinctItems(event).map((of) => ({ ...of, category_id: of.category_id || null }));
      expect(rows).toEqual(rowsOf(filled, names));
    }
    // and padded to more bytes than 32 bits take
    const at = bytes.length - 5;
    expect(bytes[at]).toBe(6);
    const padded = Buffer.concat([
      bytes.subarray(0, at),
      Buffer.of(0x86, 0x80, 0x80, 0x80, 0x80, 0),
      bytes.subarray(at + 1),
    ]);
    const read = list.decode(padded, 0).value as LazyRecords<BehaviorItem>;
    expect(read.records[0]!.position).toBe(3);
    expect(shownRows(read, names, () => {})).toBeNull();
  });

  it('are written and read again by another dictionary, long names too', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(item, fc.constantFrom(0, 8, 16)), { maxLength: 30 }), (items) => {
        const [one, other] = [new Dictionary(), new Dictionary()];
        const w = new Writer();
        const row: ItemRow = { item: -1, category: -1, brand: -1, seller: -1 };
        for (const [shown, flags] of items) {
          one.ofItem(shown, row);
          one.writeItem(w, row.item, row.category, row.brand, row.seller, flags);
        }
        const r = new Reader(w.take());
        for (const [shown, flags] of items) {
          expect(other.readItem(r, row)).toBe(flags);
          const texts = [row.item, row.category, row.brand, row.seller].map((id) => other.name(id));
          expect(texts).toEqual([shown.item_id, shown.category_id, shown.brand_id, shown.seller_id]);
        }
        expect(r.at).toBe(r.buffer.length);
      }),
    );
  });
});

describe('a closed day', () => {
  const names = new Dictionary();
  const page = (time: number, request: string | null, ...items: [string, string, string, string][]): Page =>
    new Page(
      time,
      1,
      `e${time}`,
      request,
      null,
      null,
      rowsOf(
        items.map(([item_id, category_id, brand_id, seller_id]) => ({
          item_id,
          category_id,
          brand_id,
          seller_id,
          position: null,
          viewable: true,
          price: null,
          quantity: 1,
        })),
        names,
      ),
    );
  const seen = (past: Past, value: string, kind: number, request: string | null): number =>
    past.lastSeen(names.id(value) * 4 + kind, 1000, request, 0, 9);

  it('answers as its exposures do, one by one', () => {
    const text = fc.constantFrom('a', 'b', 'c');
    const shown = fc.tuple(text, text, text, text);
    const pages = fc.array(fc.tuple(fc.nat(9), fc.constantFrom(null, 'r1', 'r2', 'r3'), fc.array(shown)));
    fc.assert(
      fc.property(pages, (made) => {
        let time = 1;
        const day = made.map(([gap, request, items]) => page((time += gap), request, ...items));
        const whole = new Past();
        for (const { rows, ...one } of day) {
          const at = whole.addPage(one.time, 1, one.request);
          for (let r = 0; r < rows.length; r += 7)
            for (const kind of [CATEGORY, BRAND, SELLER]) whole.see(rows[r + kind] * 4 + kind, at);
        }
        const back = new Past();
        decodeDay(encodeDay(day, names), 1, names, back);
        for (const value of ['a', 'b', 'c'])
          for (const kind of [CATEGORY, BRAND, SELLER])
            for (const request of [null, 'r1', 'r2', 'r3'])
              expect(seen(back, value, kind, request)).toBe(seen(whole, value, kind, request));
      }),
      { numRuns: 1000 },
    );
  });

  it('is read as the first version wrote it: values one by one, without their items', () => {
    const w = new Writer();
    w.byte(1);
    w.uint(2);
    w.uint(100);
    w.optional('r1');
    w.uint(20);
    w.optional('r2');
    // one category, in both; no brand; one seller, in the first
    w.uint(1);
    w.text('k');
    w.uint(1 * 2 + 1);
    w.uint(0);
    w.uint(0);
    w.uint(1);
    w.text('v');
    w.uint(0);
    const past = new Past();
    decodeDay(w.take(), 1, names, past);
    expect([seen(past, 'k', CATEGORY, null), seen(past, 'k', CATEGORY, 'r2')]).toEqual([120, 100]);
    expect([seen(past, 'v', SELLER, null), seen(past, 'v', BRAND, null)]).toEqual([100, NaN]);
  });

  it('of a later version is refused', () => {
    expect(() => decodeDay(Buffer.of(3, 0, 0), 1, names, new Past())).toThrow(StoreError);
  });
});

describe('the past', () => {
  it('takes more pages than two bytes number, and forgets them again', () => {
    const past = new Past();
    const pages = 70_000;
    for (let i = 0; i < pages; i++) past.see((i % 5000) * 4, past.addPage(i, Math.floor(i / 1000), `r${i % 7}`));
    const newest = (key: number) => Math.floor((pages - 1 - key) / 5000) * 5000 + key;
    for (const key of [0, 17, 4999]) {
      expect(past.lastSeen(key * 4, pages, null, 0, 99)).toBe(newest(key));
      expect(past.lastSeen(key * 4, pages, `r${newest(key) % 7}`, 0, 99)).toBe(newest(key) - 5000);
    }
    past.purge(68);
    for (const key of [0, 17, 4999])
      expect(past.lastSeen(key * 4, pages, null, 0, 99)).toBe(newest(key) >= 68_000 ? newest(key) : NaN);
    expect(past.times.length).toBeLessThan(5000);
  });
});
