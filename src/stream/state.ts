/**
 * All stores of a task and the memory they share. Between two commits ("epoch") everything that was named or written
 * stays in memory; at the commit what changed is collected as bytes, and afterwards a clock (second chance) evicts
 * clean entries down to the budget.
 */
import { StoreError, messageOf } from '../errors.ts';
import type { StateBackend } from './state-db.ts';
import { endOf } from './state-db.ts';
import { awaited, type Steps } from './steps.ts';
import { CachedStore, type Entry } from './store.ts';
import type { StoreSpec } from './topology.ts';

/** What one entry's commit writes: `key` as the changelog has it (the disk adds the store's prefix). */
export interface Change {
  store: string;
  key: Buffer;
  value: Buffer | null;
}

export class State {
  readonly stores: CachedStore[];
  readonly byName: Map<string, CachedStore>;
  /** newest event time; set by the engine as records go by */
  streamTime = -Infinity;
  epoch = 0;
  /** set by `peek`: what a `keys` call named depended on state */
  peeked = false;
  /** named, not in memory, to be fetched by `load` */
  missing: Entry[] = [];
  budget: number;
  bytes = 0;
  hits = 0;
  misses = 0;
  expired = 0;
  readonly #backend: StateBackend;
  readonly #clock: Entry[] = [];
  #hand = 0;

  constructor(specs: StoreSpec[], backend: StateBackend, budget: number) {
    this.#backend = backend;
    this.budget = budget;
    this.stores = specs.map((spec) => new CachedStore(spec, this));
    this.byName = new Map(this.stores.map((store) => [store.name, store]));
  }

  /** Asks the disk which stores are empty: what is absent there needs no read. */
  *open(): Steps {
    for (const store of this.stores) {
      store.complete = (yield* awaited(this.#backend.scan(store.prefix, endOf(store.prefix), 1))).length === 0;
    }
  }

  /** Fetches what is missing, all stores in one read. Undefined where it was done at once. */
  load(): Promise<void> | undefined {
    const missing = this.missing;
    if (missing.length === 0) return undefined;
    this.missing = [];
    this.misses += missing.length;
    const keys = missing.map((entry) => Buffer.concat([entry.store.prefix, Buffer.from(entry.key)]));
    const values = this.#backend.getMany(keys);
    if (Array.isArray(values)) return this.#take(missing, values);
    return values.then((read) => this.#take(missing, read));
  }

  #take(missing: Entry[], values: (Buffer | null)[]): undefined {
    for (let i = 0; i < missing.length; i++) {
      const entry = missing[i]!;
      try {
        entry.store.load(entry, values[i]!);
      } catch (error) {
        // a codec that cannot read what an older one wrote: a record more or less will not help
        throw new StoreError(
          'STATE_UNREADABLE',
          `store "${entry.store.name}", key ${JSON.stringify(entry.key)}: ${messageOf(error)}`,
          { cause: error, fatal: true },
        );
      }
    }
  }

  /** An entry is loaded (or known to be absent, or written unread): it counts from now on. */
  enter(entry: Entry): void {
    entry.epoch = this.epoch;
    if (entry.slot >= 0) return;
    entry.slot = this.#clock.push(entry) - 1;
    this.bytes += entry.bytes;
  }

  /** Everything written since the last commit, encoded once. */
  collect(): Change[] {
    const changes: Change[] = [];
    for (const store of this.stores) {
      for (const entry of store.dirty) {
        const before = entry.bytes;
        changes.push({ store: store.name, key: Buffer.from(entry.key), value: store.encode(entry) });
        this.bytes += entry.bytes - before;
      }
    }
    return changes;
  }

  /** What was collected is on disk. */
  committed(): void {
    for (const store of this.stores) {
      for (const entry of store.dirty) entry.dirty = false;
      store.dirty = [];
    }
    this.epoch++;
    this.#evict();
  }

  #evict(): void {
    const clock = this.#clock;
    // twice around at most: once to take the second chances away, once to use that
    for (let steps = clock.length * 2; this.bytes > this.budget && steps > 0 && clock.length > 0; steps--) {
      if (this.#hand >= clock.length) this.#hand = 0;
      const entry = clock[this.#hand]!;
      if (entry.referenced) {
        entry.referenced = false;
        this.#hand++;
        continue;
      }
      this.bytes -= entry.bytes;
      entry.store.entries.delete(entry.key);
      if (entry.value !== undefined) entry.store.complete = false;
      const last = clock.pop()!;
      if (last !== entry) {
        last.slot = entry.slot;
        clock[entry.slot] = last;
      }
    }
  }

  /** Deletes entries past their TTL, a few hundred keys of each store a call, as part of the open commit. */
  *sweep(limit: number): Steps {
    for (const store of this.stores) {
      if (store.ttlMs === undefined) continue;
      const rows = yield* awaited(this.#backend.scan(store.sweepFrom, endOf(store.prefix), limit));
      for (const { key, value } of rows) {
        if (store.expire(key.toString('utf8', store.prefix.length), value)) this.expired++;
      }
      // the key after the last one seen; from the start again when the end was reached
      store.sweepFrom = rows.length < limit ? store.prefix : Buffer.concat([rows.at(-1)!.key, Buffer.of(0)]);
    }
  }

  /** Forgets what was not committed, and the rest of the memory with it. */
  reset(): void {
    for (const store of this.stores) {
      store.entries.clear();
      store.dirty = [];
      store.complete = false;
    }
    this.#clock.length = 0;
    this.#hand = 0;
    this.bytes = 0;
    this.missing = [];
    this.epoch++;
  }
}
