import type { LogRecord } from '../port.ts';
import { CHUNK_BYTES, ChunkBuilder, chunkAppendedAt, headersBytes, readChunk } from './chunk.ts';
import type { Core } from './core.ts';
import { chunkKey, lastOffsetOf } from './keys.ts';
import { type Partition, isCompacted } from './partition.ts';
import type { Entry } from './rocksdb.ts';

/** Kafka's default of `delete.retention.ms`. */
const DAY = 86_400_000;
/** Fewer new records than this are not worth a pass. */
const LEAST_DIRTY = 20_000;
/** A merged chunk covers at most so many offsets: its header counts them in 32 bits. */
const MOST_SPAN = 2 ** 31;
const MERGE = 64;

/** Kafka's rule at its default ratio: as much new as there is old. */
export const worthCompacting = (partition: Partition): boolean =>
  isCompacted(partition.topic) && partition.end - partition.cleanedTo >= Math.max(LEAST_DIRTY, partition.kept);

const keyOf = (record: LogRecord): string | null => record.key?.toString('latin1') ?? null;

/**
 * Keeps the newest record of each key, in place: offsets stay, small chunks are merged, so a hole is all that a reader
 * meets. A tombstone goes once it is older than `delete.retention.ms`. Each write leaves the partition whole, so a crash
 * in between only means that the pass is run again. Records without a key are kept.
 */
export async function compactPartition(core: Core, partition: Partition, stopped: () => boolean): Promise<void> {
  const { topic, index } = partition;
  const to = partition.end;
  const retention = Number(topic.config['delete.retention.ms'] ?? DAY);
  // what lies before cleanedTo holds each key once: only newer records can supersede anything
  const newest = new Map<string, number>();
  for await (const { last, value } of chunksOf(core, partition, partition.cleanedTo, to)) {
    if (stopped()) return;
    const records: LogRecord[] = [];
    readChunk(value, last, partition.cleanedTo, to, records);
    for (const record of records) {
      const key = keyOf(record);
      if (key !== null) newest.set(key, record.offset);
    }
  }
  let kept = 0;
  let merging: ChunkBuilder | null = null;
  /** the newest append time among what is merged: a tombstone must not look older than it is */
  let appendedAt = 0;
  let superseded: { last: number }[] = [];
  let unchanged = true;

  const flush = async (): Promise<void> => {
    const builder: ChunkBuilder | null = merging;
    const gone = superseded;
    const idle = unchanged;
    merging = null;
    superseded = [];
    unchanged = true;
    // one chunk that lost nothing stays as it is
    if (gone.length === 0 || (gone.length === 1 && idle)) return;
    const last = gone.at(-1)!.last;
    const chunk = builder === null || builder.count === 0 ? null : builder.seal(appendedAt, last);
    await core.writer.submit((changes) => {
      if (topic.removed) return;
      for (const old of gone) {
        if (chunk === null || old.last !== last) changes.remove(chunkKey(topic.id, index, old.last));
      }
      if (chunk !== null) changes.put(chunkKey(topic.id, index, last), chunk.bytes);
    });
  };

  for await (const { last, value } of chunksOf(core, partition, partition.start, to)) {
    if (stopped()) return;
    const records: LogRecord[] = [];
    readChunk(value, last, partition.start, to, records);
    const written = chunkAppendedAt(value);
    const forgets = core.now() - written >= retention;
    const survivors = records.filter((record) => {
      const key = keyOf(record);
      if (key === null) return true;
      return (newest.get(key) ?? -1) <= record.offset && !(record.value === null && forgets);
    });
    const open: ChunkBuilder | null = merging;
    if (
      open !== null &&
      (open.size + value.length > CHUNK_BYTES || last - open.base > MOST_SPAN || superseded.length >= MERGE)
    ) {
      await flush();
    }
    if (superseded.length === 0) appendedAt = written;
    superseded.push({ last });
    unchanged = unchanged && survivors.length === records.length;
    appendedAt = Math.max(appendedAt, written);
    kept += survivors.length;
    for (const record of survivors) {
      merging ??= new ChunkBuilder(record.offset, Math.min(value.length + 1024, CHUNK_BYTES + 4096));
      const headers = headersBytes(record.headers);
      (merging as ChunkBuilder).add(record.offset, record.timestamp, record.key, record.value, record.headers, headers);
    }
  }
  await flush();
  await core.writer.submit((changes) => {
    partition.cleanedTo = to;
    partition.kept = kept;
    changes.touch(partition);
  });
}

/** Forgets what lies before a position, as retention does. */
export async function trimPartition(core: Core, partition: Partition, before: number): Promise<void> {
  await core.writer.submit(
    (changes) => {
      const start = Math.min(before, partition.end);
      if (start <= partition.start || partition.topic.removed) return;
      const { topic, index } = partition;
      changes.removeRange(chunkKey(topic.id, index, 0), chunkKey(topic.id, index, start));
      partition.start = start;
      changes.touch(partition);
    },
    () => partition.wake(),
  );
}

/**
 * `retention.ms`, by the time of writing and not by the record's own: replayed history keeps as long as it would have
 * when it was new. The time is the chunk's, as Kafka's is the segment's.
 */
export async function expirePartition(core: Core, partition: Partition, stopped: () => boolean): Promise<void> {
  const { topic } = partition;
  const retention = Number(topic.config['retention.ms'] ?? -1);
  const deletes = (topic.config['cleanup.policy'] ?? 'delete').includes('delete');
  if (!deletes || retention < 0) return;
  const limit = core.now() - retention;
  if (partition.oldest > limit || partition.start === partition.end) return;
  let before = partition.start;
  for await (const { last, value } of chunksOf(core, partition, partition.start, partition.end)) {
    partition.oldest = chunkAppendedAt(value);
    if (stopped() || partition.oldest > limit) break;
    before = last + 1;
  }
  await trimPartition(core, partition, before);
}

/** All chunks that reach into [from, to) and end before `to`, a few at a time: no iterator stays open over a write. */
async function* chunksOf(
  core: Core,
  partition: Partition,
  from: number,
  to: number,
): AsyncGenerator<{ last: number; value: Buffer }> {
  const { topic, index } = partition;
  for (let next = from; next < to;) {
    const found: Entry[] = [];
    const range = { gte: chunkKey(topic.id, index, next), lt: chunkKey(topic.id, index, to), limit: 16, capacity: 16 };
    for await (const entry of core.db.iterator(range)) found.push(entry);
    for (const { key, value } of found) yield { last: lastOffsetOf(key), value };
    if (found.length < 16) return;
    next = lastOffsetOf(found.at(-1)!.key) + 1;
  }
}
