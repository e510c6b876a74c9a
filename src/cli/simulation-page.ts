/** Figure 4 as tables: the figures as they are, and each as a share of its greatest. */
import type { Simulated } from './simulate-cache.ts';
import { table } from './table.ts';
import { humanCount, humanDuration } from './units.ts';

export interface SimulationRow extends Simulated {
  /** T */
  hours: number;
}

/** Shares of pages, and what is failed, so that no reader has to do sums. */
export const derived = (row: SimulationRow) => ({
  failed: row.late + row.dropped + row.refused,
  valid_share: share(row.valid, row.pages),
  waiting_share: share(row.waiting, row.pages),
  without_share: share(row.without, row.pages),
});

const share = (part: number, whole: number): number | null => (whole === 0 ? null : part / whole);
const percent = (value: number | null): string => (value === null ? '-' : `${(100 * value).toFixed(1)}%`);
const rate = (value: number): string => (value === 0 ? '0' : value.toPrecision(3));

export function simulationPage(rows: readonly SimulationRow[]): string {
  const first = rows[0]!;
  const head = `${humanCount(first.events)} events over ${(first.spanMs / 86_400_000).toFixed(1)} days, ${humanCount(first.pages)} pages\n`;
  const figures = table(
    ['T', 'requests', 'QPS', 'peak QPS', 'failed', 'E-QPS', 'valid', 'waiting', 'without', 'age when valid'],
    rows.map((row) => {
      const { failed, valid_share, waiting_share, without_share } = derived(row);
      return [
        `${row.hours}h`,
        humanCount(row.requests),
        rate(row.qps),
        rate(row.peakQps),
        humanCount(failed),
        rate(row.eqps),
        percent(valid_share),
        percent(waiting_share),
        percent(without_share),
        row.meanAgeMs === null ? '-' : humanDuration(row.meanAgeMs),
      ];
    }),
  );
  const most = normalised(rows);
  const shares = table(
    ['T', 'QPS', 'peak QPS', 'E-QPS', 'valid'],
    rows.map(({ hours }, i) => [`${hours}h`, ...most[i]!.map((value) => (value === null ? '-' : value.toFixed(3)))]),
  );
  return `${head}\n${figures}\nas in the paper's Figure 4, each figure divided by its greatest\n${shares}`;
}

/** QPS, peak QPS, E-QPS and valid share of each row, as shares of the greatest; null where that is 0. */
export function normalised(rows: readonly SimulationRow[]): (number | null)[][] {
  const values = rows.map((row) => [row.qps, row.peakQps, row.eqps, derived(row).valid_share ?? 0]);
  const most = values[0]!.map((_, column) => Math.max(...values.map((row) => row[column]!)));
  return values.map((row) => row.map((value, column) => share(value, most[column]!)));
}

export function simulationJson(rows: readonly SimulationRow[], settings: object): string {
  const most = normalised(rows);
  const figures = rows.map(({ counts: _counts, ...row }, i) => {
    const [qps, peak_qps, eqps, valid] = most[i]!;
    return { ...row, ...derived({ ...row, counts: new Map() }), normalised: { qps, peak_qps, eqps, valid } };
  });
  return `${JSON.stringify({ settings, rows: figures }, null, 2)}\n`;
}
