import type { ItemFacts } from '../../serendipity/records.ts';
import { NOVEL_BRAND, NOVEL_CATEGORY, NOVEL_SELLER } from '../../serendipity/user.ts';
import type { RetrievedItem, RuleCount } from '../../serengpt/records.ts';
import type { CatalogItem } from '../../shop/catalog.ts';
import type { Candidate } from '../records.ts';
import type { ListOptions } from './options.ts';

/** In this order: the first that holds is the one that is counted. What comes once a list is full is not looked at. */
export const RULES = [
  'over_limit',
  'duplicate',
  'unavailable',
  'bought',
  'shown',
  'no_category',
  'not_related',
  'same_category',
] as const;
export type Rule = (typeof RULES)[number];

/** What the filter needs to know of an item: the row of the table, held in memory by the process. */
export interface SoldItem extends ItemFacts {
  available: boolean;
}

export const soldItem = (item: CatalogItem): SoldItem => ({
  category: item.category_id || null,
  brand: item.brand_id || null,
  seller: item.seller_id || null,
  available: item.available !== false,
});

/** What there is to ask about an item. */
export interface Questions {
  /** undefined: the shop does not sell it */
  sold(item: string): SoldItem | undefined;
  bought(item: string): boolean;
  shown(item: string): boolean;
  novelty(facts: ItemFacts): { readonly bits: number; readonly categoryLastSeen: number };
}

export interface Sifted {
  candidates: Candidate[];
  /** of each rule that left something out, in the order of RULES */
  leftOut: RuleCount[];
}

/**
 * What of the retrieved items (best first, and so they stay) a user can be surprised with: every candidate is
 * serendipity-related (paper, 5.1.3), can be bought, and has a category, without which no click on it could be labelled.
 */
export function sift(items: readonly RetrievedItem[], ask: Questions, options: ListOptions): Sifted {
  const seen = new Set<string>();
  const ofCategory = new Map<string, number>();
  const left = new Map<Rule, number>();
  const candidates: Candidate[] = [];
  for (const item of items) {
    const judged = judge(item);
    if (typeof judged === 'string') left.set(judged, (left.get(judged) ?? 0) + 1);
    else candidates.push(judged);
  }
  return { candidates, leftOut: countsOf(left) };

  function judge({ retrieval_score: _score, ...item }: RetrievedItem): Candidate | Rule {
    if (candidates.length >= options.most) return 'over_limit';
    const id = item.item_id;
    if (seen.has(id)) return 'duplicate';
    seen.add(id);
    const sold = ask.sold(id);
    if (sold === undefined || !sold.available) return 'unavailable';
    if (ask.bought(id)) return 'bought';
    if (ask.shown(id)) return 'shown';
    const facts = {
      category: item.category_id || sold.category,
      brand: item.brand_id || sold.brand,
      seller: item.seller_id || sold.seller,
    };
    const { category } = facts;
    if (category === null) return 'no_category';
    const { bits, categoryLastSeen } = ask.novelty(facts);
    if (bits === 0) return 'not_related';
    const before = ofCategory.get(category) ?? 0;
    if (options.perCategory !== null && before >= options.perCategory) return 'same_category';
    ofCategory.set(category, before + 1);
    return {
      ...item,
      category_id: category,
      brand_id: facts.brand,
      seller_id: facts.seller,
      novel_category: (bits & NOVEL_CATEGORY) !== 0,
      novel_brand: (bits & NOVEL_BRAND) !== 0,
      novel_seller: (bits & NOVEL_SELLER) !== 0,
      category_last_seen: Number.isNaN(categoryLastSeen) ? null : categoryLastSeen,
    };
  }
}

/** In the order of RULES. */
export const countsOf = (left: ReadonlyMap<string, number>): RuleCount[] =>
  RULES.flatMap((rule) => (left.has(rule) ? [{ rule, count: left.get(rule)! }] : []));
