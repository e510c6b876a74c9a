/**
 * Whether a visit asks for a new generation (paper, 4.4.1: candidates are used for T hours, then made anew). Pure: the live
 * topology goes by it, and so does whoever replays a log with another T.
 */
import type { RegenerationReason } from './records.ts';

/** What is there of a user's generations. Times are event times. */
export interface Freshness {
  /** of the visit that asked for the last one; 0: there is none */
  generatedAt: number;
  /** it is not used from here on; 0: there is none */
  validUntil: number;
  /** the profile is another one than it was made from */
  profileChanged: boolean;
  /** no visit asks before; 0: whenever */
  notBefore: number;
}

/** Why a visit at `time` asks; null where it does not. `minAge`: see RegenerationOptions. */
export function reasonToAsk(
  { generatedAt, validUntil, profileChanged, notBefore }: Freshness,
  time: number,
  minAge: number,
): Exclude<RegenerationReason, 'triggered'> | null {
  if (time < notBefore) return null;
  if (validUntil === 0) return 'missing';
  if (validUntil <= time) return 'expired';
  return profileChanged && time >= generatedAt + minAge ? 'profile' : null;
}
