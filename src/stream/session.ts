/**
 * One go of a task, between a (re)build and the next: a fenced producer, the restored state, the engine, the queues.
 * It holds nothing that cannot be thrown away; after any error it is, and the next session starts from the last commit.
 */
import { BadRecordError, TaskError } from '../errors.ts';
import { encodeKey } from '../log/keys.ts';
import type { LogRecord, TransactionalProducer } from '../log/port.ts';
import { writeChanges, type SplitKeys } from './changelog.ts';
import type { CompiledSource } from './compile.ts';
import { deadRecord, deadTimer, type DeadLetterRate, type Failure } from './dead-letters.ts';
import { Engine, ProcessingError } from './engine.ts';
import { Inbox, type InboxSource } from './inbox.ts';
import { openState, storesOf } from './local-state.ts';
import { currentAt, restore, type RestoreProgress } from './restore.ts';
import { Sender } from './sender.ts';
import { changelogPositionKey, encodePosition, sourcePositionKey, type DbChange, type StateDb } from './state-db.ts';
import { State } from './state.ts';
import { finish } from './steps.ts';
import type { Poison, TaskContext } from './task-context.ts';
import { TimerService, type DueTimer } from './timers.ts';

const TIMERS_A_STEP = 1000;
/** Decoded state may grow so far over its budget between two commits; then the commit comes early. */
const CACHE_OVERDRAFT = 1.5;

export interface SessionHost {
  poison: Poison;
  rate: DeadLetterRate;
  cacheBytes: () => number;
  /** a batch has come */
  wake: () => void;
  onOpening: (step: 'fencing' | 'restoring') => void;
  onRestore: (progress: RestoreProgress) => void;
}

export type Culprit = { timer: DueTimer } | { topic: string; record: LogRecord };

export class Session {
  readonly inbox: Inbox;
  readonly #context: TaskContext;
  readonly #host: SessionHost;
  readonly #producer: TransactionalProducer;
  readonly #db: StateDb;
  readonly #state: State;
  readonly #timers: TimerService;
  readonly #engine: Engine;
  readonly #sender: Sender;
  readonly #split: SplitKeys;
  readonly #changelogs: Map<string, string>;
  #dirty: boolean;
  #lastCommit: number;
  #commits = 0;
  /** of the open transaction */
  #open = { records: 0, letters: new Map<string, number>(), outputs: new Map<string, number>(), timers: 0 };
  #firedPoison: string[] = [];
  #published = { hits: 0, misses: 0, expired: 0 };

  private constructor(
    context: TaskContext,
    host: SessionHost,
    producer: TransactionalProducer,
    opened: OpenedState,
    sources: { list: InboxSource[]; reset: boolean },
  ) {
    const { options, topology, clock, names } = context;
    this.#context = context;
    this.#host = host;
    this.#producer = producer;
    this.#db = opened.db;
    this.#state = opened.state;
    this.#timers = opened.timers;
    this.#split = opened.split;
    this.#sender = new Sender(producer, options.maxUnsentBytes);
    this.#engine = new Engine(
      topology,
      opened.state,
      opened.timers,
      { now: clock.now, tables: context.tables, count: context.metrics.count, level: context.metrics.level },
      opened.streamTime,
    );
    this.#changelogs = new Map(storesOf(topology).map((store) => [store, names.changelog(store)]));
    this.inbox = new Inbox({
      sources: sources.list,
      maxBytes: options.maxBufferedBytes,
      sourceWaitMs: options.sourceWaitMs,
      now: clock.now,
      checkNow: clock.checkNow,
      poison: (topic, offset) => host.poison.record(topic, offset),
      onBatch: host.wake,
    });
    // a position that the reset policy chose is committed even if nothing comes: the choice is made once
    this.#dirty = sources.reset;
    this.#lastCommit = clock.now();
  }

  /**
   * Fence, read the committed positions, open the state, restore its tail. In this order: once the producer is open, no
   * older owner can commit any more, so the positions and the changelog's end that are read next are final.
   */
  static async open(context: TaskContext, host: SessionHost, signal: AbortSignal): Promise<Session> {
    const { log, names, partition, options } = context;
    host.onOpening('fencing');
    const producer = log.transactionalProducer({
      transactionalId: names.transactionalId(partition),
      timeoutMs: options.transactionTimeoutMs,
    });
    const abandon = () => void producer.close().catch(() => {});
    signal.addEventListener('abort', abandon);
    let opened: OpenedState | null = null;
    try {
      await producer.open();
      signal.throwIfAborted();
      const sources = await sourcePositions(context);
      signal.throwIfAborted();
      host.onOpening('restoring');
      opened = await restoredState(context, host, signal);
      signal.throwIfAborted();
      return new Session(context, host, producer, opened, sources);
    } catch (error) {
      await opened?.db.close();
      await producer.close().catch(() => {});
      throw error;
    } finally {
      signal.removeEventListener('abort', abandon);
    }
  }

  /** Lets the sources come. */
  start(): void {
    for (const { topic, fetched } of this.inbox.queues) {
      this.#context.consumer.start({ topic, partition: this.#context.partition }, fetched);
    }
  }

  pause(): void {
    for (const { topic } of this.inbox.queues) {
      this.#context.consumer.pause({ topic, partition: this.#context.partition });
    }
  }

  /** One micro-batch and the timers that are due. False where there was nothing to do. */
  async step(): Promise<boolean> {
    const { clock, options, metrics } = this.#context;
    const taken = await this.inbox.take(options.maxBatchRecords);
    const started = clock.elapsed();
    if (taken !== null) {
      for (const { topic, record, failure } of taken.rejected) {
        this.#sender.push(deadRecord(topic, record, failure, this.#deadLetterPlace()));
        this.#letter(failure);
      }
      await finish(this.#engine.run(taken.items));
      this.#open.records += taken.items.length + taken.rejected.length;
    }
    const fired = await finish(this.#engine.runTimers(TIMERS_A_STEP, this.#isPoisonTimer));
    this.#open.timers += fired;
    if (taken === null && fired === 0) return false;
    this.#dirty = true;
    this.#encodeOutputs();
    metrics.observe('process_seconds', (clock.elapsed() - started) / 1000);
    const room = this.#sender.go();
    if (room !== undefined) await room;
    return true;
  }

  get commitDue(): boolean {
    const { options, clock } = this.#context;
    if (!this.#dirty && !this.inbox.moved) {
      this.#lastCommit = clock.now();
      return false;
    }
    return (
      clock.now() - this.#lastCommit >= options.commitIntervalMs ||
      this.#open.records >= options.commitRecords ||
      this.#state.bytes > this.#state.budget * CACHE_OVERDRAFT
    );
  }

  /** Milliseconds until a commit may be due. */
  get commitIn(): number {
    const { options, clock } = this.#context;
    return Math.max(this.#lastCommit + options.commitIntervalMs - clock.now(), 1);
  }

  get hasUncommitted(): boolean {
    return this.#dirty || this.inbox.moved;
  }

  /**
   * The commit, step by step. A crash before 5 leaves nothing of it anywhere; between 5 and 6 the log has it all, and
   * the state on disk, still that of the commit before, catches up from the changelog at the next start.
   */
  async commit(): Promise<void> {
    const { clock, metrics, names, partition, options } = this.#context;
    const started = clock.elapsed();
    this.#refuseTooManyDeadLetters();

    // 1. what processors kept for one summary a commit
    await finish(this.#engine.flush());
    if (this.#commits++ % options.sweepEveryCommits === 0) await finish(this.#state.sweep(options.sweepKeys));
    this.#encodeOutputs();

    // 2. what changed, encoded once a key: a changelog record each, and a row on disk
    const streamTime = this.#engine.streamTime;
    const changes = [...this.#state.collect(), ...this.#timers.collect(streamTime)];
    const { records, rows } = writeChanges(changes, this.#split, {
      partition,
      topicOf: (store) => this.#changelogs.get(store)!,
    });
    for (const record of records) this.#sender.push(record);

    // 3. the log has all of it, in the open transaction
    await this.#sender.drain();

    // 4. how far the sources were processed
    this.inbox.moved = false;
    const positions = this.inbox.queues.map(({ topic, position }) => ({ topic, partition, position }));

    // 5. all or nothing, for everyone who reads at read_committed
    const { written } = await this.#producer.commit({ group: names.group, positions });

    // 6. the state on disk, together with what it stands for
    await this.#db.write([...rows, ...this.#positionRows(written, positions)]);

    // 7. nothing is uncommitted any more
    this.#state.committed();
    this.#timers.committed(streamTime);
    this.#dirty = false;
    this.#lastCommit = clock.now();
    for (const { topic, position } of positions) this.#host.poison.committed(topic, position);
    for (const id of this.#firedPoison.splice(0)) this.#host.poison.timerCommitted(id);
    metrics.observe('commit_seconds', (clock.elapsed() - started) / 1000);
    this.#publish(
      records.length,
      changes.reduce((sum, { value }) => sum + (value?.length ?? 0), 0),
    );
    this.#state.budget = this.#host.cacheBytes();
  }

  /** Ends what is open without a trace and lets go of the lock. Idempotent. */
  async close(): Promise<void> {
    this.inbox.close();
    await Promise.allSettled([this.#producer.close(), this.#db.close()]);
  }

  /** What to blame for an error of `step` or `commit`; undefined where it is nothing that could be stepped over. */
  static culprit(error: unknown, sourceTopic: (source: CompiledSource) => string): Culprit | undefined {
    if (!(error instanceof ProcessingError) || error.item === null) return undefined;
    const { timer, place, source } = error.item;
    if (timer !== null) return { timer };
    return source === null ? undefined : { topic: sourceTopic(source), record: place as LogRecord };
  }

  #encodeOutputs(): void {
    const { sinkSerdes, names, options } = this.#context;
    for (const output of this.#engine.takeOutputs()) {
      const { spec } = output.sink;
      try {
        const key = encodeKey(output.key);
        const value = output.value === null ? null : sinkSerdes.get(spec.name)!.encode(output.value);
        const bytes = value?.length ?? 0;
        if (key.length + bytes > options.maxOutputBytes) {
          throw new BadRecordError('OUTPUT_TOO_LARGE', `an output of ${bytes} bytes for "${spec.name}"`);
        }
        const timestamp = Math.trunc(output.time);
        const record = { topic: names.sink(spec), key, value };
        // Kafka takes no time before 1970
        this.#sender.push(timestamp >= 0 ? { ...record, timestamp } : record);
      } catch (error) {
        throw new ProcessingError(`to sink "${spec.name}"`, output.cause, error);
      }
      this.#open.outputs.set(spec.name, (this.#open.outputs.get(spec.name) ?? 0) + 1);
    }
  }

  readonly #isPoisonTimer = (due: DueTimer): boolean => {
    const failure = this.#host.poison.timer(due.id);
    if (failure === undefined) return false;
    this.#sender.push(deadTimer(due, failure, this.#deadLetterPlace()));
    this.#letter(failure);
    this.#firedPoison.push(due.id);
    return true;
  };

  #deadLetterPlace() {
    const { names, partition, clock, options } = this.#context;
    return { to: names.deadLetters, partition, now: clock.now(), maxBytes: Math.floor(options.maxOutputBytes * 0.9) };
  }

  #letter({ code, error }: Failure): void {
    this.#context.logger.debug({ code, error }, 'a record goes to the dead-letter topic');
    this.#open.letters.set(code, (this.#open.letters.get(code) ?? 0) + 1);
  }

  #refuseTooManyDeadLetters(): void {
    const letters = sum(this.#open.letters);
    if (letters === 0 || !this.#host.rate.over(this.#open.records, letters)) return;
    const { names, options } = this.#context;
    const codes = [...this.#open.letters].map(([code, count]) => `${code}: ${count}`).join(', ');
    throw new TaskError(
      'DEAD_LETTER_RATE',
      `more than ${options.deadLetterShare * 100}% of the last records cannot be processed (now ${codes}); ` +
        `stopped before ${names.deadLetters} takes the whole topic`,
      { fatal: true },
    );
  }

  #positionRows(
    written: readonly { topic: string; partition: number; position: number }[],
    sources: readonly { topic: string; position: number }[],
  ): DbChange[] {
    const rows: DbChange[] = [];
    for (const [store, topic] of this.#changelogs) {
      const end = written.find((one) => one.topic === topic && one.partition === this.#context.partition);
      // not written: the position stays, and what lies behind it can only be markers
      if (end !== undefined) rows.push({ key: changelogPositionKey(store), value: encodePosition(end.position) });
    }
    for (const { topic, position } of sources) {
      rows.push({ key: sourcePositionKey(topic), value: encodePosition(position) });
    }
    rows.push(currentAt(this.#context.clock.now()));
    return rows;
  }

  #publish(changelogRecords: number, changelogBytes: number): void {
    const { metrics } = this.#context;
    const { records, letters, outputs, timers } = this.#open;
    this.#open = { records: 0, letters: new Map(), outputs: new Map(), timers: 0 };
    this.#host.rate.add(records, sum(letters));
    metrics.inc('records_total', records);
    for (const [code, count] of letters) metrics.inc('dead_letters_total', count, { code });
    for (const [sink, count] of outputs) metrics.inc('outputs_total', count, { sink });
    metrics.inc('timers_fired_total', timers);
    metrics.inc('changelog_records_total', changelogRecords);
    metrics.inc('changelog_bytes_total', changelogBytes);
    const { hits, misses, expired, bytes } = this.#state;
    metrics.inc('state_cache_hits_total', hits - this.#published.hits);
    metrics.inc('state_cache_misses_total', misses - this.#published.misses);
    metrics.inc('expired_entries_total', expired - this.#published.expired);
    this.#published = { hits, misses, expired };
    metrics.set('state_cache_bytes', bytes);
    metrics.set('lag_records', this.inbox.lag);
    if (Number.isFinite(this.#engine.streamTime)) metrics.set('stream_time_seconds', this.#engine.streamTime / 1000);
    metrics.publishCounts();
  }
}

const sum = (counts: Map<string, number>): number => [...counts.values()].reduce((a, b) => a + b, 0);

/** Where each source goes on: its committed position, or what the policy says where there is none. */
async function sourcePositions(context: TaskContext): Promise<{ list: InboxSource[]; reset: boolean }> {
  const { topology, names, partition, admin, options, sourceSerdes, logger } = context;
  const places = topology.sources.map((compiled) => ({ compiled, topic: names.source(compiled.spec) }));
  const committed = await admin.committed(
    names.group,
    places.map(({ topic }) => ({ topic, partition })),
  );
  let reset = false;
  const list: InboxSource[] = [];
  for (const [i, { compiled, topic }] of places.entries()) {
    const bounds = (await admin.offsets(topic)).find((one) => one.partition === partition);
    if (bounds === undefined) {
      throw new TaskError('MISSING_PARTITION', `${topic} has no partition ${partition}`, { fatal: true });
    }
    let position = committed[i] ?? null;
    if (position === null || position < bounds.start || position > bounds.end) {
      const what = { topic, partition, committed: position, start: bounds.start, end: bounds.end };
      // a group that never read the topic at its very start: nothing is skipped, nothing to be said
      const atStart = position === null && options.offsetReset === 'earliest' && bounds.start === 0;
      if (options.offsetReset === 'error') {
        throw new TaskError('NO_POSITION', `no usable committed position: ${JSON.stringify(what)}`, { fatal: true });
      }
      position = options.offsetReset === 'earliest' ? bounds.start : bounds.end;
      if (!atStart)
        logger.warn({ ...what, policy: options.offsetReset, position }, 'no usable committed position: reset');
      reset = true;
    }
    list.push({ compiled, topic, serde: sourceSerdes.get(compiled.spec.name)!, position, end: bounds.end });
  }
  return { list, reset };
}

interface OpenedState {
  db: StateDb;
  state: State;
  timers: TimerService;
  split: SplitKeys;
  streamTime: number;
}

/** The state on disk, brought up to its changelogs. */
const restoredState = (context: TaskContext, host: SessionHost, signal: AbortSignal): Promise<OpenedState> =>
  openState(context, signal, async (db, split) => {
    const { options, topology } = context;
    await restoreState(db, split, context, host, signal);
    const state = new State(topology.stores, db, host.cacheBytes());
    await finish(state.open());
    const timers = new TimerService(db, options.timersInMemory);
    const streamTime = await finish(timers.open());
    return { db, state, timers, split, streamTime };
  });

async function restoreState(
  db: StateDb,
  split: SplitKeys,
  context: TaskContext,
  host: SessionHost,
  signal: AbortSignal,
): Promise<void> {
  const { log, admin, names, partition, options, metrics, clock } = context;
  const reader = log.reader();
  try {
    const records = await restore(db, {
      stores: storesOf(context.topology),
      partition,
      topicOf: names.changelog,
      admin,
      reader,
      split,
      deletionsKeptMs: context.deletionsKeptMs,
      now: clock.now,
      batchBytes: options.restoreBatchBytes,
      signal,
      elapsed: clock.elapsed,
      onProgress: host.onRestore,
    });
    metrics.inc('restored_records_total', records);
  } finally {
    await reader.close();
  }
}
