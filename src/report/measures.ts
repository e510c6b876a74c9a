import { FIELDS, type Counts } from '../serendipity/metrics.ts';

/** What is added up of a user and an arm: counts, with `users` 1 a user, and the days on which the user was there. */
export type Sums = Counts & { user_days: number };

export const MEASURES = [...FIELDS, 'user_days'] as const;
export type Measure = (typeof MEASURES)[number];

export const nothing = (): Sums => Object.fromEntries(MEASURES.map((measure) => [measure, 0])) as Sums;

export function addTo(sums: Sums, more: Sums): void {
  for (const measure of MEASURES) sums[measure] += more[measure];
}

/** A metric is one sum over another, so that one method serves all (paper, Section 5.1.3). */
export interface MetricSpec {
  name: string;
  title: string;
  over: Measure;
  of: Measure;
  /** a share, whose lift is told in percentage points too */
  rate: boolean;
}

/**
 * The paper counts clicks, purchases and users of arms of equal size. Here counts are told per user of the arm, so that
 * arms of any size compare.
 */
export const METRICS = [
  { name: 's_pvr', title: 'S-PVR', over: 's_exposures', of: 'exposures', rate: true },
  { name: 's_click', title: 'S-Click', over: 's_clicks', of: 'users', rate: false },
  { name: 's_tv', title: 'S-TV', over: 's_purchases', of: 'users', rate: false },
  { name: 'ctr', title: 'CTR', over: 'clicks', of: 'exposures', rate: true },
  { name: 'tv', title: 'TV', over: 'purchases', of: 'users', rate: false },
  { name: 'uv3', title: 'UV3', over: 'uv3', of: 'users', rate: false },
  { name: 'uv3_share', title: 'UV3 share', over: 'uv3', of: 'user_days', rate: true },
] as const satisfies readonly MetricSpec[];
export type MetricName = (typeof METRICS)[number]['name'];

/** Null where there is nothing to divide by. */
export const ratio = (sums: Sums, { over, of }: MetricSpec): number | null =>
  sums[of] === 0 ? null : sums[over] / sums[of];
