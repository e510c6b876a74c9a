/** What the retrieval worker is told, and its names. */
import { GENERATIONS, RETRIEVED } from '../../serengpt/records.ts';

export const RETRIEVAL_WORKER = 'retrieval-worker';
export const RETRIEVAL_REQUESTS = GENERATIONS;
export const RETRIEVAL_ANSWERS = RETRIEVED;
export const CATALOG = { topic: 'catalog.items', schema: 'CatalogItem' };

export interface RetrievalSettings {
  /** requests at a time */
  concurrency: number;
  /** items that each text brings from each channel, at most */
  perText: number;
  /** of an answer, at most */
  items: number;
  /** of one category in an answer, at most: one is not to fill it */
  perCategory: number;
  /** of a pre-ranked item, at least */
  leastScore: number;
}

export const RETRIEVAL_DEFAULTS: RetrievalSettings = {
  concurrency: 4,
  perText: 20,
  items: 200,
  perCategory: 20,
  leastScore: 0,
};

/** What a record says of the pre-ranking where there was no model. */
export const NO_RANKER = 'retrieval-score-1';
