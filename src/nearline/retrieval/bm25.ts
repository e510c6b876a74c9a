/**
 * BM25 over typed arrays, following a catalog: items are added, replaced and removed one by one. A posting is one number,
 * the item's slot and how often it has the word. Removed items stay in the postings, passed over, until there are many of
 * them; then all lists are cleaned in one go.
 *
 * Figures as Lucene has them: idf = ln(1 + (N - df + 0.5) / (df + 0.5)), k1 1.2, b 0.75.
 */
import { TopItems, type Scored } from './top-items.ts';

const K1 = 1.2;
const B = 0.75;
const COUNT_BITS = 8;
const MOST_TIMES = 2 ** COUNT_BITS - 1;
const MOST_SLOTS = 2 ** (32 - COUNT_BITS);
/** Removed items that are passed over without a cleaning, however few there are beside them. */
const FEW_REMOVED = 4096;

export class Bm25Index {
  readonly #fewRemoved: number;
  #terms = new Map<string, number>();
  /** by term: postings, how many of them count, and how many items that are there have the word */
  #postings: Uint32Array[] = [];
  #lengths: number[] = [];
  #frequency: number[] = [];
  /** by slot */
  #ids: (string | null)[] = [];
  #termsOf: (Uint32Array | null)[] = [];
  #size = new Uint16Array(1024);
  #slots = new Map<string, number>();
  #removed = 0;
  #words = 0;
  #scores = new Float64Array(1024);
  #touched = new Uint32Array(1024);

  constructor(options: { fewRemoved?: number } = {}) {
    this.#fewRemoved = options.fewRemoved ?? FEW_REMOVED;
  }

  /** items */
  get size(): number {
    return this.#slots.size;
  }

  /** of the typed arrays */
  get bytes(): number {
    let bytes = this.#size.byteLength + this.#scores.byteLength + this.#touched.byteLength;
    for (const list of this.#postings) bytes += list.byteLength;
    for (const list of this.#termsOf) bytes += list?.byteLength ?? 0;
    return bytes;
  }

  /** Adds or replaces. `words`: one that comes several times counts as often. An item without words is not there. */
  put(id: string, words: readonly string[]): void {
    this.remove(id);
    if (words.length === 0) return;
    const slot = this.#ids.length;
    if (slot >= MOST_SLOTS) throw new RangeError('an index of more than 16.7 million items');
    const times = new Map<string, number>();
    for (const word of words) times.set(word, Math.min((times.get(word) ?? 0) + 1, MOST_TIMES));
    const terms = new Uint32Array(times.size);
    let i = 0;
    for (const [word, count] of times) {
      const term = this.#term(word);
      terms[i++] = term;
      this.#append(term, slot * 2 ** COUNT_BITS + count);
      this.#frequency[term]!++;
    }
    this.#grow(slot + 1);
    this.#ids.push(id);
    this.#termsOf.push(terms);
    this.#size[slot] = Math.min(words.length, 0xffff);
    this.#words += this.#size[slot]!;
    this.#slots.set(id, slot);
  }

  remove(id: string): void {
    const slot = this.#slots.get(id);
    if (slot === undefined) return;
    this.#slots.delete(id);
    this.#words -= this.#size[slot]!;
    for (const term of this.#termsOf[slot]!) this.#frequency[term]!--;
    this.#ids[slot] = null;
    this.#termsOf[slot] = null;
    this.#removed++;
    if (this.#removed > Math.max(this.#fewRemoved, this.#slots.size / 2)) this.#clean();
  }

  /**
   * The best `k`, ties by id. A score is 1 where an item of average length has all the words once, and no more than that;
   * words that no item has count as rare ones, so that a text of which little is known finds little.
   */
  search(words: readonly string[], k: number): Scored[] {
    if (this.#slots.size === 0 || k <= 0) return [];
    const items = this.#slots.size;
    const perWord = (K1 * B * items) / this.#words;
    const [scores, touched, ids, size] = [this.#scores, this.#touched, this.#ids, this.#size];
    let count = 0;
    let most = 0;
    for (const word of new Set(words)) {
      const term = this.#terms.get(word);
      const frequency = term === undefined ? 0 : this.#frequency[term]!;
      const idf = Math.log(1 + (items - frequency + 0.5) / (frequency + 0.5));
      most += idf;
      if (frequency === 0) continue;
      const postings = this.#postings[term!]!;
      for (let i = 0, n = this.#lengths[term!]!; i < n; i++) {
        const posting = postings[i]!;
        const slot = posting >>> COUNT_BITS;
        if (ids[slot] === null) continue;
        const times = posting & MOST_TIMES;
        if (scores[slot] === 0) touched[count++] = slot;
        scores[slot]! += (idf * times * (K1 + 1)) / (times + K1 * (1 - B) + perWord * size[slot]!);
      }
    }
    const top = new TopItems(k);
    for (let i = 0; i < count; i++) {
      const slot = touched[i]!;
      top.offer(ids[slot]!, scores[slot]!);
      scores[slot] = 0;
    }
    return top.list().map(({ id, score }) => ({ id, score: Math.min(score / most, 1) }));
  }

  #term(word: string): number {
    let term = this.#terms.get(word);
    if (term === undefined) {
      term = this.#postings.length;
      this.#terms.set(word, term);
      this.#postings.push(new Uint32Array(2));
      this.#lengths.push(0);
      this.#frequency.push(0);
    }
    return term;
  }

  #append(term: number, posting: number): void {
    let list = this.#postings[term]!;
    const length = this.#lengths[term]!;
    if (length === list.length) {
      list = resized(list, Math.ceil(length * 1.5) + 1);
      this.#postings[term] = list;
    }
    list[length] = posting;
    this.#lengths[term] = length + 1;
  }

  #grow(slots: number): void {
    if (slots <= this.#size.length) return;
    const room = Math.ceil(slots * 1.5);
    this.#size = resized(this.#size, room);
    this.#scores = new Float64Array(room);
    this.#touched = new Uint32Array(room);
  }

  /** Slots of what was removed go, and words that no item has. */
  #clean(): void {
    const moved = new Uint32Array(this.#ids.length);
    const size = new Uint16Array(Math.max(1024, Math.ceil(this.#slots.size * 1.5)));
    const [ids, termsOf]: [string[], Uint32Array[]] = [[], []];
    this.#ids.forEach((id, slot) => {
      if (id === null) return;
      moved[slot] = ids.length;
      size[ids.length] = this.#size[slot]!;
      this.#slots.set(id, ids.length);
      ids.push(id);
      termsOf.push(this.#termsOf[slot]!);
    });
    const terms = new Map<string, number>();
    const renamed = new Uint32Array(this.#postings.length);
    const [postings, lengths, frequency]: [Uint32Array[], number[], number[]] = [[], [], []];
    for (const [word, term] of this.#terms) {
      const kept = this.#frequency[term]!;
      if (kept === 0) continue;
      const list = new Uint32Array(kept + 1);
      let length = 0;
      for (const posting of this.#postings[term]!.subarray(0, this.#lengths[term])) {
        const slot = posting >>> COUNT_BITS;
        if (this.#ids[slot] === null) continue;
        list[length++] = moved[slot]! * 2 ** COUNT_BITS + (posting & MOST_TIMES);
      }
      renamed[term] = postings.length;
      terms.set(word, postings.length);
      postings.push(list);
      lengths.push(length);
      frequency.push(kept);
    }
    for (const list of termsOf) for (let i = 0; i < list.length; i++) list[i] = renamed[list[i]!]!;
    this.#terms = terms;
    [this.#postings, this.#lengths, this.#frequency] = [postings, lengths, frequency];
    [this.#ids, this.#termsOf, this.#size] = [ids, termsOf, size];
    this.#scores = new Float64Array(size.length);
    this.#touched = new Uint32Array(size.length);
    this.#removed = 0;
  }
}

function resized<T extends Uint32Array | Uint16Array>(list: T, length: number): T {
  const larger = new (list.constructor as new (length: number) => T)(length);
  larger.set(list);
  return larger;
}
