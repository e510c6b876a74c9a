import { compareIds } from '../../shop/behaviour.ts';
import { Reader, versionOf, Writer } from '../../stream/bytes.ts';
import type { Codec } from '../../stream/topology.ts';
import type { ListOptions } from './options.ts';

/** When a user bought an item last, of the newest so many items: store `bought`, key the user. */
export class Bought {
  readonly #times = new Map<string, number>();

  /** False where nothing is new. Which items are kept does not depend on the order in which purchases arrive. */
  add(item: string, time: number): boolean {
    const before = this.#times.get(item);
    if (before !== undefined && before >= time) return false;
    this.#times.set(item, time);
    return true;
  }

  /** Drops what was bought up to `until`, and the oldest of what is too many. */
  trim(until: number, { boughtItems }: Pick<ListOptions, 'boughtItems'>): void {
    for (const [item, time] of this.#times) if (time <= until) this.#times.delete(item);
    if (this.#times.size <= boughtItems) return;
    const oldest = [...this.#times].sort(([a, at], [b, bt]) => at - bt || compareIds(a, b));
    for (const [item] of oldest.slice(0, this.#times.size - boughtItems)) this.#times.delete(item);
  }

  /** Whether the user bought it after `time`. */
  since(item: string, time: number): boolean {
    const bought = this.#times.get(item);
    return bought !== undefined && bought > time;
  }

  get size(): number {
    return this.#times.size;
  }

  entries(): Iterable<[item: string, time: number]> {
    return this.#times;
  }
}

const VERSION = 1;
const writer = new Writer();

export const boughtCodec: Codec<Bought> = {
  encode(bought) {
    writer.byte(VERSION);
    writer.uint(bought.size);
    for (const [item, time] of bought.entries()) {
      writer.text(item);
      writer.uint(time);
    }
    return writer.take();
  },
  decode(bytes) {
    const reader = new Reader(bytes);
    versionOf(reader, "a user's bought items", VERSION);
    const bought = new Bought();
    for (let n = reader.uint(); n > 0; n--) bought.add(reader.text(), reader.uint());
    return bought;
  },
  size: (bought) => 100 + bought.size * 80,
};
