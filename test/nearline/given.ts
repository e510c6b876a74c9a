import type { CatalogItem } from '../../src/shop/catalog.ts';
import type { GeneratedText, Generation } from '../../src/serengpt/records.ts';

/** An item with what is named, and the rest plain. */
export const item = (item_id: string, title: string | null, given: Partial<CatalogItem> = {}): CatalogItem => ({
  item_id,
  title,
  category_id: null,
  category_path: [],
  brand_id: null,
  brand_name: null,
  seller_id: null,
  tags: [],
  price: null,
  available: true,
  embedding: null,
  embedder: null,
  ...given,
});

export const said = (text: string, given: Partial<GeneratedText> = {}): GeneratedText => ({
  text,
  kind: 'title',
  times: 1,
  logprob: null,
  ...given,
});

export const generation = (texts: (string | GeneratedText)[], given: Partial<Generation> = {}): Generation => ({
  request_id: 'u1/1/1',
  user_id: 'u1',
  round: 1,
  attempt: 1,
  asked_at: 1000,
  expires_at: 4e15,
  valid_until: 90_000_000,
  generated_at: 2000,
  outcome: 'generated',
  error: null,
  model: 'model-1',
  prompt_version: 'serengpt-1',
  texts: texts.map((text) => (typeof text === 'string' ? said(text) : text)),
  dropped: [],
  prompt_tokens: 0,
  completion_tokens: 0,
  tags: [],
  history: [],
  ...given,
});

/** Numbers of a fixed sequence, 0 to 1. */
export function sequence(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
