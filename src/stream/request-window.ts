/**
 * The requests of a partition that were fetched and not all answered and committed: they are done in any order, while
 * a committed position can only say that everything before it is.
 */
export interface WindowEntry {
  readonly offset: number;
  done: boolean;
}

export class RequestWindow {
  #entries: WindowEntry[] = [];
  /** of `#entries`, those before it are done and forgotten with the next tidying */
  #first = 0;
  /** the next offset to be fetched */
  #fetched: number;

  constructor(position: number) {
    this.#fetched = position;
  }

  get fetched(): number {
    return this.#fetched;
  }

  /** Everything before it is done. */
  get position(): number {
    return this.#entries[this.#first]?.offset ?? this.#fetched;
  }

  /** From the oldest that is not done to the newest fetched. */
  get size(): number {
    return this.#entries.length - this.#first;
  }

  /** A request was fetched; offsets come in order. */
  take(offset: number): WindowEntry {
    const entry = { offset, done: false };
    this.#entries.push(entry);
    this.#fetched = offset + 1;
    return entry;
  }

  /** Fetching goes on at `position`: past markers and holes, or where the log begins by now. */
  moveTo(position: number): void {
    this.#fetched = position;
  }

  finish(entry: WindowEntry): void {
    entry.done = true;
    while (this.#entries[this.#first]?.done === true) this.#first++;
    if (this.#first < 1024 && this.#first < this.#entries.length) return;
    this.#entries.splice(0, this.#first);
    this.#first = 0;
  }

  /** Another owner has done everything before `position`. */
  finishBefore(position: number): void {
    for (const entry of this.#entries.slice(this.#first)) {
      if (entry.offset >= position) break;
      this.finish(entry);
    }
  }
}
