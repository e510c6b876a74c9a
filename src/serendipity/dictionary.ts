import type { Reader, Writer } from '../stream/bytes.ts';
import type { BehaviorItem } from '../shop/behaviour.ts';
import { ItemTable } from './item-table.ts';

/**
 * Names of items, categories, brands and sellers as small numbers, so that state in memory is made of integers and equality is
 * one comparison, with nothing lost. Never persisted: bytes on disk hold the names themselves.
 * A dictionary only grows; past `LIMIT` names the labeller begins a new one and moves users over as they come.
 */
export class Dictionary {
  static readonly LIMIT = 2_000_000;
  readonly #ids = new Map<string, number>();
  readonly #names: string[] = [];
  readonly #items = new ItemTable(this);

  get full(): boolean {
    return this.#names.length >= Dictionary.LIMIT;
  }

  /** -1 for null. */
  id(name: string | null): number {
    if (name === null) return -1;
    const known = this.#ids.get(name);
    if (known !== undefined) return known;
    const id = this.#names.length;
    this.#names.push(name);
    this.#ids.set(name, id);
    return id;
  }

  /** The same for who only asks: a name that was never met gets no id, but one that is nobody's. */
  known(name: string | null): number {
    return name === null ? -1 : (this.#ids.get(name) ?? NEVER_MET);
  }

  name(id: number): string | null {
    return id < 0 ? null : this.#names[id];
  }

  /** Puts the ids of an item, its category, brand and seller into a row: looked up by the item, which rarely changes them. */
  ofItem(item: Pick<BehaviorItem, 'item_id' | 'category_id' | 'brand_id' | 'seller_id'>, out: ItemRow): void {
    this.#items.of(this.id(item.item_id), item, out);
  }

  /**
   * The same of an item in Avro's bytes, which begin with these four names; an empty name is null. Returns where they end;
   * -1 where they are unusually long, or their lengths unusually written. `bytes` holds whole records, and ASCII.
   */
  itemOfAvro(bytes: Buffer, from: number, out: ItemRow): number {
    return this.#items.ofAvro(bytes, from, out);
  }

  /** An item and its names as state holds them; `flags` is in the same byte as which of them are there. */
  writeItem(w: Writer, item: number, category: number, brand: number, seller: number, flags: number): void {
    this.#items.write(w, item, category, brand, seller, flags);
  }

  /** The other way; returns the flags. */
  readItem(r: Reader, out: ItemRow): number {
    return this.#items.read(r, out);
  }
}

/** Above all ids, and with room for what keys are made of them. */
const NEVER_MET = 1 << 28;

/** Dictionary ids; -1: null. */
export interface ItemRow {
  item: number;
  category: number;
  brand: number;
  seller: number;
}
