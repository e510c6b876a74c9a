/** What a value is: the three kinds share one id space of names, so a key is id * 4 + kind. */
export const CATEGORY = 0;
export const BRAND = 1;
export const SELLER = 2;

const NONE = -1;

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
  // an open-addressing table of keys; capacity a power of two
  #keys = new Int32Array(0);
  #newest = new Int32Array(0);
  #other = new Int32Array(0);
  #used = 0;
  #shift = 32;
  #pagesAfterPurge = 0;

  /** Bytes held in memory, roughly. */
  get bytes(): number {
    return 400 + this.#keys.length * 12 + this.times.length * 60;
  }

  addPage(time: number, day: number, request: string | null): number {
    this.times.push(time);
    this.days.push(day);
    this.requests.push(request);
    return this.times.length - 1;
  }

  /** Page `page` showed the value. */
  see(key: number, page: number): void {
    if (this.#used * 4 >= this.#keys.length * 3) this.#grow();
    const at = this.#find(key);
    if (this.#keys[at] === NONE) {
      this.#keys[at] = key;
      this.#newest[at] = page;
      this.#other[at] = NONE;
      this.#used++;
      return;
    }
    const newest = this.#newest[at];
    if (newest === page) return;
    if (this.#sameRequest(newest, page)) {
      if (this.times[page] > this.times[newest]) this.#newest[at] = page;
    } else if (this.times[page] >= this.times[newest]) {
      this.#other[at] = newest;
      this.#newest[at] = page;
    } else {
      const other = this.#other[at];
      if (other === NONE || this.times[page] > this.times[other]) this.#other[at] = page;
    }
  }

  /**
   * Time of the newest exposure of the value before `time`, by another request, on a day in [from, to]; NaN where there is
   * none. Exact for every `time` after all that is in here; for an earlier one (a late event) as good as two entries can be.
   */
  lastSeen(key: number, time: number, request: string | null, from: number, to: number): number {
    if (this.#used === 0) return NaN;
    const at = this.#find(key);
    if (this.#keys[at] === NONE) return NaN;
    for (let page = this.#newest[at], second = false; ; page = this.#other[at], second = true) {
      if (page === NONE) return NaN;
      const itself = request !== null && this.requests[page] === request;
      if (!itself && this.times[page] < time && this.days[page] <= to) {
        return this.days[page] >= from ? this.times[page] : NaN;
      }
      if (second) return NaN;
    }
  }

  /** Forgets what no window can reach any more, when it has become most of what is here. */
  purge(from: number): void {
    if (this.times.length < 32 || this.times.length < this.#pagesAfterPurge * 2) return;
    const { times, days, requests } = this;
    const keys = this.#keys;
    const newest = this.#newest;
    const other = this.#other;
    this.times = [];
    this.days = [];
    this.requests = [];
    const moved = new Int32Array(times.length).fill(NONE);
    const move = (page: number): number => {
      if (moved[page] === NONE) moved[page] = this.addPage(times[page], days[page], requests[page]);
      return moved[page];
    };
    let live = 0;
    for (let i = 0; i < keys.length; i++) if (keys[i] !== NONE && days[newest[i]] >= from) live++;
    this.#allocate(live * 2);
    for (let i = 0; i < keys.length; i++) {
      if (keys[i] === NONE || days[newest[i]] < from) continue;
      const at = this.#find(keys[i]);
      this.#keys[at] = keys[i];
      this.#newest[at] = move(newest[i]);
      this.#other[at] = other[i] !== NONE && days[other[i]] >= from ? move(other[i]) : NONE;
      this.#used++;
    }
    this.#pagesAfterPurge = this.times.length;
  }

  #sameRequest(a: number, b: number): boolean {
    return this.requests[a] !== null && this.requests[a] === this.requests[b];
  }

  #find(key: number): number {
    const mask = this.#keys.length - 1;
    let at = Math.imul(key, 0x9e3779b1) >>> this.#shift;
    while (this.#keys[at] !== key && this.#keys[at] !== NONE) at = (at + 1) & mask;
    return at;
  }

  #allocate(entries: number): void {
    let bits = 4;
    while (3 << bits < entries * 4) bits++;
    this.#shift = 32 - bits;
    this.#keys = new Int32Array(1 << bits).fill(NONE);
    this.#newest = new Int32Array(1 << bits);
    this.#other = new Int32Array(1 << bits);
    this.#used = 0;
  }

  #grow(): void {
    const keys = this.#keys;
    const newest = this.#newest;
    const other = this.#other;
    const used = this.#used;
    this.#allocate(Math.max(12, used * 2));
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
