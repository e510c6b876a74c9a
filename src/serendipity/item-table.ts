import { Reader, Writer } from '../stream/bytes.ts';
import type { Dictionary, ItemRow } from './dictionary.ts';
import type { BehaviorItem } from '../shop/behaviour.ts';

/**
 * An entry is one line of the processor's cache, since what costs is the way to memory: the ids of an item, its category,
 * brand and seller, the item's entry before it (and one more; 0: none), and its bytes, or where they are.
 *
 *   0 category i32 · 4 brand i32 · 8 seller i32 · 12 item i32 · 16 before i32 · 20 length u8 · 21 flagsAt u8 · 22 bytes
 *   of longer ones: 20 255 · 24 start in the arena i32 · 28 length i32 · 32 flagsAt i32
 */
const LINE = 64;
const INTS = LINE / 4;
const CATEGORY = 0;
const BRAND = 1;
const SELLER = 2;
const ITEM = 3;
const BEFORE = 4;
const LENGTH_AT = 20;
const FLAGS_AT_AT = 21;
const BYTES_AT = 22;
const SHORT = LINE - BYTES_AT;
const LONG = 255;
const LONG_START = 6;
const LONG_LENGTH = 7;
const LONG_FLAGS_AT = 8;
/** Which names are there: the low bits of the flags. */
const NAMES = 7;

const writer = new Writer();
/** Avro's bytes of an item as state holds them. */
const turned = Buffer.alloc(SHORT);

/**
 * Every item with every category, brand and seller it was met with: its ids, and its bytes as state holds them. An item
 * that is shown again is one look-up instead of four; written again, one copy; read again, one comparison of bytes.
 *
 *   bytes: item · flags (1: category, 2: brand, 4: seller, the rest the caller's) · the names that are there
 */
export class ItemTable {
  readonly #names: Dictionary;
  #lines = Buffer.allocUnsafeSlow(LINE * 1024);
  #ints = new Int32Array(this.#lines.buffer);
  #count = 0;
  /** of those that are longer than a line */
  #arena = Buffer.alloc(0);
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
      this.#put(newest - 1, out);
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

  /** See Dictionary.itemOfAvro. */
  ofAvro(bytes: Buffer, from: number, out: ItemRow): number {
    let pos = from;
    let at = 0;
    let flagsAt = 0;
    let flags = 0;
    // the flags are hashed last, as they are known last
    let hash = 0;
    for (let name = 0; name < 4; name++) {
      if (name > 0) {
        // a union's branch: 0 is null, 2 says that a text follows, and an empty one is as good as null
        const branch = bytes[pos++];
        if (branch !== 0 && branch !== 2) return -1;
        if (branch === 0 || bytes[pos] === 0) {
          if (branch !== 0) pos++;
          continue;
        }
        flags |= 1 << (name - 1);
      }
      const zigzag = bytes[pos++];
      const length = zigzag >> 1;
      if (zigzag > 0x7f || at + length + 2 > SHORT) return -1;
      turned[at++] = length;
      hash = Math.imul(hash ^ length, 0x01000193);
      for (const end = pos + length; pos < end; pos++) {
        const byte = bytes[pos];
        turned[at++] = byte;
        hash = Math.imul(hash ^ byte, 0x01000193);
      }
      if (name === 0) flagsAt = at++;
    }
    turned[flagsAt] = flags;
    hash = Math.imul(hash ^ flags, 0x01000193);
    const entry = this.#find(hash, turned, 0, at, flagsAt);
    this.#put(entry >= 0 ? entry : this.#read(turned, 0), out);
    return pos;
  }

  write(w: Writer, item: number, category: number, brand: number, seller: number, flags: number): void {
    const { bytes, start, length, flagsAt } = this.#bytesOf(this.#entryOf(item, category, brand, seller));
    w.copy(bytes, start, length, flagsAt, flags);
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
    const entry = this.#find(hashOf(buffer, start, length, flagsAt), buffer, start, length, flagsAt);
    this.#put(entry >= 0 ? entry : this.#read(buffer, start), out);
    return flags & ~NAMES;
  }

  #put(entry: number, out: ItemRow): void {
    const ints = this.#ints;
    const at = entry * INTS;
    out.item = ints[at + ITEM];
    out.category = ints[at + CATEGORY];
    out.brand = ints[at + BRAND];
    out.seller = ints[at + SELLER];
  }

  #newestOf(item: number): number {
    return item < this.#newest.length ? this.#newest[item] : 0;
  }

  /** An entry's number; the entry is made where there is none. */
  #entryOf(item: number, category: number, brand: number, seller: number): number {
    const ints = this.#ints;
    for (let number = this.#newestOf(item); number > 0;) {
      const at = (number - 1) * INTS;
      if (ints[at + CATEGORY] === category && ints[at + BRAND] === brand && ints[at + SELLER] === seller)
        return number - 1;
      number = ints[at + BEFORE];
    }
    return this.#add(item, category, brand, seller);
  }

  /** The entry of bytes that were not found. */
  #read(buffer: Buffer, start: number): number {
    const names = this.#names;
    const reader = new Reader(buffer);
    reader.at = start;
    const item = names.id(reader.text());
    const flags = reader.byte();
    const category = flags & 1 ? names.id(reader.text()) : -1;
    const brand = flags & 2 ? names.id(reader.text()) : -1;
    const seller = flags & 4 ? names.id(reader.text()) : -1;
    return this.#entryOf(item, category, brand, seller);
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

    const entry = this.#count++;
    if (this.#count * LINE > this.#lines.length) this.#grow();
    while (item >= this.#newest.length) this.#newest = doubled(this.#newest);
    this.#ints.set([category, brand, seller, item, this.#newest[item]], entry * INTS);
    this.#newest[item] = this.#count;
    const line = entry * LINE;
    if (bytes.length <= SHORT) {
      this.#lines[line + LENGTH_AT] = bytes.length;
      this.#lines[line + FLAGS_AT_AT] = flagsAt;
      bytes.copy(this.#lines, line + BYTES_AT);
    } else {
      this.#lines[line + LENGTH_AT] = LONG;
      this.#ints.set([this.#keep(bytes), bytes.length, flagsAt], entry * INTS + LONG_START);
    }
    if (this.#count * 2 > this.#slots.length) this.#rehash();
    else this.#link(entry);
    return entry;
  }

  #grow(): void {
    const grown = Buffer.allocUnsafeSlow(this.#lines.length * 2);
    this.#lines.copy(grown);
    this.#lines = grown;
    this.#ints = new Int32Array(grown.buffer);
  }

  #keep(bytes: Buffer): number {
    const start = this.#used;
    this.#used += bytes.length;
    if (this.#used > this.#arena.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(this.#used * 2, 1 << 16));
      this.#arena.copy(grown, 0, 0, start);
      this.#arena = grown;
    }
    bytes.copy(this.#arena, start);
    return start;
  }

  #rehash(): void {
    this.#slots = new Int32Array(this.#slots.length * 2);
    for (let entry = 0; entry < this.#count; entry++) this.#link(entry);
  }

  #link(entry: number): void {
    const { bytes, start, length, flagsAt } = this.#bytesOf(entry);
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = slotOf(hashOf(bytes, start, length, flagsAt), mask);
    while (slots[slot] !== 0) slot = (slot + 1) & mask;
    slots[slot] = entry + 1;
  }

  #bytesOf(entry: number): { bytes: Buffer; start: number; length: number; flagsAt: number } {
    const line = entry * LINE;
    const length = this.#lines[line + LENGTH_AT];
    if (length !== LONG)
      return { bytes: this.#lines, start: line + BYTES_AT, length, flagsAt: this.#lines[line + FLAGS_AT_AT] };
    const ints = this.#ints;
    const at = entry * INTS;
    const [start, long, flagsAt] = [ints[at + LONG_START], ints[at + LONG_LENGTH], ints[at + LONG_FLAGS_AT]];
    return { bytes: this.#arena, start, length: long, flagsAt };
  }

  /** The entry of these bytes; -1 where there is none. */
  #find(hash: number, buffer: Buffer, start: number, length: number, flagsAt: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let slot = slotOf(hash, mask); slots[slot] !== 0; slot = (slot + 1) & mask)
      if (this.#same(slots[slot] - 1, buffer, start, length, flagsAt)) return slots[slot] - 1;
    return -1;
  }

  #same(entry: number, buffer: Buffer, start: number, length: number, flagsAt: number): boolean {
    const known = this.#bytesOf(entry);
    if (known.length !== length || known.flagsAt !== flagsAt) return false;
    const { bytes, start: from } = known;
    for (let i = 0; i < length; i++) if (bytes[from + i] !== buffer[start + i] && i !== flagsAt) return false;
    return bytes[from + flagsAt] === (buffer[start + flagsAt] & NAMES);
  }
}

const slotOf = (hash: number, mask: number): number => (hash ^ (hash >>> 15)) & mask;

/** A hash of an entry's bytes, the caller's flags left out. */
function hashOf(buffer: Buffer, start: number, length: number, flagsAt: number): number {
  let hash = 0;
  for (let i = start; i < start + length; i++)
    if (i !== start + flagsAt) hash = Math.imul(hash ^ buffer[i], 0x01000193);
  return Math.imul(hash ^ (buffer[start + flagsAt] & NAMES), 0x01000193);
}

function doubled(array: Int32Array): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(array.length * 2);
  grown.set(array);
  return grown;
}
