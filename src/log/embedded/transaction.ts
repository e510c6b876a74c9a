import { LogError } from '../../errors.ts';
import type { OutRecord, TopicPartition } from '../port.ts';
import { CHUNK_BYTES, ChunkBuilder, headersBytes, recordBytes, type SealedChunk } from './chunk.ts';
import { type Partition, type Topic, maxRecordBytes, partitionFor, unknownTopic } from './partition.ts';

interface Part {
  sealed: SealedChunk[];
  builder: ChunkBuilder | null;
  /** the last offset given, plus one */
  position: number;
}

/**
 * Records that become visible together: what a producer sent since its last commit, or one plain send. They are encoded
 * as they are sent and live in memory only, so a crash before the commit's write leaves a hole and nothing else.
 */
export class Transaction {
  readonly startedAt: number;
  readonly #parts = new Map<Partition, Part>();

  constructor(now: number) {
    this.startedAt = now;
  }

  get partitions(): Iterable<Partition> {
    return this.#parts.keys();
  }

  /** All or nothing: an unknown topic or a record that is too large adds none of `records`. */
  add(topics: ReadonlyMap<string, Topic>, records: readonly OutRecord[], now: number): void {
    const places: Partition[] = new Array<Partition>(records.length);
    const sizes: number[] = new Array<number>(records.length);
    let topic: Topic | undefined;
    let largest = 0;
    for (let i = 0; i < records.length; i++) {
      const record = records[i]!;
      if (topic === undefined || record.topic !== topic.name) {
        topic = topics.get(record.topic);
        if (topic === undefined) throw unknownTopic(record.topic);
        largest = maxRecordBytes(topic);
      }
      places[i] = partitionFor(topic, record);
      const headers = headersBytes(record.headers);
      sizes[i] = headers;
      const size = recordBytes(record.key, record.value, headers);
      if (size > largest) {
        throw new LogError(
          'RECORD_TOO_LARGE',
          `a record of ${size} bytes for ${record.topic}, which takes ${largest} (max.message.bytes)`,
        );
      }
    }
    let partition: Partition | undefined;
    let part: Part | undefined;
    for (let i = 0; i < records.length; i++) {
      if (places[i] !== partition) {
        partition = places[i]!;
        part = this.#part(partition);
      }
      this.#append(partition!, part!, records[i]!, sizes[i]!, now);
    }
  }

  /** Everything that was added, ready to be stored. */
  *chunks(now: number): Iterable<[Partition, SealedChunk]> {
    for (const [partition, part] of this.#parts) {
      for (const chunk of part.sealed) yield [partition, chunk];
      if (part.builder !== null) yield [partition, part.builder.seal(now)];
    }
  }

  written(): (TopicPartition & { position: number })[] {
    return Array.from(this.#parts, ([partition, part]) => ({
      topic: partition.topic.name,
      partition: partition.index,
      position: part.position,
    }));
  }

  /** To be called once it is stored, or once the hole that it leaves is. */
  release(): void {
    for (const partition of this.#parts.keys()) partition.release(this);
    this.#parts.clear();
  }

  #part(partition: Partition): Part {
    let part = this.#parts.get(partition);
    if (part === undefined) {
      partition.hold(this);
      part = { sealed: [], builder: null, position: partition.next };
      this.#parts.set(partition, part);
    }
    return part;
  }

  #append(partition: Partition, part: Part, record: OutRecord, headers: number, now: number): void {
    const offset = partition.next++;
    let builder = part.builder;
    // a chunk ends where another producer's record came between: chunks never reach into each other
    if (builder !== null && (builder.size >= CHUNK_BYTES || builder.last !== offset - 1)) {
      part.sealed.push(builder.seal(now));
      builder = null;
    }
    if (builder === null) {
      builder = new ChunkBuilder(offset, part.sealed.length > 0 ? CHUNK_BYTES + 4096 : 1024);
      part.builder = builder;
    }
    builder.add(offset, record.timestamp ?? now, record.key, record.value, record.headers, headers);
    part.position = offset + 1;
  }
}
