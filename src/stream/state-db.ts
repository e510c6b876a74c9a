/**
 * The local store of a task: one RocksDB folder, one atomic write a commit. It holds nothing that was not committed to
 * the log before, so whatever is found there after a crash is true as of the positions stored beside it.
 *
 * One key space, cut by prefixes (a column family a store would refuse to open after a store was taken out of the code):
 *   <store> 00 <key>      an entry            00 changelog 00 <store>     position in its changelog
 *   00 parts 00 ...       see changelog.ts    00 source 00 <topic>        committed source position
 *   00 current            when it was last known to be at the ends of its changelogs, milliseconds since the epoch
 */
import { rm } from 'node:fs/promises';
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import RocksDB from 'rocksdb-native';
import { StoreError, messageOf } from '../errors.ts';

export interface Row {
  key: Buffer;
  value: Buffer;
}

/** A null value deletes. */
export interface DbChange {
  key: Buffer;
  value: Buffer | null;
}

/** What the state and the timers read from and are written to: RocksDB, or memory in the test driver (then at once). */
export interface StateBackend {
  getMany(keys: Buffer[]): (Buffer | null)[] | Promise<(Buffer | null)[]>;
  /** Up to `limit` rows with from <= key < until, in the order of their bytes. */
  scan(from: Buffer, until: Buffer, limit: number): Row[] | Promise<Row[]>;
  /** All or nothing. */
  write(changes: readonly DbChange[]): void | Promise<void>;
}

export interface StateDbOptions {
  writeBufferBytes: number;
  /** another owner of the folder may still be closing it */
  lockRetries: number;
  lockRetryMs: number;
  signal?: AbortSignal;
}

export const prefixOf = (store: string): Buffer => Buffer.from(`${store}\0`);
/** the first key after all keys of a prefix that ends in 00 */
export const endOf = (prefix: Buffer): Buffer => {
  const end = Buffer.from(prefix);
  end[end.length - 1] = 1;
  return end;
};
export const changelogPositionKey = (store: string): Buffer => Buffer.from(`\0changelog\0${store}`);
export const sourcePositionKey = (topic: string): Buffer => Buffer.from(`\0source\0${topic}`);
export const CURRENT_KEY = Buffer.from('\0current');
export const encodePosition = (position: number): Buffer => Buffer.from(String(position));
export const decodePosition = (bytes: Buffer | null): number | null =>
  bytes === null ? null : Number(bytes.toString());

export class StateDb implements StateBackend {
  readonly path: string;
  readonly #db: RocksDB;
  #closed: Promise<void> | null = null;

  private constructor(path: string, db: RocksDB) {
    this.path = path;
    this.#db = db;
  }

  /** Throws StoreError: STORE_LOCKED, STORE_CORRUPTED, STORE_DISK_FULL, STORE_READ_ONLY, STORE_UNAVAILABLE. */
  static async open(path: string, options: StateDbOptions): Promise<StateDb> {
    for (let attempt = 0; ; attempt++) {
      try {
        makeFolder(path);
        const db = new RocksDB(path, {
          writeBufferSize: options.writeBufferBytes,
          maxWriteBufferNumber: 2,
          maxBackgroundJobs: 2,
        });
        await db.ready();
        return new StateDb(path, db);
      } catch (error) {
        const failure = translate(error, `cannot open ${path}`);
        if (failure.code !== 'STORE_LOCKED' || attempt >= options.lockRetries || options.signal?.aborted === true) {
          throw failure;
        }
        await pause(options.lockRetryMs, options.signal);
      }
    }
  }

  /** Values of a state that others may have open: without its lock, as it was on the disk a moment ago. */
  static async peek(path: string, keys: Buffer[]): Promise<(Buffer | null)[]> {
    let db: StateDb | null = null;
    try {
      const opened = new RocksDB(path, { readOnly: true });
      await opened.ready();
      db = new StateDb(path, opened);
      return await db.getMany(keys);
    } catch (error) {
      throw translate(error, `cannot look into ${path}`);
    } finally {
      await db?.close();
    }
  }

  /** Forgets everything: what follows is a full restore. */
  static async wipe(path: string): Promise<void> {
    await rm(path, { recursive: true, force: true });
  }

  async getMany(keys: Buffer[]): Promise<(Buffer | null)[]> {
    const batch = this.#open().read({ capacity: keys.length });
    try {
      const reads = keys.map((key) => batch.get(key));
      batch.tryFlush();
      return await Promise.all(reads);
    } catch (error) {
      throw translate(error, `cannot read ${this.path}`);
    } finally {
      batch.destroy();
    }
  }

  async scan(from: Buffer, until: Buffer, limit: number): Promise<Row[]> {
    const rows: Row[] = [];
    try {
      const iterator = this.#open().iterator({ gte: from, lt: until }, { limit, capacity: Math.min(limit, 1000) });
      for await (const row of iterator) rows.push(row);
    } catch (error) {
      throw translate(error, `cannot read ${this.path}`);
    }
    return rows;
  }

  async write(changes: readonly DbChange[]): Promise<void> {
    if (changes.length === 0) return;
    const batch = this.#open().write({ capacity: changes.length });
    try {
      for (const { key, value } of changes) {
        if (value === null) batch.tryDelete(key);
        else batch.tryPut(key, value);
      }
      await batch.flush();
    } catch (error) {
      throw translate(error, `cannot write ${this.path}`);
    } finally {
      batch.destroy();
    }
  }

  /** Bytes on disk. */
  async size(): Promise<number> {
    const value = await this.#open().getProperty('rocksdb.total-sst-files-size');
    return Number(value ?? 0);
  }

  /** Releases the lock. Idempotent. */
  close(): Promise<void> {
    return (this.#closed ??= this.#db.close({ force: true }));
  }

  #open(): RocksDB {
    if (this.#closed !== null) throw new StoreError('STORE_CLOSED', `${this.path} is closed`);
    return this.#db;
  }
}

/** Node calls it ENOENT where a folder above is on a read-only disk. */
function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    let above = dirname(path);
    while (!existsSync(above)) above = dirname(above);
    accessSync(above, constants.W_OK);
    throw error;
  }
}

/** The binding tells its failures apart by text only; this is the one place that looks at it. */
function translate(error: unknown, what: string): StoreError {
  if (error instanceof StoreError) return error;
  const all = error instanceof AggregateError ? error.errors.filter(Boolean).map(messageOf) : [];
  const cause = error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : '';
  const text = [messageOf(error), cause, ...all].join(' ');
  const make = (code: string) => new StoreError(code, `${what}: ${text.trim()}`, { cause: error, retriable: true });
  if (/lock hold by current process|While lock file/i.test(text)) return make('STORE_LOCKED');
  if (/No space left on device|Disc quota|Disk quota/i.test(text)) return make('STORE_DISK_FULL');
  if (/Read-only file system/i.test(text)) return make('STORE_READ_ONLY');
  const broken =
    /corrupt|checksum|mismatch|bad magic|truncated record|CURRENT file|(MANIFEST|CURRENT|\.sst).*No such file/i;
  if (broken.test(text)) return make('STORE_CORRUPTED');
  return make('STORE_UNAVAILABLE');
}

export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done);
  });
}
