import { cosine, bytesOf, vectorOf } from '../inference/embedder.ts';
import { Reader, Writer } from '../stream/bytes.ts';
import type { Codec } from '../stream/topology.ts';
import type { ApprovalOptions } from './options.ts';
import { GROUPS, type TagGroup } from './records.ts';

/** Refreshes that are remembered of a tag and of a user. */
export const REMEMBERED = 12;
const VERSION = 1;

/** A tag that was credible once, with its standing. */
export interface PoolTag {
  /** as it was first proposed: later spellings fold into it */
  tag: string;
  /** what folding makes of it: unique within the pool */
  meaning: string;
  group: TagGroup;
  /** as of `strengthAt`; halves with `strengthHalfLife` */
  strength: number;
  strengthAt: number;
  timesProposed: number;
  /** refreshes in which it was part of the profile */
  timesGiven: number;
  /** 0: never */
  firstGiven: number;
  /** the last refreshes that gave it, oldest first */
  givenAt: number[];
  vector: Int8Array | null;
}

/** A short-term profile that was given: its tags, by meaning, and whether what followed bore them out. */
export interface Refresh {
  at: number;
  given: { meaning: string; borneOut: boolean }[];
}

/** A user's tag pool (paper, 4.2.2), and the short-term profiles that the long-term one is mined from (4.2.3). */
export class Pool {
  tags = new Map<string, PoolTag>();
  /** what made the vectors of the tags; null where they have none */
  embedder: string | null = null;
  /** oldest first, at most REMEMBERED */
  refreshes: Refresh[] = [];
  /** how many short-term and long-term profiles there have been */
  shortTerms = 0;
  longTerms = 0;
  /** event time of the last long-term profile; 0: none */
  longTermAt = 0;

  /** The tag of the same meaning: folded to the same words or, where both have vectors of one embedder, near enough. */
  find(meaning: string, vector: Int8Array | null, embedder: string | null, same: number): PoolTag | undefined {
    const exact = this.tags.get(meaning);
    if (exact !== undefined || vector === null || embedder !== this.embedder) return exact;
    let best: PoolTag | undefined;
    let nearest = same;
    for (const tag of this.tags.values()) {
      if (tag.vector === null) continue;
      const likeness = cosine(vector, tag.vector);
      if (likeness > nearest || (likeness === nearest && best === undefined)) [best, nearest] = [tag, likeness];
    }
    return best;
  }

  /** Lets go of tags that have decayed away, and of the weakest beyond the bound. Returns how many, of each. */
  trim(at: number, options: ApprovalOptions): { decayed: number; crowded: number } {
    let decayed = 0;
    for (const tag of this.tags.values()) {
      if (strengthOf(tag, at, options) >= options.forgotten) continue;
      this.tags.delete(tag.meaning);
      decayed++;
    }
    const over = this.tags.size - options.poolTags;
    if (over <= 0) return { decayed, crowded: 0 };
    const weakest = [...this.tags.values()]
      .map((tag) => ({ tag, strength: strengthOf(tag, at, options) }))
      .sort((a, b) => a.strength - b.strength || (a.tag.meaning < b.tag.meaning ? -1 : 1));
    for (const { tag } of weakest.slice(0, over)) this.tags.delete(tag.meaning);
    return { decayed, crowded: over };
  }
}

/** Of a tag at a time (ms): it halves each `strengthHalfLife`. */
export function strengthOf(tag: PoolTag, at: number, { strengthHalfLife }: ApprovalOptions): number {
  return tag.strength * 2 ** (-Math.max(at - tag.strengthAt, 0) / strengthHalfLife);
}

const writer = new Writer();

export const poolCodec: Codec<Pool> = {
  encode(pool) {
    writer.byte(VERSION);
    writer.optional(pool.embedder);
    writer.uint(pool.shortTerms);
    writer.uint(pool.longTerms);
    writer.uint(pool.longTermAt);
    writer.uint(pool.tags.size);
    const numbers = new Map<string, number>();
    for (const tag of pool.tags.values()) {
      numbers.set(tag.meaning, numbers.size);
      writer.text(tag.tag);
      writer.text(tag.meaning);
      writer.byte(GROUPS.indexOf(tag.group));
      writer.double(tag.strength);
      writer.uint(tag.strengthAt);
      writer.uint(tag.timesProposed);
      writer.uint(tag.timesGiven);
      writer.uint(tag.firstGiven);
      writer.uint(tag.givenAt.length);
      for (const at of tag.givenAt) writer.uint(at);
      writer.uint(tag.vector === null ? 0 : tag.vector.length);
      if (tag.vector !== null) for (const byte of bytesOf(tag.vector)) writer.byte(byte);
    }
    writer.uint(pool.refreshes.length);
    for (const { at, given } of pool.refreshes) {
      writer.uint(at);
      writer.uint(given.length);
      for (const { meaning, borneOut } of given) {
        // the tag itself may have left the pool since
        const number = numbers.get(meaning);
        writer.uint((number === undefined ? 0 : number + 1) * 2 + (borneOut ? 1 : 0));
        if (number === undefined) writer.text(meaning);
      }
    }
    return writer.take();
  },
  decode(bytes) {
    const reader = new Reader(bytes);
    reader.byte();
    const pool = new Pool();
    pool.embedder = reader.optional();
    pool.shortTerms = reader.uint();
    pool.longTerms = reader.uint();
    pool.longTermAt = reader.uint();
    const meanings: string[] = [];
    for (let n = reader.uint(); n > 0; n--) {
      const tag = {
        tag: reader.text(),
        meaning: reader.text(),
        group: GROUPS[reader.byte()]!,
        strength: reader.double(),
        strengthAt: reader.uint(),
        timesProposed: reader.uint(),
        timesGiven: reader.uint(),
        firstGiven: reader.uint(),
        givenAt: Array.from({ length: reader.uint() }, () => reader.uint()),
      };
      const length = reader.uint();
      const vector = length === 0 ? null : Int8Array.from(vectorOf(bytes.subarray(reader.at, reader.at + length)));
      reader.at += length;
      meanings.push(tag.meaning);
      pool.tags.set(tag.meaning, { ...tag, vector });
    }
    for (let n = reader.uint(); n > 0; n--) {
      const refresh: Refresh = { at: reader.uint(), given: [] };
      for (let m = reader.uint(); m > 0; m--) {
        const code = reader.uint();
        const number = Math.floor(code / 2);
        const meaning = number === 0 ? reader.text() : meanings[number - 1]!;
        refresh.given.push({ meaning, borneOut: code % 2 === 1 });
      }
      pool.refreshes.push(refresh);
    }
    return pool;
  },
  size: ({ tags, refreshes }) => 300 + tags.size * 700 + refreshes.length * 500,
};
