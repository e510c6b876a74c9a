import type { Dictionary } from '../../serendipity/dictionary.ts';
import { BRAND, CATEGORY, SELLER } from '../../serendipity/past.ts';
import { ITEM, ROW } from '../../serendipity/user.ts';
import type { RuleCount } from '../../serengpt/records.ts';
import { Reader, versionOf, Writer } from '../../stream/bytes.ts';
import type { Codec } from '../../stream/topology.ts';
import type { Candidate, UserCandidates } from '../records.ts';

/** Beside CATEGORY, BRAND and SELLER: a key is id * 4 + kind. */
const ITEM_KIND = 3;

/** Where a user stands with candidates: store `lists`, key the user. */
export class Kept {
  /** of the last answer that was accepted: none of it or of an earlier one counts again */
  readonly round: number;
  /** event time up to which that is remembered */
  readonly until: number;
  /** null: there was one, and it has expired */
  list: UserCandidates | null;
  /** What would matter if the user saw it, in ids of `#names`: the candidates, and what is new of them. Null: not known yet. */
  #watched: Set<number> | null = null;
  #names: Dictionary | null = null;

  constructor(round: number, until: number, list: UserCandidates | null) {
    this.round = round;
    this.until = until;
    this.list = list;
  }

  /** Whether rows of a page show a candidate, or anything that is still new of one. */
  touchedBy(rows: readonly number[], names: Dictionary): boolean {
    const watched = this.#watch(names);
    for (let r = 0; r < rows.length; r += ROW) {
      if (
        watched.has(rows[r]! * 4 + CATEGORY) ||
        watched.has(rows[r + 1]! * 4 + BRAND) ||
        watched.has(rows[r + 2]! * 4 + SELLER) ||
        watched.has(rows[r + ITEM]! * 4 + ITEM_KIND)
      )
        return true;
    }
    return false;
  }

  /** The list or what is new in it has changed. */
  forgetWatched(): void {
    this.#watched = null;
  }

  #watch(names: Dictionary): Set<number> {
    if (this.#watched !== null && this.#names === names) return this.#watched;
    const watched = new Set<number>();
    for (const one of this.list?.candidates ?? []) {
      watched.add(names.id(one.item_id) * 4 + ITEM_KIND);
      if (one.novel_category) watched.add(names.id(one.category_id) * 4 + CATEGORY);
      if (one.novel_brand) watched.add(names.id(one.brand_id) * 4 + BRAND);
      if (one.novel_seller) watched.add(names.id(one.seller_id) * 4 + SELLER);
    }
    this.#watched = watched;
    this.#names = names;
    return watched;
  }
}

const VERSION = 1;
const writer = new Writer();

const CATEGORY_IS_NEW = 1;
const BRAND_IS_NEW = 2;
const SELLER_IS_NEW = 4;
const LED_BY_QUERY = 8;
const HAS_PRICE = 16;
const HAS_LAST_SEEN = 32;

export const keptCodec: Codec<Kept> = {
  encode({ round, until, list }) {
    const w = writer;
    w.byte(VERSION);
    w.uint(round);
    w.uint(until);
    w.byte(list === null ? 0 : 1);
    if (list === null) return w.take();
    w.text(list.user_id);
    w.text(list.request_id);
    w.uint(list.revision);
    for (const time of [list.asked_at, list.generated_at, list.expires_at]) w.uint(time);
    for (const text of [list.model, list.prompt_version, list.retriever, list.ranker]) w.text(text);
    w.uint(list.candidates.length);
    for (const candidate of list.candidates) encodeCandidate(w, candidate);
    w.uint(list.left_out.length);
    for (const { rule, count } of list.left_out) {
      w.text(rule);
      w.uint(count);
    }
    return w.take();
  },
  decode(bytes) {
    const r = new Reader(bytes);
    versionOf(r, "a user's candidates", VERSION);
    const [round, until] = [r.uint(), r.uint()];
    if (r.byte() === 0) return new Kept(round, until, null);
    return new Kept(round, until, {
      user_id: r.text(),
      request_id: r.text(),
      round,
      revision: r.uint(),
      asked_at: r.uint(),
      generated_at: r.uint(),
      expires_at: r.uint(),
      model: r.text(),
      prompt_version: r.text(),
      retriever: r.text(),
      ranker: r.text(),
      candidates: Array.from({ length: r.uint() }, () => decodeCandidate(r)),
      left_out: Array.from({ length: r.uint() }, (): RuleCount => ({ rule: r.text(), count: r.uint() })),
    });
  },
  size: ({ list }) => 200 + (list?.candidates.length ?? 0) * 700,
};

function encodeCandidate(w: Writer, one: Candidate): void {
  w.byte(
    (one.novel_category ? CATEGORY_IS_NEW : 0) |
      (one.novel_brand ? BRAND_IS_NEW : 0) |
      (one.novel_seller ? SELLER_IS_NEW : 0) |
      (one.led_by_kind === 'query' ? LED_BY_QUERY : 0) |
      (one.price !== null ? HAS_PRICE : 0) |
      (one.category_last_seen !== null ? HAS_LAST_SEEN : 0),
  );
  w.text(one.item_id);
  for (const text of [one.title, one.category_id, one.brand_id, one.seller_id]) w.optional(text);
  w.double(one.score);
  w.text(one.led_by);
  w.uint(one.channels.length);
  for (const channel of one.channels) w.text(channel);
  if (one.price !== null) w.double(one.price);
  if (one.category_last_seen !== null) w.uint(one.category_last_seen);
}

function decodeCandidate(r: Reader): Candidate {
  const flags = r.byte();
  return {
    item_id: r.text(),
    title: r.optional(),
    category_id: r.optional(),
    brand_id: r.optional(),
    seller_id: r.optional(),
    score: r.double(),
    led_by: r.text(),
    led_by_kind: flags & LED_BY_QUERY ? 'query' : 'title',
    channels: Array.from({ length: r.uint() }, () => r.text()),
    price: flags & HAS_PRICE ? r.double() : null,
    novel_category: (flags & CATEGORY_IS_NEW) !== 0,
    novel_brand: (flags & BRAND_IS_NEW) !== 0,
    novel_seller: (flags & SELLER_IS_NEW) !== 0,
    category_last_seen: flags & HAS_LAST_SEEN ? r.uint() : null,
  };
}
