import type { RegenerationRequest } from '../../../src/serengpt/records.ts';

export const requestWith = (more: Partial<RegenerationRequest> = {}): RegenerationRequest => ({
  request_id: 'ann/1/1000',
  user_id: 'ann',
  round: 1,
  attempt: 1,
  asked_at: 1000,
  expires_at: Date.now() + 600_000,
  valid_until: 1000 + 86_400_000,
  reason: 'missing',
  prompt_version: 'serengpt-1',
  samples: 30,
  queries: 0,
  static_profile: null,
  tags: [{ tag: 'camping', group: 'interest', score: 0.9, long_term: false }],
  history: [{ time: 900, kind: 'purchase', text: 'A tent', item_id: 'tent', category_id: 'tents', brand_id: null }],
  ...more,
});
