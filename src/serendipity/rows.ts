import { LazyRecords } from '../log/avro-types.ts';
import type { Dictionary, ItemRow } from './dictionary.ts';
import type { BehaviorItem } from '../shop/behaviour.ts';
import { ITEM, POSITION, ROW, VERDICT } from './user.ts';

/** What is copied for new rows: plain numbers on the heap, as doubles from the start, which no collection looks into. */
const blank: number[] = [];

export function newRows(n: number): number[] {
  while (blank.length < n * ROW) blank.push(blank.length % ROW === VERDICT ? 0 : NaN);
  return blank.slice(0, n * ROW);
}

const found: ItemRow = { item: -1, category: -1, brand: -1, seller: -1 };

function put(rows: number[], at: number, { item, category, brand, seller }: ItemRow): void {
  rows[at] = category;
  rows[at + 1] = brand;
  rows[at + 2] = seller;
  rows[at + ITEM] = item;
}

/** The rows of a page that shows these items. */
export function rowsOf(items: readonly BehaviorItem[], names: Dictionary): number[] {
  const rows = newRows(items.length);
  for (let i = 0, at = 0; i < items.length; i++, at += ROW) {
    const item = items[i];
    names.ofItem(item, found);
    put(rows, at, found);
    if (item.position !== null) rows[at + POSITION] = item.position;
  }
  return rows;
}

/** What `shownRows` reads: a BehaviorItem's fields in the schema's order. */
const FIELDS = [
  ['item_id', '"string"'],
  ['category_id', '["null","string"]'],
  ['brand_id', '["null","string"]'],
  ['seller_id', '["null","string"]'],
  ['position', '["null","int"]'],
  ['viewable', '"boolean"'],
  ['price', '["null","double"]'],
  ['quantity', '"int"'],
].join();
const DOUBLE_BYTES = 8;

type Items = LazyRecords<BehaviorItem>;
/** the type that was looked at last: there is one, but for tests */
let lastType: Items['type'] | null = null;
let isItem = false;

function isPlain({ type }: Items): boolean {
  if (type === lastType) return isItem;
  const { fields } = type as unknown as { fields: { name: string; type: object }[] };
  lastType = type;
  isItem = fields.map(({ name, type: of }) => [name, JSON.stringify(of)]).join() === FIELDS;
  return isItem;
}

/**
 * The rows of an exposure straight from the bytes of its items, with no text and no object made: distinctItems and rowsOf in
 * one. `fill` puts in names that an item lacks. Null where the bytes are not a BehaviorItem's, or names are unusually long, or
 * numbers written longer than they need be.
 */
export function shownRows(
  items: Items | readonly BehaviorItem[],
  names: Dictionary,
  fill: (row: ItemRow, names: Dictionary) => void,
): number[] | null {
  if (!(items instanceof LazyRecords) || !isPlain(items)) return null;
  const { bytes, length } = items;
  const rows = newRows(length);
  let pos = items.start;
  let at = 0;
  for (let i = 0; i < length; i++) {
    pos = names.itemOfAvro(bytes, pos, found);
    if (pos < 0) return null;
    let position = NaN;
    const hasPosition = bytes[pos++];
    if (hasPosition !== 0) {
      let byte = bytes[pos++];
      let zigzag = byte & 0x7f;
      let shift = 7;
      for (; byte > 0x7f && shift < 35; shift += 7) {
        byte = bytes[pos++];
        zigzag |= (byte & 0x7f) << shift;
      }
      if (hasPosition !== 2 || byte > 0x7f) return null;
      position = (zigzag >>> 1) ^ -(zigzag & 1);
    }
    const viewable = bytes[pos++] !== 0;
    const hasPrice = bytes[pos++];
    if (hasPrice === 2) pos += DOUBLE_BYTES;
    else if (hasPrice !== 0) return null;
    // quantity
    while (bytes[pos++] > 0x7f);
    if (!viewable || isShown(rows, at, found.item)) continue;
    if (found.category < 0 || found.brand < 0 || found.seller < 0) fill(found, names);
    put(rows, at, found);
    rows[at + POSITION] = position;
    at += ROW;
  }
  if (at < rows.length) rows.length = at;
  return rows;
}

function isShown(rows: readonly number[], end: number, item: number): boolean {
  for (let r = ITEM; r < end; r += ROW) if (rows[r] === item) return true;
  return false;
}
