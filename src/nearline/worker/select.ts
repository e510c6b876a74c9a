/**
 * From what was found and its scores to the answer's items: what the user has bought is left out, and so is what of a
 * category comes after its best few (paper, 4.4.1: fewer but better).
 */
import { compareIds } from '../../shop/behaviour.ts';
import type { GeneratedText, RetrievedItem, RuleCount } from '../../serengpt/records.ts';
import { leadOf } from '../retrieval/fusion.ts';
import { CHANNELS, type Found } from '../retriever.ts';
import type { RetrievalSettings } from './settings.ts';

/** Of a record, which has to fit into the log. */
const LONGEST_TITLE = 500;

type Bounds = Pick<RetrievalSettings, 'items' | 'perCategory' | 'leastScore'>;
export const RULES = ['bought', 'low_score', 'category_full', 'list_full'] as const;
export type Rule = (typeof RULES)[number];

/** 0 to 1: the best over the channels. */
export const retrievalScore = ({ keyword, vector }: Pick<Found, 'keyword' | 'vector'>): number =>
  Math.max(keyword?.score ?? 0, vector?.score ?? 0);

/** `scores`: of each that was found. Equal ones go by how they were found, then by id: the same answer everywhere. */
export function selected(
  found: readonly Found[],
  scores: ArrayLike<number>,
  texts: readonly GeneratedText[],
  bought: ReadonlySet<string>,
  { items: most, perCategory, leastScore }: Bounds,
): { items: RetrievedItem[]; dropped: RuleCount[] } {
  const ranked = found
    .map((one, i) => ({ one, score: scores[i]! }))
    .sort(
      (a, b) => b.score - a.score || b.one.fused - a.one.fused || compareIds(a.one.item.item_id, b.one.item.item_id),
    );
  const items: RetrievedItem[] = [];
  const counts = new Map<Rule, number>();
  const ofCategory = new Map<string, number>();
  for (const { one, score } of ranked) {
    const { item_id, category_id } = one.item;
    const category = category_id ?? '';
    const taken = ofCategory.get(category) ?? 0;
    const rule: Rule | null = bought.has(item_id)
      ? 'bought'
      : score < leastScore
        ? 'low_score'
        : taken >= perCategory
          ? 'category_full'
          : items.length >= most
            ? 'list_full'
            : null;
    if (rule !== null) {
      counts.set(rule, (counts.get(rule) ?? 0) + 1);
      continue;
    }
    ofCategory.set(category, taken + 1);
    items.push(recordOf(one, score, texts));
  }
  return { items, dropped: RULES.flatMap((rule) => (counts.has(rule) ? [{ rule, count: counts.get(rule)! }] : [])) };
}

function recordOf(one: Found, score: number, texts: readonly GeneratedText[]): RetrievedItem {
  const { item_id, title, category_id, brand_id, seller_id, price } = one.item;
  const lead = texts[leadOf(one).text]!;
  return {
    item_id,
    title: title === null ? null : title.slice(0, LONGEST_TITLE).toWellFormed(),
    category_id,
    brand_id,
    seller_id,
    price,
    score,
    retrieval_score: retrievalScore(one),
    led_by: lead.text,
    led_by_kind: lead.kind,
    channels: CHANNELS.filter((channel) => one[channel] !== null),
  };
}
