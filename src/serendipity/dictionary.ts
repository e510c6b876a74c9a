import type { BehaviorItem } from './events.ts';

/**
 * Names of categories, brands and sellers as small numbers, so that state in memory is made of integers and equality is
 * one comparison, with nothing lost. Never persisted: bytes on disk hold the names themselves.
 * A dictionary only grows; past `LIMIT` names the labeller begins a new one and moves users over as they come.
 */
export interface ItemIds {
  readonly category_id: string | null;
  readonly brand_id: string | null;
  readonly seller_id: string | null;
  readonly category: number;
  readonly brand: number;
  readonly seller: number;
}

export class Dictionary {
  static readonly LIMIT = 2_000_000;
  static readonly ITEMS = 500_000;
  readonly #items = new Map<string, ItemIds>();
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
    const known = this.#items.get(item.item_id);
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
      category: this.id(category_id),
      brand: this.id(brand_id),
      seller: this.id(seller_id),
    };
    if (this.#items.size >= Dictionary.ITEMS) this.#items.clear();
    this.#items.set(item.item_id, ids);
    return ids;
  }

  name(id: number): string | null {
    return id < 0 ? null : this.#names[id];
  }
}
