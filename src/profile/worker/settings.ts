/** What the profile worker is told, and its names. */
import type { Prices } from '../../inference/model-metrics.ts';
import { PROFILES_DEFAULTS } from '../options.ts';

export const PROFILE_WORKER = 'profile-worker';
export const PROFILE_REQUESTS = { topic: 'profile.refresh-requests', schema: 'ProfileRequest' };
export const PROFILE_ANSWERS = { topic: 'profile.proposals', schema: 'ProfileProposals' };

export interface ProfileWorkerSettings extends Prices {
  /** requests at a time */
  concurrency: number;
  temperature: number;
  /** of one answer */
  maxTokens: number;
  /** of a shop's own prompts; null: those that come with the project */
  promptFolder: string | null;
  /** cosine from which on two tags of an answer are one */
  same: number;
}

export const PROFILE_WORKER_DEFAULTS: ProfileWorkerSettings = {
  concurrency: 16,
  temperature: 0.3,
  maxTokens: 2000,
  promptFolder: null,
  same: PROFILES_DEFAULTS.approval.same,
  priceIn: 0,
  priceOut: 0,
};
