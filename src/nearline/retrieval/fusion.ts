/**
 * Many ranked lists, one of each text and channel, as one. Scores of channels are not on one scale, so lists are added up by
 * reciprocal rank: an item gets 1 / (60 + rank) of each list that has it, times the share of the samples that gave the
 * list's text. 1 would be an item that is first in every list.
 */
import type { GeneratedText } from '../../serengpt/records.ts';
import { CHANNELS, type Channel, type Found, type Lead } from '../retriever.ts';
import type { Scored } from './top-items.ts';

const RANKS = 60;

/** One list a text, in the order of the texts. A channel that was not asked has none. */
export type Rankings = Partial<Record<Channel, readonly (readonly Scored[])[]>>;
export type Merged = Omit<Found, 'item'> & { item_id: string };

/** Each item once, the best first. */
export function fuse(texts: readonly GeneratedText[], rankings: Rankings): Merged[] {
  const samples = Math.max(
    texts.reduce((sum, { times }) => sum + times, 0),
    1,
  );
  const merged = new Map<string, Merged>();
  texts.forEach(({ times }, text) => {
    const foundBy = new Set<string>();
    for (const channel of CHANNELS) {
      rankings[channel]?.[text]?.forEach(({ id, score }, rank) => {
        let one = merged.get(id);
        if (one === undefined) {
          one = { item_id: id, keyword: null, vector: null, fused: 0, share: 0 };
          merged.set(id, one);
        }
        one.fused += (times / samples) * ((RANKS + 1) / (RANKS + 1 + rank) / CHANNELS.length);
        // of equal ones the first: the texts given most often come first
        if (one[channel] === null || score > one[channel].score) one[channel] = { text, score };
        foundBy.add(id);
      });
    }
    for (const id of foundBy) merged.get(id)!.share += times / samples;
  });
  for (const one of merged.values()) {
    one.fused = Math.min(one.fused, 1);
    one.share = Math.min(one.share, 1);
  }
  return [...merged.values()].sort((a, b) => b.fused - a.fused || (a.item_id < b.item_id ? -1 : 1));
}

/** The text that led to it best, over the channels; of equal ones the keyword's: whoever asks why sees the words. */
export function leadOf({ keyword, vector }: Pick<Found, Channel>): Lead {
  if (vector === null || (keyword !== null && keyword.score >= vector.score)) return keyword!;
  return vector;
}
