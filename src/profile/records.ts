/** The records of the profile topics, as schemas/ has them. Times are milliseconds since the epoch. */
import { BadRecordError } from '../errors.ts';

/** The five groups of the paper's Figure 5. */
export const GROUPS = ['category', 'brand', 'attribute', 'interest', 'scenario'] as const;
export type TagGroup = (typeof GROUPS)[number];

export type ProfileKind = 'short_term' | 'long_term';

export interface ProfileRequest {
  /** the idempotency key: a repeated request has the same one */
  request_id: string;
  user_id: string;
  kind: ProfileKind;
  /** event time: what the user did up to here counts */
  asked_at: number;
  attempt: number;
  /** wall clock: an answer is not waited for any longer */
  expires_at: number;
  prompt_version: string;
  number_of_tags: number;
  /** characters a tag may have */
  tag_length: number;
  static_profile: string | null;
  /** oldest first */
  searches: { time: number; query: string }[];
  /** oldest first */
  purchases: RequestPurchase[];
  /** of a long-term request: tags that passed the admission */
  candidates: LongTermCandidate[];
}

export interface RequestPurchase {
  time: number;
  title: string;
  category: string | null;
  brand: string | null;
  times: number;
}

/** Each from 0 to 1: see src/profile/long-term.ts. */
export interface LongTermCandidate {
  tag: string;
  group: TagGroup;
  frequency: number;
  regularity: number;
  effectiveness: number;
}

export interface TagProposal {
  tag: string;
  group: TagGroup;
  /** the model's own inference, which nothing has checked */
  reason: string | null;
  behaviours: string[];
  /** int8 a dimension; only the direction counts */
  embedding: Buffer | null;
}

export interface ProfileProposals {
  request_id: string;
  user_id: string;
  kind: ProfileKind;
  asked_at: number;
  answered_at: number;
  /** `not_enough`: the model said NA; `failed`: no answer could be had or read */
  outcome: 'proposed' | 'not_enough' | 'failed';
  error: string | null;
  /** `extractive`, or a model's name */
  profiler: string;
  prompt_version: string;
  embedder: string | null;
  proposals: TagProposal[];
  dropped: { rule: string; count: number }[];
  prompt_tokens: number;
  completion_tokens: number;
}

export interface TagEvidence {
  kind: 'search' | 'click' | 'purchase';
  /** the query, or the product's title */
  text: string;
  item_id: string | null;
  time: number;
  /** what of it says the tag: category, tags or brand (`facts`), the title's words, the query's, or the vectors */
  by: 'facts' | 'title' | 'query' | 'embedding';
  relevance: number;
}

export interface JudgedTag {
  tag: string;
  group: TagGroup;
  score: number;
  /** historical prior: decayed strength in the pool before this refresh */
  prior: number;
  /** behavioural posterior: how well what the user touched bears the tag out */
  posterior: number;
  /** searches and products that bear it out */
  support: number;
  recency: number;
  reason: string | null;
  evidence: TagEvidence[];
}

export interface RefusedTag extends JudgedTag {
  code: string;
  why: string;
}

export interface ProfileTag extends JudgedTag {
  first_given: number;
  /** refreshes in which it was part of the profile, this one included */
  times_given: number;
  times_proposed: number;
  /** the last refreshes that gave it, newest last */
  given_at: number[];
}

export interface LongTermTag extends JudgedTag {
  frequency: number;
  regularity: number;
  effectiveness: number;
  first_given: number;
}

interface Profile {
  user_id: string;
  refreshed_at: number;
  /** how many there have been, this one included */
  refresh: number;
  request_id: string;
  profiler: string;
  prompt_version: string;
  refused: RefusedTag[];
}

export interface ShortTermProfile extends Profile {
  static_profile: string | null;
  tags: ProfileTag[];
}

export interface LongTermProfile extends Profile {
  tags: LongTermTag[];
}

/** Refuses an answer that cannot be one. Throws BadRecordError: EMPTY_ID, KEY_MISMATCH. */
export function checkAnswer(answer: ProfileProposals, key: string): void {
  if (answer.user_id === '' || answer.request_id === '') throw new BadRecordError('EMPTY_ID', 'an id is empty');
  if (key !== answer.user_id) throw new BadRecordError('KEY_MISMATCH', 'the record key is not the answer user_id');
}
