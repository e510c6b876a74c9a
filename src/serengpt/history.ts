import { Reader, Writer } from '../stream/bytes.ts';
import type { Codec } from '../stream/topology.ts';
import type { ChannelBehaviour } from './records.ts';

/** Characters that are kept of a query or a title. */
const LONGEST_TEXT = 200;
const VERSION = 1;
const KINDS: readonly ChannelBehaviour['kind'][] = ['click', 'purchase', 'search'];

/**
 * What a user did last: of each product clicked or bought and each query the newest time, the last so many of them. Earlier
 * times are kept as far as an open request is about them.
 */
export class History {
  /** oldest first; at one time in the order of kinds and names */
  #done: ChannelBehaviour[];

  constructor(done: ChannelBehaviour[] = []) {
    this.#done = done;
  }

  get all(): readonly ChannelBehaviour[] {
    return this.#done;
  }

  /** False where it was known already, or says nothing. */
  add(behaviour: ChannelBehaviour): boolean {
    const text = cut(behaviour.text);
    if (text === '') return false;
    const one = { ...behaviour, text };
    let i = this.#done.length;
    while (i > 0 && order(this.#done[i - 1]!, one) > 0) i--;
    if (i > 0 && order(this.#done[i - 1]!, one) === 0) return false;
    this.#done.splice(i, 0, one);
    return true;
  }

  /** The last `count` different ones up to a time (event time), the oldest of them first. */
  upTo(until: number, count: number): ChannelBehaviour[] {
    const found = new Map<string, ChannelBehaviour>();
    for (let i = this.#done.length - 1; i >= 0 && found.size < count; i--) {
      const one = this.#done[i]!;
      if (one.time <= until && !found.has(nameOf(one))) found.set(nameOf(one), one);
    }
    return [...found.values()].reverse();
  }

  /** Lets go of what `upTo` gives neither for now nor for one of the times `held`. */
  trim(count: number, held: readonly number[]): void {
    const kept = new Set([Infinity, ...held].flatMap((until) => this.upTo(until, count)));
    this.#done = this.#done.filter((one) => kept.has(one));
  }
}

const nameOf = ({ kind, item_id, text }: ChannelBehaviour): string => `${kind} ${item_id ?? text}`;

const order = (a: ChannelBehaviour, b: ChannelBehaviour): number =>
  a.time - b.time || (nameOf(a) < nameOf(b) ? -1 : nameOf(a) > nameOf(b) ? 1 : 0);

const cut = (text: string): string => {
  const trimmed = text.trim();
  return trimmed.length <= LONGEST_TEXT ? trimmed : trimmed.slice(0, LONGEST_TEXT).toWellFormed();
};

const writer = new Writer();

export const historyCodec: Codec<History> = {
  encode({ all }) {
    writer.byte(VERSION);
    writer.uint(all.length);
    let before = 0;
    for (const { time, kind, text, item_id, category_id, brand_id } of all) {
      writer.uint(time - before);
      before = time;
      writer.byte(KINDS.indexOf(kind));
      writer.text(text);
      writer.optional(item_id);
      writer.optional(category_id);
      writer.optional(brand_id);
    }
    return writer.take();
  },
  decode(bytes) {
    const reader = new Reader(bytes);
    reader.byte();
    let time = 0;
    return new History(
      Array.from({ length: reader.uint() }, () => ({
        time: (time += reader.uint()),
        kind: KINDS[reader.byte()]!,
        text: reader.text(),
        item_id: reader.optional(),
        category_id: reader.optional(),
        brand_id: reader.optional(),
      })),
    );
  },
  size: ({ all }) => 100 + all.length * 350,
};
