import { SeralError } from '../errors.ts';
import { baselineOf } from '../report/baseline.ts';
import { Bootstrap } from '../report/bootstrap.ts';
import { LastRevisions, Population } from '../report/population.ts';
import { reportOf, type Report } from '../report/report.ts';
import type { MetricsDay } from '../serendipity/metrics.ts';
import type { RowsFrom } from './report-days.ts';

export interface ReportCommand {
  from: string | null;
  to: string | null;
  baseline: string | undefined;
  /** where `from` and `to` leave it open: the last so many days with data */
  days: number;
  usualBaseline: string;
  confidence: number;
  shares: Record<string, number> | null;
  /** 0: none */
  resamples: number;
  seed: number;
}

/** Reads twice where the days are not given: once to find them. Throws SeralError NO_DATA, UsageError. */
export async function makeReport(rows: RowsFrom, options: ReportCommand): Promise<Report> {
  const daily = await rows.daily();
  const { from, to } = await periodOf(rows, daily, options);
  const bootstrap = options.resamples === 0 ? null : new Bootstrap(options.resamples, options.seed);
  const population = new Population(from, to, bootstrap);
  for await (const part of rows.parts(from)) {
    const last = new LastRevisions();
    for await (const batch of part) for (const row of batch) if (row.day >= from && row.day <= to) last.add(row);
    for (const user of last) population.add(user);
  }
  const known = (daily ?? []).filter(({ day, users }) => day >= from && day <= to && users > 0);
  const arms = [...new Set([...population.arms.keys(), ...known.map(({ arm }) => arm)])].sort();
  if (arms.length === 0) throw new SeralError('NO_DATA', `nothing is known of ${from} to ${to}`);
  return reportOf(population, daily, {
    from,
    to,
    baseline: baselineOf(arms, options.baseline, options.usualBaseline),
    confidence: options.confidence,
    shares: options.shares === null ? null : new Map(Object.entries(options.shares)),
    bootstrap,
  });
}

async function periodOf(
  rows: RowsFrom,
  daily: readonly MetricsDay[] | null,
  { from, to, days }: ReportCommand,
): Promise<{ from: string; to: string }> {
  if (from !== null && to !== null) return { from, to };
  const found = new Set((daily ?? []).filter(({ users }) => users > 0).map(({ day }) => day));
  for await (const part of rows.parts(from)) {
    for await (const batch of part) for (const { day, events } of batch) if (events > 0) found.add(day);
  }
  const sorted = [...found].filter((day) => (from === null || day >= from) && (to === null || day <= to)).sort();
  if (sorted.length === 0) {
    const where = from !== null ? ` from ${from} on` : to !== null ? ` up to ${to}` : '';
    throw new SeralError('NO_DATA', `there is no user's day${where}`);
  }
  return { from: from ?? sorted.at(-Math.min(days, sorted.length))!, to: to ?? sorted.at(-1)! };
}
