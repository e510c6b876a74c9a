/** What the SerenGPT worker is told, and its names. */
import type { Prices } from '../../inference/model-metrics.ts';
import type { FilterOptions } from './filter.ts';

export const SERENGPT_WORKER = 'serengpt-worker';

export interface SerengptWorkerSettings extends Prices, FilterOptions {
  /** requests at a time */
  concurrency: number;
  temperature: number;
  /** 1: none */
  repetitionPenalty: number;
  /** of one sample */
  maxTokens: number;
  /** of search queries; the titles' is named by the request */
  queryPromptVersion: string;
  /** of a shop's own prompts; null: those that come with the project */
  promptFolder: string | null;
}

/** Temperature, penalty: paper, 4.4.1 and Appendix B. */
export const SERENGPT_WORKER_DEFAULTS: SerengptWorkerSettings = {
  concurrency: 8,
  temperature: 0.95,
  repetitionPenalty: 1.05,
  maxTokens: 48,
  queryPromptVersion: 'serengpt-query-1',
  promptFolder: null,
  longestText: 120,
  scripts: [],
  blocked: [],
  priceIn: 0,
  priceOut: 0,
};
