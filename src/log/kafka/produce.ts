/**
 * Idempotent writing of one producer id and epoch: records are cut into batches by partition, numbered, and sent to the
 * partitions' leaders, one request to a broker at a time, which keeps their order. While the brokers write, the next
 * requests are encoded.
 *
 * A request that fails in passing (a leader that moved, a lost connection) is sent again with the same numbers, by which
 * the broker knows what it already has. Any other failure is thrown and the producer is dead: the numbers of its
 * partitions are no longer known to be right.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { LogError, messageOf } from '../../errors.ts';
import { partitionOf } from '../murmur2.ts';
import type { OutRecord, TopicPartition } from '../port.ts';
import type { Cluster } from './cluster.ts';
import { asLogError, closedError, isConnectionError, isPassing, refused, refusedByCode } from './errors.ts';
import { errorName } from './kafkajs.ts';
import { BATCH_HEADER_BYTES, recordBytes, writeBatch, type BatchProducer } from './records.ts';
import { produceProtocol, type PartitionBatch } from './wire.ts';

export interface ProduceOptions {
  /** Of one batch of one partition; a topic takes about 1 MB unless its max.message.bytes says otherwise. */
  maxBatchBytes: number;
  /** After this long without success a send fails. */
  deliveryTimeoutMs: number;
}

const MAX_REQUEST_BYTES = 16 << 20;
const ACK_TIMEOUT_MS = 15_000;
const MESSAGE_TOO_LARGE = 10;
const OUT_OF_ORDER = 45;
const UNKNOWN_TOPIC = 3;
/** Sequence numbers go round at 2^31. */
const SEQUENCES = 2 ** 31;

class Batch implements PartitionBatch {
  readonly topic: string;
  readonly partition: number;
  readonly records: readonly OutRecord[];
  readonly sequence: number;
  readonly bound: number;
  private readonly producer: BatchProducer;
  private readonly now: number;

  constructor(
    at: TopicPartition,
    records: readonly OutRecord[],
    sequence: number,
    bound: number,
    producer: BatchProducer,
    now: number,
  ) {
    this.topic = at.topic;
    this.partition = at.partition;
    this.records = records;
    this.sequence = sequence;
    this.bound = bound;
    this.producer = producer;
    this.now = now;
  }

  write(buffer: Buffer, position: number): number {
    return writeBatch(buffer, position, this.records, this.producer, this.sequence, this.now);
  }

  /** In two, for a topic that takes less than we think. */
  halves(): [Batch, Batch] {
    const middle = this.records.length >> 1;
    const half = (records: readonly OutRecord[], skipped: number): Batch => {
      const bound = records.reduce((sum, record) => sum + recordBytes(record), BATCH_HEADER_BYTES);
      return new Batch(this, records, (this.sequence + skipped) % SEQUENCES, bound, this.producer, this.now);
    };
    return [half(this.records.slice(0, middle), 0), half(this.records.slice(middle), middle)];
  }
}

/** What one partition still has to send, in order. */
interface Lane extends TopicPartition {
  batches: Batch[];
}

export interface Written extends TopicPartition {
  /** The position after the last record. */
  position: number;
}

export class RecordSender {
  private readonly cluster: Cluster;
  private readonly options: ProduceOptions;
  private readonly producer: BatchProducer;
  private readonly transactionalId: string | null;
  /** The next sequence number of each partition. */
  private readonly sequences = new Map<string, number>();

  constructor(
    cluster: Cluster,
    options: ProduceOptions,
    transactionalId: string | null,
    id: { producerId: bigint; producerEpoch: number },
  ) {
    this.cluster = cluster;
    this.options = options;
    this.transactionalId = transactionalId;
    this.producer = { ...id, transactional: transactionalId !== null };
  }

  /**
   * Cuts records into batches. Numbers are given here, so what was prepared has to be sent, or the producer is dead.
   * Throws UNKNOWN_TOPIC for a topic or a partition that is not there.
   */
  async prepare(records: readonly OutRecord[]): Promise<Lane[]> {
    const unknown = new Set<string>();
    for (const { topic } of records) if (this.cluster.partitionsOf(topic) === undefined) unknown.add(topic);
    if (unknown.size > 0) await this.cluster.know(unknown);
    const now = Date.now();
    const topics = new Map<string, { at: TopicPartition; records: OutRecord[] }[]>();
    for (const record of records) {
      let partitions = topics.get(record.topic);
      if (partitions === undefined) topics.set(record.topic, (partitions = []));
      const count = this.cluster.partitionsOf(record.topic)!;
      const partition = record.partition ?? partitionOf(record.key, count);
      if (partition >= count || partition < 0) {
        throw refused(
          'UNKNOWN_TOPIC_OR_PARTITION',
          `writing to ${record.topic}/${partition}, which has ${count} partitions`,
        );
      }
      const list = partitions[partition];
      if (list === undefined) partitions[partition] = { at: { topic: record.topic, partition }, records: [record] };
      else list.records.push(record);
    }
    const lanes: Lane[] = [];
    for (const partitions of topics.values()) {
      // a sparse array: holes are skipped
      partitions.forEach(({ at, records: own }) => lanes.push({ ...at, batches: this.cut(at, own, now) }));
    }
    return lanes;
  }

  private cut(at: TopicPartition, records: readonly OutRecord[], now: number): Batch[] {
    const key = `${at.partition} ${at.topic}`;
    const batches: Batch[] = [];
    let sequence = this.sequences.get(key) ?? 0;
    let start = 0;
    let bytes = BATCH_HEADER_BYTES;
    const close = (end: number): void => {
      batches.push(
        new Batch(
          at,
          start === 0 && end === records.length ? records : records.slice(start, end),
          sequence,
          bytes,
          this.producer,
          now,
        ),
      );
      sequence = (sequence + end - start) % SEQUENCES;
      start = end;
      bytes = BATCH_HEADER_BYTES;
    };
    for (let i = 0; i < records.length; i++) {
      const more = recordBytes(records[i]!);
      if (i > start && bytes + more > this.options.maxBatchBytes) close(i);
      bytes += more;
    }
    close(records.length);
    this.sequences.set(key, sequence);
    return batches;
  }

  /** Sends what was prepared and says where each partition's last record came to stand. */
  async send(lanes: Lane[]): Promise<Written[]> {
    const positions = new Map<Lane, number>();
    const deadline = Date.now() + this.options.deliveryTimeoutMs;
    let left = lanes;
    for (let wait = 20; ; wait = Math.min(wait * 2, 500)) {
      const byLeader = new Map<number, Lane[]>();
      let problem: LogError | null = null;
      for (const lane of left) {
        const leader = this.cluster.leader(lane.topic, lane.partition);
        if (leader === null) problem = refused('LEADER_NOT_AVAILABLE', `writing to ${lane.topic}/${lane.partition}`);
        else byLeader.set(leader, [...(byLeader.get(leader) ?? []), lane]);
      }
      const problems = await Promise.all([...byLeader].map(([node, own]) => this.sendTo(node, own, positions)));
      problem = problems.find((p) => p !== null) ?? problem;
      left = left.filter((lane) => lane.batches.length > 0);
      if (left.length === 0)
        return lanes.map((lane) => ({ topic: lane.topic, partition: lane.partition, position: positions.get(lane)! }));
      if (Date.now() + wait > deadline)
        throw problem ?? new LogError('LOG_UNAVAILABLE', 'writing took too long', { retriable: true });
      if (this.cluster.closed) throw closedError('the producer');
      if (problem !== null) {
        this.cluster.log('warn', 'writing is tried again', { error: messageOf(problem), in: wait });
        await sleep(wait);
        await this.cluster.refresh().catch(() => undefined);
        for (const lane of left)
          if (this.cluster.partitionsOf(lane.topic) === undefined) await this.cluster.know([lane.topic]);
      }
    }
  }

  /** Sends one leader's lanes, a batch of each at a time. Resolves with what passes by itself; throws what does not. */
  private async sendTo(node: number, lanes: Lane[], positions: Map<Lane, number>): Promise<LogError | null> {
    let broker;
    try {
      broker = await this.cluster.node(node);
    } catch (error) {
      if (!isConnectionError(error)) throw error;
      return asLogError(error, `connecting to broker ${node}`);
    }
    let heads = this.heads(lanes);
    let request = produceProtocol(this.transactionalId, heads, ACK_TIMEOUT_MS);
    for (;;) {
      const answer = this.cluster.send(broker, request).catch((error: unknown) => error as Error);
      // encoded while the broker writes; of no use where that fails, which is rare
      const nextHeads = this.heads(lanes, heads);
      const next = nextHeads.length > 0 ? produceProtocol(this.transactionalId, nextHeads, ACK_TIMEOUT_MS) : null;
      const produced = await answer;
      if (produced instanceof Error) {
        if (isConnectionError(produced)) return asLogError(produced, `writing to broker ${node}`);
        throw asLogError(produced, `writing to broker ${node}`);
      }
      let problem: LogError | null = null;
      let split = false;
      for (const { topic, partition, errorCode, baseOffset } of produced) {
        const lane = lanes.find((l) => l.partition === partition && l.topic === topic)!;
        const batch = lane.batches[0]!;
        const doing = `writing to ${topic}/${partition}`;
        if (errorCode === 0 && baseOffset >= 0) {
          lane.batches.shift();
          positions.set(lane, baseOffset + batch.records.length);
        } else if (errorCode === MESSAGE_TOO_LARGE && batch.records.length > 1) {
          lane.batches.splice(0, 1, ...batch.halves());
          split = true;
        } else if (isPassing(errorName(errorCode)) || errorCode === UNKNOWN_TOPIC) {
          problem = refusedByCode(errorCode, doing);
        } else if (errorCode === OUT_OF_ORDER && this.transactionalId === null) {
          throw new LogError('LOG_UNAVAILABLE', `${doing}: the broker has lost count`, { retriable: true });
        } else throw errorCode === 0 ? refused('DUPLICATE_SEQUENCE_NUMBER', doing) : refusedByCode(errorCode, doing);
      }
      if (problem !== null) return problem;
      if (split) {
        heads = this.heads(lanes);
        request = produceProtocol(this.transactionalId, heads, ACK_TIMEOUT_MS);
      } else {
        if (next === null) return null;
        heads = nextHeads;
        request = next;
      }
    }
  }

  /** The first batch of each lane (the second one, of those whose first is in `under way`), as far as a request holds. */
  private heads(lanes: Lane[], underWay: readonly Batch[] = []): Batch[] {
    const heads: Batch[] = [];
    let bytes = 0;
    for (const lane of lanes) {
      const first = lane.batches[0];
      const batch = first !== undefined && underWay.includes(first) ? lane.batches[1] : first;
      if (batch === undefined) continue;
      if (heads.length > 0 && bytes + batch.bound > MAX_REQUEST_BYTES) break;
      heads.push(batch);
      bytes += batch.bound;
    }
    return heads;
  }
}
