/**
 * State changes as records of a compacted topic, and back. One key of a store is one record, whatever happened to it
 * since the last commit; null is a deletion.
 *
 * A value above PART_BYTES (a heavy user) would be refused by the broker, so it is written in parts, each a record with
 * a key of its own, and closed by the key's record, which says how many there are and what they add up to. Surplus parts
 * of a longer predecessor are deleted. Which keys are split is kept beside the state.
 *
 *   part key: FF <key> FF <index, 2 bytes>      (FF starts no UTF-8 text and no timer's key)
 */
import { crc32 } from 'node:zlib';
import { StoreError } from '../errors.ts';
import type { LogRecord, OutRecord } from '../log/port.ts';
import type { Change } from './state.ts';
import { prefixOf, type DbChange, type StateBackend } from './state-db.ts';
import { awaited, type Steps } from './steps.ts';

const PART_BYTES = 500_000;
const MARK = 0xff;
const PARTS_HEADER = 'seral.parts';
const CRC_HEADER = 'seral.crc';
const SPLIT_PREFIX = Buffer.from('\0parts\0');
const SPLIT_END = Buffer.from('\0parts\x01');

const partKey = (key: Buffer, index: number): Buffer =>
  Buffer.concat([Buffer.of(MARK), key, Buffer.of(MARK, index >> 8, index & 0xff)]);
const isPart = (key: Buffer): boolean => key[0] === MARK;

/** Which keys are split, and into how many parts: `<store> 00 <key>` as a binary string. */
export class SplitKeys {
  readonly #parts = new Map<string, number>();

  *open(backend: StateBackend): Steps {
    for (let from = SPLIT_PREFIX; ;) {
      const rows = yield* awaited(backend.scan(from, SPLIT_END, 1000));
      for (const { key, value } of rows) {
        this.#parts.set(key.toString('latin1', SPLIT_PREFIX.length), Number(value.toString()));
      }
      if (rows.length < 1000) return;
      from = Buffer.concat([rows.at(-1)!.key, Buffer.of(0)]);
    }
  }

  get(store: string, key: Buffer): number {
    return this.#parts.size === 0 ? 0 : (this.#parts.get(`${store}\0${key.toString('latin1')}`) ?? 0);
  }

  /** Remembers it, in memory and among the changes of the disk. */
  set(store: string, key: Buffer, parts: number, changes: DbChange[]): void {
    if (this.get(store, key) === parts) return;
    const id = `${store}\0${key.toString('latin1')}`;
    if (parts === 0) this.#parts.delete(id);
    else this.#parts.set(id, parts);
    changes.push({
      key: Buffer.concat([SPLIT_PREFIX, Buffer.from(id, 'latin1')]),
      value: parts === 0 ? null : Buffer.from(String(parts)),
    });
  }
}

export interface ChangelogTopics {
  partition: number;
  topicOf(store: string): string;
}

/** One commit's changes as changelog records and as rows of the disk. */
export function writeChanges(
  changes: readonly Change[],
  split: SplitKeys,
  { partition, topicOf }: ChangelogTopics,
): { records: OutRecord[]; rows: DbChange[] } {
  const records: OutRecord[] = [];
  const rows: DbChange[] = [];
  let store = '';
  let topic = '';
  let prefix: Buffer = Buffer.alloc(0);
  for (const change of changes) {
    if (change.store !== store) {
      store = change.store;
      topic = topicOf(store);
      prefix = prefixOf(store);
    }
    const { key, value } = change;
    rows.push({ key: Buffer.concat([prefix, key]), value });
    const parts = value === null || value.length <= PART_BYTES ? 0 : Math.ceil(value.length / PART_BYTES);
    const before = split.get(store, key);
    for (let i = 0; i < parts; i++) {
      const part = value!.subarray(i * PART_BYTES, (i + 1) * PART_BYTES);
      records.push({ topic, partition, key: partKey(key, i), value: part });
    }
    if (parts === 0) records.push({ topic, partition, key, value });
    else {
      const headers = { [PARTS_HEADER]: Buffer.from(String(parts)), [CRC_HEADER]: Buffer.from(String(crc32(value!))) };
      records.push({ topic, partition, key, value: Buffer.of(0), headers });
    }
    for (let i = parts; i < before; i++) records.push({ topic, partition, key: partKey(key, i), value: null });
    if (before !== parts) split.set(store, key, parts, rows);
  }
  return { records, rows };
}

interface Pending {
  /** offset of the first part that waits for its closing record */
  first: number;
  parts: Map<number, Buffer>;
}

/** Reads one store's changelog, in order, into rows of the disk. */
export class ChangelogReader {
  readonly #store: string;
  readonly #prefix: Buffer;
  readonly #split: SplitKeys;
  readonly #pending = new Map<string, Pending>();
  /** offset of a closing record whose parts were missing: compaction took them because a newer value follows, which must come */
  readonly #superseded = new Map<string, number>();

  constructor(store: string, split: SplitKeys) {
    this.#store = store;
    this.#prefix = prefixOf(store);
    this.#split = split;
  }

  apply(record: LogRecord, rows: DbChange[]): void {
    const { key, value } = record;
    if (key === null) return;
    if (isPart(key)) return this.#part(key, record);
    const id =
      this.#pending.size + this.#superseded.size > 0 || record.headers !== undefined ? key.toString('latin1') : '';
    const parts = Number(record.headers?.[PARTS_HEADER]?.toString() ?? 0);
    let whole: Buffer | null = value;
    if (parts > 0) {
      whole = this.#assemble(this.#pending.get(id), parts, Number(record.headers![CRC_HEADER]?.toString()));
    }
    this.#pending.delete(id);
    if (parts > 0 && whole === null) {
      this.#superseded.set(id, record.offset);
      return;
    }
    this.#superseded.delete(id);
    rows.push({ key: Buffer.concat([this.#prefix, key]), value: whole });
    this.#split.set(this.#store, key, parts, rows);
  }

  /** From where an interrupted restore must go on, having applied everything before `position`. */
  resumeAt(position: number): number {
    let first = position;
    for (const pending of this.#pending.values()) first = Math.min(first, pending.first);
    // whoever goes on there waits for the newer value too
    for (const offset of this.#superseded.values()) first = Math.min(first, offset);
    return first;
  }

  /** The end was reached: whatever was superseded must have been replaced. */
  end(): void {
    if (this.#superseded.size === 0) return;
    throw new StoreError(
      'CHANGELOG_BROKEN',
      `${this.#superseded.size} large value(s) of store "${this.#store}" are not whole in its changelog`,
      { fatal: true },
    );
  }

  #part(key: Buffer, { offset, value }: LogRecord): void {
    const id = key.toString('latin1', 1, key.length - 3);
    const index = key.readUInt16BE(key.length - 2);
    let pending = this.#pending.get(id);
    if (value === null) {
      pending?.parts.delete(index);
      if (pending?.parts.size === 0) this.#pending.delete(id);
      return;
    }
    if (pending === undefined) this.#pending.set(id, (pending = { first: offset, parts: new Map() }));
    pending.parts.set(index, value);
  }

  #assemble(pending: Pending | undefined, count: number, crc: number): Buffer | null {
    const parts: Buffer[] = [];
    for (let i = 0; i < count; i++) {
      const part = pending?.parts.get(i);
      if (part === undefined) return null;
      parts.push(part);
    }
    const whole = Buffer.concat(parts);
    return crc32(whole) === crc ? whole : null;
  }
}
