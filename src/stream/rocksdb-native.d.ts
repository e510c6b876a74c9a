/** The part of rocksdb-native that is used here; the package brings no types. */
declare module 'rocksdb-native' {
  interface ReadBatch {
    get(key: Buffer): Promise<Buffer | null>;
    tryFlush(): void;
    destroy(): void;
  }
  interface WriteBatch {
    tryPut(key: Buffer, value: Buffer): void;
    tryDelete(key: Buffer): void;
    tryDeleteRange(start: Buffer, end: Buffer): void;
    flush(): Promise<void>;
    destroy(): void;
  }
  interface Range {
    gt?: Buffer;
    gte?: Buffer;
    lt?: Buffer;
    lte?: Buffer;
  }
  interface IteratorOptions {
    reverse?: boolean;
    values?: boolean;
    limit?: number;
    capacity?: number;
  }
  interface Options {
    readOnly?: boolean;
    writeBufferSize?: number;
    maxWriteBufferNumber?: number;
    maxBackgroundJobs?: number;
  }
  export default class RocksDB {
    constructor(path: string, options?: Options);
    ready(): Promise<void>;
    read(options?: { capacity?: number }): ReadBatch;
    write(options?: { capacity?: number }): WriteBatch;
    iterator(range: Range, options?: IteratorOptions): AsyncIterable<{ key: Buffer; value: Buffer }>;
    get(key: Buffer): Promise<Buffer | null>;
    put(key: Buffer, value: Buffer): Promise<void>;
    delete(key: Buffer): Promise<void>;
    deleteRange(start: Buffer, end: Buffer): Promise<void>;
    flush(): Promise<void>;
    getProperty(name: string): Promise<string | null>;
    close(options?: { force?: boolean }): Promise<void>;
  }
}
