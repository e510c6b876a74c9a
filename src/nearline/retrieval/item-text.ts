/** An item as retrieval reads it: the same words and the same text to embed for every engine. */
import { wordsOf } from '../../inference/words.ts';
import type { CatalogItem } from '../../shop/catalog.ts';

/** Of one item: longer descriptions are no titles, and an index is not to grow by them. */
const MOST_WORDS = 200;
const LONGEST_TEXT = 500;
/** Of one generated text. */
const MOST_QUERY_WORDS = 40;

type Words = Pick<CatalogItem, 'title' | 'category_path' | 'brand_name' | 'tags'>;

/** Words of the title, each category, the brand and each tag: one that is in several of them counts as often. */
export function itemWords({ title, category_path, brand_name, tags }: Words): string[] {
  const words: string[] = [];
  for (const text of [title, ...category_path, brand_name, ...tags]) {
    if (text !== null) words.push(...wordsOf(text.slice(0, LONGEST_TEXT)));
    if (words.length >= MOST_WORDS) break;
  }
  return words.slice(0, MOST_WORDS);
}

/** What is embedded of an item. SerenGPT says titles, so titles are what they are held against; null: there is nothing. */
export function itemText({ title, category_path }: Pick<CatalogItem, 'title' | 'category_path'>): string | null {
  const text = (title ?? category_path.at(-1) ?? '').slice(0, LONGEST_TEXT).trim();
  return text === '' ? null : text;
}

/** What is embedded of a generated text that has words: models give signs a direction too. */
export const queryText = (text: string): string => text.slice(0, LONGEST_TEXT);

export const queryWords = (text: string): string[] => wordsOf(queryText(text)).slice(0, MOST_QUERY_WORDS);

/** A vector without a direction says nothing. */
export const hasDirection = (vector: Int8Array): boolean => vector.some((part) => part !== 0);
