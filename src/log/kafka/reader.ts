/** Reads partitions from a position, without a group. Each `read` is a feed of its own that the loop pulls from. */
import type { LogError } from '../../errors.ts';
import type { OffsetReader, RecordBatch, TopicPartition } from '../port.ts';
import { Cluster, type ClusterConfig } from './cluster.ts';
import { asLogError, closedError, refused } from './errors.ts';
import { Fetcher, type Feed } from './fetcher.ts';
import { LATEST, listOffsets } from './offsets.ts';

export interface ReaderOptions {
  waitMs: number;
  maxBytesPerPartition: number;
}

/** Holds one batch between the fetcher, which puts, and the loop, which takes. */
class Handoff {
  private batch: { batch: RecordBatch; taken: () => void } | null = null;
  private ended: { error: LogError | null } | null = null;
  private wake: (() => void) | null = null;

  put(batch: RecordBatch): Promise<void> {
    return new Promise((resolve) => {
      this.batch = { batch, taken: resolve };
      this.wake?.();
    });
  }

  end(error: LogError | null): void {
    this.ended ??= { error };
    this.batch?.taken();
    this.batch = null;
    this.wake?.();
  }

  /** The next batch; null at the end. */
  async take(): Promise<RecordBatch | null> {
    while (this.batch === null) {
      if (this.ended?.error) throw this.ended.error;
      if (this.ended !== null) return null;
      await new Promise<void>((resolve) => (this.wake = resolve));
      this.wake = null;
    }
    const { batch, taken } = this.batch;
    this.batch = null;
    // the next one may come while this one is handled
    taken();
    return batch;
  }
}

interface Lane {
  fetcher: Fetcher;
  readings: Map<string, Handoff>;
}

export class KafkaReader implements OffsetReader {
  private readonly cluster: Cluster;
  private readonly options: ReaderOptions;
  /** More than one only where the same partition is read twice at a time. */
  private readonly lanes: Lane[] = [];
  private readonly onClose: () => void;

  constructor(config: ClusterConfig, options: ReaderOptions, onClose: () => void) {
    this.cluster = new Cluster(config);
    this.options = options;
    this.onClose = onClose;
  }

  async *read(
    partition: TopicPartition,
    from: number,
    to?: number,
    options: { signal?: AbortSignal } = {},
  ): AsyncGenerator<RecordBatch, void, undefined> {
    const { signal } = options;
    if (this.cluster.closed) throw closedError('the reader');
    if (signal?.aborted) return;
    const doing = `reading ${partition.topic}/${partition.partition} at ${from}`;
    let until: number;
    try {
      until = to ?? (await this.end(partition, from));
    } catch (error) {
      throw asLogError(error, doing);
    }
    if (from >= until) return;
    await this.cluster.know([partition.topic]).catch((error: unknown) => {
      throw asLogError(error, doing);
    });

    const handoff = new Handoff();
    const lane = this.laneFor(partition);
    const key = `${partition.partition} ${partition.topic}`;
    const abort = (): void => handoff.end(null);
    lane.readings.set(key, handoff);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      lane.fetcher.start(partition, from);
      for (;;) {
        const batch = await handoff.take();
        if (batch === null || signal?.aborted) return;
        const last = batch.position >= until;
        yield last && batch.position > until ? cutOff(batch, until) : batch;
        if (last || signal?.aborted) return;
      }
    } finally {
      signal?.removeEventListener('abort', abort);
      lane.fetcher.stop(partition);
      lane.readings.delete(key);
      handoff.end(null);
    }
  }

  async close(): Promise<void> {
    if (this.cluster.closed) return;
    const error = closedError('the reader');
    for (const { fetcher, readings } of this.lanes) {
      fetcher.close();
      for (const handoff of readings.values()) handoff.end(error);
    }
    await this.cluster.close();
    this.onClose();
  }

  /** Where read_committed ends now. A position behind what was ever written is refused, as the broker would. */
  private async end(partition: TopicPartition, from: number): Promise<number> {
    const [stable] = await listOffsets(this.cluster, [partition], LATEST);
    if (from <= stable!) return stable!;
    const [end] = await listOffsets(this.cluster, [partition], LATEST, true);
    if (from > end!) throw refused('OFFSET_OUT_OF_RANGE', 'the partition ends before it');
    return stable!;
  }

  private laneFor(partition: TopicPartition): Lane {
    const key = `${partition.partition} ${partition.topic}`;
    const free = this.lanes.find((lane) => !lane.readings.has(key));
    if (free !== undefined) return free;
    const readings = new Map<string, Handoff>();
    const feed: Feed = {
      batch: (batch) => readings.get(`${batch.partition} ${batch.topic}`)?.put(batch) ?? Promise.resolve(),
      failed: (error, { topic, partition: number }) => readings.get(`${number} ${topic}`)?.end(error),
    };
    const lane = { fetcher: new Fetcher(this.cluster, { feed, ...this.options }), readings };
    this.lanes.push(lane);
    return lane;
  }
}

/** A batch that goes on behind `to`, without what it has from there on. */
const cutOff = (batch: RecordBatch, to: number): RecordBatch => ({
  ...batch,
  records: batch.records.filter((record) => record.offset < to),
  position: to,
});
