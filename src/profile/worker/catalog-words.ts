/**
 * In how many of the catalog's items a word, a brand or a category occurs: what is in many says little of whoever bought
 * it. Kept as rows come, change and go. Words are in the form in which they are compared (words.ts).
 */
import { meaningOf, wordsOf } from '../../inference/words.ts';
import type { CatalogItem } from '../../shop/catalog.ts';
import { plainLabel } from './phrases.ts';

/** What of an item is counted: to be handed back when it changes or goes. */
export interface CatalogRow {
  words: readonly string[];
  categoryWords: readonly string[];
  brand: string | null;
}

/** In fewer items than this, nothing is common, however small the catalog. */
const FEWEST_COMMON = 20;
/** In a larger share of the items, a word or a brand says nothing: "private label", "oz", a department. */
const COMMON = 0.03;

export class CatalogWords {
  readonly #words = new Map<string, number>();
  readonly #categoryWords = new Map<string, number>();
  readonly #brands = new Map<string, number>();
  #items = 0;

  get items(): number {
    return this.#items;
  }

  /** The row of an item, for `add` and `remove`. */
  static row({ title, category_path, brand_name }: CatalogItem): CatalogRow {
    const categoryWords = [...new Set(category_path.flatMap((label) => wordsOf(plainLabel(label))))];
    const brand = brand_name === null ? '' : meaningOf(brand_name);
    return {
      words: [...new Set([...wordsOf(plainLabel(title ?? '')), ...categoryWords])],
      categoryWords,
      brand: brand === '' ? null : brand,
    };
  }

  add(row: CatalogRow): void {
    this.#count(row, 1);
  }

  remove(row: CatalogRow): void {
    this.#count(row, -1);
  }

  /** In how many items a phrase may be, at most: that of its rarest word. */
  countOf(words: readonly string[]): number {
    let rarest = Infinity;
    for (const word of words) rarest = Math.min(rarest, this.#words.get(word) ?? 0);
    return rarest === Infinity ? 0 : rarest;
  }

  countOfBrand(meaning: string): number {
    return this.#brands.get(meaning) ?? 0;
  }

  /** What it says of somebody that something is found there which so many items have: 0 where it says nothing. */
  salience(count: number): number {
    const common = count > Math.max(FEWEST_COMMON, COMMON * this.#items);
    return common ? 0 : Math.log((this.#items + 2) / (count + 1));
  }

  /** Whether the shop names categories by all the words of a phrase. */
  ofCategories(words: readonly string[]): boolean {
    return words.every((word) => this.#categoryWords.has(word));
  }

  isBrand(meaning: string): boolean {
    return this.#brands.has(meaning);
  }

  #count({ words, categoryWords, brand }: CatalogRow, by: number): void {
    this.#items += by;
    for (const word of words) change(this.#words, word, by);
    for (const word of categoryWords) change(this.#categoryWords, word, by);
    if (brand !== null) change(this.#brands, brand, by);
  }
}

function change(counts: Map<string, number>, key: string, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
