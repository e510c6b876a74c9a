/**
 * Steps a topology one record at a time, without a log, a disk or serdes, on the same engine as a task.
 *
 *   const driver = new TopologyTestDriver(topology, { now: 0 });
 *   driver.pipe('events', 'user-1', { ... });
 *   driver.read('labels')   // [{ key, value, time }]: what came out since the last read
 *
 * Each `pipe` is a commit, unless `commitEach` is false: then `commit()` says when. State goes through its codecs and
 * out of memory at each commit, so that a codec that loses something, or a value changed in place without `put`, shows.
 */
import { TopologyError } from '../errors.ts';
import { compile } from './compile.ts';
import { LocalTask, type LocalDeadLetter, type LocalRecord } from './local-task.ts';
import { MemoryDb } from './memory-db.ts';
import { prefixOf, endOf } from './state-db.ts';
import { finishNow } from './steps.ts';
import { payloadOf, stampOf } from './store.ts';
import type { StoreSpec, StreamRecord, Topology } from './topology.ts';

export interface DriverOptions {
  /** rows of global tables, projected, by table and key; they may be changed between records */
  tables?: Record<string, Map<string, unknown>>;
  /** where the wall clock stands at first */
  now?: number;
  /** the clock that `check` sees; the wall clock where absent. Infinity as in a replay */
  checkNow?: number;
  commitEach?: boolean;
}

export class TopologyTestDriver {
  readonly deadLetters: LocalDeadLetter[] = [];
  readonly #task: LocalTask;
  readonly #backend = new MemoryDb();
  readonly #outputs: Map<string, StreamRecord<any>[]>;
  readonly #stores: Map<string, StoreSpec>;
  readonly #commitEach: boolean;
  #now: number;

  constructor(topology: Topology, options: DriverOptions = {}) {
    const compiled = compile(topology);
    this.#now = options.now ?? 0;
    this.#commitEach = options.commitEach ?? true;
    this.#outputs = new Map(compiled.sinks.map((sink) => [sink.spec.name, []]));
    this.#stores = new Map(compiled.stores.map((store) => [store.name, store]));
    const tables = options.tables ?? {};
    this.#task = new LocalTask({
      topology: compiled,
      backend: this.#backend,
      cacheBytes: Infinity,
      tables: new Map(compiled.tables.map(({ name }) => [name, tables[name] ?? new Map()])),
      now: () => this.#now,
      checkNow: () => options.checkNow ?? this.#now,
      onOutput: (sink, key, value, time) => this.#outputs.get(sink)!.push({ key, value, time }),
      onDeadLetter: (letter) => this.deadLetters.push(letter),
      strict: true,
      cold: true,
    });
    finishNow(this.#task.open());
  }

  /** Lets one record in. Records that break the topology are found in `deadLetters`; errors of code are thrown. */
  pipe(source: string, key: string, value: unknown, options: { timestamp?: number } = {}): void {
    this.pipeAll([{ source, key, value, ...options }]);
  }

  /** Lets records in as one micro-batch. */
  pipeAll(records: readonly LocalRecord[]): void {
    finishNow(this.#task.feed(records));
    if (this.#commitEach) this.commit();
  }

  /** Moves the wall clock on and fires what is due. */
  advanceWallClock(ms: number): void {
    this.#now += ms;
    finishNow(this.#task.tick());
    if (this.#commitEach) this.commit();
  }

  commit(): void {
    finishNow(this.#task.commit());
  }

  /** Ends the input: timers with `atEnd` fire. */
  end(): void {
    finishNow(this.#task.end());
  }

  /** What came out of a sink since the last call, committed. What goes to an internal sink is fed back by itself. */
  read<V = any>(sink: string): StreamRecord<V>[] {
    const outputs = this.#outputs.get(sink);
    if (outputs === undefined) throw new TopologyError('NO_SUCH_SINK', `no sink is named "${sink}"`);
    return outputs.splice(0) as StreamRecord<V>[];
  }

  /** A store's entries as of the last commit, decoded, in the order of their keys; what has expired is gone. */
  store<V = any>(name: string): Map<string, V> {
    const spec = this.#stores.get(name);
    if (spec === undefined) throw new TopologyError('NO_SUCH_STORE', `no store is named "${name}"`);
    const prefix = prefixOf(name);
    const entries = new Map<string, V>();
    for (const { key, value } of this.#backend.scan(prefix, endOf(prefix), Infinity)) {
      const stamp = stampOf(value);
      if (spec.ttlMs !== undefined && stamp > 0 && stamp + spec.ttlMs < this.streamTime) continue;
      entries.set(key.toString('utf8', prefix.length), spec.codec.decode(payloadOf(value)) as V);
    }
    return entries;
  }

  /** What `context.count` added up to, of a series: the name, followed by its labels as JSON where it has any. */
  count(series: string): number {
    return this.#task.counts.get(series) ?? 0;
  }

  /** What `context.level` said of a name last. */
  level(name: string): number | undefined {
    return this.#task.levels.get(name);
  }

  get streamTime(): number {
    return this.#task.streamTime;
  }
}
