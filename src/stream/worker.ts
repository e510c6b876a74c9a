/**
 * A process's part in a topology: a member of the group, one task for each partition number it is given, the global
 * tables. Several topologies in a process are several workers.
 *
 *   const worker = new Worker({ topology, log, serdes, options, metrics, logger, now: Date.now, random: Math.random,
 *                               onFatal: (error) => ... });
 *   await worker.start();
 *   ... worker.live(), worker.ready(), worker.status()
 *   await worker.stop();
 *
 * Log and serdes belong to the caller, who closes them after `stop`.
 */
import { ConfigError, SeralError, TaskError, TopologyError, messageOf } from '../errors.ts';
import type { Claim, GroupAssignment, GroupConsumer, Log, LogAdmin } from '../log/port.ts';
import type { Serde, SerdeOptions, Serdes } from '../log/serde.ts';
import { compile, type CompiledTopology } from './compile.ts';
import { LocalStates, storesOf } from './local-state.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';
import { namesOf, type Names } from './names.ts';
import { compileOptions, type CompiledOptions, type RuntimeOptions } from './options.ts';
import { RegistryPatience } from './patience.ts';
import { Standby, type StandbyStatus } from './standby.ts';
import { pause } from './state-db.ts';
import { GlobalTable } from './tables.ts';
import type { Clock, PartitionContext, TaskContext } from './task-context.ts';
import { Task, type TaskStatus } from './task.ts';
import type { Topology } from './topology.ts';

export interface WorkerOptions {
  topology: Topology;
  log: Log;
  serdes: Serdes;
  options: RuntimeOptions;
  metrics: Metrics;
  logger: Logger;
  now: () => number;
  random: () => number;
  /** the clock that `check` sees, where it is not `now` */
  checkNow?: () => number;
  /** A task has failed for good, or the consumer has died. Told once; the owner stops the worker. */
  onFatal: (error: Error) => void;
}

export interface WorkerStatus {
  topology: string;
  live: boolean;
  ready: boolean;
  tables: { name: string; rows: number; ready: boolean }[];
  tasks: TaskStatus[];
  /** copies of the state of partitions that other workers have */
  standbys: StandbyStatus[];
  error: string | null;
}

const ENDS_EVERY_MS = 5000;
/** Kafka's default of delete.retention.ms. */
const DAY_MS = 86_400_000;
/** A changelog that forgets at once would have every restart restore everything; no broker cleans so fast. */
const LEAST_KEPT_MS = 60_000;
/** Standbys that grow warm together are one reason to balance the group, not many. */
const REJOIN_AFTER_MS = 2000;

/** Life: new → starting (topics checked, tables loading) → running → stopped; a fatal error leaves it to be stopped. */
export class Worker {
  readonly #given: WorkerOptions;
  readonly #topology: CompiledTopology;
  readonly #options: CompiledOptions;
  readonly #names: Names;
  readonly #clock: Clock;
  readonly #admin: LogAdmin;
  readonly #tables: GlobalTable[] = [];
  readonly #tasks = new Map<number, Task>();
  readonly #standbys = new Map<number, Standby>();
  /** standbys that become tasks once they are warm */
  readonly #warming = new Set<number>();
  readonly #states: LocalStates;
  #rejoins = false;
  /** tasks and standbys that are on their way out, by partition */
  readonly #leaving = new Map<number, Promise<void>>();
  readonly #stop = new AbortController();
  #consumer: GroupConsumer | null = null;
  #sourceSerdes = new Map<string, Serde<unknown>>();
  #sinkSerdes = new Map<string, Serde<unknown>>();
  #assigned = false;
  #fatal: Error | null = null;
  #following: Promise<void> | null = null;
  #stopped: Promise<void> | null = null;

  /** Throws ConfigError or TopologyError, each naming all it finds. */
  constructor(given: WorkerOptions) {
    const { options, problems } = compileOptions(given.options);
    if (problems.length > 0) throw new ConfigError(problems);
    this.#given = given;
    this.#options = options;
    this.#topology = compile(given.topology);
    this.#names = namesOf(given.topology.name, options);
    this.#clock = {
      now: given.now,
      checkNow: given.checkNow ?? given.now,
      random: given.random,
      elapsed: () => performance.now(),
    };
    this.#admin = given.log.admin();
    this.#states = new LocalStates({ topology: this.#topology, names: this.#names, options }, this.#admin, given.now);
  }

  /**
   * Resolves when the group has given it its first partitions, or when it was stopped. Whatever it throws, `stop` is still
   * to be called.
   */
  async start(): Promise<void> {
    try {
      await this.#begin();
    } catch (error) {
      if (!this.#stop.signal.aborted) throw error;
    }
  }

  async #begin(): Promise<void> {
    const { log } = this.#given;
    const { sources, sinks, tables } = this.#topology;
    await this.#checkTopics();
    const patience = new RegistryPatience({
      options: this.#options,
      clock: this.#clock,
      logger: this.#given.logger,
      signal: this.#stop.signal,
    });
    for (const { spec } of sources) {
      const serde = await this.#serde(this.#names.subjectTopic(spec), spec.schema, patience, { lazy: spec.lazy });
      this.#sourceSerdes.set(spec.name, serde);
    }
    for (const { spec } of sinks) {
      this.#sinkSerdes.set(spec.name, await this.#serde(this.#names.subjectTopic(spec), spec.schema, patience));
    }
    for (const spec of tables) {
      const serde = await this.#serde<unknown>(spec.topic, spec.schema, patience);
      this.#tables.push(new GlobalTable({ spec, serde, log, admin: this.#admin, logger: this.#given.logger }));
    }
    await Promise.all(this.#tables.map((table) => table.loaded));
    if (this.#stop.signal.aborted) return;
    const consumer = log.groupConsumer({
      group: this.#names.group,
      topics: sources.map(({ spec }) => this.#names.source(spec)),
      sessionTimeoutMs: this.#options.sessionTimeoutMs,
      claims: () => this.#claims(),
      standbys: this.#options.standbys,
      warmWithin: this.#options.warmWithin,
    });
    this.#consumer = consumer;
    this.#following = this.#followEnds();
    await consumer.run({
      assigned: (assignment) => this.#onAssigned(assignment),
      batch: (batch) => this.#tasks.get(batch.partition)?.offer(batch) ?? Promise.resolve(),
      outOfRange: ({ topic, partition }, error) => this.#tasks.get(partition)?.lost(topic, error),
      crashed: (error) => this.#fail(error),
    });
  }

  /** False when a restart would help: the consumer died, a task failed, or one stands still though there is work. */
  live(): boolean {
    return this.#fatal === null && ![...this.#tasks.values()].some((task) => task.wedged);
  }

  /** True when all that was assigned is being processed. */
  ready(): boolean {
    if (!this.#assigned || this.#fatal !== null || this.#stop.signal.aborted) return false;
    return this.#tables.every((table) => table.ready) && [...this.#tasks.values()].every((t) => t.state === 'running');
  }

  status(): WorkerStatus {
    return {
      topology: this.#topology.name,
      live: this.live(),
      ready: this.ready(),
      tables: this.#tables.map(({ name, size, ready }) => ({ name, rows: size, ready })),
      tasks: [...this.#tasks.values()].map((task) => task.status()).sort((a, b) => a.partition - b.partition),
      standbys: [...this.#standbys.values()]
        .map((standby) => standby.status())
        .sort((a, b) => a.partition - b.partition),
      error: this.#fatal === null ? null : messageOf(this.#fatal),
    };
  }

  /** Ends in peace: micro-batches in hand are finished and committed, everything is released. Idempotent. */
  stop(): Promise<void> {
    return (this.#stopped ??= this.#end());
  }

  async #end(): Promise<void> {
    this.#stop.abort();
    this.#revoke([...this.#tasks.values()]);
    this.#dismiss([...this.#standbys.values()]);
    await Promise.all(this.#leaving.values());
    await this.#consumer?.stop();
    await this.#following;
    await Promise.all(this.#tables.map((table) => table.close()));
    await this.#admin.close();
  }

  async #serde<T>(
    topic: string,
    schema: string,
    patience: RegistryPatience,
    options?: SerdeOptions,
  ): Promise<Serde<T>> {
    for (;;) {
      try {
        return await this.#given.serdes.serde(topic, schema, options);
      } catch (error) {
        if (!(await patience.waits(error))) throw error;
      }
    }
  }

  #onAssigned({ partitions, restarted, standbys, warming }: GroupAssignment): void {
    if (this.#stop.signal.aborted) return;
    const topics = this.#topology.sources.map(({ spec }) => this.#names.source(spec));
    const counts = new Map<number, number>();
    for (const { partition } of partitions) counts.set(partition, (counts.get(partition) ?? 0) + 1);
    const torn = [...counts].filter(([, count]) => count !== topics.length).map(([partition]) => partition);
    if (torn.length > 0) {
      this.#fail(
        new TopologyError(
          'NOT_COPARTITIONED',
          `partitions ${torn.join(', ')} were not assigned for all of ${topics.join(', ')}`,
        ),
      );
      return;
    }
    this.#assigned = true;
    this.#given.logger.info({ topology: this.#topology.name, partitions: [...counts.keys()], standbys }, 'assigned');
    this.#revoke([...this.#tasks.values()].filter((task) => !counts.has(task.partition)));
    this.#dismiss([...this.#standbys.values()].filter(({ partition }) => !standbys.includes(partition)));
    for (const { topic, partition } of restarted) this.#tasks.get(partition)?.resume(topic);
    for (const partition of counts.keys()) {
      const state = this.#tasks.get(partition)?.state;
      if (state === undefined || state === 'fenced') this.#startTask(partition);
    }
    this.#warming.clear();
    for (const partition of warming) this.#warming.add(partition);
    for (const partition of standbys) {
      const standby = this.#standbys.get(partition);
      if (standby === undefined) this.#startStandby(partition);
      // it may have grown warm while the group was being balanced
      else this.#onStandby(standby);
    }
  }

  /** What this worker has the state of, and how current that is: who joins is given what it can go on with. */
  #claims(): Promise<Claim[]> {
    return this.#states.claims((partition) => {
      if (this.#tasks.get(partition)?.state === 'running') return 'current';
      return this.#standbys.get(partition)?.positions ?? null;
    });
  }

  #startTask(partition: number): void {
    const context: TaskContext = {
      ...this.#place(partition),
      sourceSerdes: this.#sourceSerdes,
      sinkSerdes: this.#sinkSerdes,
      tables: new Map(this.#tables.map((table) => [table.name, table])),
      consumer: this.#consumer!,
    };
    const task = new Task(context, {
      cacheBytes: () => Math.floor(this.#options.cacheBytes / Math.max(this.#tasks.size, 1)),
      fenced: (fenced) => void this.#retake(fenced),
      failed: (_, error) => this.#fail(error),
    });
    this.#tasks.set(partition, task);
    this.#states.changed(partition);
    task.start(this.#leaving.get(partition));
  }

  /** What tasks and standbys of a partition are both given. */
  #place(partition: number): PartitionContext {
    const { log, metrics, logger } = this.#given;
    const { name } = this.#topology;
    return {
      topology: this.#topology,
      partition,
      names: this.#names,
      options: this.#options,
      log,
      admin: this.#admin,
      deletionsKeptMs: this.#states.deletionsKeptMs,
      metrics: metrics.task(name, partition),
      logger: withFields(logger, { topology: name, partition }),
      clock: this.#clock,
    };
  }

  #startStandby(partition: number): void {
    const standby = new Standby({ ...this.#place(partition), onProgress: (one) => this.#onStandby(one) });
    this.#standbys.set(partition, standby);
    this.#states.changed(partition);
    standby.start(this.#leaving.get(partition));
  }

  #dismiss(standbys: Standby[]): void {
    for (const standby of standbys) {
      this.#standbys.delete(standby.partition);
      this.#leave(standby.partition, standby.close());
    }
  }

  /** One that was to grow warm and has: its partition may come. */
  #onStandby({ partition, lag }: Standby): void {
    if (lag === null || lag > this.#options.warmWithin || !this.#warming.delete(partition)) return;
    if (this.#rejoins) return;
    this.#rejoins = true;
    void pause(REJOIN_AFTER_MS, this.#stop.signal).then(() => {
      this.#rejoins = false;
      if (!this.#stop.signal.aborted) this.#consumer?.rejoin();
    });
  }

  /** Whoever opens the partition's state next waits for `gone`. */
  #leave(partition: number, gone: Promise<unknown>): void {
    const all = Promise.all([this.#leaving.get(partition), gone]).then(() => {
      this.#states.changed(partition);
      if (this.#leaving.get(partition) === all) this.#leaving.delete(partition);
    });
    this.#leaving.set(partition, all);
  }

  /** One deadline for all of them together; those that do not make it are cut off, and their work is done again. */
  #revoke(tasks: Task[]): void {
    if (tasks.length === 0) return;
    const all = Promise.all(tasks.map((task) => task.stop()));
    const deadline = setTimeout(() => {
      const late = tasks.filter((task) => !['closed', 'fenced', 'failed'].includes(task.state));
      if (late.length === 0) return;
      this.#given.logger.warn({ partitions: late.map((task) => task.partition) }, 'not done by the deadline: cut off');
      for (const task of late) task.abort();
    }, this.#options.revokeDeadlineMs);
    void all.finally(() => clearTimeout(deadline));
    for (const task of tasks) {
      this.#tasks.delete(task.partition);
      this.#leave(task.partition, task.done);
    }
  }

  /**
   * Fenced, yet the group may still give us the partition: an older owner that was slow to notice has fenced us last. It
   * will go; if nothing was reassigned until then, the partition is taken back.
   */
  async #retake(task: Task): Promise<void> {
    await task.done;
    await pause(this.#options.fencedRetryMs, this.#stop.signal);
    if (!this.#stop.signal.aborted && this.#tasks.get(task.partition) === task) this.#startTask(task.partition);
  }

  #fail(error: Error): void {
    if (this.#fatal !== null || this.#stop.signal.aborted) return;
    this.#fatal = error;
    const code = error instanceof SeralError ? error.code : undefined;
    this.#given.logger.error({ topology: this.#topology.name, code, error: messageOf(error) }, 'the worker has failed');
    this.#given.onFatal(error);
  }

  /** The ends of the sources, asked for from time to time: lag is seen even where the fetching hangs. */
  async #followEnds(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await pause(Math.min(ENDS_EVERY_MS, this.#options.wedgeMs / 4), signal);
      for (const { spec } of this.#topology.sources) {
        if (signal.aborted) return;
        const topic = this.#names.source(spec);
        try {
          for (const { partition, end } of await this.#admin.offsets(topic))
            this.#tasks.get(partition)?.seenEnd(topic, end);
        } catch (error) {
          this.#given.logger.debug({ topic, error: messageOf(error) }, 'the end of a topic could not be read');
        }
      }
      for (const table of this.#tables) {
        this.#given.metrics.set('table_rows', { topology: this.#topology.name, table: table.name }, table.size);
      }
    }
  }

  /** Everything that is read or written must be there, and the sources must be cut alike. */
  async #checkTopics(): Promise<void> {
    const { sources, sinks, tables, name } = this.#topology;
    const names = this.#names;
    const sourceTopics = sources.map(({ spec }) => names.source(spec));
    const changelogs = storesOf(this.#topology).map((store) => names.changelog(store));
    const others = [
      ...sinks.map(({ spec }) => names.sink(spec)),
      ...tables.map(({ topic }) => topic),
      names.deadLetters,
    ];
    const topics = [...new Set([...sourceTopics, ...changelogs, ...others])];
    const found = new Map((await this.#admin.describe(topics)).map((description, i) => [topics[i]!, description]));
    const missing = topics.filter((topic) => found.get(topic) == null);
    if (missing.length > 0) {
      throw new TaskError('MISSING_TOPIC', `"${name}" needs topics that are not there: ${missing.join(', ')}`, {
        fatal: true,
      });
    }
    const count = (topic: string) => found.get(topic)!.partitions;
    const different = [...sourceTopics, ...changelogs].filter((topic) => count(topic) !== count(sourceTopics[0]!));
    if (different.length > 0) {
      const list = [sourceTopics[0]!, ...different].map((topic) => `${topic}: ${count(topic)}`).join(', ');
      throw new TopologyError('NOT_COPARTITIONED', `"${name}" needs equal partition counts, but has ${list}`);
    }
    const kept = changelogs.map((topic) => Number(found.get(topic)!.config['delete.retention.ms'] ?? DAY_MS));
    this.#states.deletionsKeptMs = Math.max(Math.min(...kept), LEAST_KEPT_MS);
  }
}

function withFields(logger: Logger, fields: object): Logger {
  return {
    debug: (more, message) => logger.debug({ ...fields, ...more }, message),
    info: (more, message) => logger.info({ ...fields, ...more }, message),
    warn: (more, message) => logger.warn({ ...fields, ...more }, message),
    error: (more, message) => logger.error({ ...fields, ...more }, message),
  };
}
