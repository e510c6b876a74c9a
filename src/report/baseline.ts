import { UsageError } from '../errors.ts';

/** How events without an arm are called on a command line and a page. */
export const NO_ARM = '(none)';
export const armName = (arm: string | null): string => arm ?? NO_ARM;

/**
 * The arm that the others are compared with; undefined where there is nothing to compare. `asked` on the command line,
 * `usual` by the configuration. Throws UsageError where it cannot be told.
 */
export function baselineOf(
  arms: readonly (string | null)[],
  asked: string | undefined,
  usual: string,
): string | null | undefined {
  const there = `the arms of these days: ${arms.map(armName).join(', ')}`;
  if (asked !== undefined) {
    if (arms.includes(asked)) return asked;
    if (asked === NO_ARM && arms.includes(null)) return null;
    throw new UsageError(`--baseline ${asked}: there is no such arm; ${there}`);
  }
  if (arms.includes(usual)) return usual;
  if (arms.filter((arm) => arm !== null).length <= 1) return undefined;
  throw new UsageError(`none of them is called ${usual} (report.baseline), so --baseline ARM is needed; ${there}`);
}
