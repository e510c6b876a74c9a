/** The report as tables for a terminal, as CSV and as JSON. */
import { stringify } from 'csv-stringify/sync';
import { armName } from '../report/baseline.ts';
import type { Estimate, Interval } from '../report/lift.ts';
import { METRICS, type MetricSpec } from '../report/measures.ts';
import type { ArmLift, ArmRow, Report, Section } from '../report/report.ts';
import type { Warning } from '../report/warnings.ts';
import { table } from './table.ts';
import { humanCount } from './units.ts';
import { plain } from './words.ts';

const titles = METRICS.map(({ title, rate, of }) => `${title}${!rate && of === 'users' ? '/user' : ''}`);

export function reportPage(report: Report): string {
  const { from, to, period, days, confidence, baseline } = report;
  const percent = `${Number((100 * confidence).toFixed(2))} %`;
  const when = `${from} to ${to}, ${days.length} day${days.length === 1 ? '' : 's'} with data`;
  const intervals =
    period.basis === 'user-days' ? `${percent} intervals, users are the unit` : 'by metrics.daily, no intervals';
  const parts = [`${when}; ${intervals}\n`, armsTable(period)];
  if (period.lifts.length > 0) {
    parts.push(`lift over ${plain(armName(baseline!))}\n${liftsTable(report)}`, ratioLine(report));
  }
  parts.push(
    `by day${period.lifts.length > 0 ? `, in brackets the lift over ${plain(armName(baseline!))}` : ''}\n${daysTable(report)}`,
  );
  return parts.filter((part) => part !== '').join('\n');
}

function armsTable({ arms, basis }: Section): string {
  const users = basis === 'user-days' ? 'users' : 'user-days';
  return table(
    ['arm', users, ...titles],
    arms.map((row) => [
      plain(armName(row.arm)),
      humanCount(row.users),
      ...METRICS.map((metric) => valueText(row.metrics[metric.name].value, metric)),
    ]),
  );
}

function liftsTable({ period, baseline }: Report): string {
  const base = period.arms.find(({ arm }) => arm === baseline)!;
  const resampled = period.lifts.some((lift) => lift.resampled !== null);
  const rows = period.lifts.map((lift) => {
    const metric = METRICS.find(({ name }) => name === lift.metric)!;
    const own = period.arms.find(({ arm }) => arm === lift.arm)!;
    return [
      plain(lift.arm),
      metric.title,
      valueText(base.metrics[metric.name].value, metric),
      valueText(own.metrics[metric.name].value, metric),
      metric.rate ? estimateText(lift.difference, points) : '',
      estimateText(lift.relative, relative),
      pText(lift.p),
      ...(resampled ? [intervalText(lift.resampled?.relative ?? null, relative)] : []),
    ];
  });
  const header = ['arm', 'metric', 'baseline', 'arm has', 'points', 'relative', 'p'];
  return table(resampled ? [...header, 'relative, bootstrap'] : header, rows);
}

function ratioLine({ sampleRatio }: Report): string {
  if (sampleRatio === null) return '';
  const arms = sampleRatio.arms.map(
    ({ arm, users, expected }) => `${plain(armName(arm))} ${users} of ${Math.round(expected)}`,
  );
  return `users against the expected shares: ${arms.join(', ')}; p = ${pText(sampleRatio.p)}\n`;
}

function daysTable({ days }: Report): string {
  const rows = days.flatMap((section) =>
    section.arms.map((row) => [
      section.day!,
      plain(armName(row.arm)),
      humanCount(row.users),
      humanCount(row.sums.exposures),
      ...METRICS.map((metric) => dayCell(row, section, metric)),
    ]),
  );
  return table(['day', 'arm', 'users', 'exposures', ...titles], rows);
}

function dayCell(row: ArmRow, { lifts }: Section, metric: MetricSpec & { name: ArmLift['metric'] }): string {
  const value = valueText(row.metrics[metric.name].value, metric);
  const lift = lifts.find((one) => one.arm === row.arm && one.metric === metric.name);
  const by = lift === undefined ? null : metric.rate ? lift.difference.value : lift.relative.value;
  return by === null ? value : `${value} (${(metric.rate ? points : relative)(by)}${metric.rate ? 'pt' : ''})`;
}

const valueText = (value: number | null, { rate }: MetricSpec): string =>
  value === null ? '-' : rate ? `${(100 * value).toFixed(2)}%` : value.toPrecision(4);

const signed = (value: number, digits: number): string => `${value < 0 ? '-' : '+'}${Math.abs(value).toFixed(digits)}`;
const points = (value: number): string => signed(100 * value, 2);
const relative = (value: number): string => `${signed(100 * value, Math.abs(value) < 0.1 ? 2 : 1)}%`;

const estimateText = ({ value, interval }: Estimate, say: (value: number) => string): string =>
  value === null ? '-' : `${say(value)} ${intervalText(interval, say)}`.trimEnd();

const intervalText = (interval: Interval | null, say: (value: number) => string): string =>
  interval === null ? '' : `[${say(interval.low)}, ${say(interval.high)}]`;

const pText = (p: number | null): string => (p === null ? '-' : p < 0.001 ? '<0.001' : p.toFixed(3));

/** Numbers are as they are: rates and relative lifts as fractions. */
export const reportJson = (report: Report, warnings: readonly Warning[]): string =>
  `${JSON.stringify({ ...report, baseline: report.baseline === undefined ? null : armName(report.baseline), warnings }, null, 2)}\n`;

/** A line for each day (or the period), arm and metric. */
export function reportCsv({ period, days, baseline }: Report): string {
  const lines = [period, ...days].flatMap((section) =>
    section.arms.flatMap((row) =>
      METRICS.map((metric) => {
        const lift = section.lifts.find((one) => one.arm === row.arm && one.metric === metric.name);
        const { value, interval } = row.metrics[metric.name];
        return {
          day: section.day ?? 'period',
          arm: armName(row.arm),
          metric: metric.name,
          value,
          low: interval?.low,
          high: interval?.high,
          over: row.sums[metric.over],
          of: row.sums[metric.of],
          users: row.users,
          basis: section.basis,
          baseline: lift === undefined ? null : armName(baseline!),
          difference: lift?.difference.value,
          difference_low: lift?.difference.interval?.low,
          difference_high: lift?.difference.interval?.high,
          relative: lift?.relative.value,
          relative_low: lift?.relative.interval?.low,
          relative_high: lift?.relative.interval?.high,
          p: lift?.p,
        };
      }),
    ),
  );
  // an arm's name is somebody's text: a spreadsheet is not to run it
  return stringify(lines, { header: true, cast: { string: (text) => text.replace(/^[=+\-@\t\r]/, "'$&") } });
}
