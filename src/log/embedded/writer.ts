import { LogError, messageOf } from '../../errors.ts';
import { partitionKey } from './keys.ts';
import { type Partition, encodeState } from './partition.ts';
import type { Rocks } from './rocksdb.ts';

/** What one operation puts into the write batch that it shares with others. */
export interface Changes {
  put(key: Buffer, value: Buffer): void;
  remove(key: Buffer): void;
  removeRange(start: Buffer, end: Buffer): void;
  /** The partition's state is to be stored with this batch. */
  touch(partition: Partition): void;
}

interface Operation {
  apply(changes: Changes): void;
  resolve(): void;
  reject(error: unknown): void;
}

/** More than this and the rest waits for the next write. */
const BATCH_BYTES = 16 * 1024 * 1024;

/**
 * The one writer: operations are applied in the order they came, and what waits while a write is under way shares the
 * next one (a group commit). `apply` looks at the state as all operations before it leave it; where it throws, only that
 * operation is refused. A failed write closes the log for writing: what RocksDB holds then is only known by opening it.
 */
export class Writer {
  readonly #db: Rocks;
  #waiting: Operation[] = [];
  #running: Promise<void> | null = null;
  #failure: LogError | null = null;

  constructor(db: Rocks) {
    this.#db = db;
  }

  /** Resolves once what `apply` put is stored; `done` runs in order with those of other operations, before that. */
  submit(apply: (changes: Changes) => void, done: () => void = () => {}): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const settle = () => {
        done();
        resolve();
      };
      this.#waiting.push({ apply, resolve: settle, reject });
      this.#running ??= this.#run();
    });
  }

  /** Everything submitted so far is stored. */
  async idle(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }

  async #run(): Promise<void> {
    // one turn's delay gathers what is submitted in the same tick
    await Promise.resolve();
    while (this.#waiting.length > 0) await this.#write();
    this.#running = null;
  }

  async #write(): Promise<void> {
    const db = this.#db;
    let batch: ReturnType<Rocks['write']> | null = null;
    const open = () => (batch ??= db.write({ capacity: 64, autoDestroy: true }));
    let bytes = 0;
    const touched = new Set<Partition>();
    const changes: Changes = {
      put: (key, value) => {
        bytes += value.length;
        open().tryPut(key, value);
      },
      remove: (key) => open().tryDelete(key),
      removeRange: (start, end) => open().tryDeleteRange(start, end),
      touch: (partition) => touched.add(partition),
    };
    const applied: Operation[] = [];
    let taken = 0;
    while (taken < this.#waiting.length && bytes < BATCH_BYTES) {
      const operation = this.#waiting[taken++]!;
      try {
        if (this.#failure !== null) throw this.#failure;
        operation.apply(changes);
        applied.push(operation);
      } catch (error) {
        operation.reject(error);
      }
    }
    this.#waiting = this.#waiting.slice(taken);
    for (const partition of touched) {
      if (!partition.topic.removed)
        changes.put(partitionKey(partition.topic.id, partition.index), encodeState(partition));
    }
    try {
      // the assignments inside the callbacks are out of TypeScript's sight
      await (batch as ReturnType<Rocks['write']> | null)?.flush();
    } catch (error) {
      this.#failure = new LogError('LOG_UNAVAILABLE', `the embedded log cannot write: ${messageOf(error)}`, {
        cause: error,
        fatal: true,
      });
      for (const operation of applied) operation.reject(this.#failure);
      return;
    }
    for (const operation of applied) operation.resolve();
  }
}
