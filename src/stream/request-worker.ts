/**
 * A process's part in answering requests of a topic: a member of the group `<app>-<name>`, one lane for each partition it
 * is given, and so many requests at a time, of all partitions together. A request is begun as soon as another is done:
 * none waits for the slowest of a batch. Positions follow the oldest that is not done (request-queue.ts).
 *
 *   const worker = new RequestWorker({ name: 'profile-worker', handler, concurrency, log, serdes, options, ... });
 *   await worker.start();
 *   ... worker.live(), worker.ready(), worker.status()
 *   await worker.stop();
 *
 * Log and serdes belong to the caller, who closes them after `stop`.
 */
import { setMaxListeners } from 'node:events';
import { ConfigError, SeralError, TaskError, messageOf } from '../errors.ts';
import type { GroupAssignment, GroupConsumer, Log, LogAdmin, TopicPartition } from '../log/port.ts';
import type { Serde, Serdes } from '../log/serde.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';
import { requestNamesOf, type RequestNames } from './names.ts';
import { compileOptions, type CompiledOptions, type RuntimeOptions } from './options.ts';
import { patiently } from './patience.ts';
import { RequestLane } from './request-lane.ts';
import type { RequestMetrics } from './request-metrics.ts';
import type { RequestHandler } from './request-queue.ts';
import { pause } from './state-db.ts';
import type { Clock } from './task-context.ts';
import type { WorkerStatus } from './worker.ts';

export type { Handled, RequestHandler } from './request-queue.ts';

export interface RequestWorkerOptions<Q, A> {
  /** part of the names of the group, the transactions and the dead-letter topic */
  name: string;
  handler: RequestHandler<Q, A>;
  /** requests at a time */
  concurrency: number;
  log: Log;
  serdes: Serdes;
  options: RuntimeOptions;
  metrics: Metrics;
  requestMetrics: RequestMetrics;
  logger: Logger;
  /** ms that a stop waits for what is being answered */
  drainMs: number;
  now: () => number;
  random: () => number;
  /** A partition has failed for good, or the consumer has died. Told once; the owner stops the worker. */
  onFatal: (error: Error) => void;
}

const ENDS_EVERY_MS = 5000;
/** A slow request holds the position up: so many times the concurrency may be begun behind it. */
const OPEN_FACTOR = 50;

/** Life: new → starting (topics checked) → running → stopped; a fatal error leaves it to be stopped. */
export class RequestWorker<Q, A> {
  readonly #given: RequestWorkerOptions<Q, A>;
  readonly #options: CompiledOptions;
  readonly #names: RequestNames;
  readonly #clock: Clock;
  readonly #admin: LogAdmin;
  readonly #lanes = new Map<number, RequestLane<Q, A>>();
  /** lanes that are on their way out, by partition */
  readonly #leaving = new Map<number, Promise<unknown>>();
  readonly #stop = new AbortController();
  #serdes: { request: Serde<Q>; answer: Serde<A> } | null = null;
  #consumer: GroupConsumer | null = null;
  #running = 0;
  /** where the search for the next request begins, so that no partition starves another */
  #turn = 0;
  #assigned = false;
  #fatal: Error | null = null;
  #following: Promise<void> | null = null;
  #stopped: Promise<void> | null = null;

  /** Throws ConfigError, naming all it finds. */
  constructor(given: RequestWorkerOptions<Q, A>) {
    const { options, problems } = compileOptions(given.options);
    if (problems.length > 0) throw new ConfigError(problems);
    this.#given = given;
    this.#options = options;
    this.#names = requestNamesOf(given.name, options);
    this.#clock = { now: given.now, checkNow: given.now, random: given.random, elapsed: () => performance.now() };
    this.#admin = given.log.admin();
    setMaxListeners(0, this.#stop.signal);
  }

  /** Resolves when the group has given it its first partitions, or it was stopped. Whatever it throws, `stop` is to be called. */
  async start(): Promise<void> {
    try {
      await this.#begin();
    } catch (error) {
      if (!this.#stop.signal.aborted) throw error;
    }
  }

  /** False when a restart would help: the consumer died, a partition failed, or one stands still though there is work. */
  live(): boolean {
    return this.#fatal === null && ![...this.#lanes.values()].some((lane) => lane.wedged);
  }

  /** True when all that was assigned is being worked on. */
  ready(): boolean {
    if (!this.#assigned || this.#fatal !== null || this.#stop.signal.aborted) return false;
    return [...this.#lanes.values()].every((lane) => lane.state === 'running');
  }

  status(): WorkerStatus {
    return {
      topology: this.#given.name,
      live: this.live(),
      ready: this.ready(),
      tables: [],
      tasks: [...this.#lanes.values()].map((lane) => lane.status()).sort((a, b) => a.partition - b.partition),
      standbys: [],
      error: this.#fatal === null ? null : messageOf(this.#fatal),
    };
  }

  /** Ends in peace: what is being answered has `drainMs` to end and is committed; the rest is done by the next owner. */
  stop(): Promise<void> {
    return (this.#stopped ??= this.#end());
  }

  async #begin(): Promise<void> {
    const { log, handler } = this.#given;
    await this.#checkTopics();
    this.#serdes = {
      request: await this.#serde<Q>(handler.requests),
      answer: await this.#serde<A>(handler.answers),
    };
    if (this.#stop.signal.aborted) return;
    const consumer = log.groupConsumer({
      group: this.#names.group,
      topics: [handler.requests.topic],
      sessionTimeoutMs: this.#options.sessionTimeoutMs,
      maxBytesPerPartition: this.#options.maxBufferedBytes,
    });
    this.#consumer = consumer;
    this.#following = this.#followEnds();
    await consumer.run({
      assigned: (assignment) => this.#onAssigned(assignment),
      batch: (batch) => this.#lanes.get(batch.partition)?.offer(batch) ?? Promise.resolve(),
      outOfRange: ({ partition }, error) => this.#lost(partition, error),
      crashed: (error) => this.#fail(error),
    });
  }

  async #end(): Promise<void> {
    this.#stop.abort();
    const lanes = [...this.#lanes.values()];
    this.#leave(lanes, (lane) => lane.stop(), this.#given.drainMs);
    await Promise.all(this.#leaving.values());
    await this.#consumer?.stop();
    await this.#following;
    await this.#admin.close();
  }

  #onAssigned({ partitions, restarted }: GroupAssignment): void {
    if (this.#stop.signal.aborted) return;
    this.#assigned = true;
    const numbers = new Set(partitions.map(({ partition }) => partition));
    this.#given.logger.info({ worker: this.#given.name, partitions: [...numbers] }, 'assigned');
    const lost = [...this.#lanes.values()].filter((lane) => !numbers.has(lane.partition));
    this.#leave(lost, (lane) => lane.revoke(), this.#options.revokeDeadlineMs);
    for (const { partition } of restarted) this.#lanes.get(partition)?.resume();
    for (const partition of numbers) {
      const state = this.#lanes.get(partition)?.state;
      if (state === undefined || state === 'fenced') this.#startLane(partition);
    }
  }

  /** One deadline for all of them together; those that do not make it are cut off. */
  #leave(lanes: RequestLane<Q, A>[], end: (lane: RequestLane<Q, A>) => Promise<void>, deadlineMs: number): void {
    if (lanes.length === 0) return;
    const deadline = setTimeout(() => {
      this.#given.logger.warn({ worker: this.#given.name }, 'not done by the deadline: cut off');
      for (const lane of lanes) lane.abort();
    }, deadlineMs);
    const gone = lanes.map((lane) => {
      const { partition } = lane;
      this.#lanes.delete(partition);
      const ended = Promise.all([this.#leaving.get(partition), end(lane)]).then(() => {
        if (this.#leaving.get(partition) === ended) this.#leaving.delete(partition);
      });
      this.#leaving.set(partition, ended);
      return ended;
    });
    void Promise.all(gone).finally(() => clearTimeout(deadline));
  }

  #startLane(partition: number): void {
    const { handler, log, metrics, requestMetrics, logger, concurrency, name } = this.#given;
    const at: TopicPartition = { topic: handler.requests.topic, partition };
    const lane = new RequestLane<Q, A>(
      {
        handler,
        partition,
        group: this.#names.group,
        transactionalId: this.#names.transactionalId(partition),
        deadLetters: this.#names.deadLetters,
        requestSerde: this.#serdes!.request,
        answerSerde: this.#serdes!.answer,
        options: this.#options,
        // as many as are answered at a time lie ready in each partition: none is waited for
        mostWaiting: concurrency,
        mostOpen: concurrency * OPEN_FACTOR,
        log,
        admin: this.#admin,
        consumer: {
          start: (position) => this.#consumer!.start(at, position),
          pause: () => this.#consumer!.pause(at),
        },
        metrics: metrics.task(name, partition),
        requestMetrics,
        logger: withPlace(logger, name, partition),
        clock: this.#clock,
      },
      {
        rouse: () => this.#pump(),
        fenced: () => void this.#retake(lane),
        failed: (error) => this.#fail(error),
      },
    );
    this.#lanes.set(partition, lane);
    lane.start(this.#leaving.get(partition)?.then(() => {}));
  }

  /** Fenced, yet the group may still give us the partition: then it is taken back after a while. */
  async #retake(lane: RequestLane<Q, A>): Promise<void> {
    await lane.done;
    await pause(this.#options.fencedRetryMs, this.#stop.signal);
    if (!this.#stop.signal.aborted && this.#lanes.get(lane.partition) === lane) this.#startLane(lane.partition);
  }

  /** Begins requests as long as there are some and not too many are under way, the partitions in turn. */
  #pump(): void {
    const lanes = [...this.#lanes.values()];
    for (let idle = 0; this.#running < this.#given.concurrency && idle < lanes.length;) {
      const answered = lanes[this.#turn++ % lanes.length]!.begin();
      if (answered === null) {
        idle++;
        continue;
      }
      idle = 0;
      this.#running++;
      void answered.finally(() => {
        this.#running--;
        this.#pump();
      });
    }
    this.#given.requestMetrics.waiting(lanes.reduce((sum, lane) => sum + lane.waiting, 0));
  }

  #lost(partition: number, error: Error): void {
    void this.#lanes
      .get(partition)
      ?.lost(error)
      .catch((reason: unknown) => this.#fail(reason as Error));
  }

  #fail(error: Error): void {
    if (this.#fatal !== null || this.#stop.signal.aborted) return;
    this.#fatal = error;
    const code = error instanceof SeralError ? error.code : undefined;
    this.#given.logger.error({ worker: this.#given.name, code, error: messageOf(error) }, 'the worker has failed');
    this.#given.onFatal(error);
  }

  #serde<T>({ topic, schema }: { topic: string; schema: string }): Promise<Serde<T>> {
    const { logger, serdes } = this.#given;
    const waiting = { options: this.#options, clock: this.#clock, logger, signal: this.#stop.signal };
    return patiently(waiting, () => serdes.serde<T>(topic, schema));
  }

  /** The end of the topic, asked for from time to time: lag is seen even where the fetching hangs. */
  async #followEnds(): Promise<void> {
    const { signal } = this.#stop;
    const { topic } = this.#given.handler.requests;
    while (!signal.aborted) {
      await pause(Math.min(ENDS_EVERY_MS, this.#options.wedgeMs / 4), signal);
      if (signal.aborted) return;
      try {
        for (const { partition, end } of await this.#admin.offsets(topic)) this.#lanes.get(partition)?.seenEnd(end);
      } catch (error) {
        this.#given.logger.debug({ topic, error: messageOf(error) }, 'the end of a topic could not be read');
      }
    }
  }

  async #checkTopics(): Promise<void> {
    const { handler, name } = this.#given;
    const topics = [handler.requests.topic, handler.answers.topic, this.#names.deadLetters];
    const found = await this.#admin.describe(topics);
    const missing = topics.filter((_, i) => found[i] === null);
    if (missing.length === 0) return;
    throw new TaskError('MISSING_TOPIC', `"${name}" needs topics that are not there: ${missing.join(', ')}`, {
      fatal: true,
    });
  }
}

function withPlace(logger: Logger, worker: string, partition: number): Logger {
  const fields = { worker, partition };
  return {
    debug: (more, message) => logger.debug({ ...fields, ...more }, message),
    info: (more, message) => logger.info({ ...fields, ...more }, message),
    warn: (more, message) => logger.warn({ ...fields, ...more }, message),
    error: (more, message) => logger.error({ ...fields, ...more }, message),
  };
}
