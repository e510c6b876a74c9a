/**
 * One partition of a request topic. Its life, and what moves it on:
 *
 *   created     start() → fencing
 *   fencing     the transactional producer is opened, older owners can commit no more; the committed position is read
 *               → running
 *   running     what is answered is committed with the position, until stop() → closing, or an error:
 *                 another owner has fenced us                        → fenced
 *                 an error marked fatal, or one too many in a while  → failed
 *                 any other                                          → rebuilding
 *   rebuilding  a pause → fencing. Requests go on meanwhile; what came of them is sent once there is a producer again
 *   closing     what is being answered is waited for, and committed → closed
 *   closed, fenced, failed: everything is released; the partition's next lane begins anew
 *
 * A request is answered at least once: after a crash a second time, under the same idempotency key.
 */
import { SeralError, TaskError, messageOf } from '../errors.ts';
import type { Log, LogAdmin, RecordBatch, TransactionalProducer } from '../log/port.ts';
import { DeadLetterRate } from './dead-letters.ts';
import type { TaskMetrics } from './metrics.ts';
import { RebuildBudget } from './patience.ts';
import { RequestQueue, type QueueContext } from './request-queue.ts';
import { Sender } from './sender.ts';
import { pause } from './state-db.ts';
import type { TaskState, TaskStatus } from './task.ts';

export interface LaneContext<Q, A> extends Omit<QueueContext<Q, A>, 'onMoved' | 'onFetched' | 'metrics'> {
  group: string;
  transactionalId: string;
  log: Log;
  admin: LogAdmin;
  consumer: { start(position: number): void; pause(): void };
  requestMetrics: QueueContext<Q, A>['metrics'];
  metrics: TaskMetrics;
}

export interface LaneHost {
  /** requests may be begun */
  rouse(): void;
  fenced(partition: number): void;
  failed(error: SeralError): void;
}

export class RequestLane<Q, A> {
  readonly partition: number;
  /** Resolves when everything is released, whatever the end. */
  readonly done: Promise<void>;
  readonly #context: LaneContext<Q, A>;
  readonly #host: LaneHost;
  readonly #rate: DeadLetterRate;
  readonly #budget: RebuildBudget;
  readonly #abort = new AbortController();
  #state: TaskState = 'created';
  #queue: RequestQueue<Q, A> | null = null;
  #producer: TransactionalProducer | null = null;
  #stopping = false;
  #wake: (() => void) | null = null;
  #rebuilds = 0;
  #lastProgress: number;
  #lastError: string | null = null;
  #finish!: () => void;

  constructor(context: LaneContext<Q, A>, host: LaneHost) {
    const { options, clock } = context;
    this.partition = context.partition;
    this.#context = context;
    this.#host = host;
    this.#budget = new RebuildBudget(options, clock);
    this.#rate = new DeadLetterRate(options.deadLetterShare, options.deadLetterWindow);
    this.#lastProgress = clock.elapsed();
    this.done = new Promise((resolve) => (this.#finish = resolve));
    context.metrics.state(this.#state);
  }

  get state(): TaskState {
    return this.#state;
  }

  get waiting(): number {
    return this.#queue?.waiting ?? 0;
  }

  /** Begins its life once `after` (the end of the partition's last lane) is over. */
  start(after: Promise<void> = Promise.resolve()): void {
    void after
      .then(() => this.#run())
      .catch((error: unknown) => {
        const broken = new TaskError('TASK_BROKEN', messageOf(error), { fatal: true, cause: error });
        this.#to('failed');
        this.#host.failed(broken);
      })
      .finally(() => this.#finish());
  }

  offer(batch: RecordBatch): Promise<void> {
    return this.#queue?.offer(batch) ?? Promise.resolve();
  }

  /** Begins with its next request; null where it has none. */
  begin(): Promise<void> | null {
    return this.#queue?.begin() ?? null;
  }

  /** The consumer has lost its position, though the partition stays here. */
  resume(): void {
    if (this.#queue !== null && !this.#stopping) this.#context.consumer.start(this.#queue.fetched);
  }

  /** What it was to go on with is no longer kept. */
  async lost(error: Error): Promise<void> {
    const { options, logger, consumer } = this.#context;
    const queue = this.#queue;
    if (queue === null || this.#stopping) return;
    if (options.offsetReset === 'error') return this.#host.failed(asSeral(error));
    const { start, end } = await this.#bounds();
    const position = options.offsetReset === 'earliest' ? Math.max(start, queue.fetched) : end;
    logger.error({ from: queue.fetched, to: position }, 'requests are no longer kept: skipped');
    queue.moveTo(position);
    consumer.start(position);
  }

  seenEnd(end: number): void {
    this.#queue?.seenEnd(end);
    this.#context.metrics.set('lag_records', this.#queue?.lag ?? 0);
  }

  /** Ends it in peace: what is being answered is waited for and committed, nothing more is begun. */
  stop(): Promise<void> {
    this.#stopping = true;
    this.#context.consumer.pause();
    this.#queue?.close();
    if (this.#state === 'created') this.#finish();
    if (this.#state !== 'running' && this.#state !== 'closing') this.#abort.abort();
    this.#wake?.();
    return this.done;
  }

  /** Its partition has gone: what is answered is committed where that still can be, what is being answered is dropped. */
  revoke(): Promise<void> {
    this.#queue?.callOff();
    return this.stop();
  }

  /** Ends it at once: what is not committed is dropped. */
  abort(): void {
    void this.revoke();
    this.#abort.abort();
    void this.#producer?.close().catch(() => {});
  }

  status(): TaskStatus {
    return {
      partition: this.partition,
      state: this.#state,
      lag: this.#queue?.lag ?? 0,
      rebuilds: this.#rebuilds,
      restore: null,
      lastError: this.#lastError,
    };
  }

  /** There is something to be done and nothing was done for too long. */
  get wedged(): boolean {
    if (this.#context.clock.elapsed() - this.#lastProgress <= this.#context.options.wedgeMs) return false;
    if (this.#state === 'running') return (this.#queue?.lag ?? 0) > 0;
    return this.#state === 'fencing' || this.#state === 'closing';
  }

  async #run(): Promise<void> {
    let last: TaskState = 'closed';
    while (!this.#stopping) {
      try {
        await this.#unlessAborted(this.#live());
      } catch (error) {
        const end = await this.#judge(error);
        if (end !== null) {
          last = end;
          break;
        }
      } finally {
        await this.#producer?.close().catch(() => {});
        this.#producer = null;
      }
    }
    this.#queue?.callOff();
    this.#context.consumer.pause();
    this.#to(last);
    if (last !== 'failed') this.#context.metrics.gone();
    if (last === 'fenced') this.#host.fenced(this.partition);
  }

  async #live(): Promise<void> {
    await this.#open();
    if (this.#stopping) return;
    this.#to('running');
    this.#host.rouse();
    const { options, clock } = this.#context;
    const queue = this.#queue!;
    for (let last = -Infinity; !this.#stopping;) {
      if (!queue.moved) {
        if (queue.lag === 0) this.#progress();
        await this.#changed();
        continue;
      }
      // what is answered until then goes with it
      const early = last + options.commitIntervalMs - clock.elapsed();
      if (early > 0) await pause(early, this.#abort.signal);
      last = clock.elapsed();
      await this.#commit();
    }
    this.#to('closing');
    while (queue.running > 0) await this.#changed();
    if (queue.moved) await this.#commit();
  }

  /** Fence first: the position that is read then is final. */
  async #open(): Promise<void> {
    const { log, admin, group, transactionalId, options, handler, logger, consumer } = this.#context;
    this.#to('fencing');
    const producer = log.transactionalProducer({ transactionalId, timeoutMs: options.transactionTimeoutMs });
    this.#producer = producer;
    await producer.open();
    const [committed = null] = await admin.committed(group, [
      { topic: handler.requests.topic, partition: this.partition },
    ]);
    const { start, end } = await this.#bounds();
    if (this.#stopping) return;
    if (this.#queue !== null) {
      if (committed !== null) this.#queue.finishBefore(committed);
      return;
    }
    let position = committed;
    if (position === null || position < start || position > end) {
      if (options.offsetReset === 'error') {
        throw new TaskError('NO_POSITION', `no usable committed position: ${committed}`, { fatal: true });
      }
      position = options.offsetReset === 'earliest' ? start : end;
      if (committed !== null || position > 0) logger.warn({ committed, start, end, position }, 'the position is reset');
    }
    const { requestMetrics: metrics, ...context } = this.#context;
    const hooks = { onMoved: () => this.#onMoved(), onFetched: () => this.#host.rouse() };
    this.#queue = new RequestQueue({ ...context, ...hooks, metrics }, position, end);
    consumer.start(position);
  }

  async #bounds(): Promise<{ start: number; end: number }> {
    const { topic } = this.#context.handler.requests;
    const bounds = (await this.#context.admin.offsets(topic)).find((one) => one.partition === this.partition);
    if (bounds === undefined) {
      throw new TaskError('MISSING_PARTITION', `${topic} has no partition ${this.partition}`, { fatal: true });
    }
    return bounds;
  }

  async #commit(): Promise<void> {
    const { group, partition, handler, metrics, clock, options, deadLetters } = this.#context;
    const queue = this.#queue!;
    const due = queue.takeDue();
    const { position, counts } = due;
    const began = clock.elapsed();
    try {
      if (counts.broken > 0 && this.#rate.over(counts.done, counts.broken)) {
        const share = `${options.deadLetterShare * 100}%`;
        throw new TaskError('DEAD_LETTER_RATE', `more than ${share} of the last requests go to ${deadLetters}`, {
          fatal: true,
        });
      }
      const sender = new Sender(this.#producer!, options.maxUnsentBytes);
      for (const record of due.records) {
        sender.push(record);
        await sender.go();
      }
      await sender.drain();
      const { topic } = handler.requests;
      await this.#producer!.commit({ group, positions: [{ topic, partition, position }] });
    } catch (error) {
      queue.putBack(due);
      throw error;
    }
    queue.committed(position);
    this.#rate.add(counts.done, counts.broken);
    this.#budget.achieved();
    this.#progress();
    metrics.observe('commit_seconds', (clock.elapsed() - began) / 1000);
    metrics.inc('records_total', counts.done);
    metrics.inc('outputs_total', counts.answers, { sink: handler.answers.topic });
    for (const [code, count] of counts.letters) metrics.inc('dead_letters_total', count, { code });
    metrics.set('lag_records', queue.lag);
  }

  /** Decides on an error: null to go on with another producer, or the state to end in. */
  async #judge(error: unknown): Promise<TaskState | null> {
    const { logger, metrics } = this.#context;
    const code = error instanceof SeralError ? error.code : undefined;
    if (this.#stopping) {
      if (this.#state === 'closing') logger.warn({ code, error: messageOf(error) }, 'the last commit failed');
      return 'closed';
    }
    this.#lastError = messageOf(error);
    if (error instanceof SeralError && error.fenced) {
      logger.warn({ code, error: error.message }, 'fenced: another owner has the partition now');
      metrics.inc('fenced_total');
      return 'fenced';
    }
    if (error instanceof SeralError && error.fatal) return this.#fail(error);
    this.#rebuilds++;
    metrics.inc('rebuilds_total');
    const waitMs = this.#budget.spend(error);
    if (typeof waitMs !== 'number') return this.#fail(waitMs);
    this.#to('rebuilding');
    logger.warn({ code, error: messageOf(error), waitMs }, 'the partition goes on with another producer');
    await this.#producer?.close().catch(() => {});
    await pause(waitMs, this.#abort.signal);
    return null;
  }

  #fail(error: SeralError): TaskState {
    this.#context.logger.error({ code: error.code, error: error.message }, 'the partition has failed');
    this.#host.failed(error);
    return 'failed';
  }

  /** An abort waits for nobody. */
  async #unlessAborted(life: Promise<void>): Promise<void> {
    const { signal } = this.#abort;
    const aborted = Promise.withResolvers<never>();
    const stop = () => aborted.reject(signal.reason);
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
    life.catch(() => {});
    try {
      await Promise.race([life, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = null;
        resolve();
      };
    });
  }

  #onMoved(): void {
    this.#progress();
    this.#wake?.();
  }

  #to(state: TaskState): void {
    this.#state = state;
    this.#context.metrics.state(state);
    this.#context.logger.debug({ state }, 'lane');
    this.#progress();
  }

  #progress(): void {
    this.#lastProgress = this.#context.clock.elapsed();
  }
}

const asSeral = (error: Error): SeralError =>
  error instanceof SeralError ? error : new TaskError('OFFSET_OUT_OF_RANGE', error.message, { fatal: true });
