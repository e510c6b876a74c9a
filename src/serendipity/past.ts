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

type Numbers = Uint16Array | Int32Array;

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
  // an open-addressing table of keys, at most four fifths full; it is most of what a user takes in memory
  #keys = new Int32Array(0);
  #newest: Numbers = new Uint16Array(0);
  #other: Numbers = new Uint16Array(0);
  #used = 0;
  #pagesAfterPurge = 0;

  /** Bytes held in memory, roughly. */
  get bytes(): number {
    return 600 + this.#keys.length * (4 + 2 * this.#newest.BYTES_PER_ELEMENT) + this.times.length * 60;
  }

  addPage(time: number, day: number, request: string | null): number {
    this.times.push(time);
    this.days.push(day);
    this.requests.push(request);
    return this.times.length - 1;
  }

  /** Page `page` showed the value. */
  see(key: number, page: number): void {
    const number = page + 1;
    if (this.#used * 5 >= this.#keys.length * 4 || (number > SMALL && this.#newest instanceof Uint16Array))
      this.#grow(number);
    const at = this.#find(key + 1);
    if (this.#keys[at] === NONE) {
      this.#keys[at] = key + 1;
      this.#newest[at] = number;
      this.#other[at] = NO_PAGE;
      this.#used++;
      return;
    }
    const newest = this.#newest[at] - 1;
    if (newest === page) return;
    if (this.#sameRequest(newest, page)) {
      if (this.times[page] > this.times[newest]) this.#newest[at] = number;
    } else if (this.times[page] >= this.times[newest]) {
      this.#other[at] = newest + 1;
      this.#newest[at] = number;
    } else {
      const other = this.#other[at];
      if (other === NO_PAGE || this.times[page] > this.times[other - 1]) this.#other[at] = number;
    }
  }

  /**
   * Time of the newest exposure of the value before `time`, by another request, on a day in [from, to]; NaN where there is
   * none. Exact for every `time` after all that is in here; for an earlier one (a late event) as good as two entries can be.
   */
  lastSeen(key: number, time: number, request: string | null, from: number, to: number): number {
    if (this.#used === 0) return NaN;
    const at = this.#find(key + 1);
    if (this.#keys[at] === NONE) return NaN;
    for (let number = this.#newest[at], second = false; ; number = this.#other[at], second = true) {
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
    const keys = this.#keys;
    const newest = this.#newest;
    const other = this.#other;
    this.times = [];
    this.days = [];
    this.requests = [];
    const moved = new Int32Array(times.length);
    const move = (number: number): number => {
      const page = number - 1;
      if (moved[page] === NO_PAGE) moved[page] = this.addPage(times[page], days[page], requests[page]) + 1;
      return moved[page];
    };
    const lives = (number: number): boolean => number !== NO_PAGE && days[number - 1] >= from;
    let live = 0;
    for (let i = 0; i < keys.length; i++) if (keys[i] !== NONE && lives(newest[i])) live++;
    this.#allocate(live, times.length);
    for (let i = 0; i < keys.length; i++) {
      if (keys[i] === NONE || !lives(newest[i])) continue;
      const at = this.#find(keys[i]);
      this.#keys[at] = keys[i];
      this.#newest[at] = move(newest[i]);
      this.#other[at] = lives(other[i]) ? move(other[i]) : NO_PAGE;
      this.#used++;
    }
    this.#pagesAfterPurge = this.times.length;
  }

  #sameRequest(a: number, b: number): boolean {
    return this.requests[a] !== null && this.requests[a] === this.requests[b];
  }

  #find(key: number): number {
    const size = this.#keys.length;
    let at = (Math.imul(key, 0x9e3779b1) >>> 0) % size;
    while (this.#keys[at] !== key && this.#keys[at] !== NONE) if (++at === size) at = 0;
    return at;
  }

  /** Room for so many entries and a quarter more. */
  #allocate(entries: number, pages: number): void {
    const size = Math.max(16, Math.ceil(entries * 1.25 * 1.25));
    this.#keys = new Int32Array(size);
    this.#newest = pages >= SMALL ? new Int32Array(size) : new Uint16Array(size);
    this.#other = pages >= SMALL ? new Int32Array(size) : new Uint16Array(size);
    this.#used = 0;
  }

  #grow(pages: number): void {
    const keys = this.#keys;
    const newest = this.#newest;
    const other = this.#other;
    const used = this.#used;
    this.#allocate(used, pages);
    this.#used = used;
    for (let i = 0; i < keys.length; i++) {
      if (keys[i] === NONE) continue;
      const at = this.#find(keys[i]);
      this.#keys[at] = keys[i];
      this.#newest[at] = newest[i];
      this.#other[at] = other[i];
    }
  }
}
