import { chiSquareAbove } from './distributions.ts';

export interface SampleRatio {
  arms: { arm: string | null; users: number; expected: number }[];
  chiSquare: number;
  /** of numbers of users at least this far from the expected shares, had the split been as it should */
  p: number;
}

/**
 * Whether the arms have the shares of users that they should (Pearson's chi-square). Where they have not, users were lost
 * or moved, and no lift can be trusted. `shares` in any unit; an arm that has one and no users counts as 0. Null with
 * fewer than two arms, or no users.
 */
export function sampleRatio(
  users: ReadonlyMap<string | null, number>,
  shares: ReadonlyMap<string | null, number>,
): SampleRatio | null {
  const all = [...shares.keys()].reduce((sum, arm) => sum + (users.get(arm) ?? 0), 0);
  const whole = [...shares.values()].reduce((sum, share) => sum + share, 0);
  if (shares.size < 2 || all === 0 || whole <= 0) return null;
  const arms = [...shares].map(([arm, share]) => ({
    arm,
    users: users.get(arm) ?? 0,
    expected: (all * share) / whole,
  }));
  const chiSquare = arms.reduce((sum, { users, expected }) => sum + (users - expected) ** 2 / expected, 0);
  return { arms, chiSquare, p: chiSquareAbove(chiSquare, arms.length - 1) };
}
