import { LogError } from '../../errors.ts';
import { partitionOf } from '../murmur2.ts';
import type { OutRecord } from '../port.ts';
import type { Transaction } from './transaction.ts';

export interface Topic {
  id: number;
  name: string;
  config: Record<string, string>;
  partitions: Partition[];
  removed: boolean;
}

/** Where a partition stands, as it is stored. */
export interface PartitionState {
  /** the first kept position */
  start: number;
  /** the offset that the next record gets */
  next: number;
  /** what lies before has been compacted */
  cleanedTo: number;
  /** how many records that compaction kept */
  kept: number;
}

export function encodeState(state: PartitionState): Buffer {
  const bytes = Buffer.allocUnsafe(32);
  bytes.writeDoubleLE(state.start, 0);
  bytes.writeDoubleLE(state.next, 8);
  bytes.writeDoubleLE(state.cleanedTo, 16);
  bytes.writeDoubleLE(state.kept, 24);
  return bytes;
}

export const decodeState = (bytes: Buffer): PartitionState => ({
  start: bytes.readDoubleLE(0),
  next: bytes.readDoubleLE(8),
  cleanedTo: bytes.readDoubleLE(16),
  kept: bytes.readDoubleLE(24),
});

/**
 * A partition in memory. Offsets are given when a record is sent, as Kafka does; `end` (the last stable offset) is held
 * back by the oldest transaction that is neither stored nor dropped, so nothing undecided is ever read.
 */
export class Partition implements PartitionState {
  readonly topic: Topic;
  readonly index: number;
  start: number;
  next: number;
  cleanedTo: number;
  kept: number;
  /** what is read reaches to here */
  end: number;
  /** a guess at the size of a chunk, so that a fetch asks RocksDB for about as many as it needs */
  chunkBytes = 4096;
  /** when the oldest kept chunk was written, as far as is known: retention need not look before that is old */
  oldest = -Infinity;
  readonly #open = new Map<Transaction, number>();
  readonly #waiting = new Set<() => void>();

  constructor(topic: Topic, index: number, state: PartitionState) {
    this.topic = topic;
    this.index = index;
    this.start = state.start;
    this.next = state.next;
    this.cleanedTo = state.cleanedTo;
    this.kept = state.kept;
    this.end = state.next;
  }

  /** A transaction's first record here gets the next offset: nothing behind it is shown until it is decided. */
  hold(transaction: Transaction): void {
    this.#open.set(transaction, this.next);
  }

  /** Where a transaction that is not decided begins here; undefined where it has nothing here. */
  heldFrom(transaction: Transaction): number | undefined {
    return this.#open.get(transaction);
  }

  release(transaction: Transaction): void {
    if (!this.#open.delete(transaction)) return;
    let end = this.next;
    for (const first of this.#open.values()) if (first < end) end = first;
    if (end === this.end) return;
    this.end = end;
    this.wake();
  }

  /** Wakes all who wait for this partition to grow (or to go away). */
  wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }

  /** Calls back once when the partition grows; the function returned calls it off. */
  onGrowth(callback: () => void): () => void {
    this.#waiting.add(callback);
    return () => this.#waiting.delete(callback);
  }

  checkThere(): void {
    if (this.topic.removed) throw unknownTopic(this.topic.name);
  }
}

export const unknownTopic = (topic: string): LogError =>
  new LogError('UNKNOWN_TOPIC', `the embedded log has no topic ${topic}: create it first`);

export function partitionFor(topic: Topic, record: OutRecord): Partition {
  const index = record.partition ?? partitionOf(record.key, topic.partitions.length);
  const partition = topic.partitions[index];
  if (partition === undefined) {
    throw new LogError('UNKNOWN_TOPIC', `topic ${topic.name} has ${topic.partitions.length} partitions, not ${index}`);
  }
  return partition;
}

/** Kafka's default of `max.message.bytes`: what a broker would refuse, the demo refuses too. */
export const maxRecordBytes = (topic: Topic): number => Number(topic.config['max.message.bytes'] ?? 1_048_588);

export const isCompacted = (topic: Topic): boolean => (topic.config['cleanup.policy'] ?? '').includes('compact');
