/** What a generation says of its user, with vectors: what items are held against. */
import type { Embedder } from '../../inference/embedder.ts';
import type { Generation } from '../../serengpt/records.ts';
import { hasDirection, queryText } from '../retrieval/item-text.ts';
import type { ShopItem } from '../retriever.ts';
import type { RankContext } from './features.ts';

/** The best tags and the newest behaviour; each costs a cosine an item. */
const MOST_TAGS = 30;
const MOST_BEHAVIOURS = 50;

type Told = Pick<Generation, 'texts' | 'tags' | 'history'>;

/** Of the history's items, those that are to be looked up for `contextOf`. */
export const itemsNamed = ({ history }: Told): string[] => [
  ...new Set(history.slice(-MOST_BEHAVIOURS).flatMap(({ item_id }) => (item_id === null ? [] : [item_id]))),
];

/** `items`: what is known of the history's. One call of the embedder. Throws what it throws. */
export async function contextOf(
  told: Told,
  items: ReadonlyMap<string, ShopItem>,
  embedder: Embedder,
): Promise<RankContext> {
  const tags = told.tags.slice(0, MOST_TAGS);
  const history = told.history
    .slice(-MOST_BEHAVIOURS)
    .map((one) => ({ ...one, item: one.item_id === null ? undefined : items.get(one.item_id) }));
  const wanted = [
    ...new Set([
      ...tags.map(({ tag }) => tag),
      ...history.filter(({ item }) => item?.vector == null).map(({ text }) => text),
    ]),
  ];
  const vectors = wanted.length === 0 ? [] : await embedder.embed(wanted.map(queryText));
  const vectorOf = new Map(wanted.map((text, i) => [text, hasDirection(vectors[i]!) ? vectors[i]! : null]));
  return {
    texts: told.texts,
    tags: tags.map(({ tag, score, long_term }) => ({ vector: vectorOf.get(tag)!, score, long_term })),
    history: history.map(({ item, text, category_id, brand_id }) => ({
      vector: item?.vector ?? vectorOf.get(text)!,
      text,
      category_id: category_id ?? item?.category_id ?? null,
      category_path: item?.category_path ?? [],
      brand_id: brand_id ?? item?.brand_id ?? null,
    })),
  };
}
