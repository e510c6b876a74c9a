/** The online table (paper, Tables 3 and 4): what each arm's metrics are, by day and over a period, and their lifts. */
import type { MetricsDay } from '../serendipity/metrics.ts';
import type { Bootstrap, Resampled } from './bootstrap.ts';
import { estimate, liftOf, type Estimate, type Lift } from './lift.ts';
import { addTo, METRICS, nothing, type MetricName, type Sums } from './measures.ts';
import type { Moments } from './moments.ts';
import type { Population } from './population.ts';
import { sampleRatio, type SampleRatio } from './sample-ratio.ts';

/** `metrics.daily`: its sums do not tell users apart, so that nothing has an interval. */
export type Basis = 'user-days' | 'metrics.daily';

export interface ArmRow {
  arm: string | null;
  /** with any event; in a period by `metrics.daily`, of each day anew */
  users: number;
  sums: Sums;
  metrics: Record<MetricName, Estimate>;
}

export type ArmLift = Lift & { arm: string; metric: MetricName; resampled: Resampled | null };

export interface Section {
  /** null: the whole period */
  day: string | null;
  basis: Basis;
  arms: ArmRow[];
  lifts: ArmLift[];
}

export interface Report {
  from: string;
  to: string;
  /** undefined: no lifts */
  baseline: string | null | undefined;
  confidence: number;
  period: Section;
  days: Section[];
  sampleRatio: SampleRatio | null;
  /** users of more than one named arm: they count in each, with what they did there */
  mixed: number;
  users: number;
  alsoWithout: number;
  /** days of which user-days hold less than metrics.daily does */
  cutDays: string[];
  /** days of the period of which metrics.daily has nothing, so that nothing says whether user-days are whole */
  uncheckedDays: string[];
}

export interface ReportOptions {
  from: string;
  to: string;
  baseline: string | null | undefined;
  confidence: number;
  /** expected shares of users by arm; null: equal ones */
  shares: ReadonlyMap<string, number> | null;
  bootstrap: Bootstrap | null;
}

interface Arm {
  sums: Sums;
  moments: Moments | null;
}
type Arms = ReadonlyMap<string | null, Arm>;

/** `daily`: rows of metrics.daily, which outlive user-days; null where there are none to look at, as with a file. */
export function reportOf(
  population: Population,
  daily: readonly MetricsDay[] | null,
  { from, to, baseline, confidence, shares, bootstrap }: ReportOptions,
): Report {
  const known = (daily ?? []).filter(({ day, users }) => day >= from && day <= to && users > 0);
  const cut = new Set<string>();
  for (const { day, arm, users } of known) {
    if ((population.days.get(day)?.get(arm)?.n ?? 0) < users) cut.add(day);
  }
  const knownDays = new Set(known.map(({ day }) => day));
  const days = [...new Set([...population.days.keys(), ...knownDays])].sort();
  const armsOf = (day: string): Arms =>
    cut.has(day) ? fromDaily(known.filter((row) => row.day === day)) : fromMoments(population.days.get(day)!);

  const whole = cut.size === 0;
  const byDay = new Map(days.map((day) => [day, armsOf(day)]));
  const arms = whole ? fromMoments(population.arms) : together([...byDay.values()]);
  const section = (day: string | null, arms: Arms, basis: Basis): Section =>
    sectionOf(day, arms, basis, baseline, confidence, day === null && whole ? bootstrap : null);
  return {
    from,
    to,
    baseline,
    confidence,
    period: section(null, arms, whole ? 'user-days' : 'metrics.daily'),
    days: days.map((day) => section(day, byDay.get(day)!, cut.has(day) ? 'metrics.daily' : 'user-days')),
    sampleRatio: whole ? ratioOf(arms, baseline, shares) : null,
    mixed: population.mixed,
    users: population.users,
    alsoWithout: population.alsoWithout,
    cutDays: [...cut].sort(),
    uncheckedDays: daily === null ? [] : days.filter((day) => !knownDays.has(day)),
  };
}

const fromMoments = (arms: ReadonlyMap<string | null, Moments>): Arms =>
  new Map([...arms].map(([arm, moments]) => [arm, { sums: moments.sums, moments }]));

const fromDaily = (rows: readonly MetricsDay[]): Arms =>
  new Map(
    rows.map(({ day: _day, arm, ...counts }) => [arm, { sums: { ...counts, user_days: counts.users }, moments: null }]),
  );

function together(days: readonly Arms[]): Arms {
  const all = new Map<string | null, Arm>();
  for (const [arm, { sums }] of days.flatMap((arms) => [...arms])) {
    if (!all.has(arm)) all.set(arm, { sums: nothing(), moments: null });
    addTo(all.get(arm)!.sums, sums);
  }
  return all;
}

function sectionOf(
  day: string | null,
  arms: Arms,
  basis: Basis,
  baseline: string | null | undefined,
  confidence: number,
  bootstrap: Bootstrap | null,
): Section {
  const named = [...arms].sort(([a], [b]) => compareArms(a, b, baseline));
  const rows = named.map(([arm, { sums, moments }]): ArmRow => {
    const metrics = METRICS.map((metric) => [metric.name, estimate(sums, moments, metric, confidence)]);
    return { arm, users: sums.users, sums, metrics: Object.fromEntries(metrics) };
  });
  const base = baseline === undefined ? undefined : arms.get(baseline);
  const lifts = named.flatMap(([arm, own]) => {
    // events without an arm are outside the experiment: they are shown, and compared with only where that is asked for
    if (base === undefined || arm === null || arm === baseline) return [];
    return METRICS.map((metric): ArmLift => ({
      arm,
      metric: metric.name,
      ...liftOf(own, base, metric, confidence),
      resampled: bootstrap?.lift(arm, baseline!, metric.name, confidence) ?? null,
    }));
  });
  return { day, basis, arms: rows, lifts };
}

/** The baseline first, then by name, what has no arm last. */
export function compareArms(a: string | null, b: string | null, baseline: string | null | undefined): number {
  const rank = (arm: string | null) => (arm === baseline ? 0 : arm === null ? 2 : 1);
  return rank(a) - rank(b) || (a === b ? 0 : (a ?? '') < (b ?? '') ? -1 : 1);
}

function ratioOf(
  arms: Arms,
  baseline: string | null | undefined,
  shares: ReadonlyMap<string, number> | null,
): SampleRatio | null {
  const equal = () =>
    new Map(
      [...arms.keys()]
        .filter((arm) => arm !== null || baseline === null)
        .sort((a, b) => compareArms(a, b, baseline))
        .map((arm) => [arm, 1]),
    );
  return sampleRatio(new Map([...arms].map(([arm, { sums }]) => [arm, sums.users])), shares ?? equal());
}
