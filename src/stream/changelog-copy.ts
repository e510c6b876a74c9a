/**
 * One store's changelog on its way into the local state, in large pieces: while one is written the next is read. Each
 * piece is written together with the position that it brings the state to, so whatever is found on the disk is true.
 */
import type { RecordBatch } from '../log/port.ts';
import { ChangelogReader, type SplitKeys } from './changelog.ts';
import { changelogPositionKey, encodePosition, type DbChange, type StateDb } from './state-db.ts';

export interface CopyOptions {
  store: string;
  split: SplitKeys;
  /** of a piece, about */
  batchBytes: number;
  /** where the state on disk stands */
  position: number;
  /** a piece is on the disk: so many records of what was read, up to a position */
  onWritten?: (records: number, position: number) => void;
}

export class ChangelogCopy {
  readonly store: string;
  /** up to here it was read */
  position: number;
  /** what was read, in records */
  records = 0;
  readonly #db: StateDb;
  readonly #changelog: ChangelogReader;
  readonly #batchBytes: number;
  readonly #onWritten: CopyOptions['onWritten'];
  #rows: DbChange[] = [];
  #bytes = 0;
  #unwritten = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(db: StateDb, { store, split, batchBytes, position, onWritten }: CopyOptions) {
    this.#db = db;
    this.store = store;
    this.position = position;
    this.#batchBytes = batchBytes;
    this.#onWritten = onWritten;
    this.#changelog = new ChangelogReader(store, split);
  }

  /** Resolves when more may come. */
  async take(batch: RecordBatch): Promise<void> {
    for (const record of batch.records) {
      this.#changelog.apply(record, this.#rows);
      this.#bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0);
    }
    this.records += batch.records.length;
    this.position = batch.position;
    this.#unwritten = true;
    if (this.#bytes >= this.#batchBytes) await this.#write();
  }

  /** All that was read is on the disk. */
  async flush(): Promise<void> {
    if (this.#unwritten) await this.#write();
    await this.#writing;
  }

  /** The end was reached, which may lie behind the last record. Throws where something is not whole. */
  async finish(end: number, rows: readonly DbChange[]): Promise<void> {
    this.#changelog.end();
    this.#rows.push(...rows);
    if (rows.length > 0) this.#unwritten = true;
    // markers and holes behind the last record are passed
    if (end > this.position) {
      this.position = end;
      this.#unwritten = true;
    }
    await this.flush();
  }

  /** Begins a write once the one before is done. */
  async #write(): Promise<void> {
    const rows = this.#rows;
    rows.push({
      key: changelogPositionKey(this.store),
      value: encodePosition(this.#changelog.resumeAt(this.position)),
    });
    this.#rows = [];
    this.#bytes = 0;
    this.#unwritten = false;
    const { records, position } = this;
    await this.#writing;
    this.#writing = this.#db.write(rows).then(() => this.#onWritten?.(records, position));
    // whoever waits for it next is told; nobody may be when all is given up
    this.#writing.catch(() => {});
  }
}
