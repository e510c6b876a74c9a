import type { Log } from '../log/port.ts';
import type { Serdes } from '../log/serde.ts';
import type { LongTermProfile, ShortTermProfile } from '../profile/records.ts';
import { recordsOf } from './records-of.ts';

export interface ProfileOf {
  /** null: there is none */
  shortTerm: ShortTermProfile | null;
  longTerm: LongTermProfile | null;
  /** records of the user that could not be read */
  unreadable: number;
}

/** A user's profiles as published. */
export async function profileOf(log: Log, serdes: Serdes, user: string): Promise<ProfileOf> {
  const shortTerm = await recordsOf<ShortTermProfile>(log, serdes, 'profile.short-term', 'ShortTermProfile', user);
  const longTerm = await recordsOf<LongTermProfile>(log, serdes, 'profile.long-term', 'LongTermProfile', user);
  return {
    shortTerm: shortTerm.values.at(-1) ?? null,
    longTerm: longTerm.values.at(-1) ?? null,
    unreadable: shortTerm.unreadable + longTerm.unreadable,
  };
}
