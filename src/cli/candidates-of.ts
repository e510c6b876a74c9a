import type { Log } from '../log/port.ts';
import type { Serdes } from '../log/serde.ts';
import { CANDIDATES, type UserCandidates } from '../nearline/records.ts';
import { recordsOf } from './records-of.ts';

export interface CandidatesOf {
  /** null: there is none */
  list: UserCandidates | null;
  /** there was one; it has expired, or the user was forgotten */
  ended: boolean;
  /** records of the user that could not be read */
  unreadable: number;
}

/** A user's candidates as published. */
export async function candidatesOf(log: Log, serdes: Serdes, user: string): Promise<CandidatesOf> {
  const { topic, schema } = CANDIDATES;
  const { values, unreadable } = await recordsOf<UserCandidates>(log, serdes, topic, schema, user);
  return { list: values.at(-1) ?? null, ended: values.at(-1) === null, unreadable };
}
