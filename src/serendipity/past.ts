/** What a value is: the three kinds share one id space of names, so a key is id * 4 + kind. */
export const CATEGORY = 0;
export const BRAND = 1;
export const SELLER = 2;

/** Keys are one more in the table, so that a new one is empty as it comes: 0 is none. */
const NONE = 0;
/** A page's number in a table is one more than its place in the lists; 0 is none. */
const NO_PAGE = 0;
/** Numbers of pages take two bytes each up to here: nearly every user's do. */
const SMALL = 0xffff;
/** Elements of an entry. */
const NARROW = 2;
const WIDE = 3;
const EMPTY = new Int32Array(0);

/**
 * What a user was shown and can no longer change: for each category, brand and seller its newest exposure and the newest
 * one by another request. Every question that may still be asked is about a later time, so these two answer it: if the
 * newest of another request lies before the window, so do all that are older; and one request never counts against
 * itself, even across midnight.
 */
export class Past {
  // exposure events that entries refer to
  times: number[] = [];
  days: number[] = [];
  requests: (string | null)[] = []; // null: a request of its own
  /**
   * An open-addressing table, at most four fifths full: an entry is a key and its two pages (the newest one, and the newest of
   * another request), side by side, so that a look-up touches one place. It is most of what a user takes in memory.
   */
  #table = EMPTY;
  #size = 0;
  /** pages' numbers take two bytes each, in one element, or an element each */
  #wide = false;
  #used = 0;
  #pagesAfterPurge = 0;

  /** Bytes held in memory, roughly. */
  get bytes(): number {
    return 400 + this.#table.length * 4 + this.times.length * 60;
  }

  addPage(time: number, day: number, request: string | null): number {
    this.times.push(time);
    this.days.push(day);
    this.requests.push(request);
    return this.times.length - 1;
  }

  /** Page `page` showed an item of these (ids; -1: none). */
  seeItem(category: number, brand: number, seller: number, page: number): void {
    if (category >= 0) this.see(category * 4 + CATEGORY, page);
    if (brand >= 0) this.see(brand * 4 + BRAND, page);
    if (seller >= 0) this.see(seller * 4 + SELLER, page);
  }

  /** Page `page` showed the value. */
  see(key: number, page: number): void {
    const number = page + 1;
    if (this.#used * 5 >= this.#size * 4 || (number > SMALL && !this.#wide)) this.#grow(number);
    const at = this.#find(key + 1);
    if (this.#table[at] === NONE) {
      this.#table[at] = key + 1;
      this.#set(at, number, NO_PAGE);
      this.#used++;
      return;
    }
    const newest = this.#newest(at) - 1;
    if (newest === page) return;
    if (this.#sameRequest(newest, page)) {
      if (this.times[page] > this.times[newest]) this.#set(at, number, this.#other(at));
    } else if (this.times[page] >= this.times[newest]) this.#set(at, number, newest + 1);
    else {
      const other = this.#other(at);
      if (other === NO_PAGE || this.times[page] > this.times[other - 1]) this.#set(at, newest + 1, number);
    }
  }

  /**
   * Time of the newest exposure of the value before `time`, by another request, on a day in [from, to]; NaN where there is
   * none. Exact for every `time` after all that is in here; for an earlier one (a late event) as good as two entries can be.
   */
  lastSeen(key: number, time: number, request: string | null, from: number, to: number): number {
    if (this.#used === 0) return NaN;
    const at = this.#find(key + 1);
    if (this.#table[at] === NONE) return NaN;
    for (let number = this.#newest(at), second = false; ; number = this.#other(at), second = true) {
      if (number === NO_PAGE) return NaN;
      const page = number - 1;
      const itself = request !== null && this.requests[page] === request;
      if (!itself && this.times[page] < time && this.days[page] <= to) {
        return this.days[page] >= from ? this.times[page] : NaN;
      }
      if (second) return NaN;
    }
  }

  /** Forgets what no window can reach any more, once that is a good part of what is here. */
  purge(from: number): void {
    if (this.times.length < 16 || this.times.length < this.#pagesAfterPurge * 1.3) return;
    const { times, days, requests } = this;
    this.times = [];
    this.days = [];
    this.requests = [];
    const moved = new Int32Array(times.length);
    const move = (number: number): number => {
      if (number === NO_PAGE || days[number - 1] < from) return NO_PAGE;
      const page = number - 1;
      if (moved[page] === NO_PAGE) moved[page] = this.addPage(times[page], days[page], requests[page]) + 1;
      return moved[page];
    };
    const keys: number[] = [];
    this.#each((key, newest, other) => {
      if (days[newest - 1] >= from) keys.push(key, newest, other);
    });
    this.#allocate(keys.length / 3, times.length);
    for (let i = 0; i < keys.length; i += 3) {
      const at = this.#find(keys[i]);
      this.#table[at] = keys[i];
      this.#set(at, move(keys[i + 1]), move(keys[i + 2]));
    }
    this.#used = keys.length / 3;
    this.#pagesAfterPurge = this.times.length;
  }

  #sameRequest(a: number, b: number): boolean {
    return this.requests[a] !== null && this.requests[a] === this.requests[b];
  }

  #newest(at: number): number {
    return this.#wide ? this.#table[at + 1] : this.#table[at + 1] & SMALL;
  }

  #other(at: number): number {
    return this.#wide ? this.#table[at + 2] : this.#table[at + 1] >>> 16;
  }

  #set(at: number, newest: number, other: number): void {
    if (this.#wide) {
      this.#table[at + 1] = newest;
      this.#table[at + 2] = other;
    } else this.#table[at + 1] = newest | (other << 16);
  }

  #each(see: (key: number, newest: number, other: number) => void): void {
    const width = this.#wide ? WIDE : NARROW;
    for (let at = 0; at < this.#table.length; at += width)
      if (this.#table[at] !== NONE) see(this.#table[at], this.#newest(at), this.#other(at));
  }

  /** Where the key's entry is, or the free place for it. */
  #find(key: number): number {
    const table = this.#table;
    const width = this.#wide ? WIDE : NARROW;
    let at = ((Math.imul(key, 0x9e3779b1) >>> 0) % this.#size) * width;
    while (table[at] !== key && table[at] !== NONE) if ((at += width) === table.length) at = 0;
    return at;
  }

  /** Room for so many entries and a quarter more. */
  #allocate(entries: number, pages: number): void {
    this.#size = Math.max(16, Math.ceil(entries * 1.25 * 1.25));
    this.#wide = pages >= SMALL;
    this.#table = new Int32Array(this.#size * (this.#wide ? WIDE : NARROW));
  }

  #grow(pages: number): void {
    const before = this.#table;
    const wide = this.#wide;
    this.#allocate(this.#used, pages);
    const width = wide ? WIDE : NARROW;
    for (let from = 0; from < before.length; from += width) {
      const key = before[from];
      if (key === NONE) continue;
      const at = this.#find(key);
      const pair = before[from + 1];
      this.#table[at] = key;
      if (wide) this.#set(at, pair, before[from + 2]);
      else this.#set(at, pair & SMALL, pair >>> 16);
    }
  }
}
