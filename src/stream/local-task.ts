/**
 * A task without a log: the engine over a state backend, with the same commits and the same treatment of poison
 * records as a task on Kafka. What a record's failure half did is thrown away with everything since the last commit,
 * and the input since then runs again without it; so outputs are handed over only at a commit.
 * The test driver and the file replay are made of it.
 */
import { BadRecordError, DecodeError, TopologyError, type SeralError } from '../errors.ts';
import { TIMERS, type CompiledSource, type CompiledTopology } from './compile.ts';
import { failureOf } from './dead-letters.ts';
import { Engine, Item, ProcessingError, type EngineHost, type Output } from './engine.ts';
import { prefixOf, type StateBackend } from './state-db.ts';
import { State } from './state.ts';
import { awaited, type Steps } from './steps.ts';
import { TimerService, type DueTimer } from './timers.ts';
import type { Table } from './topology.ts';

export interface LocalRecord {
  source: string;
  key: string;
  value: unknown;
  /** for sources without `time`; the clock's where absent */
  timestamp?: number;
}

export interface LocalDeadLetter {
  code: string;
  error: string;
  /** null for a timer */
  source: string | null;
  key: string;
  /** the record's value, or the timer */
  value: unknown;
}

export interface LocalTaskOptions {
  topology: CompiledTopology;
  backend: StateBackend;
  cacheBytes: number;
  tables: ReadonlyMap<string, Table<any>>;
  /** the clock that processors see */
  now: () => number;
  /** the clock that `check` sees; Infinity in a replay, where nothing is from the future */
  checkNow: () => number;
  onOutput: (sink: string, key: string, value: unknown, time: number) => void;
  onDeadLetter: (letter: LocalDeadLetter) => void;
  /** errors of code (an undeclared state key) end the run instead of becoming dead letters */
  strict?: boolean;
  /** forget all decoded values at each commit, so that what was changed but not put shows */
  cold?: boolean;
  sweepEveryCommits?: number;
  timersInMemory?: number;
}

const SWEEP_KEYS = 500;
const TIMERS_A_STEP = 1000;
const MAX_TIMER_ROUNDS = 10_000;

export class LocalTask {
  readonly state: State;
  readonly counts = new Map<string, number>();
  /** what `context.level` said last */
  readonly levels = new Map<string, number>();
  readonly #options: LocalTaskOptions;
  readonly #timers: TimerService;
  readonly #host: EngineHost;
  readonly #sources: Map<string, CompiledSource>;
  readonly #prefixes: Map<string, Buffer>;
  /** internal topic -> the source that reads it */
  readonly #loops: Map<string, string>;
  #engine!: Engine;
  /** what ran since the last commit, to run again after a failure */
  #steps: (() => Steps)[] = [];
  #outputs: Output[] = [];
  #letters: LocalDeadLetter[] = [];
  #counted = new Map<string, number>();
  #poisonItems = new Set<Item>();
  #poisonTimers = new Map<string, SeralError>();
  #commits = 0;
  #firedAtEnd = false;

  constructor(options: LocalTaskOptions) {
    this.#options = options;
    const { topology, backend } = options;
    this.state = new State(topology.stores, backend, options.cacheBytes);
    this.#timers = new TimerService(backend, options.timersInMemory ?? 10_000);
    this.#sources = new Map(topology.sources.map((source) => [source.spec.name, source]));
    this.#prefixes = new Map([TIMERS, ...topology.stores.map((store) => store.name)].map((n) => [n, prefixOf(n)]));
    this.#loops = new Map(topology.sources.filter((s) => s.spec.internal).map((s) => [s.spec.topic, s.spec.name]));
    this.#host = {
      now: options.now,
      tables: options.tables,
      count: (name, by, labels) => {
        const series = labels === undefined ? name : `${name}${JSON.stringify(labels)}`;
        this.#counted.set(series, (this.#counted.get(series) ?? 0) + by);
      },
      level: (name, value) => void this.levels.set(name, value),
    };
  }

  *open(): Steps {
    yield* this.state.open();
    this.#engine = this.#createEngine(yield* this.#timers.open());
  }

  get streamTime(): number {
    return this.#engine.streamTime;
  }

  /** Where the clock has to stand before `tick` may find something; Infinity: nothing is set. */
  get nextTick(): number {
    return this.#timers.nextWall;
  }

  /** One micro-batch, then the timers that it made due. */
  *feed(records: readonly LocalRecord[]): Steps {
    const batch: Item[] = [];
    for (const record of records) {
      const item = this.#enter(record);
      if (item !== null) batch.push(item);
    }
    yield* this.#guarded(() => this.#runBatch(batch));
  }

  /** Fires what is due by the wall clock. */
  *tick(): Steps {
    yield* this.#guarded(() => this.#runBatch([]));
  }

  /** Ends the bounded input: fires every timer that waits for the end, until none is left. */
  *end(): Steps {
    for (let looped = true; looped || this.#firedAtEnd;) {
      yield* this.#guarded(() => this.#runEnd());
      looped = yield* this.commit();
    }
  }

  /** True where internal topics carried something: it was fed back in, and committed too. */
  *commit(): Steps<boolean> {
    yield* this.#guarded(() => this.#flush());
    if (this.#commits++ % (this.#options.sweepEveryCommits ?? 10) === 0) yield* this.state.sweep(SWEEP_KEYS);
    const changes = [...this.state.collect(), ...this.#timers.collect(this.streamTime)];
    const rows = changes.map(({ store, key, value }) => ({
      key: Buffer.concat([this.#prefixes.get(store)!, key]),
      value,
    }));
    yield* awaited(this.#options.backend.write(rows));
    this.state.committed();
    this.#timers.committed(this.streamTime);
    if (this.#options.cold === true) this.state.reset();
    const [outputs, letters] = [this.#outputs, this.#letters];
    this.#steps = [];
    this.#outputs = [];
    this.#letters = [];
    for (const [series, by] of this.#counted) this.counts.set(series, (this.counts.get(series) ?? 0) + by);
    this.#counted.clear();
    this.#poisonItems.clear();
    this.#poisonTimers.clear();
    const looped: LocalRecord[] = [];
    for (const { sink, key, value, time } of outputs) {
      if (sink.spec.internal === true)
        looped.push({ source: this.#loops.get(sink.spec.topic)!, key, value, timestamp: time });
      this.#options.onOutput(sink.spec.name, key, value, time);
    }
    for (const letter of letters) this.#options.onDeadLetter(letter);
    if (looped.length === 0) return false;
    yield* this.feed(looped);
    yield* this.commit();
    return true;
  }

  /** Null where the record may not enter. */
  #enter(record: LocalRecord): Item | null {
    const source = this.#sources.get(record.source);
    if (source === undefined) throw new TopologyError('NO_SUCH_SOURCE', `no source is named "${record.source}"`);
    try {
      const { time: timeOf, check, tombstone } = source.spec;
      const value = record.value === null && tombstone !== undefined ? tombstone(record.key) : record.value;
      check?.(value, record.key, this.#options.checkNow());
      const time = timeOf === undefined ? (record.timestamp ?? this.#options.now()) : timeOf(value);
      if (!Number.isFinite(time)) throw new BadRecordError('INVALID_TIME', `its event time is ${time}`);
      const item = new Item(record.key, value, time, source, null, null);
      item.place = item;
      return item;
    } catch (error) {
      if (!(error instanceof BadRecordError || error instanceof DecodeError) && this.#options.strict === true)
        throw error;
      this.#letters.push({ ...failureOf(error), source: record.source, key: record.key, value: record.value });
      return null;
    }
  }

  *#runBatch(batch: readonly Item[]): Steps {
    const healthy = this.#poisonItems.size === 0 ? batch : batch.filter((item) => !this.#poisonItems.has(item));
    yield* this.#engine.run(healthy);
    for (let round = 0; (yield* this.#engine.runTimers(TIMERS_A_STEP, this.#poisoned)) > 0; round++) guard(round);
    this.#take();
  }

  *#runEnd(): Steps {
    this.#firedAtEnd = false;
    for (let round = 0; (yield* this.#engine.runAtEnd(this.#poisoned)) > 0; round++) {
      this.#firedAtEnd = true;
      guard(round);
    }
    this.#take();
  }

  *#flush(): Steps {
    yield* this.#engine.flush();
    this.#take();
  }

  #take(): void {
    for (const output of this.#engine.takeOutputs()) this.#outputs.push(output);
  }

  readonly #poisoned = (due: DueTimer): boolean => {
    const error = this.#poisonTimers.get(due.id);
    if (error === undefined) return false;
    this.#letters.push({ ...failureOf(error), source: null, key: due.timer.key, value: due.timer });
    return true;
  };

  /** Runs a step; where a record or timer breaks it, runs everything since the last commit again without that one. */
  *#guarded(step: () => Steps): Steps {
    this.#steps.push(step);
    for (let todo = [step]; ; todo = this.#steps) {
      try {
        for (const one of todo) yield* one();
        return;
      } catch (error) {
        this.#condemn(error);
      }
    }
  }

  /** Remembers what broke the step and goes back to the last commit. */
  #condemn(error: unknown): void {
    if (!(error instanceof ProcessingError) || error.item === null) throw error;
    if (error.item.timer === null && error.item.source === null) throw error;
    if (this.#options.strict === true && error.cause instanceof TopologyError) throw error.cause;
    const { item } = error;
    if (item.timer !== null) {
      this.#poisonTimers.set(item.timer.id, error.cause as SeralError);
    } else {
      const culprit = item.place as Item;
      this.#poisonItems.add(culprit);
      this.#letters.push({
        ...failureOf(error.cause),
        source: item.source!.spec.name,
        key: culprit.key,
        value: culprit.value,
      });
    }
    this.#outputs = [];
    this.#letters = this.#letters.filter((letter) => letter.source !== null);
    this.#counted.clear();
    this.state.reset();
    this.#engine = this.#createEngine(this.#timers.reset());
  }

  #createEngine(streamTime: number): Engine {
    return new Engine(this.#options.topology, this.state, this.#timers, this.#host, streamTime);
  }
}

function guard(round: number): void {
  // timers that set themselves again at once would never let the run end
  if (round > MAX_TIMER_ROUNDS) throw new TopologyError('TIMER_LOOP', 'timers keep setting timers that are due');
}
