/**
 * The nearline cache (paper, 4.4.1): every user's candidates on the disk, those of users who come often in memory too, up to
 * a bound. A candidate list past its time is not used, and is removed once it is well past it.
 *
 * Reads never wait for long: what the disk does not give in time counts as not there. Writes come from whoever follows
 * the topic (follower.ts) and go one after the other.
 */
import { LRUCache } from 'lru-cache';
import { messageOf, StoreError } from '../../errors.ts';
import { encodeKey } from '../../log/keys.ts';
import { endOf, prefixOf, type DbChange, type StateBackend } from '../../stream/state-db.ts';
import type { Entry, EntryCodec } from './entry.ts';
import type { ServeMetrics } from './metrics.ts';

export type Lookup =
  | { entry: Entry }
  | {
      entry: null;
      /** `loading`: not there so far, and not everything was read; `unavailable`: the disk does not answer */
      why: 'missing' | 'expired' | 'loading' | 'unavailable';
    };

export interface CacheOptions {
  codec: EntryCodec;
  /** of decoded lists in memory */
  memoryBytes: number;
  /** a read of the disk that takes longer is given up */
  lookupMs: number;
  /** the clock that `expires_at` is held against */
  now: () => number;
  metrics: ServeMetrics;
  /** the disk cannot be read */
  onBroken: (error: StoreError) => void;
}

const USERS = prefixOf('users');
/** Reads that are under way together; more would only queue behind a disk that is too slow already. */
const MOST_READS = 1000;
/** A clock that runs ahead for a moment must not cost what it takes for expired. */
const REMOVE_AFTER_MS = 3_600_000;
/** Of a sweep: their values are read too, so that more would hold up requests. */
const SWEEP_ROWS = 200;

const nothing = (why: 'missing' | 'expired' | 'loading' | 'unavailable'): Lookup => ({ entry: null, why });
const MISSING = nothing('missing');
const EXPIRED = nothing('expired');
const LOADING = nothing('loading');
const UNAVAILABLE = nothing('unavailable');

interface Read {
  user: string;
  /** changed since it was begun: what it gives is not kept in memory */
  overtaken: boolean;
  settle: (lookup: Lookup) => void;
  result: Promise<Lookup>;
}

export const userKey = (user: string): Buffer => Buffer.concat([USERS, encodeKey(user)]);

export class CandidateCache {
  /** whoever is not found is not there: the topic was read to its end once */
  complete = false;
  readonly #options: CacheOptions;
  readonly #hot: LRUCache<string, Entry>;
  readonly #reads = new Map<string, Read>();
  #backend: StateBackend | null = null;
  #queue: Read[] = [];
  #writing: Promise<unknown> = Promise.resolve();
  #sweptTo: Buffer = USERS;

  constructor(options: CacheOptions) {
    this.#options = options;
    this.#hot = new LRUCache({ maxSize: Math.max(options.memoryBytes, 1), sizeCalculation: ({ bytes }) => bytes });
  }

  get memoryBytes(): number {
    return this.#hot.calculatedSize;
  }

  /** From now on it reads and writes there; null: nowhere. What is in memory is forgotten. */
  attach(backend: StateBackend | null): void {
    this.#backend = backend;
    this.complete = false;
    this.#sweptTo = USERS;
    this.#hot.clear();
    for (const read of this.#reads.values()) read.overtaken = true;
  }

  /** At once where the user is in memory; else it takes a read of the disk. Never fails. */
  get(user: string): Lookup | Promise<Lookup> {
    const { metrics, now } = this.#options;
    const entry = this.#hot.get(user);
    if (entry !== undefined) {
      metrics.read('memory');
      if (entry.expiresAt > now()) return { entry };
      this.#hot.delete(user);
      return EXPIRED;
    }
    if (this.#backend === null) return UNAVAILABLE;
    const reading = this.#reads.get(user);
    if (reading !== undefined) return reading.result;
    if (this.#reads.size >= MOST_READS) return UNAVAILABLE;
    metrics.read('disk');
    const { promise: result, resolve: settle } = Promise.withResolvers<Lookup>();
    const read: Read = { user, overtaken: false, settle, result };
    this.#reads.set(user, read);
    // what is asked for in one turn of the event loop is one read of the disk
    if (this.#queue.push(read) === 1) setImmediate(() => void this.#flush(this.#queue.splice(0)));
    return result;
  }

  /** All or nothing; null removes a user. `others`: rows that go with them. */
  write(users: readonly { user: string; row: Buffer | null }[], others: readonly DbChange[] = []): Promise<void> {
    return this.#alone(async (backend) => {
      await backend.write([...users.map(({ user, row }) => ({ key: userKey(user), value: row })), ...others]);
      for (const { user } of users) this.#forget(user);
    });
  }

  /** Looks through the next rows of the disk for users whose lists are long expired, and removes them. */
  sweep(limit = SWEEP_ROWS): Promise<void> {
    const { codec, metrics } = this.#options;
    return this.#alone(async (backend) => {
      const rows = await backend.scan(this.#sweptTo, endOf(USERS), limit);
      const last = rows.at(-1);
      this.#sweptTo = last === undefined || rows.length < limit ? USERS : Buffer.concat([last.key, Buffer.alloc(1)]);
      const old = rows.filter(({ value }) => this.#longExpired(codec.expiryOf(value)));
      await backend.write(old.map(({ key }) => ({ key, value: null })));
      metrics.removed(old.length);
    });
  }

  /** Resolves when what is being written is. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  #alone(task: (backend: StateBackend) => Promise<void>): Promise<void> {
    const done = this.#writing.then(async () => {
      const backend = this.#backend;
      if (backend === null) throw new StoreError('STORE_CLOSED', 'the cache is closed', { retriable: true });
      await task(backend);
    });
    this.#writing = done.catch(() => {});
    return done;
  }

  #forget(user: string): void {
    this.#hot.delete(user);
    const read = this.#reads.get(user);
    if (read !== undefined) read.overtaken = true;
  }

  async #flush(reads: Read[]): Promise<void> {
    const { lookupMs, onBroken } = this.#options;
    const backend = this.#backend;
    // where it is we who were busy, what has been read by now is taken first
    const giveUp = () => setImmediate(() => reads.forEach(({ settle }) => settle(UNAVAILABLE)));
    const late = setTimeout(giveUp, lookupMs);
    try {
      const rows = backend === null ? [] : await backend.getMany(reads.map(({ user }) => userKey(user)));
      for (const [i, read] of reads.entries()) {
        read.settle(backend === this.#backend && backend !== null ? this.#taken(read, rows[i] ?? null) : UNAVAILABLE);
      }
    } catch (error) {
      for (const { settle } of reads) settle(UNAVAILABLE);
      if (backend === this.#backend) onBroken(asStoreError(error));
    } finally {
      clearTimeout(late);
      for (const { user } of reads) this.#reads.delete(user);
    }
  }

  #taken(read: Read, row: Buffer | null): Lookup {
    const { codec, now } = this.#options;
    if (row === null) return this.complete ? MISSING : LOADING;
    const expiry = codec.expiryOf(row);
    if (expiry <= now()) {
      if (this.#longExpired(expiry)) this.#remove(read.user);
      return EXPIRED;
    }
    const entry = codec.decode(row);
    if (!read.overtaken) this.#hot.set(read.user, entry);
    return { entry };
  }

  #longExpired(expiry: number): boolean {
    return expiry + REMOVE_AFTER_MS <= this.#options.now();
  }

  /** It may have been written anew meanwhile. */
  #remove(user: string): void {
    const { codec, metrics } = this.#options;
    const key = userKey(user);
    this.#alone(async (backend) => {
      const [row] = await backend.getMany([key]);
      if (row == null || !this.#longExpired(codec.expiryOf(row))) return;
      await backend.write([{ key, value: null }]);
      metrics.removed(1);
      // the next one who asks tries again
    }).catch(() => {});
  }
}

/** A row that cannot be decoded is as broken as a file that cannot be read. */
const asStoreError = (error: unknown): StoreError =>
  error instanceof StoreError
    ? error
    : new StoreError('STORE_CORRUPTED', `a row of the cache is broken: ${messageOf(error)}`, { cause: error });
