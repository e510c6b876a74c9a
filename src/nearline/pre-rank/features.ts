/**
 * What the pre-ranking model sees of an item (docs/pre-rank.md describes each). Training and the worker compute it with this
 * code, from the same records, so there is no skew between them. Every value lies in 0..1; what is unknown is 0.
 */
import { cosine } from '../../inference/embedder.ts';
import type { GeneratedText } from '../../serengpt/records.ts';
import { wordsOf } from '../../inference/words.ts';
import { leadOf } from '../retrieval/fusion.ts';
import type { Found, ShopItem } from '../retriever.ts';

export const FEATURES = [
  'keyword',
  'vector',
  'fused',
  'share',
  'lead_share',
  'lead_likelihood',
  'short_tags',
  'long_tags',
  'history_nearest',
  'history_mean',
  'category_distance',
  'category_seen',
  'brand_seen',
  'words_seen',
] as const;
export type Feature = (typeof FEATURES)[number];

export interface RankedTag {
  vector: Int8Array | null;
  /** 0 to 1 */
  score: number;
  long_term: boolean;
}

/** One behaviour of the user, with what is known of its item. */
export interface RankedBehaviour {
  /** of the item, or of what was searched for */
  vector: Int8Array | null;
  text: string;
  category_id: string | null;
  category_path: readonly string[];
  brand_id: string | null;
}

/** What a request's items are held against. */
export interface RankContext {
  texts: readonly GeneratedText[];
  tags: readonly RankedTag[];
  history: readonly RankedBehaviour[];
}

/** A row an item, FEATURES.length values each. */
export function featuresOf(context: RankContext, found: readonly Found[]): Float32Array {
  const user = userOf(context);
  const rows = new Float32Array(found.length * FEATURES.length);
  found.forEach((one, i) => {
    const values = valuesOf(user, one);
    FEATURES.forEach((name, j) => (rows[i * FEATURES.length + j] = clamped(values[name])));
  });
  return rows;
}

/** The columns that a model asks for, in its order. */
export function columnsOf(rows: Float32Array, names: readonly string[]): Float32Array {
  const columns = names.map((name) => FEATURES.indexOf(name as Feature));
  const count = rows.length / FEATURES.length;
  const picked = new Float32Array(count * columns.length);
  for (let i = 0; i < count; i++) {
    columns.forEach((column, j) => (picked[i * columns.length + j] = rows[i * FEATURES.length + column]!));
  }
  return picked;
}

interface User extends RankContext {
  samples: number;
  categories: Set<string>;
  /** distinct */
  paths: readonly (readonly string[])[];
  brands: Set<string>;
  words: Set<string>;
  vectors: Int8Array[];
}

function userOf(context: RankContext): User {
  const { texts, history } = context;
  const named = (values: (string | null)[]) => new Set(values.filter((value) => value !== null));
  return {
    ...context,
    samples: Math.max(
      texts.reduce((sum, { times }) => sum + times, 0),
      1,
    ),
    categories: named(history.map(({ category_id }) => category_id)),
    paths: [...new Map(history.map(({ category_path }) => [JSON.stringify(category_path), category_path])).values()],
    brands: named(history.map(({ brand_id }) => brand_id)),
    words: new Set(history.flatMap(({ text }) => wordsOf(text))),
    vectors: history.flatMap(({ vector }) => (vector === null ? [] : [vector])),
  };
}

function valuesOf(user: User, { item, ...found }: Found): Record<Feature, number> {
  const lead = user.texts[leadOf(found).text]!;
  const [short, long] = [false, true].map((longTerm) => tagsOf(user, item, longTerm));
  const near = historyOf(user, item);
  return {
    keyword: found.keyword?.score ?? 0,
    vector: found.vector?.score ?? 0,
    fused: found.fused,
    share: found.share,
    lead_share: lead.times / user.samples,
    lead_likelihood: lead.logprob === null ? 0 : Math.exp(lead.logprob),
    short_tags: short!,
    long_tags: long!,
    history_nearest: near.nearest,
    history_mean: near.mean,
    category_distance: distanceOf(user, item),
    category_seen: item.category_id !== null && user.categories.has(item.category_id) ? 1 : 0,
    brand_seen: item.brand_id !== null && user.brands.has(item.brand_id) ? 1 : 0,
    words_seen: wordsSeen(user, item),
  };
}

/** The cosine with the tag that it meets best, times how sure the tag is. */
function tagsOf({ tags }: User, { vector }: ShopItem, longTerm: boolean): number {
  let best = 0;
  if (vector === null) return best;
  for (const tag of tags) {
    if (tag.long_term === longTerm && tag.vector !== null)
      best = Math.max(best, tag.score * cosine(vector, tag.vector));
  }
  return best;
}

function historyOf({ vectors }: User, { vector }: ShopItem): { nearest: number; mean: number } {
  if (vector === null || vectors.length === 0) return { nearest: 0, mean: 0 };
  let [nearest, sum] = [0, 0];
  for (const other of vectors) {
    const near = Math.max(cosine(vector, other), 0);
    nearest = Math.max(nearest, near);
    sum += near;
  }
  return { nearest, mean: sum / vectors.length };
}

/** 0: in a category of the history; 1: not even the department is there. */
function distanceOf({ paths }: User, { category_path }: ShopItem): number {
  let nearest = 1;
  if (category_path.length === 0) return nearest;
  for (const path of paths) {
    let shared = 0;
    while (shared < Math.min(path.length, category_path.length) && path[shared] === category_path[shared]) shared++;
    nearest = Math.min(nearest, 1 - shared / Math.max(path.length, category_path.length));
  }
  return nearest;
}

function wordsSeen({ words }: User, { title }: ShopItem): number {
  const own = title === null || words.size === 0 ? [] : wordsOf(title);
  if (own.length === 0) return 0;
  return own.filter((word) => words.has(word)).length / own.length;
}

const clamped = (value: number): number => (value > 0 ? Math.min(value, 1) : 0);
