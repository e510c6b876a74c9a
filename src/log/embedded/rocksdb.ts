import { createRequire } from 'node:module';
import { StoreError, messageOf } from '../../errors.ts';

/** The part of rocksdb-native (which carries no types) that the embedded log uses. */
export interface Range {
  gt?: Buffer;
  gte?: Buffer;
  lt?: Buffer;
  lte?: Buffer;
  reverse?: boolean;
  limit?: number;
  capacity?: number;
  values?: boolean;
}

export interface Entry {
  key: Buffer;
  value: Buffer;
}

export interface WriteBatch {
  tryPut(key: Buffer, value: Buffer): void;
  tryDelete(key: Buffer): void;
  tryDeleteRange(start: Buffer, end: Buffer): void;
  flush(): Promise<void>;
}

export interface Rocks {
  ready(): Promise<void>;
  write(options?: { capacity?: number; autoDestroy?: boolean }): WriteBatch;
  iterator(range: Range): AsyncIterable<Entry>;
  close(options?: { force?: boolean }): Promise<void>;
}

type RocksConstructor = new (path: string, options: Record<string, unknown>) => Rocks;

const RocksDB = createRequire(import.meta.url)('rocksdb-native') as RocksConstructor;

/** Small buffers: a laptop runs the log, the stores of every task and the models beside each other. */
const options = {
  writeBufferSize: 16 * 1024 * 1024,
  maxWriteBufferNumber: 2,
  maxBackgroundJobs: 2,
  maxOpenFiles: 512,
  skipStatsUpdateOnOpen: true,
};

export async function openRocks(path: string): Promise<Rocks> {
  const db = new RocksDB(path, options);
  try {
    await db.ready();
    return db;
  } catch (error) {
    // the binding gives no code, so this one message is looked at, and nowhere else
    if (/\/LOCK: /.test(messageOf(error))) {
      throw new StoreError(
        'STORE_LOCKED',
        `${path} is open in another process (or twice in this one): an embedded log has one owner`,
        { cause: error, fatal: true },
      );
    }
    throw new StoreError('STORE_OPEN_FAILED', `${path} cannot be opened: ${messageOf(error)}`, {
      cause: error,
      fatal: true,
    });
  }
}
