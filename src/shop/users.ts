import { BadRecordError } from '../errors.ts';

/** What a shop knows of a user beside the behaviour. */
export interface UserAttributes {
  user_id: string;
  attributes: Record<string, string | null>;
}

/** Everything of a user up to a time is to be forgotten. */
export interface ErasureRequest {
  user_id: string;
  /** events of the user up to here are dropped wherever they still come from; milliseconds since the epoch */
  requested_at: number;
}

/** Refuses what would erase the wrong user or the future. Throws BadRecordError: EMPTY_ID, KEY_MISMATCH, BAD_TIME. */
export function checkErasure({ user_id, requested_at }: ErasureRequest, key: string): void {
  if (user_id === '') throw new BadRecordError('EMPTY_ID', 'user_id is empty');
  if (key !== user_id) throw new BadRecordError('KEY_MISMATCH', 'the record key is not the request user_id');
  if (!Number.isSafeInteger(requested_at) || requested_at < 0) {
    throw new BadRecordError('BAD_TIME', `requested_at ${requested_at} is not a time`);
  }
}
