/**
 * What a topology is: named sources, global tables, processors, stores and sinks. All names are required, so that no
 * refactoring can orphan a changelog. A topology knows no broker: the same object runs on Kafka, on the embedded log,
 * over files and in the test driver.
 *
 *   new Topology('labels')
 *     .source({ name: 'events', topic: 'behavior.events', schema: 'BehaviorEvent', time: (e) => e.event_time })
 *     .table({ name: 'catalog', topic: 'catalog.items', schema: 'CatalogItem', project: (item) => ... })
 *     .store({ name: 'today', codec: todayCodec, ttlMs: 400 * DAY })
 *     .processor({ name: 'label', from: ['events'], stores: ['today'], tables: ['catalog'], create: (context) => ... })
 *     .sink({ name: 'labels', from: ['label'], topic: 'serendipity.labels', schema: 'SerendipityLabel' })
 */

/** A record on its way through a topology. */
export interface StreamRecord<V = unknown> {
  key: string;
  value: V;
  /** event time, milliseconds since the epoch */
  time: number;
}

export interface SourceSpec<V = any> {
  name: string;
  topic: string;
  /** name of the schema file in schemas/ */
  schema: string;
  /** lists of plain records come as LazyRecords where they can: for who reads them from their bytes, or seldom */
  lazy?: boolean;
  /** event time of a record; the log's timestamp where absent */
  time?: (value: V) => number;
  /**
   * Throws BadRecordError for a record that decodes but may not enter: it goes to the dead-letter topic before any
   * state is touched. `now` is the clock of the task (Infinity in a replay: nothing is from the future).
   */
  check?: (value: V, key: string, now: number) => void;
  /**
   * Of a topic that keeps the newest record of a key (cleanup.policy=compact): what one without a value says. Where absent,
   * such a record is a dead letter (NULL_VALUE).
   */
  tombstone?: (key: string) => V;
  /** an internal topic that this topology writes itself (a repartition): created with it, prefixed with its name */
  internal?: boolean;
}

/** A compacted topic that every task reads whole, to its end before it is ready, and then follows. */
export interface TableSpec<V = any, P = any> {
  name: string;
  topic: string;
  schema: string;
  /** what is kept of a row; the whole process holds it in memory, so keep little. Undefined drops the row. */
  project: (value: V) => P | undefined;
}

/** State bytes: compact, with a version byte that old readers' bytes keep being read by. */
export interface Codec<V> {
  encode(value: V): Buffer;
  decode(bytes: Buffer): V;
  /** bytes that the decoded value holds in memory, roughly: bounds the cache */
  size(value: V): number;
}

export interface StoreSpec<V = any> {
  name: string;
  codec: Codec<V>;
  /** an entry not written for so long (of stream time) is gone: reads do not see it, a sweep deletes it */
  ttlMs?: number;
  owner?: OwnerSpec<V>;
}

/** For whoever has to find all that is kept of one owner (the proof of an erasure). The runtime does not ask. */
export interface OwnerSpec<V = any> {
  /** whether an entry is of the owner; where absent, its key is the owner's name. A deleted one has no value */
  has?: (owner: string, key: string, value: () => V | undefined) => boolean;
  /** of an entry that remembers an erasure: what came up to when is dropped, and whether it also holds what came since */
  erasure?: (value: V) => { until: number; since: boolean } | null;
}

export interface SinkSpec<V = any> {
  name: string;
  /** processors whose `forward` may name this sink */
  from: string[];
  topic: string;
  schema: string;
  /** the record's key; the forwarded key where absent */
  key?: (value: V) => string;
  internal?: boolean;
  /** the topic keeps the newest record of a key (cleanup.policy=compact) */
  compact?: boolean;
}

export interface ProcessorSpec {
  name: string;
  /** sources or processors */
  from: string[];
  stores?: string[];
  tables?: string[];
  create: (context: ProcessorContext) => Processor<any>;
}

/** All calls are synchronous: what they read was fetched ahead because `keys` named it. */
export interface Processor<V> {
  /**
   * Names the state keys that `process` will read, before it runs. Called again after each fetch until it names nothing
   * new, so that what one value says (context.store(...).peek) may name further keys. No side effects.
   */
  keys?(record: StreamRecord<V>, want: Want): void;
  process(record: StreamRecord<V>): void;
  timerKeys?(timer: Timer, want: Want): void;
  timer?(timer: Timer): void;
  /**
   * Called once before each commit: the place to forward one summary a key instead of one an event. It may read what was
   * named or written since the last commit.
   */
  flush?(): void;
}

export type Want = (store: string, key: string) => void;

export interface Timer {
  /** the processor's own word for it */
  kind: string;
  key: string;
  /** ms since the epoch, of stream time (`event`) or of the clock (`wall`) */
  due: number;
  clock: 'event' | 'wall';
  /** fires when a replay's input ends, whatever its due: what was waited for will not come any more */
  atEnd?: boolean;
}

export interface Store<V> {
  /** Throws TopologyError STATE_NOT_DECLARED when `keys` did not name the key. The value may be changed in place, then `put`. */
  get(key: string): V | undefined;
  /** The value if it is in memory; undefined says nothing. For `keys`, and for reuse. */
  peek(key: string): V | undefined;
  put(key: string, value: V): void;
  delete(key: string): void;
}

export interface Table<P> {
  get(key: string): P | undefined;
  readonly size: number;
}

export interface Timers {
  /** Sets a timer; the same (kind, key, due, clock) twice is one timer. It survives crashes and moves. */
  set(timer: Timer): void;
  cancel(timer: Timer): void;
}

export interface ProcessorContext {
  store<V>(name: string): Store<V>;
  table<P>(name: string): Table<P>;
  timers: Timers;
  /** Hands a record to a sink or a processor that names this one in `from`. To a sink, null is a tombstone. */
  forward(to: string, key: string, value: unknown, time?: number): void;
  /** newest event time of this task's sources; -Infinity before the first record */
  streamTime(): number;
  /** the clock, handed in: a replay is deterministic */
  now(): number;
  /** Adds to seral_<name>_total{topology=..., ...labels}; the names are in docs/metrics.md. */
  count(name: string, by?: number, labels?: Record<string, string>): void;
  /** Sets seral_<name>{topology=..., partition=...} as of the next commit: what there is now, not what came to be. */
  level(name: string, value: number): void;
}

export class Topology {
  readonly name: string;
  readonly sources: SourceSpec[] = [];
  readonly tables: TableSpec[] = [];
  readonly stores: StoreSpec[] = [];
  readonly processors: ProcessorSpec[] = [];
  readonly sinks: SinkSpec[] = [];

  constructor(name: string) {
    this.name = name;
  }

  source<V>(spec: SourceSpec<V>): this {
    this.sources.push(spec);
    return this;
  }

  table<V, P>(spec: TableSpec<V, P>): this {
    this.tables.push(spec);
    return this;
  }

  store<V>(spec: StoreSpec<V>): this {
    this.stores.push(spec);
    return this;
  }

  processor(spec: ProcessorSpec): this {
    this.processors.push(spec);
    return this;
  }

  sink<V>(spec: SinkSpec<V>): this {
    this.sinks.push(spec);
    return this;
  }
}
