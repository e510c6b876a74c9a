import type { WindowsOptions } from '../../serendipity/windows.ts';

/** What becomes of retrieved items. Definition 1's part is the labels' own. */
export interface ListOptions {
  /** candidates of a list */
  most: number;
  /** candidates of one category; null: no limit */
  perCategory: number | null;
  /** ms of event time for which an item that was bought is no candidate */
  boughtFor: number;
  /** bought items of a user that are remembered: the newest */
  boughtItems: number;
  /** whether what the user sees and buys later takes candidates out of the list */
  follow: boolean;
}

export interface CandidatesOptions extends WindowsOptions, ListOptions {
  /** ms that an event may be ahead of the clock */
  futureTolerance: number;
}

export const LIST_DEFAULTS: ListOptions = {
  most: 50,
  perCategory: 5,
  boughtFor: 90 * 86_400_000,
  boughtItems: 500,
  follow: true,
};
