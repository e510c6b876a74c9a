import { armName } from './baseline.ts';
import type { Report } from './report.ts';

export interface Warning {
  /** stable */
  code: string;
  text: string;
}

/** Below this the numbers of users are not what the shares say (a common bound for an experiment's alarm). */
export const MISMATCH = 0.001;
/** With fewer users in an arm the delta method is rough. */
const FEW = 50;

/** What a reader is to know before believing the table; the worst first. */
export function warningsOf(report: Report): Warning[] {
  const warnings: Warning[] = [];
  const warn = (code: string, text: string) => void warnings.push({ code, text });
  const { sampleRatio, mixed, users, period, cutDays, uncheckedDays, alsoWithout, baseline } = report;
  if (sampleRatio !== null && sampleRatio.p < MISMATCH) {
    const arms = sampleRatio.arms.map(
      (one) => `${armName(one.arm)} ${one.users} users, expected ${Math.round(one.expected)}`,
    );
    const text = `SAMPLE RATIO MISMATCH (p = ${sampleRatio.p.toExponential(1)}): ${arms.join('; ')}. Users were lost from an arm or moved between arms, so the lifts are not to be trusted until that is explained (assignment, logging, bots, or report.shares)`;
    warn('SAMPLE_RATIO_MISMATCH', text);
  }
  if (cutDays.length > 0) {
    const text = `user-days hold less than metrics.daily of ${daysIn(cutDays)}: retention has cut them, or the labels job was replayed elsewhere. These days and the period come from metrics.daily, without intervals; users of the period are counted anew each day`;
    warn('CUT_DAYS', text);
  }
  if (mixed > 0) {
    const text = `${mixed} of ${users} users (${((100 * mixed) / users).toFixed(1)} %) were in more than one arm. Each counts in every arm, with what happened there: this blurs a lift`;
    warn('MIXED_USERS', text);
  }
  if (uncheckedDays.length > 0) {
    const text = `metrics.daily has nothing of ${daysIn(uncheckedDays)}, so nothing says whether user-days are whole there (does \`seral run metrics\` run?)`;
    warn('UNCHECKED_DAYS', text);
  }
  const small =
    period.lifts.length === 0 ? [] : period.arms.filter((row) => compared(row.arm, baseline) && row.users < FEW);
  if (small.length > 0) {
    const arms = small.map(({ arm, users: n }) => `${armName(arm)} ${n}`).join(', ');
    warn('FEW_USERS', `fewer than ${FEW} users (${arms}): intervals are rough, and --bootstrap tells how rough`);
  }
  if (alsoWithout > 0) {
    warn('EVENTS_WITHOUT_ARM', `${alsoWithout} users of an arm have events without an arm too; these count in no arm`);
  }
  return warnings;
}

const compared = (arm: string | null, baseline: string | null | undefined): boolean =>
  arm !== null || baseline === null;

const daysIn = (days: readonly string[]): string =>
  days.length <= 3 ? days.join(', ') : `${days.length} days from ${days[0]} to ${days.at(-1)}`;
