/** The records of the channel's topics up to retrieval, as schemas/ has them. Times are milliseconds since the epoch. */
import { BadRecordError } from '../errors.ts';

/** Where a request comes from and what its answers carry on, from topic to topic. */
export interface Asked {
  /** the idempotency key: a repeated request has the same one */
  request_id: string;
  user_id: string;
  /** generations asked for the user, this one included; attempts at one share it */
  round: number;
  attempt: number;
  /** event time of the visit that asked; what the user did up to here counts */
  asked_at: number;
  /** wall clock: an answer is not waited for any longer */
  expires_at: number;
  /** event time: the candidates that come of it are not used from here on */
  valid_until: number;
}

export interface ChannelTag {
  tag: string;
  /** of the five of the paper's Figure 5 */
  group: string;
  /** 0 to 1 */
  score: number;
  long_term: boolean;
}

export interface ChannelBehaviour {
  time: number;
  kind: 'click' | 'purchase' | 'search';
  /** the item's title, or the query */
  text: string;
  item_id: string | null;
  category_id: string | null;
  brand_id: string | null;
}

export interface RuleCount {
  rule: string;
  count: number;
}

export type RegenerationReason = 'missing' | 'expired' | 'profile' | 'triggered';

export interface RegenerationRequest extends Asked {
  reason: RegenerationReason;
  prompt_version: string;
  /** titles to sample */
  samples: number;
  /** search queries to sample beside them (paper, Appendix F) */
  queries: number;
  static_profile: string | null;
  /** the short-term and the long-term profile, best first */
  tags: ChannelTag[];
  /** oldest first */
  history: ChannelBehaviour[];
}

export interface GeneratedText {
  text: string;
  kind: 'title' | 'query';
  /** samples that gave it */
  times: number;
  /** mean of its tokens; null where the engine does not say */
  logprob: number | null;
}

export interface Generation extends Asked {
  /** wall clock */
  generated_at: number;
  outcome: 'generated' | 'failed';
  error: string | null;
  /** name and version */
  model: string;
  prompt_version: string;
  /** distinct, the most often given first */
  texts: GeneratedText[];
  dropped: RuleCount[];
  prompt_tokens: number;
  completion_tokens: number;
  tags: ChannelTag[];
  history: ChannelBehaviour[];
}

export interface RetrievedItem {
  item_id: string;
  title: string | null;
  category_id: string | null;
  brand_id: string | null;
  seller_id: string | null;
  price: number | null;
  /** of the pre-ranking, 0 to 1 */
  score: number;
  /** 0 to 1, the best over the channels */
  retrieval_score: number;
  /** the generated text that led to it best */
  led_by: string;
  led_by_kind: 'title' | 'query';
  /** that found it: keyword, vector */
  channels: string[];
}

/** The end of a request's way through the workers: what both topologies of the channel wait for. */
export interface RetrievedItems extends Asked {
  /** wall clock */
  generated_at: number;
  retrieved_at: number;
  /** `failed`: of the retrieval, or of the generation before it */
  outcome: 'retrieved' | 'failed';
  error: string | null;
  model: string;
  prompt_version: string;
  retriever: string;
  ranker: string;
  /** best first */
  items: RetrievedItem[];
  dropped: RuleCount[];
}

/** Asks for candidates of a user that has none that are valid. */
export interface ChannelTrigger {
  user_id: string;
  /** the asking server's clock, which is that of the events */
  requested_at: number;
  arm: string | null;
}

export const REGENERATION_REQUESTS = { topic: 'serengpt.regeneration-requests', schema: 'RegenerationRequest' };
export const GENERATIONS = { topic: 'serengpt.generations', schema: 'Generation' };
export const RETRIEVED = { topic: 'serengpt.retrieved', schema: 'RetrievedItems' };
export const TRIGGERS = { topic: 'serengpt.triggers', schema: 'ChannelTrigger' };

/** Refuses a record of the channel that cannot be one. Throws BadRecordError: EMPTY_ID, KEY_MISMATCH. */
export function checkAsked({ request_id, user_id }: Asked, key: string): void {
  if (user_id === '' || request_id === '') throw new BadRecordError('EMPTY_ID', 'an id is empty');
  if (key !== user_id) throw new BadRecordError('KEY_MISMATCH', 'the record key is not its user_id');
}

/** The last moment that a date can name. */
const LAST_TIME = 8.64e15;

/** The same of what was retrieved, with all that is kept of it. Throws BadRecordError BAD_ROUND and BAD_TIME too. */
export function checkRetrieved(answer: RetrievedItems, key: string): void {
  checkAsked(answer, key);
  if (!Number.isSafeInteger(answer.round) || answer.round < 0) {
    throw new BadRecordError('BAD_ROUND', `${answer.round} is no number of a round`);
  }
  for (const time of [answer.asked_at, answer.valid_until, answer.generated_at]) {
    if (!Number.isSafeInteger(time) || time < 0 || time > LAST_TIME) {
      throw new BadRecordError('BAD_TIME', `${time} is not a time`);
    }
  }
  for (const { item_id } of answer.items) if (item_id === '') throw new BadRecordError('EMPTY_ID', 'an id is empty');
}
