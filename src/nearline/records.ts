/** The candidates of a user, as schemas/UserCandidates.avsc has them. Times are milliseconds since the epoch. */
import type { RetrievedItem, RuleCount } from '../serengpt/records.ts';

export const CANDIDATES = { topic: 'serengpt.candidates', schema: 'UserCandidates' };

export interface Candidate extends Omit<RetrievedItem, 'retrieval_score'> {
  /** paper, 5.1.3, by the state of Definition 1 when the list was last looked through */
  novel_category: boolean;
  novel_brand: boolean;
  novel_seller: boolean;
  category_last_seen: number | null;
}

export interface UserCandidates {
  user_id: string;
  request_id: string;
  round: number;
  /** 0: as generated; more where candidates have left the list since */
  revision: number;
  /** event time of the visit that asked */
  asked_at: number;
  /** wall clock */
  generated_at: number;
  /** event time: not used from here on */
  expires_at: number;
  model: string;
  prompt_version: string;
  retriever: string;
  ranker: string;
  /** best first */
  candidates: Candidate[];
  /** retrieved items that are not in the list, by the rule that left them out */
  left_out: RuleCount[];
}
