import { Writer, type Reader } from './bytes.ts';
import type { Dictionary, ItemRow } from './dictionary.ts';
import type { BehaviorItem } from './events.ts';

/** An entry: an item with its category, brand and seller (ids), where its bytes are, and the item's entry before it. */
const CATEGORY = 0;
const BRAND = 1;
const SELLER = 2;
const ITEM = 3;
const START = 4;
const LENGTH = 5;
/** where among its bytes the one with the flags is */
const FLAGS_AT = 6;
const BEFORE = 7;
const ENTRY = 8;
/** Which names are there: the low bits of the flags. */
const NAMES = 7;

const writer = new Writer();

/**
 * Every item with every category, brand and seller it was met with: its ids, and its bytes as state holds them. Shown again,
 * an item is one look-up instead of four; written again, one copy; read again, one comparison of bytes.
 *
 *   bytes: item · flags (1: category, 2: brand, 4: seller, the rest the caller's) · the names that are there
 */
export class ItemTable {
  readonly #names: Dictionary;
  #entries = new Int32Array(ENTRY * 1024);
  #count = 0;
  #arena = Buffer.allocUnsafeSlow(1 << 16);
  #used = 0;
  /** by item: its newest entry and one more; 0: none */
  #newest = new Int32Array(1024);
  /** entries and one more, by a hash of their bytes */
  #slots = new Int32Array(4096);

  constructor(names: Dictionary) {
    this.#names = names;
  }

  of(item: number, said: Pick<BehaviorItem, 'category_id' | 'brand_id' | 'seller_id'>, out: ItemRow): void {
    const names = this.#names;
    const newest = this.#newestOf(item);
    if (newest > 0) {
      const e = (newest - 1) * ENTRY;
      this.#put(e, out);
      if (
        names.name(out.category) === said.category_id &&
        names.name(out.brand) === said.brand_id &&
        names.name(out.seller) === said.seller_id
      )
        return;
    }
    out.item = item;
    out.category = names.id(said.category_id);
    out.brand = names.id(said.brand_id);
    out.seller = names.id(said.seller_id);
    this.#entryOf(item, out.category, out.brand, out.seller);
  }

  write(w: Writer, item: number, category: number, brand: number, seller: number, flags: number): void {
    const e = this.#entryOf(item, category, brand, seller);
    const entries = this.#entries;
    w.copy(this.#arena, entries[e + START], entries[e + LENGTH], entries[e + FLAGS_AT], flags);
  }

  read(r: Reader, out: ItemRow): number {
    const { buffer, at: start } = r;
    r.skipText();
    const flagsAt = r.at - start;
    const flags = r.byte();
    if (flags & 1) r.skipText();
    if (flags & 2) r.skipText();
    if (flags & 4) r.skipText();
    const length = r.at - start;
    let slot = this.#slotOf(buffer, start, length, flagsAt);
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (; slots[slot] !== 0; slot = (slot + 1) & mask) {
      const e = (slots[slot] - 1) * ENTRY;
      if (!this.#same(e, buffer, start, length, flagsAt)) continue;
      this.#put(e, out);
      return flags & ~NAMES;
    }
    r.at = start;
    const names = this.#names;
    out.item = names.id(r.text());
    r.byte();
    out.category = flags & 1 ? names.id(r.text()) : -1;
    out.brand = flags & 2 ? names.id(r.text()) : -1;
    out.seller = flags & 4 ? names.id(r.text()) : -1;
    this.#entryOf(out.item, out.category, out.brand, out.seller);
    return flags & ~NAMES;
  }

  #put(e: number, out: ItemRow): void {
    const entries = this.#entries;
    out.item = entries[e + ITEM];
    out.category = entries[e + CATEGORY];
    out.brand = entries[e + BRAND];
    out.seller = entries[e + SELLER];
  }

  #newestOf(item: number): number {
    return item < this.#newest.length ? this.#newest[item] : 0;
  }

  /** The place of an entry, which is made where there is none. */
  #entryOf(item: number, category: number, brand: number, seller: number): number {
    const entries = this.#entries;
    for (let number = this.#newestOf(item); number > 0;) {
      const e = (number - 1) * ENTRY;
      if (entries[e + CATEGORY] === category && entries[e + BRAND] === brand && entries[e + SELLER] === seller)
        return e;
      number = entries[e + BEFORE];
    }
    return this.#add(item, category, brand, seller);
  }

  #add(item: number, category: number, brand: number, seller: number): number {
    const names = this.#names;
    writer.text(names.name(item)!);
    const flagsAt = writer.length;
    writer.byte((category >= 0 ? 1 : 0) | (brand >= 0 ? 2 : 0) | (seller >= 0 ? 4 : 0));
    if (category >= 0) writer.text(names.name(category)!);
    if (brand >= 0) writer.text(names.name(brand)!);
    if (seller >= 0) writer.text(names.name(seller)!);
    const bytes = writer.take();

    while (this.#used + bytes.length > this.#arena.length) {
      const grown = Buffer.allocUnsafeSlow(this.#arena.length * 2);
      this.#arena.copy(grown, 0, 0, this.#used);
      this.#arena = grown;
    }
    if ((this.#count + 1) * ENTRY > this.#entries.length) this.#entries = doubled(this.#entries);
    while (item >= this.#newest.length) this.#newest = doubled(this.#newest);
    const e = this.#count++ * ENTRY;
    this.#entries.set([category, brand, seller, item, this.#used, bytes.length, flagsAt, this.#newest[item]], e);
    this.#newest[item] = this.#count;
    bytes.copy(this.#arena, this.#used);
    this.#used += bytes.length;
    if (this.#count * 2 > this.#slots.length) this.#rehash();
    else this.#link(this.#count - 1);
    return e;
  }

  #rehash(): void {
    this.#slots = new Int32Array(this.#slots.length * 2);
    for (let number = 0; number < this.#count; number++) this.#link(number);
  }

  #link(number: number): void {
    const e = number * ENTRY;
    const entries = this.#entries;
    const slots = this.#slots;
    let slot = this.#slotOf(this.#arena, entries[e + START], entries[e + LENGTH], entries[e + FLAGS_AT]);
    while (slots[slot] !== 0) slot = (slot + 1) & (slots.length - 1);
    slots[slot] = number + 1;
  }

  /** By a hash of the bytes, the caller's flags left out. */
  #slotOf(buffer: Buffer, start: number, length: number, flagsAt: number): number {
    let hash = buffer[start + flagsAt] & NAMES;
    for (let i = start; i < start + length; i++)
      if (i !== start + flagsAt) hash = Math.imul(hash ^ buffer[i], 0x01000193);
    return (hash ^ (hash >>> 15)) & (this.#slots.length - 1);
  }

  #same(e: number, buffer: Buffer, start: number, length: number, flagsAt: number): boolean {
    const entries = this.#entries;
    if (entries[e + LENGTH] !== length || entries[e + FLAGS_AT] !== flagsAt) return false;
    const arena = this.#arena;
    const from = entries[e + START];
    for (let i = 0; i < length; i++) if (arena[from + i] !== buffer[start + i] && i !== flagsAt) return false;
    return arena[from + flagsAt] === (buffer[start + flagsAt] & NAMES);
  }
}

function doubled(array: Int32Array): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(array.length * 2);
  grown.set(array);
  return grown;
}
