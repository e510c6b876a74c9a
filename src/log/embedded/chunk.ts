import { StoreError } from '../../errors.ts';
import type { Headers, LogRecord } from '../port.ts';

/**
 * Records are stored in chunks, one RocksDB value for many records: a put costs microseconds whatever its size.
 * A chunk covers a range of offsets that no other chunk reaches into; its key carries the last of them.
 *
 *   header: version u8, 3 spare, count u32, span u32 (last - base offset), max timestamp f64, append time f64
 *   record: offset - base u32, timestamp f64, key length i32 (-1: null), value length i32, headers length u32, the bytes
 *   header of a record: name length u16, value length u32, the bytes
 */
const VERSION = 1;
const HEADER = 28;
const RECORD = 24;

/** What a chunk is filled up to; a larger record has a chunk of its own. */
export const CHUNK_BYTES = 128 * 1024;

export interface SealedChunk {
  last: number;
  bytes: Buffer;
}

export const recordBytes = (key: Buffer | null, value: Buffer | null, headers: number): number =>
  RECORD + (key === null ? 0 : key.length) + (value === null ? 0 : value.length) + headers;

export function headersBytes(headers: Headers | undefined): number {
  if (headers === undefined) return 0;
  let size = 0;
  for (const name in headers) size += 6 + Buffer.byteLength(name) + headers[name]!.length;
  return size;
}

/** Fills one chunk with records of rising offsets from `base` on. */
export class ChunkBuilder {
  readonly base: number;
  #buffer: Buffer;
  #size = HEADER;
  #count = 0;
  #last: number;
  #maxTimestamp = -Infinity;

  constructor(base: number, expected = 4096) {
    this.base = base;
    this.#last = base;
    this.#buffer = Buffer.allocUnsafe(Math.max(expected, HEADER + 512));
  }

  get count(): number {
    return this.#count;
  }

  get size(): number {
    return this.#size;
  }

  /** The offset of the record added last. */
  get last(): number {
    return this.#last;
  }

  add(
    offset: number,
    timestamp: number,
    key: Buffer | null,
    value: Buffer | null,
    headers: Headers | undefined,
    headerSize: number,
  ): void {
    const keyLength = key === null ? 0 : key.length;
    const valueLength = value === null ? 0 : value.length;
    let at = this.#size;
    const end = at + RECORD + keyLength + valueLength + headerSize;
    if (end > this.#buffer.length) this.#grow(end);
    const buffer = this.#buffer;
    buffer.writeUInt32LE(offset - this.base, at);
    buffer.writeDoubleLE(timestamp, at + 4);
    buffer.writeInt32LE(key === null ? -1 : keyLength, at + 12);
    buffer.writeInt32LE(value === null ? -1 : valueLength, at + 16);
    buffer.writeUInt32LE(headerSize, at + 20);
    at += RECORD;
    if (key !== null) {
      buffer.set(key, at);
      at += keyLength;
    }
    if (value !== null) {
      buffer.set(value, at);
      at += valueLength;
    }
    if (headers !== undefined) {
      for (const name in headers) {
        const data = headers[name]!;
        const length = buffer.write(name, at + 6, 'utf8');
        buffer.writeUInt16LE(length, at);
        buffer.writeUInt32LE(data.length, at + 2);
        buffer.set(data, at + 6 + length);
        at += 6 + length + data.length;
      }
    }
    this.#size = end;
    this.#count++;
    this.#last = offset;
    if (timestamp > this.#maxTimestamp) this.#maxTimestamp = timestamp;
  }

  /** `last` may lie behind the last record, where compaction has left a hole. */
  seal(appendedAt: number, last = this.#last): SealedChunk {
    const buffer = this.#buffer;
    buffer.writeUInt32LE(VERSION, 0);
    buffer.writeUInt32LE(this.#count, 4);
    buffer.writeUInt32LE(last - this.base, 8);
    buffer.writeDoubleLE(this.#maxTimestamp, 12);
    buffer.writeDoubleLE(appendedAt, 20);
    return { last, bytes: buffer.subarray(0, this.#size) };
  }

  #grow(needed: number): void {
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    this.#buffer.copy(grown, 0, 0, this.#size);
    this.#buffer = grown;
  }
}

function check(chunk: Buffer): void {
  if (chunk.length < HEADER || chunk[0] !== VERSION) {
    throw new StoreError('STORE_CORRUPT', 'the embedded log holds a chunk of an unknown version', { fatal: true });
  }
}

export const chunkSpan = (chunk: Buffer): number => (check(chunk), chunk.readUInt32LE(8));
export const chunkMaxTimestamp = (chunk: Buffer): number => chunk.readDoubleLE(12);
export const chunkAppendedAt = (chunk: Buffer): number => chunk.readDoubleLE(20);

/**
 * Appends the records of offsets in [from, to) to `into`; `last` is the chunk's last offset (its key). Keys and values
 * are views of the chunk. Stops early once `maxBytes` are taken. Returns the bytes taken, or -1 where it stopped early.
 */
export function readChunk(
  chunk: Buffer,
  last: number,
  from: number,
  to: number,
  into: LogRecord[],
  maxBytes = Infinity,
): number {
  const base = last - chunkSpan(chunk);
  const count = chunk.readUInt32LE(4);
  let taken = 0;
  let at = HEADER;
  for (let i = 0; i < count; i++) {
    const offset = base + chunk.readUInt32LE(at);
    if (offset >= to) break;
    const keyLength = chunk.readInt32LE(at + 12);
    const valueLength = chunk.readInt32LE(at + 16);
    const headerSize = chunk.readUInt32LE(at + 20);
    const keyAt = at + RECORD;
    const valueAt = keyAt + (keyLength < 0 ? 0 : keyLength);
    const headersAt = valueAt + (valueLength < 0 ? 0 : valueLength);
    const next = headersAt + headerSize;
    if (offset >= from) {
      if (taken >= maxBytes) return -1;
      taken += next - at;
      const record: LogRecord = {
        offset,
        timestamp: chunk.readDoubleLE(at + 4),
        key: keyLength < 0 ? null : chunk.subarray(keyAt, valueAt),
        value: valueLength < 0 ? null : chunk.subarray(valueAt, headersAt),
      };
      if (headerSize > 0) record.headers = readHeaders(chunk, headersAt, next);
      into.push(record);
    }
    at = next;
  }
  return taken;
}

function readHeaders(chunk: Buffer, from: number, to: number): Headers {
  const headers: Headers = {};
  for (let at = from; at < to;) {
    const name = at + 6;
    const value = name + chunk.readUInt16LE(at);
    const end = value + chunk.readUInt32LE(at + 2);
    headers[chunk.toString('utf8', name, value)] = chunk.subarray(value, end);
    at = end;
  }
  return headers;
}
