/**
 * Kafka's record batches (magic 2), written and read in place: values are not copied on the way in, and on the way out
 * once, into the batch.
 *
 *   baseOffset i64 · length i32 · leaderEpoch i32 · magic i8 · crc u32 · attributes i16 · lastOffsetDelta i32 ·
 *   baseTimestamp i64 · maxTimestamp i64 · producerId i64 · producerEpoch i16 · baseSequence i32 · count i32 · records
 *   record: length v · attributes i8 · timestampDelta v · offsetDelta v · key v+bytes · value v+bytes · headers
 *   (v: zigzag varint)
 */
import { LogError } from '../../errors.ts';
import type { Headers, LogRecord, OutRecord } from '../port.ts';
import { decompress } from './codecs.ts';
import { crc32c } from './crc32c.ts';

const LENGTH_AT = 8;
const MAGIC_AT = 16;
const CRC_AT = 17;
const ATTRIBUTES_AT = 21;
const LAST_OFFSET_DELTA_AT = 23;
const BASE_TIMESTAMP_AT = 27;
const MAX_TIMESTAMP_AT = 35;
const PRODUCER_ID_AT = 43;
const COUNT_AT = 57;
export const BATCH_HEADER_BYTES = 61;
/** Of `length` and what stands before it: a batch is `length` bytes longer than this. */
const LENGTH_ENDS_AT = 12;

const CODEC_BITS = 0x07;
const LOG_APPEND_TIME_BIT = 0x08;
const TRANSACTIONAL_BIT = 0x10;
const CONTROL_BIT = 0x20;

// ---- writing ----

/** An upper bound of a record's bytes in a batch. */
export function recordBytes(record: OutRecord): number {
  // length, attributes, both deltas, the two lengths and the count of headers: 5 + 1 + 10 + 5 + 5 + 5 + 5 at most
  let bytes = 36 + (record.key?.length ?? 0) + (record.value?.length ?? 0);
  if (record.headers !== undefined) {
    for (const name in record.headers) bytes += 10 + name.length * 3 + record.headers[name]!.length;
  }
  return bytes;
}

export interface BatchProducer {
  producerId: bigint;
  producerEpoch: number;
  transactional: boolean;
}

/** What is written to, or read from, and where: the hot loops below keep them out of their arguments. */
const NOTHING: Buffer = Buffer.alloc(0);
let out = NOTHING;
let from = NOTHING;
let at = 0;

function writeVarint(value: number): void {
  let zigzag = ((value << 1) ^ (value >> 31)) >>> 0;
  while (zigzag > 0x7f) {
    out[at++] = (zigzag & 0x7f) | 0x80;
    zigzag >>>= 7;
  }
  out[at++] = zigzag;
}

function writeVarlong(value: number): void {
  if (value >= -0x40000000 && value < 0x40000000) return writeVarint(value);
  let zigzag = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n));
  while (zigzag > 0x7fn) {
    out[at++] = Number(zigzag & 0x7fn) | 0x80;
    zigzag >>= 7n;
  }
  out[at++] = Number(zigzag);
}

const varintBytes = (value: number): number => {
  const zigzag = ((value << 1) ^ (value >> 31)) >>> 0;
  return zigzag < 0x80 ? 1 : zigzag < 0x4000 ? 2 : zigzag < 0x200000 ? 3 : zigzag < 0x10000000 ? 4 : 5;
};

function writeBytes(bytes: Buffer | null): void {
  if (bytes === null) {
    out[at++] = 1; // -1
    return;
  }
  writeVarint(bytes.length);
  bytes.copy(out, at);
  at += bytes.length;
}

/** Moves what was written from `start` on, to put its length before it. */
function prefixLength(start: number): void {
  const length = at - start;
  const room = varintBytes(length);
  // one byte was left free, which is enough for a record of up to 63 bytes
  if (room > 1) out.copyWithin(start + room - 1, start, at);
  at = start - 1;
  writeVarint(length);
  at += length;
}

/** The body's length where it has no headers and a small time delta, which is nearly always; else -1. */
function plainLength(record: OutRecord, timestampDelta: number, offsetDelta: number): number {
  if (record.headers !== undefined || timestampDelta < -0x40000000 || timestampDelta >= 0x40000000) return -1;
  const { key, value } = record;
  // attributes, the deltas, no headers
  let length = 2 + varintBytes(timestampDelta) + varintBytes(offsetDelta);
  length += key === null ? 1 : varintBytes(key.length) + key.length;
  length += value === null ? 1 : varintBytes(value.length) + value.length;
  return length;
}

function writeRecord(record: OutRecord, timestampDelta: number, offsetDelta: number): void {
  const length = plainLength(record, timestampDelta, offsetDelta);
  if (length >= 0) writeVarint(length);
  else at++;
  const start = at;
  out[at++] = 0;
  writeVarlong(timestampDelta);
  writeVarint(offsetDelta);
  writeBytes(record.key);
  writeBytes(record.value);
  if (record.headers === undefined) {
    out[at++] = 0;
  } else {
    const names = Object.keys(record.headers);
    writeVarint(names.length);
    for (const name of names) {
      writeBytes(Buffer.from(name));
      writeBytes(record.headers[name]!);
    }
  }
  if (length < 0) prefixLength(start);
}

/** Writes records[from, to) as one batch into `buffer` at `position`, and gives the position behind it. */
export function writeBatch(
  buffer: Buffer,
  position: number,
  records: readonly OutRecord[],
  producer: BatchProducer,
  baseSequence: number,
  now: number,
): number {
  out = buffer;
  at = position + BATCH_HEADER_BYTES;
  const base = records[0]!.timestamp ?? now;
  let max = base;
  for (let i = 0; i < records.length; i++) {
    const record = records[i]!;
    const timestamp = record.timestamp ?? now;
    if (timestamp > max) max = timestamp;
    writeRecord(record, timestamp - base, i);
  }
  const end = at;
  buffer.writeBigInt64BE(0n, position);
  buffer.writeInt32BE(end - position - LENGTH_ENDS_AT, position + LENGTH_AT);
  buffer.writeInt32BE(-1, position + LENGTH_AT + 4);
  buffer[position + MAGIC_AT] = 2;
  buffer.writeInt16BE(producer.transactional ? TRANSACTIONAL_BIT : 0, position + ATTRIBUTES_AT);
  buffer.writeInt32BE(records.length - 1, position + LAST_OFFSET_DELTA_AT);
  buffer.writeBigInt64BE(BigInt(base), position + BASE_TIMESTAMP_AT);
  buffer.writeBigInt64BE(BigInt(max), position + MAX_TIMESTAMP_AT);
  buffer.writeBigInt64BE(producer.producerId, position + PRODUCER_ID_AT);
  buffer.writeInt16BE(producer.producerEpoch, position + PRODUCER_ID_AT + 8);
  buffer.writeInt32BE(baseSequence, position + PRODUCER_ID_AT + 10);
  buffer.writeInt32BE(records.length, position + COUNT_AT);
  buffer.writeUInt32BE(crc32c(buffer, position + ATTRIBUTES_AT, end), position + CRC_AT);
  // what is idle holds no memory
  out = NOTHING;
  return end;
}

// ---- reading ----

export interface AbortedTransaction {
  producerId: bigint;
  firstOffset: number;
}

export interface DecodedBatches {
  records: LogRecord[];
  /** The position after the last whole batch, markers and holes included; `from` where there was none. */
  position: number;
}

/** Offsets and timestamps: exact to 2^53. */
export const int64 = (buffer: Buffer, position: number): number =>
  buffer.readInt32BE(position) * 0x1_0000_0000 + buffer.readUInt32BE(position + 4);

function readVarint(): number {
  let byte = from[at++]!;
  if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1);
  let value = byte & 0x7f;
  byte = from[at++]!;
  value |= (byte & 0x7f) << 7;
  if (byte < 0x80) return (value >>> 1) ^ -(value & 1);
  for (let shift = 14; shift < 35; shift += 7) {
    byte = from[at++]!;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return (value >>> 1) ^ -(value & 1);
  }
  throw corrupt();
}

function readVarlong(): number {
  const start = at;
  let byte = from[at++]!;
  let value = byte & 0x7f;
  for (let shift = 7; byte >= 0x80 && shift < 28; shift += 7) {
    byte = from[at++]!;
    value |= (byte & 0x7f) << shift;
  }
  if (byte < 0x80) return (value >>> 1) ^ -(value & 1);
  at = start;
  let long = 0n;
  for (let shift = 0n; shift < 70n; shift += 7n) {
    byte = from[at++]!;
    long |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return Number((long >> 1n) ^ -(long & 1n));
  }
  throw corrupt();
}

function readBytes(): Buffer | null {
  const length = readVarint();
  if (length < 0) return null;
  const start = at;
  at += length;
  return from.subarray(start, at);
}

function readHeaders(count: number): Headers {
  const headers: Headers = {};
  for (let i = 0; i < count; i++) {
    const length = readVarint();
    const name = from.toString('utf8', at, at + length);
    at += length;
    headers[name] = readBytes() ?? Buffer.alloc(0);
  }
  return headers;
}

const corrupt = (): LogError => new LogError('LOG_CORRUPT', 'a record batch cannot be read', { fatal: true });

/**
 * The committed records of the batches in `data` from offset `position` on. Which transactions were aborted the broker
 * says, in the order of their ends, for all that reach into what it sent. A batch belongs to an aborted one if its
 * producer has one that began at or before the batch, and no abort marker of that producer has come since.
 */
export function readBatches(data: Buffer, position: number, aborted: readonly AbortedTransaction[]): DecodedBatches {
  const records: LogRecord[] = [];
  const pending = aborted.length > 1 ? [...aborted].sort((a, b) => a.firstOffset - b.firstOffset) : aborted;
  const dropping = new Set<bigint>();
  let begun = 0;
  let next = position;
  // the last batch may be cut off; the next fetch brings it whole
  for (let start = 0; start + BATCH_HEADER_BYTES <= data.length;) {
    const end = start + LENGTH_ENDS_AT + data.readInt32BE(start + LENGTH_AT);
    if (end > data.length) break;
    if (data[start + MAGIC_AT] !== 2) throw corrupt();
    const baseOffset = int64(data, start);
    const attributes = data.readInt16BE(start + ATTRIBUTES_AT);
    const lastOffset = baseOffset + data.readInt32BE(start + LAST_OFFSET_DELTA_AT);
    while (begun < pending.length && pending[begun]!.firstOffset <= lastOffset)
      dropping.add(pending[begun++]!.producerId);
    let dropped = (attributes & CONTROL_BIT) !== 0;
    if ((attributes & TRANSACTIONAL_BIT) !== 0 && dropping.size > 0) {
      const producerId = data.readBigInt64BE(start + PRODUCER_ID_AT);
      if (!dropped) dropped = dropping.has(producerId);
      else if (isAbortMarker(data, start, end)) dropping.delete(producerId);
    }
    if (!dropped && lastOffset >= position) readRecords(data, start, end, attributes, position, records);
    if (lastOffset >= next) next = lastOffset + 1;
    start = end;
  }
  from = NOTHING;
  return { records, position: next };
}

/** The one record of a control batch has a key of version (i16) and type (i16); type 0 is an abort. */
function isAbortMarker(data: Buffer, start: number, end: number): boolean {
  from = data;
  at = start + BATCH_HEADER_BYTES;
  readVarint();
  at++;
  readVarlong();
  readVarint();
  const key = readBytes();
  return at <= end && key !== null && key.length >= 4 && key.readInt16BE(2) === 0;
}

function readRecords(
  data: Buffer,
  start: number,
  end: number,
  attributes: number,
  position: number,
  records: LogRecord[],
): void {
  const baseOffset = int64(data, start);
  const baseTimestamp = int64(data, start + BASE_TIMESTAMP_AT);
  const appendTime = (attributes & LOG_APPEND_TIME_BIT) === 0 ? -1 : int64(data, start + MAX_TIMESTAMP_AT);
  const count = data.readInt32BE(start + COUNT_AT);
  from = data;
  at = start + BATCH_HEADER_BYTES;
  const codec = attributes & CODEC_BITS;
  if (codec !== 0) {
    from = decompress(codec, data.subarray(at, end));
    at = 0;
  }
  const limit = codec === 0 ? end : from.length;
  for (let i = 0; i < count; i++) {
    const length = readVarint();
    const recordEnd = at + length;
    if (length < 0 || recordEnd > limit) throw corrupt();
    at++;
    const timestampDelta = readVarlong();
    const offset = baseOffset + readVarint();
    if (offset < position) {
      at = recordEnd;
      continue;
    }
    const timestamp = appendTime < 0 ? baseTimestamp + timestampDelta : appendTime;
    const key = readBytes();
    const value = readBytes();
    const headers = readVarint();
    if (headers === 0) records.push({ offset, timestamp, key, value });
    else records.push({ offset, timestamp, key, value, headers: readHeaders(headers) });
    at = recordEnd;
  }
}
