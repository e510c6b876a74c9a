/**
 * One store of a task: decoded values in memory over the bytes on disk. Reads and writes are synchronous, because what
 * they need was named by `keys` and fetched before; writes stay here until the commit collects them.
 */
import { TopologyError } from '../errors.ts';
import type { State } from './state.ts';
import { prefixOf } from './state-db.ts';
import type { Codec, Store, StoreSpec } from './topology.ts';

/** Bytes that an entry costs beside its value, roughly: the entry, its slot in the map and in the clock. */
const ENTRY_BYTES = 150;
/** First byte of what is stored: with or without the stream time of the write, so that a store may be given a TTL later. */
const PLAIN = 0;
const STAMPED = 1;
const STAMP_BYTES = 9;

/** Stream time of the last write, of bytes as disk and changelog hold them; 0 where they do not say. */
export const stampOf = (bytes: Buffer): number => (bytes[0] === STAMPED ? bytes.readDoubleBE(1) : 0);

/** What the store's codec made, out of the bytes that disk and changelog hold. */
export const payloadOf = (bytes: Buffer): Buffer => bytes.subarray(bytes[0] === STAMPED ? STAMP_BYTES : 1);

export class Entry<V = any> {
  readonly store: CachedStore<V>;
  readonly key: string;
  /** undefined: known to be absent */
  value: V | undefined = undefined;
  bytes = ENTRY_BYTES;
  /** stream time of the last write; 0 where not known, which never expires */
  stamp = 0;
  /** the interval between two commits in which it was last named or written; -1 while it is not loaded */
  epoch = -1;
  dirty = false;
  /** second chance of the clock */
  referenced = true;
  /** its place in the clock; -1 before it is loaded */
  slot = -1;

  constructor(store: CachedStore<V>, key: string) {
    this.store = store;
    this.key = key;
  }
}

export class CachedStore<V = any> implements Store<V> {
  readonly name: string;
  readonly ttlMs: number | undefined;
  readonly codec: Codec<V>;
  readonly prefix: Buffer;
  readonly entries = new Map<string, Entry<V>>();
  dirty: Entry<V>[] = [];
  /** Nothing is on disk that is not here: an absent key needs no read. */
  complete = false;
  /** where the sweep of expired entries goes on */
  sweepFrom: Buffer;
  readonly #state: State;

  constructor(spec: StoreSpec<V>, state: State) {
    this.name = spec.name;
    this.codec = spec.codec;
    this.ttlMs = spec.ttlMs;
    this.prefix = prefixOf(spec.name);
    this.sweepFrom = this.prefix;
    this.#state = state;
  }

  get(key: string): V | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined || entry.epoch !== this.#state.epoch) {
      throw new TopologyError(
        'STATE_NOT_DECLARED',
        `store "${this.name}": get(${JSON.stringify(key)}) was not named by keys`,
      );
    }
    return this.#expired(entry) ? undefined : entry.value;
  }

  peek(key: string): V | undefined {
    const state = this.#state;
    state.peeked = true;
    const entry = this.entries.get(key);
    return entry === undefined || entry.epoch < 0 || this.#expired(entry) ? undefined : entry.value;
  }

  put(key: string, value: V): void {
    if (value === undefined) throw new TypeError(`store "${this.name}": put(${JSON.stringify(key)}, undefined)`);
    const entry = this.#touch(key);
    entry.value = value;
    entry.stamp = Math.max(this.#state.streamTime, 0);
  }

  delete(key: string): void {
    const known = this.entries.get(key);
    // known to be absent: nothing to delete, no tombstone to write
    if (known !== undefined && known.epoch >= 0 && known.value === undefined && !known.dirty) return;
    this.#touch(key).value = undefined;
  }

  /** Names a key that is going to be read. False where it must be fetched first. */
  want(key: string): boolean {
    const state = this.#state;
    const entry = this.entries.get(key);
    if (entry !== undefined) {
      if (entry.epoch < 0) return false;
      entry.epoch = state.epoch;
      entry.referenced = true;
      state.hits++;
      return true;
    }
    const wanted = new Entry<V>(this, key);
    this.entries.set(key, wanted);
    if (this.complete) {
      state.enter(wanted);
      return true;
    }
    state.missing.push(wanted);
    return false;
  }

  /** Takes the bytes of a fetched entry. */
  load(entry: Entry<V>, bytes: Buffer | null): void {
    if (bytes !== null) {
      entry.stamp = stampOf(bytes);
      entry.value = this.codec.decode(payloadOf(bytes));
      entry.bytes = this.#bytes(entry);
    }
    this.#state.enter(entry);
  }

  /** The bytes of an entry as disk and changelog hold them. Null: delete it. */
  encode(entry: Entry<V>): Buffer | null {
    if (entry.value === undefined) {
      entry.bytes = ENTRY_BYTES + 2 * entry.key.length;
      return null;
    }
    const payload = this.codec.encode(entry.value);
    const stamped = this.ttlMs !== undefined;
    const head = stamped ? STAMP_BYTES : 1;
    const bytes = Buffer.allocUnsafe(head + payload.length);
    bytes[0] = stamped ? STAMPED : PLAIN;
    if (stamped) bytes.writeDoubleBE(entry.stamp, 1);
    bytes.set(payload, head);
    entry.bytes = this.#bytes(entry);
    return bytes;
  }

  /** Deletes through the normal way what the sweep found expired on disk, unless it lives on here. */
  expire(key: string, bytes: Buffer): boolean {
    const entry = this.entries.get(key);
    if (entry === undefined) {
      if (!this.#past(stampOf(bytes))) return false;
    } else if (entry.epoch < 0 || entry.dirty || !this.#expired(entry)) return false;
    this.#touch(key).value = undefined;
    return true;
  }

  #touch(key: string): Entry<V> {
    const state = this.#state;
    let entry = this.entries.get(key);
    if (entry === undefined) {
      entry = new Entry<V>(this, key);
      this.entries.set(key, entry);
      state.enter(entry);
    } else if (entry.epoch < 0) state.enter(entry);
    entry.epoch = state.epoch;
    entry.referenced = true;
    if (!entry.dirty) {
      entry.dirty = true;
      this.dirty.push(entry);
    }
    return entry;
  }

  #bytes(entry: Entry<V>): number {
    return ENTRY_BYTES + 2 * entry.key.length + this.codec.size(entry.value!);
  }

  #expired(entry: Entry<V>): boolean {
    return this.ttlMs !== undefined && entry.value !== undefined && this.#past(entry.stamp);
  }

  #past(stamp: number): boolean {
    return stamp > 0 && stamp + this.ttlMs! < this.#state.streamTime;
  }
}
