/**
 * Fetches partitions from their leaders and hands each one's batches to its feed, in order, one at a time: the next one
 * waits until the feed's promise resolves, and one more is fetched meanwhile. Group consumers and readers share it.
 *
 * A partition's life here: started at a position (again at will: what was fetched before is dropped) → fetched whenever
 * nothing of it is buffered → delivered whenever nothing of it is being handled → stopped.
 */
import { messageOf, type LogError } from '../../errors.ts';
import type { RecordBatch, TopicPartition } from '../port.ts';
import type { Cluster } from './cluster.ts';
import { asLogError, isPassing, refusedByCode } from './errors.ts';
import { errorName } from './kafkajs.ts';
import { readBatches } from './records.ts';
import { fetchProtocol, type FetchedPartition } from './wire.ts';

export interface Feed {
  batch(batch: RecordBatch): Promise<void>;
  /** The partition cannot be read on; it was stopped. */
  failed(error: LogError, partition: TopicPartition): void;
}

export interface FetcherOptions {
  feed: Feed;
  waitMs: number;
  maxBytesPerPartition: number;
}

/** Of one fetch, over all its partitions. */
const MAX_BYTES = 16 << 20;
/** While some partitions are being handled, a fetch of the others comes back soon, to take them in again. */
const SHORT_WAIT_MS = 10;
const UNKNOWN_TOPIC = 3;
/** A topic that is gone, and not only moved, for this long will not come back. */
const UNKNOWN_FOR_MS = 10_000;

class Slot implements TopicPartition {
  readonly topic: string;
  readonly partition: number;
  active = false;
  /** Rises with each start and stop, so that what was under way for an older one is told apart. */
  version = 0;
  position = 0;
  buffered: RecordBatch | null = null;
  handling = false;
  /** Times in a row that there was nothing at the position though the end lies behind it. */
  stalls = 0;
  retryAt = 0;
  unknownSince = 0;

  constructor({ topic, partition }: TopicPartition) {
    this.topic = topic;
    this.partition = partition;
  }
}

const keyOf = ({ topic, partition }: TopicPartition): string => `${partition} ${topic}`;

export class Fetcher {
  private readonly cluster: Cluster;
  private readonly options: FetcherOptions;
  private readonly slots = new Map<string, Slot>();
  private readonly fetching = new Set<number>();
  private closed = false;
  private timer: NodeJS.Timeout | null = null;
  private failures = 0;
  /** So that no partition is always the last one in a full response. */
  private turn = 0;

  constructor(cluster: Cluster, options: FetcherOptions) {
    this.cluster = cluster;
    this.options = options;
  }

  has(partition: TopicPartition): boolean {
    return this.slots.get(keyOf(partition))?.active === true;
  }

  start(partition: TopicPartition, position: number): void {
    const key = keyOf(partition);
    let slot = this.slots.get(key);
    if (slot === undefined) this.slots.set(key, (slot = new Slot(partition)));
    reset(slot, true);
    slot.position = position;
    this.kick();
  }

  stop(partition: TopicPartition): void {
    const slot = this.slots.get(keyOf(partition));
    if (slot === undefined) return;
    reset(slot, false);
    // one that is being handled is kept, so that a new start of it waits for that
    if (!slot.handling) this.slots.delete(keyOf(partition));
  }

  close(): void {
    this.closed = true;
    if (this.timer !== null) clearTimeout(this.timer);
    for (const slot of this.slots.values()) reset(slot, false);
    this.slots.clear();
  }

  /** Begins every fetch that can be begun: one at a time to each broker. */
  private kick(): void {
    if (this.closed) return;
    const wanted = new Map<number, Slot[]>();
    const now = Date.now();
    let wake = Infinity;
    let occupied = false;
    let homeless = false;
    for (const slot of this.slots.values()) {
      if (!slot.active) continue;
      if (slot.buffered !== null) {
        occupied = true;
        continue;
      }
      if (slot.retryAt > now) {
        wake = Math.min(wake, slot.retryAt - now);
        continue;
      }
      const leader = this.cluster.leader(slot.topic, slot.partition);
      if (leader === null) homeless = true;
      else if (!this.fetching.has(leader)) {
        const list = wanted.get(leader);
        if (list === undefined) wanted.set(leader, [slot]);
        else list.push(slot);
      }
    }
    for (const [node, slots] of wanted) void this.fetch(node, slots, occupied);
    if (homeless) void this.findLeaders();
    if (wake < Infinity) this.wakeIn(wake);
  }

  private wakeIn(ms: number): void {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.kick();
    }, ms);
  }

  private async findLeaders(): Promise<void> {
    const homeless = [...this.slots.values()].filter(
      (s) => s.active && this.cluster.leader(s.topic, s.partition) === null,
    );
    for (const slot of homeless) this.backOff(slot);
    try {
      await this.cluster.know(homeless.map((slot) => slot.topic));
      await this.cluster.refresh();
      for (const slot of homeless) if (this.cluster.leader(slot.topic, slot.partition) !== null) slot.retryAt = 0;
    } catch (error) {
      if ((error as LogError).code === 'UNKNOWN_TOPIC') {
        for (const slot of homeless) if (this.cluster.partitionsOf(slot.topic) === undefined) this.unknown(slot);
      } else this.cluster.log('warn', 'no leader is known', { error: messageOf(error) });
    }
    this.kick();
  }

  private backOff(slot: Slot): void {
    slot.retryAt = Date.now() + Math.min(50 * 2 ** Math.min(this.failures, 5), 1_000);
  }

  private async fetch(node: number, all: Slot[], occupied: boolean): Promise<void> {
    this.fetching.add(node);
    // where a partition gives nothing though there should be something, it is asked for alone
    const stalled = all.find((slot) => slot.stalls > 1);
    const slots = stalled === undefined ? rotated(all, this.turn++) : [stalled];
    const versions = slots.map((slot) => slot.version);
    const waitMs =
      occupied || stalled !== undefined ? Math.min(SHORT_WAIT_MS, this.options.waitMs) : this.options.waitMs;
    try {
      const { maxBytesPerPartition } = this.options;
      const broker = await this.cluster.node(node);
      const limits = { waitMs, maxBytes: MAX_BYTES, maxBytesPerPartition };
      const fetched = await this.cluster.send(broker, fetchProtocol(slots, limits));
      this.failures = 0;
      let moved = false;
      const byKey = new Map(slots.map((slot, i) => [keyOf(slot), { slot, version: versions[i]! }]));
      for (const partition of fetched) {
        const { slot, version } = byKey.get(keyOf(partition))!;
        if (slot.version === version) moved = this.take(slot, partition, stalled !== undefined) || moved;
      }
      if (moved) await this.cluster.refresh();
    } catch (error) {
      if (!this.closed) await this.fetchFailed(node, slots, error);
    } finally {
      this.fetching.delete(node);
      this.kick();
    }
  }

  /** A broker that cannot be reached: wait a little longer each time, and ask who leads now. */
  private async fetchFailed(node: number, slots: Slot[], error: unknown): Promise<void> {
    this.failures++;
    this.cluster.log('warn', `fetching from broker ${node} failed`, {
      error: messageOf(error),
      failures: this.failures,
    });
    const refusal = asLogError(error, `reading from broker ${node}`);
    for (const slot of slots) {
      // wrong credentials will not become right
      if (refusal.fatal) this.fail(slot, refusal);
      else this.backOff(slot);
    }
    await this.cluster.refresh().catch(() => undefined);
  }

  /** Takes in what was fetched of a partition; true where its leader is to be asked for anew. */
  private take(slot: Slot, { errorCode, batches, aborted, stable }: FetchedPartition, alone: boolean): boolean {
    if (errorCode !== 0) return this.refused(slot, errorCode);
    slot.unknownSince = 0;
    try {
      const { records, position } = readBatches(batches, slot.position, aborted);
      if (position > slot.position) {
        this.buffer(slot, {
          topic: slot.topic,
          partition: slot.partition,
          records,
          position,
          end: Math.max(stable, position),
        });
      } else if (stable > slot.position) {
        // either the response was full before its turn, or compaction left a hole up to the end
        slot.stalls++;
        if (alone)
          this.buffer(slot, { topic: slot.topic, partition: slot.partition, records, position: stable, end: stable });
      } else slot.stalls = 0;
    } catch (error) {
      this.fail(slot, asLogError(error, `reading ${slot.topic}/${slot.partition} at ${slot.position}`));
    }
    return false;
  }

  private refused(slot: Slot, errorCode: number): boolean {
    if (errorCode === UNKNOWN_TOPIC) return this.unknown(slot);
    if (isPassing(errorName(errorCode))) {
      this.failures++;
      this.backOff(slot);
      return true;
    }
    this.fail(slot, refusedByCode(errorCode, `reading ${slot.topic}/${slot.partition} at ${slot.position}`));
    return false;
  }

  private unknown(slot: Slot): boolean {
    if (slot.unknownSince === 0) slot.unknownSince = Date.now();
    if (Date.now() - slot.unknownSince > UNKNOWN_FOR_MS) {
      this.fail(slot, refusedByCode(UNKNOWN_TOPIC, `reading ${slot.topic}/${slot.partition}`));
      return false;
    }
    this.failures++;
    this.backOff(slot);
    return true;
  }

  private fail(slot: Slot, error: LogError): void {
    this.stop(slot);
    this.options.feed.failed(error, slot);
  }

  private buffer(slot: Slot, batch: RecordBatch): void {
    slot.stalls = 0;
    slot.position = batch.position;
    slot.buffered = batch;
    this.deliver(slot);
  }

  private deliver(slot: Slot): void {
    if (slot.handling || slot.buffered === null || !slot.active) return;
    const batch = slot.buffered;
    slot.buffered = null;
    slot.handling = true;
    const done = (error: unknown): void => {
      slot.handling = false;
      if (error !== null) this.fail(slot, asLogError(error, `handling ${slot.topic}/${slot.partition}`));
      else if (!slot.active && this.slots.get(keyOf(slot)) === slot) this.slots.delete(keyOf(slot));
      this.deliver(slot);
      this.kick();
    };
    new Promise<void>((resolve) => resolve(this.options.feed.batch(batch))).then(
      () => done(null),
      (error: unknown) => done(error ?? new Error('no reason given')),
    );
  }
}

function reset(slot: Slot, active: boolean): void {
  slot.active = active;
  slot.version++;
  slot.buffered = null;
  slot.stalls = 0;
  slot.retryAt = 0;
  slot.unknownSince = 0;
}

const rotated = (slots: Slot[], turn: number): Slot[] => {
  const first = turn % slots.length;
  return first === 0 ? slots : [...slots.slice(first), ...slots.slice(0, first)];
};
