/**
 * The fusion of the personalised list with a user's serendipity candidates (paper, 4.4.2): one ranked list, in which the
 * candidates are weighted up and a few of them are certain of being seen. Pure: equal input gives equal output.
 *
 * Calibration. The two scores have nothing in common, so a candidate gets the personalised score of its own rank:
 *   u = (candidates with a lower score + half of those with the same one, itself included) / candidates      0 < u < 1
 *   q = the u-quantile of the personalised scores, between neighbours by straight line
 *   calibrated = low + weight * (q - low), low being the least personalised score
 * so that weight 1 lets the best candidate compete with the best personalised items, and what is near 0 leaves it at the
 * end. Without personalised items the scale is 0 to 1. A score that is no number is as low as the one before it
 * (personalised; they are taken in the order that they come in), or lowest (candidates).
 *
 * Order. Personalised items keep theirs. A candidate stands before the first personalised item whose score, as far as it
 * has fallen by then, is below the candidate's; where both are equal the personalised item is first.
 *
 * Guarantee. At least `atLeast` of the first `within` rows are candidates, where there are as many and the weight is not
 * 0: those that would stand too far down are brought forward, no further than needed.
 */
import type { Candidate } from './records.ts';

/** How candidates are weighted and shown; an arm of an experiment may have its own. */
export interface FusionRule {
  /** 0 to 1; 0: the personalised list as it is */
  weight: number;
  /** so many candidates... */
  atLeast: number;
  /** ...among the first rows */
  within: number;
  /** candidates of one category in a list, at most */
  perCategory: number;
}

export interface PersonalisedItem {
  item_id: string;
  score: number;
  category_id?: string | null;
}

export type FusedCandidate = Pick<Candidate, 'item_id' | 'score' | 'category_id'>;

export type Why =
  /** it is of the personalised list */
  | 'personalised'
  /** its calibrated score took it here */
  | 'score'
  /** brought forward, so that enough candidates are seen */
  | 'guaranteed';

export interface FusedRow<P, C> {
  item: P | C;
  source: 'personalised' | 'serendipity';
  /** from 1 */
  position: number;
  calibrated: number;
  why: Why;
}

/** Scores are cut here, so that no difference of two is infinite. */
const LARGEST = 1e300;

/**
 * At most `size` rows, best first; no item twice (one that both lists have is personalised). `personalised` in the order
 * that its ranking gave it, `candidates` in any.
 */
export function fuse<P extends PersonalisedItem, C extends FusedCandidate>(
  personalised: readonly P[],
  candidates: readonly C[],
  { weight, atLeast, within, perCategory }: FusionRule,
  size: number,
): FusedRow<P, C>[] {
  const seen = new Set<string>();
  const ours = personalised.filter((item) => isNew(item, seen));
  const scores = falling(ours);
  const best = weight > 0 ? chosen(candidates, seen, perCategory) : [];
  const calibrated = calibrate(best, scores, weight);
  const window = Math.min(within, size);
  const certain = Math.min(atLeast, window, best.length);
  // with so many personalised items before the last certain one, it is the last of the window
  const mostBefore = window - certain;

  const rows: FusedRow<P, C>[] = [];
  let p = 0;
  for (let c = 0; c < best.length && rows.length < size; c++) {
    const score = calibrated[c]!;
    let why: Why = 'score';
    while (p < ours.length && scores[p]! >= score && rows.length < size) {
      if (c < certain && p >= mostBefore) {
        why = 'guaranteed';
        break;
      }
      rows.push(row(ours[p]!, 'personalised', rows.length, scoreOf(ours[p]!, scores[p]!), 'personalised'));
      p++;
    }
    if (rows.length < size) rows.push(row(best[c]!, 'serendipity', rows.length, score, why));
  }
  for (; p < ours.length && rows.length < size; p++) {
    rows.push(row(ours[p]!, 'personalised', rows.length, scoreOf(ours[p]!, scores[p]!), 'personalised'));
  }
  return rows;
}

const row = <P, C>(item: P | C, source: FusedRow<P, C>['source'], before: number, calibrated: number, why: Why) => ({
  item,
  source,
  position: before + 1,
  calibrated,
  why,
});

/** A personalised score is on its own scale already. */
const scoreOf = ({ score }: PersonalisedItem, taken: number): number => (Number.isFinite(score) ? score : taken);

function isNew({ item_id }: { item_id: string }, seen: Set<string>): boolean {
  if (seen.has(item_id)) return false;
  seen.add(item_id);
  return true;
}

/** The scores as a reader of the list meets them: none rises above what stands before it. */
function falling(items: readonly PersonalisedItem[]): number[] {
  const first = items.find(({ score }) => Number.isFinite(score));
  let last = first === undefined ? 0 : cut(first.score);
  return items.map(({ score }) => (last = Number.isFinite(score) ? Math.min(last, cut(score)) : last));
}

const cut = (score: number): number => Math.min(Math.max(score, -LARGEST), LARGEST);

const own = ({ score }: FusedCandidate): number => (Number.isNaN(score) ? -Infinity : score);

/** Best first, new ones only, so many of a category. Equal ones keep their order. */
function chosen<C extends FusedCandidate>(candidates: readonly C[], seen: Set<string>, perCategory: number): C[] {
  const inCategory = new Map<string, number>();
  return candidates
    .toSorted((a, b) => (own(a) === own(b) ? 0 : own(b) - own(a)))
    .filter((candidate) => {
      const category = candidate.category_id;
      const count = category === null ? 0 : (inCategory.get(category) ?? 0);
      if (count >= perCategory || !isNew(candidate, seen)) return false;
      if (category !== null) inCategory.set(category, count + 1);
      return true;
    });
}

/** Of candidates that are best first; `scores` falling. */
function calibrate(best: readonly FusedCandidate[], scores: readonly number[], weight: number): number[] {
  const low = scores.at(-1) ?? 0;
  const all = best.length;
  const calibrated: number[] = [];
  for (let from = 0; from < all;) {
    let to = from + 1;
    while (to < all && own(best[to]!) === own(best[from]!)) to++;
    const u = (all - to + (to - from) / 2) / all;
    const q = scores.length === 0 ? u : quantile(scores, u);
    for (; from < to; from++) calibrated.push(low + weight * (q - low));
  }
  return calibrated;
}

function quantile(scores: readonly number[], u: number): number {
  const at = u * (scores.length - 1);
  const lower = Math.floor(at);
  const [a, b] = [scores.at(-1 - lower)!, scores.at(-2 - lower) ?? scores[0]!];
  // rounding must not take it past its neighbour, or the order of two candidates would turn
  return Math.min(a + (at - lower) * (b - a), b);
}
