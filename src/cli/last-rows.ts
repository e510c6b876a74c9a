import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { StateDb, type DbChange } from '../stream/state-db.ts';

const END = Buffer.from([0, 0]);

/**
 * The last row written under each name, read back in the order of the names' UTF-8 bytes. It lies on disk, so that what a
 * replay writes is bounded by the disk and not by memory.
 */
export class LastRows {
  readonly #db: StateDb;
  #pending = new Map<string, DbChange>();

  private constructor(db: StateDb) {
    this.#db = db;
  }

  static async open(folder: string): Promise<LastRows> {
    const path = await mkdtemp(join(folder, 'rows-'));
    return new LastRows(await StateDb.open(path, { writeBufferBytes: 8 << 20, lockRetries: 0, lockRetryMs: 0 }));
  }

  /** `scope` keeps equal names apart (a label_id is unique within a user); null takes the row back. */
  put(name: string, scope: string, row: string | null): void {
    const id = `${name}\0\0${scope}`;
    const key = Buffer.concat([escape(name), END, Buffer.from(scope)]);
    this.#pending.set(id, { key, value: row === null ? null : Buffer.from(row) });
  }

  get full(): boolean {
    return this.#pending.size >= 10_000;
  }

  async flush(): Promise<void> {
    const changes = [...this.#pending.values()];
    this.#pending = new Map();
    await this.#db.write(changes);
  }

  async *rows(): AsyncGenerator<string[]> {
    await this.flush();
    const until = Buffer.from([0xff]); // no UTF-8 begins with it
    for (let from = Buffer.alloc(0); ;) {
      const rows = await this.#db.scan(from, until, 5000);
      if (rows.length === 0) return;
      yield rows.map(({ value }) => value.toString('utf8'));
      from = Buffer.concat([rows.at(-1)!.key, Buffer.from([0])]);
    }
  }

  async close(): Promise<void> {
    await this.#db.close();
    await StateDb.wipe(this.#db.path);
  }
}

/** So that a name that another one begins with comes before it, even where a zero byte follows. */
function escape(name: string): Buffer {
  return Buffer.from(name.includes('\0') ? name.replaceAll('\0', '\0\x01') : name);
}
