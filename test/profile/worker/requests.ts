import type { ProfileRequest } from '../../../src/profile/records.ts';

/** A request with what is named, and the rest plain. */
export const requestWith = (given: Partial<ProfileRequest> = {}): ProfileRequest => ({
  request_id: 'u1/short_term/1000',
  user_id: 'u1',
  kind: 'short_term',
  asked_at: 1000,
  attempt: 1,
  expires_at: 4e15,
  prompt_version: 'short-term-1',
  number_of_tags: 20,
  tag_length: 16,
  static_profile: null,
  searches: [],
  purchases: [],
  candidates: [],
  ...given,
});

export const bought = (title: string, more: Partial<ProfileRequest['purchases'][0]> = {}) => ({
  time: 900,
  title,
  category: null,
  brand: null,
  times: 1,
  ...more,
});

export const searched = (query: string, time = 900) => ({ time, query });
