import type { ProfileKind } from '../profile/records.ts';
import { Reader, Writer } from '../stream/bytes.ts';
import type { Codec } from '../stream/topology.ts';
import type { ChannelTag } from './records.ts';

/** Of one profile. More says nothing to a model, and what is published is not ours to trust. */
const MOST_TAGS = 50;
const LONGEST_TAG = 200;
const VERSION = 1;

interface Tag {
  tag: string;
  group: string;
  score: number;
}

/** The tags of a user's two profiles, best first. */
export interface UserTags {
  short_term: Tag[];
  long_term: Tag[];
}

export const noTags = (): UserTags => ({ short_term: [], long_term: [] });

export const hasTags = ({ short_term, long_term }: UserTags): boolean => short_term.length + long_term.length > 0;

/** Takes a profile's tags. True where they are others: that their scores have moved is nothing new. */
export function take(tags: UserTags, kind: ProfileKind, given: readonly Tag[]): boolean {
  const kept = given.slice(0, MOST_TAGS).map(({ tag, group, score }) => ({
    tag: tag.slice(0, LONGEST_TAG).toWellFormed(),
    group,
    score: Number.isFinite(score) ? Math.min(Math.max(score, 0), 1) : 0,
  }));
  const names = (all: readonly Tag[]) => JSON.stringify(all.map(({ tag }) => tag).sort());
  const changed = names(kept) !== names(tags[kind]);
  tags[kind] = kept;
  return changed;
}

export const channelTags = ({ short_term, long_term }: UserTags): ChannelTag[] => [
  ...short_term.map((tag) => ({ ...tag, long_term: false })),
  ...long_term.map((tag) => ({ ...tag, long_term: true })),
];

const writer = new Writer();

export const userTagsCodec: Codec<UserTags> = {
  encode({ short_term, long_term }) {
    writer.byte(VERSION);
    for (const tags of [short_term, long_term]) {
      writer.uint(tags.length);
      for (const { tag, group, score } of tags) {
        writer.text(tag);
        writer.text(group);
        writer.double(score);
      }
    }
    return writer.take();
  },
  decode(bytes) {
    const reader = new Reader(bytes);
    reader.byte();
    const tags = () =>
      Array.from({ length: reader.uint() }, () => ({
        tag: reader.text(),
        group: reader.text(),
        score: reader.double(),
      }));
    return { short_term: tags(), long_term: tags() };
  },
  size: ({ short_term, long_term }) => 200 + (short_term.length + long_term.length) * 120,
};
