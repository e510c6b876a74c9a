/**
 * What was fetched for a task and not yet processed: a queue for each source. Fetched batches are decoded a piece at a
 * time, when its turn comes, so that what is made of them is gone again before it is old. Records leave in the order of
 * event time across the sources, so that a task that catches up meets them as it would have met them live. For that, a
 * source that is known to have more waits to be heard, for a while.
 */
import { BadRecordError, SeralError } from '../errors.ts';
import { decodeKey } from '../log/keys.ts';
import type { LogRecord, RecordBatch } from '../log/port.ts';
import type { Serde } from '../log/serde.ts';
import type { CompiledSource } from './compile.ts';
import { Item } from './engine.ts';
import { failureOf, type Failure } from './dead-letters.ts';

/** A record that may not enter. */
export class Rejected {
  readonly topic: string;
  readonly record: LogRecord;
  readonly failure: Failure;

  constructor(topic: string, record: LogRecord, failure: Failure) {
    this.topic = topic;
    this.record = record;
    this.failure = failure;
  }
}

export interface InboxSource {
  compiled: CompiledSource;
  topic: string;
  serde: Serde<unknown>;
  /** where reading starts, and where the log ended then */
  position: number;
  end: number;
}

export interface Taken {
  items: Item[];
  rejected: Rejected[];
}

/** Records of a batch that are decoded at a time. */
const PIECE = 500;

class SourceQueue {
  readonly source: CompiledSource;
  readonly topic: string;
  readonly serde: Serde<unknown>;
  /** the next record to be processed: what a commit commits */
  position: number;
  /** the next record to be fetched */
  fetched: number;
  /** where the log ends, as far as is known */
  end: number;
  readonly batches: RecordBatch[] = [];
  /** why nothing more comes of it */
  lost: Error | null = null;
  /** the schemas of the first batch are known */
  prepared = false;
  /** of the first batch, where `head` begins */
  at = 0;
  /** some of the first batch, decoded; `next` is the one whose turn it is */
  head: (Item | Rejected)[] | null = null;
  next = 0;

  constructor({ compiled, topic, serde, position, end }: InboxSource) {
    this.source = compiled;
    this.topic = topic;
    this.serde = serde;
    this.position = position;
    this.fetched = position;
    this.end = end;
  }

  get hasNext(): boolean {
    return this.batches.length > 0;
  }

  /** What cannot be read has no time: it goes first. */
  get nextTime(): number {
    const next = this.head![this.next]!;
    return next instanceof Item ? next.time : -Infinity;
  }
}

const bytesOf = (batch: RecordBatch): number => {
  let bytes = 0;
  for (const { key, value } of batch.records) bytes += 100 + (key?.length ?? 0) + (value?.length ?? 0);
  return bytes;
};

export interface InboxOptions {
  sources: InboxSource[];
  maxBytes: number;
  sourceWaitMs: number;
  now: () => number;
  /** the clock that `check` sees */
  checkNow: () => number;
  /** what broke the topology before */
  poison: (topic: string, offset: number) => Failure | undefined;
  onBatch: () => void;
}

export class Inbox {
  readonly queues: SourceQueue[];
  readonly #byTopic: Map<string, SourceQueue>;
  readonly #options: InboxOptions;
  #bytes = 0;
  #blocked: (() => void)[] = [];
  #waitingSince: number | null = null;
  /** a position moved since it was last asked for */
  moved = false;

  constructor(options: InboxOptions) {
    this.#options = options;
    this.queues = options.sources.map((source) => new SourceQueue(source));
    this.#byTopic = new Map(this.queues.map((queue) => [queue.topic, queue]));
  }

  /** Takes a fetched batch; the promise resolves when the next one may come. */
  offer(batch: RecordBatch): Promise<void> {
    const queue = this.#byTopic.get(batch.topic);
    // of before a restart: what is missing comes again
    if (queue === undefined || batch.position <= queue.fetched) return Promise.resolve();
    if (batch.records.length > 0 && batch.records[0]!.offset < queue.fetched) {
      const { fetched } = queue;
      batch = { ...batch, records: batch.records.filter((record) => record.offset >= fetched) };
    }
    queue.fetched = batch.position;
    queue.end = Math.max(batch.end, batch.position);
    const bytes = bytesOf(batch);
    if (batch.records.length === 0 && !queue.hasNext) {
      queue.position = batch.position;
      this.moved = true;
    } else {
      queue.batches.push(batch);
      this.#bytes += bytes;
    }
    this.#options.onBatch();
    if (this.#bytes < this.#options.maxBytes) return Promise.resolve();
    return new Promise((resolve) => this.#blocked.push(resolve));
  }

  /** Lets go of whoever waits for room: what is fetched from now on is dropped. */
  close(): void {
    this.#byTopic.clear();
    for (const resolve of this.#blocked.splice(0)) resolve();
  }

  /** Nothing more comes of a source: what it was to go on with is not kept. */
  lose(topic: string, error: Error): void {
    const queue = this.#byTopic.get(topic);
    if (queue === undefined) return;
    queue.lost = error;
    this.#options.onBatch();
  }

  /** Why a source cannot go on, once all that came of it is processed. */
  get lost(): Error | null {
    return this.queues.find((queue) => queue.lost !== null && !queue.hasNext)?.lost ?? null;
  }

  /** See `Serde.giveUp`. */
  giveUpOnRegistry(): void {
    for (const { serde } of this.queues) serde.giveUp?.();
  }

  get lag(): number {
    let lag = 0;
    for (const queue of this.queues) lag += Math.max(queue.end - queue.position, 0);
    return lag;
  }

  /** Where a topic's reading goes on. */
  fetchPosition(topic: string): number | undefined {
    return this.#byTopic.get(topic)?.fetched;
  }

  seenEnd(topic: string, end: number): void {
    const queue = this.#byTopic.get(topic);
    if (queue !== undefined && end > queue.end) queue.end = end;
  }

  /** Up to `max` records in order; null where there is nothing to be taken now. */
  async take(max: number): Promise<Taken | null> {
    for (const queue of this.queues) {
      while (queue.hasNext && queue.head === null) {
        if (!queue.prepared) {
          const wait = prepare(queue);
          if (wait !== undefined) await wait;
          queue.prepared = true;
        }
        queue.head = this.#decode(queue, queue.batches[0]!);
        if (queue.head.length === 0) this.#finishHead(queue);
      }
    }
    if (!this.queues.some((queue) => queue.hasNext) || !this.#allHeard()) return null;
    const taken: Taken = { items: [], rejected: [] };
    while (taken.items.length + taken.rejected.length < max) {
      let first: SourceQueue | null = null;
      let until = Infinity;
      for (const queue of this.queues) {
        if (!queue.hasNext || queue.head === null) continue;
        if (first === null || queue.nextTime < first.nextTime) {
          if (first !== null) until = Math.min(until, first.nextTime);
          first = queue;
        } else until = Math.min(until, queue.nextTime);
      }
      if (first === null) break;
      this.#takeRun(first, until, max, taken);
      // its next batch is decoded, or waited for, at the next call
      if (first.head === null && this.queues.length > 1) break;
    }
    this.moved = true;
    return taken;
  }

  /** From one queue, as long as it is the one with the earliest record and its batch lasts. */
  #takeRun(queue: SourceQueue, until: number, max: number, taken: Taken): void {
    const head = queue.head!;
    for (let i = queue.next; ; i++) {
      if (i === head.length) {
        this.#finishHead(queue);
        return;
      }
      const next = head[i]!;
      const full = taken.items.length + taken.rejected.length >= max;
      if (full || (next instanceof Item && next.time > until)) {
        queue.next = i;
        if (i > 0) queue.position = offsetOf(head[i - 1]!) + 1;
        return;
      }
      if (next instanceof Item) taken.items.push(next);
      else taken.rejected.push(next);
    }
  }

  /** What was decoded is done with, and with the last of it the batch. */
  #finishHead(queue: SourceQueue): void {
    const batch = queue.batches[0]!;
    const last = queue.head!.at(-1);
    queue.at += queue.head!.length;
    queue.head = null;
    queue.next = 0;
    if (queue.at < batch.records.length) {
      queue.position = offsetOf(last!) + 1;
      return;
    }
    queue.batches.shift();
    queue.position = batch.position;
    queue.prepared = false;
    queue.at = 0;
    this.moved = true;
    this.#bytes -= bytesOf(batch);
    if (this.#bytes < this.#options.maxBytes) for (const resolve of this.#blocked.splice(0)) resolve();
  }

  /** False while a source without records here is known to have some in the log, for a while. */
  #allHeard(): boolean {
    const silent = this.queues.filter((queue) => !queue.hasNext && queue.fetched < queue.end);
    if (silent.length === 0) {
      this.#waitingSince = null;
      return true;
    }
    const now = this.#options.now();
    this.#waitingSince ??= now;
    if (now - this.#waitingSince < this.#options.sourceWaitMs) return false;
    // what is left there may be markers only: not waited for again until it says something
    for (const queue of silent) queue.end = queue.fetched;
    this.#waitingSince = null;
    return true;
  }

  #decode(queue: SourceQueue, batch: RecordBatch): (Item | Rejected)[] {
    const { source, serde, topic } = queue;
    const { time: timeOf, check, tombstone } = source.spec;
    const now = this.#options.checkNow();
    const { at } = queue;
    const entries: (Item | Rejected)[] = new Array(Math.min(batch.records.length - at, PIECE));
    for (let i = 0; i < entries.length; i++) {
      const record = batch.records[at + i]!;
      const poisoned = this.#options.poison(topic, record.offset);
      if (poisoned !== undefined) {
        entries[i] = new Rejected(topic, record, poisoned);
        continue;
      }
      try {
        const key = decodeKey(record.key);
        const value = record.value === null && tombstone !== undefined ? tombstone(key) : serde.decode(record.value);
        check?.(value, key, now);
        const time = timeOf === undefined ? record.timestamp : timeOf(value);
        if (!Number.isFinite(time)) throw new BadRecordError('INVALID_TIME', `its event time is ${time}`);
        entries[i] = new Item(key, value, time, source, record, null);
      } catch (error) {
        if (error instanceof SeralError && error.fatal) throw error;
        entries[i] = new Rejected(topic, record, failureOf(error));
      }
    }
    return entries;
  }
}

const prepare = (queue: SourceQueue): Promise<void> | undefined =>
  queue.serde.prepare(queue.batches[0]!.records.map((record) => record.value));

const offsetOf = (entry: Item | Rejected): number =>
  entry instanceof Item ? (entry.place as LogRecord).offset : entry.record.offset;
