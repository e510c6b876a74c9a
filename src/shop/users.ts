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

/** Refuses what names no user, another one than its key, or no time. Throws BadRecordError: EMPTY_ID, KEY_MISMATCH, BAD_TIME. */
export function checkErasure({ user_id, requested_at }: ErasureRequest, key: string): void {
  if (user_id === '') throw new BadRecordError('EMPTY_ID', 'user_id is empty');
  if (key !== user_id) throw new BadRecordError('KEY_MISMATCH', 'the record key is not the request user_id');
  if (!Number.isSafeInteger(requested_at) || requested_at < 0) {
    throw new BadRecordError('BAD_TIME', `requested_at ${requested_at} is not a time`);
  }
}

/**
 * Makes UserAttributes of parsed JSON: either the record, or one flat object of a user whose fields beside `user_id` are
 * the attributes. Throws BadRecordError USER_ATTRIBUTES.
 */
export function attributesFromJson(json: unknown): UserAttributes {
  const row = json as Record<string, unknown> | undefined;
  if (typeof row?.user_id !== 'string' || row.user_id === '') {
    throw new BadRecordError('USER_ATTRIBUTES', 'a row of the users has no user_id');
  }
  const { user_id, attributes, ...flat } = row;
  const named = typeof attributes === 'object' && attributes !== null ? attributes : flat;
  const texts = Object.entries(named).map(([name, value]) => [name, value == null ? null : String(value)]);
  return { user_id: user_id as string, attributes: Object.fromEntries(texts) as Record<string, string | null> };
}
