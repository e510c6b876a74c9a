/** The requests that are our own: the two hot ones, Produce and Fetch, and two that kafkajs has no usable version of. */
import type { TopicPartition } from '../port.ts';
import { encoder, type Encoder, type Protocol } from './kafkajs.ts';
import { int64, type AbortedTransaction } from './records.ts';

/** What each of them needs of a broker; all are there since Kafka 2.5. */
export const REQUIRED = [
  { apiKey: 0, version: 7, name: 'Produce' },
  { apiKey: 1, version: 11, name: 'Fetch' },
  { apiKey: 9, version: 7, name: 'OffsetFetch' },
  { apiKey: 44, version: 0, name: 'IncrementalAlterConfigs' },
] as const;

/** Walks through a response. */
export class Cursor {
  private readonly data: Buffer;
  private at = 0;

  constructor(data: Buffer) {
    this.data = data;
  }

  i8(): number {
    return this.data.readInt8(this.at++);
  }

  i16(): number {
    this.at += 2;
    return this.data.readInt16BE(this.at - 2);
  }

  i32(): number {
    this.at += 4;
    return this.data.readInt32BE(this.at - 4);
  }

  i64(): number {
    this.at += 8;
    return int64(this.data, this.at - 8);
  }

  u64(): bigint {
    this.at += 8;
    return this.data.readBigInt64BE(this.at - 8);
  }

  uvarint(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.data[this.at++]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }

  private text(length: number): string | null {
    if (length < 0) return null;
    this.at += length;
    return this.data.toString('utf8', this.at - length, this.at);
  }

  string(): string | null {
    return this.text(this.i16());
  }

  compactString(): string | null {
    return this.text(this.uvarint() - 1);
  }

  /** Fields of versions to come, each with its number and its size. */
  taggedFields(): void {
    for (let count = this.uvarint(); count > 0; count--) {
      this.uvarint();
      this.at += this.uvarint();
    }
  }

  /** A slice, not a copy. */
  bytes(): Buffer {
    const length = Math.max(this.i32(), 0);
    this.at += length;
    return this.data.subarray(this.at - length, this.at);
  }

  array<T>(item: () => T): T[] {
    return Array.from({ length: Math.max(this.i32(), 0) }, item);
  }

  compactArray<T>(item: () => T): T[] {
    return Array.from({ length: Math.max(this.uvarint() - 1, 0) }, item);
  }
}

const same = <T>(decoded: T): T => decoded;

/** Groups by topic, keeping the order in which topics first come. */
export function byTopic<T extends TopicPartition>(items: readonly T[]): [topic: string, items: T[]][] {
  const topics = new Map<string, T[]>();
  for (const item of items) {
    const list = topics.get(item.topic);
    if (list === undefined) topics.set(item.topic, [item]);
    else list.push(item);
  }
  return [...topics];
}

// ---- Produce v7 ----

export interface ProducedPartition extends TopicPartition {
  errorCode: number;
  baseOffset: number;
}

export interface PartitionBatch extends TopicPartition {
  /** An upper bound of the batch's bytes. */
  bound: number;
  /** Writes the batch at `position` and gives the position behind it. */
  write(buffer: Buffer, position: number): number;
}

/** Waits for all in-sync replicas. The request is encoded at once, into one buffer. */
export function produceProtocol(
  transactionalId: string | null,
  batches: readonly PartitionBatch[],
  timeoutMs: number,
): Protocol<ProducedPartition[]> {
  const topics = byTopic(batches);
  const bound = batches.reduce((sum, batch) => sum + batch.bound + 8, 0);
  const names = topics.reduce((sum, [topic]) => sum + topic.length * 3 + 6, 0);
  const room = 24 + (transactionalId?.length ?? 0) * 3 + names + bound;
  const buffer = Buffer.allocUnsafeSlow(room);
  let at = writeString(buffer, 0, transactionalId);
  at = buffer.writeInt16BE(-1, at);
  at = buffer.writeInt32BE(timeoutMs, at);
  at = buffer.writeInt32BE(topics.length, at);
  for (const [topic, partitions] of topics) {
    at = writeString(buffer, at, topic);
    at = buffer.writeInt32BE(partitions.length, at);
    for (const batch of partitions) {
      at = buffer.writeInt32BE(batch.partition, at);
      const start = at + 4;
      const end = batch.write(buffer, start);
      buffer.writeInt32BE(end - start, at);
      at = end;
    }
  }
  // kafkajs copies what `encode` gives; a bare encoder around our buffer spares it the growing
  const encoded = { buf: buffer, offset: at, buffer: buffer.subarray(0, at) } as unknown as Encoder;
  return {
    request: { apiKey: 0, apiVersion: 7, apiName: 'Produce', encode: () => encoded },
    response: { decode: decodeProduced, parse: (decoded) => decoded.partitions },
    logResponseError: false,
  };
}

function writeString(buffer: Buffer, at: number, text: string | null): number {
  if (text === null) return buffer.writeInt16BE(-1, at);
  const bytes = buffer.write(text, at + 2);
  buffer.writeInt16BE(bytes, at);
  return at + 2 + bytes;
}

function decodeProduced(payload: Buffer): { partitions: ProducedPartition[]; clientSideThrottleTime: number } {
  const cursor = new Cursor(payload);
  const partitions = cursor
    .array(() => {
      const topic = cursor.string()!;
      return cursor.array(() => {
        const partition = cursor.i32();
        const errorCode = cursor.i16();
        const baseOffset = cursor.i64();
        // the append time and the log's start
        cursor.i64();
        cursor.i64();
        return { topic, partition, errorCode, baseOffset };
      });
    })
    .flat();
  return { partitions, clientSideThrottleTime: cursor.i32() };
}

// ---- Fetch v11 ----

export interface FetchPosition extends TopicPartition {
  position: number;
}

export interface FetchedPartition extends TopicPartition {
  errorCode: number;
  /** The last stable offset: where read_committed ends. */
  stable: number;
  aborted: AbortedTransaction[];
  batches: Buffer;
}

export interface FetchLimits {
  waitMs: number;
  maxBytes: number;
  maxBytesPerPartition: number;
}

/** At read_committed, without a fetch session. */
export function fetchProtocol(positions: readonly FetchPosition[], limits: FetchLimits): Protocol<FetchedPartition[]> {
  const encode = (): Encoder => {
    const topics = byTopic(positions);
    const request = encoder(512)
      .writeInt32(-1)
      .writeInt32(limits.waitMs)
      .writeInt32(1)
      .writeInt32(limits.maxBytes)
      .writeInt8(1)
      .writeInt32(0)
      .writeInt32(-1)
      .writeInt32(topics.length);
    for (const [topic, partitions] of topics) {
      request.writeString(topic).writeInt32(partitions.length);
      for (const { partition, position } of partitions) {
        request
          .writeInt32(partition)
          .writeInt32(-1)
          .writeInt64(position)
          .writeInt64(-1)
          .writeInt32(limits.maxBytesPerPartition);
      }
    }
    return request.writeInt32(0).writeString('');
  };
  return {
    request: { apiKey: 1, apiVersion: 11, apiName: 'Fetch', encode },
    response: { decode: decodeFetched, parse: (decoded) => decoded.partitions },
    requestTimeout: limits.waitMs + 30_000,
    logResponseError: false,
  };
}

function decodeFetched(payload: Buffer): { partitions: FetchedPartition[]; clientSideThrottleTime: number } {
  const cursor = new Cursor(payload);
  const clientSideThrottleTime = cursor.i32();
  // an error of the fetch session, of which there is none
  cursor.i16();
  cursor.i32();
  const partitions = cursor
    .array(() => {
      const topic = cursor.string()!;
      return cursor.array(() => {
        const partition = cursor.i32();
        const errorCode = cursor.i16();
        // the high watermark
        cursor.i64();
        const stable = cursor.i64();
        // the log's start
        cursor.i64();
        const aborted = cursor.array(() => ({ producerId: cursor.u64(), firstOffset: cursor.i64() }));
        // the replica to prefer, which is for clients that name their rack
        cursor.i32();
        return { topic, partition, errorCode, stable, aborted, batches: cursor.bytes() };
      });
    })
    .flat();
  return { partitions, clientSideThrottleTime };
}

// ---- OffsetFetch v7: the first that can refuse positions of transactions that are still being committed ----

export interface CommittedOffsets {
  errorCode: number;
  partitions: (TopicPartition & { offset: number; errorCode: number })[];
}

/** With `requireStable`: a partition with a pending position has the error UNSTABLE_OFFSET_COMMIT. */
export function committedProtocol(group: string, partitions: readonly TopicPartition[]): Protocol<CommittedOffsets> {
  const encode = (): Encoder => {
    const topics = byTopic(partitions);
    // a flexible version: the header has tagged fields, and it ends where the request begins
    const request = encoder()
      .writeUVarInt(0)
      .writeUVarIntString(group)
      .writeUVarInt(topics.length + 1);
    for (const [topic, list] of topics) {
      request.writeUVarIntString(topic).writeUVarInt(list.length + 1);
      for (const { partition } of list) request.writeInt32(partition);
      request.writeUVarInt(0);
    }
    return request.writeBoolean(true).writeUVarInt(0);
  };
  const decode = (payload: Buffer): CommittedOffsets & { clientSideThrottleTime: number } => {
    const cursor = new Cursor(payload);
    cursor.taggedFields();
    const clientSideThrottleTime = cursor.i32();
    const partitions = cursor
      .compactArray(() => {
        const topic = cursor.compactString()!;
        const list = cursor.compactArray(() => {
          const partition = cursor.i32();
          const offset = cursor.i64();
          // the leader's epoch and the committer's note
          cursor.i32();
          cursor.compactString();
          const errorCode = cursor.i16();
          cursor.taggedFields();
          return { topic, partition, offset, errorCode };
        });
        cursor.taggedFields();
        return list;
      })
      .flat();
    return { clientSideThrottleTime, partitions, errorCode: cursor.i16() };
  };
  return {
    request: { apiKey: 9, apiVersion: 7, apiName: 'OffsetFetch', encode },
    response: { decode, parse: same },
    logResponseError: false,
  };
}

// ---- IncrementalAlterConfigs v0: the older AlterConfigs drops every setting that it is not told ----

export function alterTopicProtocol(
  topic: string,
  config: Readonly<Record<string, string>>,
): Protocol<{ errorCode: number; message: string | null }> {
  const TOPIC = 2;
  const SET = 0;
  const encode = (): Encoder => {
    const entries = Object.entries(config);
    const request = encoder().writeInt32(1).writeInt8(TOPIC).writeString(topic).writeInt32(entries.length);
    for (const [name, value] of entries) request.writeString(name).writeInt8(SET).writeString(value);
    return request.writeBoolean(false);
  };
  const decode = (payload: Buffer) => {
    const cursor = new Cursor(payload);
    const clientSideThrottleTime = cursor.i32();
    const [response] = cursor.array(() => ({
      errorCode: cursor.i16(),
      message: cursor.string(),
      type: cursor.i8(),
      name: cursor.string(),
    }));
    return { clientSideThrottleTime, ...response };
  };
  return {
    request: { apiKey: 44, apiVersion: 0, apiName: 'IncrementalAlterConfigs', encode },
    response: { decode, parse: same },
    logResponseError: false,
  };
}
