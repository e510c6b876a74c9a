import type { BehaviorItem } from './events.ts';

/**
 * Names of items, categories, brands and sellers as small numbers, so that state in memory is made of integers and equality is
 * one comparison, with nothing lost. Never persisted: bytes on disk hold the names themselves.
 * A dictionary only grows; past `LIMIT` names the labeller begins a new one and moves users over as they come.
 */
export interface ItemIds {
  readonly category_id: string | null;
  readonly brand_id: string | null;
  readonly seller_id: string | null;
  readonly item: number;
  readonly category: number;
  readonly brand: number;
  readonly seller: number;
}

export class Dictionary {
  static readonly LIMIT = 2_000_000;
  /** what is known of an item, by its id */
  readonly #items: (ItemIds | undefined)[] = [];
  readonly #ids = new Map<string, number>();
  readonly #names: string[] = [];

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

  /** The ids of an item's category, brand and seller: looked up by the item, which rarely changes them. */
  ofItem(item: Pick<BehaviorItem, 'item_id' | 'category_id' | 'brand_id' | 'seller_id'>): ItemIds {
    const { category_id, brand_id, seller_id } = item;
    const id = this.id(item.item_id);
    const known = this.#items[id];
    if (
      known !== undefined &&
      known.category_id === category_id &&
      known.brand_id === brand_id &&
      known.seller_id === seller_id
    ) {
      return known;
    }
    const ids: ItemIds = {
      category_id,
      brand_id,
      seller_id,
      item: id,
      category: this.id(category_id),
      brand: this.id(brand_id),
      seller: this.id(seller_id),
    };
    // filled up, so that it stays a plain array however ids come
    while (this.#items.length <= id) this.#items.push(undefined);
    this.#items[id] = ids;
    return ids;
  }

  name(id: number): string | null {
    return id < 0 ? null : this.#names[id];
  }
}
