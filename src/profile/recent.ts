import { Reader, Writer } from '../stream/bytes.ts';
import type { Codec } from '../stream/topology.ts';

/** Characters that are kept of a query or a title: a profile needs no more, and neither may fill the state. */
const LONGEST_TEXT = 200;
/** Times that are kept of one product, of each kind: more than a window has days, so that what comes later pushes none out. */
const TIMES = 40;
const VERSION = 1;

export interface Search {
  time: number;
  query: string;
}

/** A product that a user clicked or bought. */
export interface Touched {
  item: string;
  /** as the catalog had it then; null where it had none */
  title: string | null;
  category: string | null;
  brand: string | null;
  seller: string | null;
  /** event times, oldest first */
  clicks: number[];
  purchases: number[];
}

/** Of one user, how many are kept. */
export interface Bounds {
  searches: number;
  products: number;
}

/** What a user searched for and touched lately. The same event twice is one: it has the same time. */
export class Recent {
  /** oldest first; of equal times in the order of the queries */
  readonly searches: Search[];
  readonly products: Map<string, Touched>;

  constructor(searches: Search[] = [], products = new Map<string, Touched>()) {
    this.searches = searches;
    this.products = products;
  }

  /** False where it was known already, or says nothing. */
  search(time: number, text: string): boolean {
    const query = cut(text);
    if (query === '') return false;
    let i = this.searches.length;
    while (i > 0 && later(this.searches[i - 1]!, time, query)) i--;
    const before = this.searches[i - 1];
    if (before !== undefined && before.time === time && before.query === query) return false;
    this.searches.splice(i, 0, { time, query });
    return true;
  }

  /** False where it was known already. */
  touch(kind: 'click' | 'purchase', time: number, facts: Omit<Touched, 'clicks' | 'purchases'>): boolean {
    let product = this.products.get(facts.item);
    if (product === undefined) {
      product = { ...facts, title: facts.title === null ? null : cut(facts.title), clicks: [], purchases: [] };
      this.products.set(facts.item, product);
    }
    const times = kind === 'click' ? product.clicks : product.purchases;
    let i = times.length;
    while (i > 0 && times[i - 1]! > time) i--;
    if (times[i - 1] === time) return false;
    times.splice(i, 0, time);
    if (times.length > TIMES) times.shift();
    return true;
  }

  /**
   * Lets go of what is older than `floor`, and of the oldest beyond the bounds; but for what `within` one of the times `held`
   * would give, which a request is about. Returns how many the bounds cost.
   */
  trim(floor: number, bounds: Bounds, held: readonly number[] = []): number {
    let old = 0;
    while (old < this.searches.length && this.searches[old]!.time < floor) old++;
    const ends = [Infinity, ...held];
    const known = ends.map((end) => this.searches.findLastIndex(({ time }) => time <= end) + 1);
    const first = Math.max(Math.min(...known) - bounds.searches, old);
    this.searches.splice(0, first);
    for (const [item, product] of this.products) if (newestOf(product) < floor) this.products.delete(item);
    if (this.products.size <= bounds.products) return first - old;
    const kept = new Set(ends.flatMap((end) => this.#newest(end, bounds.products)));
    const lost = this.products.size - kept.size;
    for (const product of this.products.values()) if (!kept.has(product)) this.products.delete(product.item);
    return first - old + lost;
  }

  /**
   * What was done after `from` and not after `until` (event times), the oldest first: the same however much of what came
   * later is known already.
   */
  within(from: number, until: number, bounds: Bounds): { searches: Search[]; products: Touched[] } {
    return {
      searches: this.searches
        .filter(({ time }) => time <= until)
        .slice(-bounds.searches)
        .filter(({ time }) => time > from),
      products: this.#newest(until, bounds.products).filter((product) => newestOf(product, until) > from),
    };
  }

  /** The last touched up to a time, the oldest of them first. */
  #newest(until: number, count: number): Touched[] {
    return [...this.products.values()]
      .filter((product) => newestOf(product, until) > -Infinity)
      .sort((a, b) => newestOf(a, until) - newestOf(b, until) || (a.item < b.item ? -1 : 1))
      .slice(-count);
  }
}

/** Newest touch of a product up to a time; -Infinity where there is none. */
export function newestOf({ clicks, purchases }: Touched, until = Infinity): number {
  return Math.max(lastUpTo(clicks, until), lastUpTo(purchases, until));
}

export function lastUpTo(times: readonly number[], until: number): number {
  for (let i = times.length - 1; i >= 0; i--) if (times[i]! <= until) return times[i]!;
  return -Infinity;
}

const later = (search: Search, time: number, query: string): boolean =>
  search.time > time || (search.time === time && search.query > query);

const cut = (text: string): string => {
  const trimmed = text.trim();
  return trimmed.length <= LONGEST_TEXT ? trimmed : trimmed.slice(0, LONGEST_TEXT).toWellFormed();
};

const writer = new Writer();

export const recentCodec: Codec<Recent> = {
  encode({ searches, products }) {
    writer.byte(VERSION);
    writer.uint(searches.length);
    for (const { time, query } of searches) {
      writer.uint(time);
      writer.text(query);
    }
    writer.uint(products.size);
    for (const product of products.values()) {
      writer.text(product.item);
      writer.optional(product.title);
      writer.optional(product.category);
      writer.optional(product.brand);
      writer.optional(product.seller);
      writeTimes(product.clicks);
      writeTimes(product.purchases);
    }
    return writer.take();
  },
  decode(bytes) {
    const reader = new Reader(bytes);
    reader.byte();
    const searches: Search[] = [];
    for (let n = reader.uint(); n > 0; n--) searches.push({ time: reader.uint(), query: reader.text() });
    const products = new Map<string, Touched>();
    for (let n = reader.uint(); n > 0; n--) {
      const item = reader.text();
      products.set(item, {
        item,
        title: reader.optional(),
        category: reader.optional(),
        brand: reader.optional(),
        seller: reader.optional(),
        clicks: readTimes(reader),
        purchases: readTimes(reader),
      });
    }
    return new Recent(searches, products);
  },
  size: ({ searches, products }) => 200 + searches.length * 120 + products.size * 400,
};

/** The first whole, the others as steps. */
function writeTimes(times: readonly number[]): void {
  writer.uint(times.length);
  let before = 0;
  for (const time of times) {
    writer.uint(time - before);
    before = time;
  }
}

function readTimes(reader: Reader): number[] {
  const times: number[] = [];
  let before = 0;
  for (let n = reader.uint(); n > 0; n--) times.push((before += reader.uint()));
  return times;
}
