/**
 * Who may become part of the long-term profile (paper, 4.2.3): tags of the kept short-term profiles that pass all three.
 *
 *   frequency     in how many of the last refreshes it was given
 *   regularity    how even the times between those are: 1 / (1 + their coefficient of variation)
 *   effectiveness after how many of them a click or a purchase bore it out before the next refresh
 */
import type { LongTermOptions } from './options.ts';
import type { Pool, PoolTag } from './pool.ts';

export interface Mined {
  tag: PoolTag;
  frequency: number;
  regularity: number;
  effectiveness: number;
  /** which of the three it misses; null: admitted */
  misses: string | null;
}

/** Every tag that was given in the last refreshes and is in the pool still, the best first. */
export function mine(pool: Pool, options: LongTermOptions): Mined[] {
  const refreshes = pool.refreshes.slice(-options.refreshes);
  if (refreshes.length < options.fewestRefreshes) return [];
  const newest = refreshes.at(-1)!;
  const times = new Map<string, { at: number[]; borneOut: number; closed: number }>();
  for (const refresh of refreshes) {
    for (const { meaning, borneOut } of refresh.given) {
      let seen = times.get(meaning);
      if (seen === undefined) times.set(meaning, (seen = { at: [], borneOut: 0, closed: 0 }));
      seen.at.push(refresh.at);
      if (refresh === newest) continue; // what follows it is not known yet
      seen.closed++;
      if (borneOut) seen.borneOut++;
    }
  }
  const mined: Mined[] = [];
  for (const [meaning, { at, borneOut, closed }] of times) {
    const tag = pool.tags.get(meaning);
    if (tag === undefined) continue;
    const frequency = at.length / refreshes.length;
    const regularity = regularityOf(at);
    const effectiveness = closed === 0 ? 0 : borneOut / closed;
    const misses = [
      frequency < options.frequency ? `frequency ${round(frequency)} of ${options.frequency}` : '',
      regularity < options.regularity ? `regularity ${round(regularity)} of ${options.regularity}` : '',
      effectiveness < options.effectiveness ? `effectiveness ${round(effectiveness)} of ${options.effectiveness}` : '',
    ].filter((text) => text !== '');
    mined.push({ tag, frequency, regularity, effectiveness, misses: misses.length === 0 ? null : misses.join(', ') });
  }
  const worth = (one: Mined) => one.frequency * one.regularity * one.effectiveness;
  return mined.sort((a, b) => worth(b) - worth(a) || (a.tag.meaning < b.tag.meaning ? -1 : 1));
}

/** 1 where the gaps between times are even, towards 0 as they differ; 0 of a single time. */
function regularityOf(times: readonly number[]): number {
  if (times.length < 2) return 0;
  const gaps = times.slice(1).map((time, i) => time - times[i]!);
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  const variance = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length;
  return mean === 0 ? 0 : 1 / (1 + Math.sqrt(variance) / mean);
}

const round = (x: number): string => x.toFixed(2);
