/** The distributions that intervals and checks rest on, by jstat. */
import jStat from 'jstat';

/** From so many degrees of freedom on the normal stands for t: they differ by less than 1e-5, and jstat's t errs by more. */
const MANY = 1e6;

/** The x with P(|T| <= x) = `confidence`. */
export function tQuantile(confidence: number, degreesOfFreedom: number): number {
  const p = 1 - (1 - confidence) / 2;
  return degreesOfFreedom >= MANY ? jStat.normal.inv(p, 0, 1) : jStat.studentt.inv(p, degreesOfFreedom);
}

/** P(|T| >= |t|) */
export function tTwoSided(t: number, degreesOfFreedom: number): number {
  const x = -Math.abs(t);
  return 2 * (degreesOfFreedom >= MANY ? jStat.normal.cdf(x, 0, 1) : jStat.studentt.cdf(x, degreesOfFreedom));
}

/** P(X >= x) */
export const chiSquareAbove = (x: number, degreesOfFreedom: number): number =>
  x <= 0 ? 1 : Math.max(1 - jStat.chisquare.cdf(x, degreesOfFreedom), 0);
