import { LogError } from '../../errors.ts';
import type { LogRecord, OffsetReader, RecordBatch, TopicPartition } from '../port.ts';
import { CHUNK_BYTES, readChunk } from './chunk.ts';
import type { Core } from './core.ts';
import { chunkKey, lastOffsetOf } from './keys.ts';
import type { Partition } from './partition.ts';

export const FETCH_BYTES = 1024 * 1024;

/**
 * The records of [from, min(to, end)), about `maxBytes` of them and at least one where there is one. The position behind
 * them passes holes, so it rises even where no record is left.
 */
export async function fetch(
  core: Core,
  partition: Partition,
  from: number,
  to: number,
  maxBytes: number,
): Promise<RecordBatch> {
  const end = partition.end;
  const until = Math.min(to, end);
  const { topic, index } = partition;
  const records: LogRecord[] = [];
  let position = until;
  let bytes = 0;
  let chunks = 0;
  const limit = Math.min(1024, Math.max(2, Math.ceil((1.2 * maxBytes) / partition.chunkBytes)));
  const found = core.db.iterator({
    gte: chunkKey(topic.id, index, from),
    lt: chunkKey(topic.id, index + 1, 0),
    limit,
    capacity: Math.min(limit, 64),
  });
  for await (const { key, value } of found) {
    const last = lastOffsetOf(key);
    const taken = readChunk(value, last, from, until, records, maxBytes < CHUNK_BYTES ? maxBytes - bytes : Infinity);
    chunks++;
    bytes += value.length;
    if (taken < 0) {
      position = records.at(-1)!.offset + 1;
      break;
    }
    if (last + 1 >= until) {
      position = until;
      break;
    }
    if (bytes >= maxBytes || chunks === limit) {
      position = last + 1;
      break;
    }
  }
  // retention may have come in between, and what it took must not pass for a hole
  if (from < partition.start) checkPosition(partition, from);
  if (chunks > 0) partition.chunkBytes = Math.max(256, bytes / chunks);
  return { topic: topic.name, partition: index, records, position, end: Math.max(end, partition.end) };
}

/** Throws where a position cannot be read from. */
export function checkPosition(partition: Partition, position: number): void {
  partition.checkThere();
  if (position < partition.start || position > partition.next) {
    throw new LogError(
      'OFFSET_OUT_OF_RANGE',
      `${partition.topic.name}/${partition.index} is kept from ${partition.start} to ${partition.next}, not at ${position}`,
    );
  }
}

export class EmbeddedReader implements OffsetReader {
  readonly #core: Core;
  #closed = false;
  readonly #waiting = new Set<() => void>();
  readonly #reading = new Set<Promise<unknown>>();

  constructor(core: Core) {
    this.#core = core;
  }

  async *read(
    where: TopicPartition,
    from: number,
    to?: number,
    options: { signal?: AbortSignal } = {},
  ): AsyncGenerator<RecordBatch> {
    const { signal } = options;
    if (signal?.aborted) return;
    this.#checkOpen();
    const partition = this.#core.partition(where);
    checkPosition(partition, from);
    const until = to ?? partition.end;
    let position = from;
    while (position < until) {
      if (partition.end <= position) {
        await this.#growth(partition, signal);
      } else {
        const fetching = fetch(this.#core, partition, position, until, FETCH_BYTES);
        this.#reading.add(fetching);
        const batch = await fetching.finally(() => this.#reading.delete(fetching));
        if (signal?.aborted) return;
        position = batch.position;
        yield batch;
      }
      if (signal?.aborted) return;
      this.#checkOpen();
      partition.checkThere();
      if (position < partition.start) checkPosition(partition, position);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const wake of this.#waiting) wake();
    await Promise.allSettled(this.#reading);
  }

  #checkOpen(): void {
    this.#core.checkOpen();
    if (this.#closed) throw new LogError('LOG_CLOSED', 'the reader was closed');
  }

  #growth(partition: Partition, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        callOff();
        this.#waiting.delete(wake);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      const callOff = partition.onGrowth(wake);
      this.#waiting.add(wake);
      signal?.addEventListener('abort', wake);
    });
  }
}
