import type { Log } from '../log/port.ts';
import type { Serdes } from '../log/serde.ts';
import { CANDIDATES, type UserCandidates } from '../nearline/records.ts';
import { RETRIEVED, type RetrievedItem, type RetrievedItems } from '../serengpt/records.ts';
import { recordsOf } from './records-of.ts';

export interface CandidatesOf {
  /** null: there is none */
  list: UserCandidates | null;
  /** there was one; it has expired, or the user was forgotten */
  ended: boolean;
  /** the item that was asked about, where it was retrieved for this list and is not in it */
  leftOut: RetrievedItem | null;
  /** records of the user that could not be read */
  unreadable: number;
}

/** A user's candidates as published. `item`: the one that is asked about. */
export async function candidatesOf(log: Log, serdes: Serdes, user: string, item?: string): Promise<CandidatesOf> {
  const { topic, schema } = CANDIDATES;
  const { values, unreadable } = await recordsOf<UserCandidates>(log, serdes, topic, schema, user);
  const list = values.at(-1) ?? null;
  const found: CandidatesOf = { list, ended: values.at(-1) === null, leftOut: null, unreadable };
  if (list === null || item === undefined || list.candidates.some(({ item_id }) => item_id === item)) return found;
  const retrieved = await recordsOf<RetrievedItems>(log, serdes, RETRIEVED.topic, RETRIEVED.schema, user);
  found.unreadable += retrieved.unreadable;
  const answer = retrieved.values.find(
    (one) => one !== null && one.request_id === list.request_id && one.outcome === 'retrieved',
  );
  found.leftOut = answer?.items.find(({ item_id }) => item_id === item) ?? null;
  return found;
}
