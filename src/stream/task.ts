/**
 * One partition number of a topology's sources. Its life, and what moves it on:
 *
 *   created     start() → fencing
 *   fencing     the transactional producer is opened, older owners can commit no more → restoring
 *   restoring   the state on disk is brought up to its changelogs → running
 *   running     micro-batches and commits, until stop() → closing, or an error:
 *                 a record or timer broke the topology   → rebuilding, at once; it is stepped over the next time
 *                 anything that may pass                 → rebuilding, after a pause; too often in a while → failed
 *                 another owner has fenced us            → fenced
 *                 an error marked fatal                  → failed
 *   rebuilding  all of the session is thrown away → fencing
 *   closing     the open transaction is committed, or dropped where that fails → closed
 *   closed, fenced, failed: everything is released; the partition's next task begins anew
 *
 * fencing and restoring end as running does, and stop() interrupts them: a restore goes on where it was.
 */
import { setMaxListeners } from 'node:events';
import { SeralError, TaskError, messageOf } from '../errors.ts';
import type { RecordBatch } from '../log/port.ts';
import { DeadLetterRate, failureOf } from './dead-letters.ts';
import { statePath } from './local-state.ts';
import { RebuildBudget, RegistryPatience } from './patience.ts';
import type { RestoreProgress } from './restore.ts';
import { Session, type Culprit, type SessionHost } from './session.ts';
import { pause, StateDb } from './state-db.ts';
import { Poison, type TaskContext } from './task-context.ts';

export type TaskState =
  'created' | 'fencing' | 'restoring' | 'running' | 'rebuilding' | 'closing' | 'closed' | 'fenced' | 'failed';

export interface TaskStatus {
  partition: number;
  state: TaskState;
  /** offsets between the last processed record and the end of the sources */
  lag: number;
  rebuilds: number;
  /** while restoring */
  restore: RestoreProgress | null;
  /** what the last rebuild, fencing or failure was for */
  lastError: string | null;
}

export interface TaskHost {
  cacheBytes(): number;
  fenced(task: Task): void;
  failed(task: Task, error: SeralError): void;
}

const IDLE_MS = 100;

export class Task {
  readonly partition: number;
  /** Resolves when everything is released, whatever the end. */
  readonly done: Promise<void>;
  readonly #context: TaskContext;
  readonly #host: TaskHost;
  readonly #sessionHost: SessionHost;
  readonly #poison = new Poison();
  readonly #abort = new AbortController();
  /** aborted by an end in peace too: nothing is waited out any more */
  readonly #leave = new AbortController();
  #state: TaskState = 'created';
  #session: Session | null = null;
  #stopping = false;
  #wake: (() => void) | null = null;
  /** something came since the last step began */
  #roused = false;
  #finish!: () => void;
  #rebuilds = 0;
  readonly #budget: RebuildBudget;
  #restore: RestoreProgress | null = null;
  #lastRestoreLog = -Infinity;
  #lastProgress: number;
  #lastError: string | null = null;
  #failure: SeralError | null = null;

  constructor(context: TaskContext, host: TaskHost) {
    this.partition = context.partition;
    this.#context = context;
    this.#host = host;
    this.#budget = new RebuildBudget(context.options, context.clock);
    this.#lastProgress = context.clock.elapsed();
    this.done = new Promise((resolve) => (this.#finish = resolve));
    setMaxListeners(0, this.#abort.signal);
    this.#sessionHost = {
      poison: this.#poison,
      rate: new DeadLetterRate(context.options.deadLetterShare, context.options.deadLetterWindow),
      cacheBytes: () => host.cacheBytes(),
      wake: () => this.#rouse(),
      onOpening: (step) => this.#to(step),
      onRestore: (progress) => this.#onRestore(progress),
    };
    context.metrics.state(this.#state);
  }

  get state(): TaskState {
    return this.#state;
  }

  /** Begins its life once `after` (the end of the partition's last task) is over. */
  start(after: Promise<void> = Promise.resolve()): void {
    void after
      .then(() => this.#run())
      .catch((error: unknown) => {
        const broken = new TaskError('TASK_BROKEN', messageOf(error), { fatal: true, cause: error });
        this.#to(this.#fail(broken));
        this.#host.failed(this, broken);
      })
      .finally(() => this.#finish());
  }

  /** Takes a fetched batch; the next one may come when the promise resolves. */
  offer(batch: RecordBatch): Promise<void> {
    return this.#session?.inbox.offer(batch) ?? Promise.resolve();
  }

  /** The consumer has lost a source's position, though the partition stays here. */
  resume(topic: string): void {
    const position = this.#session?.inbox.fetchPosition(topic);
    if (position !== undefined) this.#context.consumer.start({ topic, partition: this.partition }, position);
  }

  /** A source's records are gone before they came here. What came is still processed. */
  lost(topic: string, error: Error): void {
    this.#session?.inbox.lose(topic, error);
  }

  seenEnd(topic: string, end: number): void {
    const inbox = this.#session?.inbox;
    if (inbox === undefined) return;
    inbox.seenEnd(topic, end);
    this.#context.metrics.set('lag_records', inbox.lag);
  }

  /** Ends it in peace: the micro-batch in hand is finished and committed. Resolves when all is released. */
  stop(): Promise<void> {
    this.#stopping = true;
    this.#leave.abort();
    if (this.#state !== 'running' && this.#state !== 'closing') this.#abort.abort();
    if (this.#state === 'created') this.#finish();
    this.#rouse();
    return this.done;
  }

  /** Ends it at once: what is not committed is dropped. */
  abort(): void {
    this.#stopping = true;
    this.#leave.abort();
    this.#abort.abort();
    this.#rouse();
    void this.#session?.close();
  }

  status(): TaskStatus {
    return {
      partition: this.partition,
      state: this.#state,
      lag: this.#session?.inbox.lag ?? 0,
      rebuilds: this.#rebuilds,
      restore: this.#state === 'restoring' ? this.#restore : null,
      lastError: this.#lastError,
    };
  }

  /** There is something to be done and nothing was done for too long. */
  get wedged(): boolean {
    const idleFor = this.#context.clock.elapsed() - this.#lastProgress;
    if (idleFor <= this.#context.options.wedgeMs) return false;
    if (this.#state === 'running') return (this.#session?.inbox.lag ?? 0) > 0;
    return this.#state === 'fencing' || this.#state === 'restoring' || this.#state === 'closing';
  }

  async #run(): Promise<void> {
    let last: TaskState = 'closed';
    while (!this.#stopping) {
      try {
        this.#session = await Session.open(this.#context, this.#sessionHost, this.#abort.signal);
        await this.#unlessAborted(this.#live(this.#session));
      } catch (error) {
        const end = await this.#judge(error);
        if (end !== null) {
          last = end;
          break;
        }
      } finally {
        await this.#release();
      }
    }
    await this.#release();
    this.#to(last);
    if (last !== 'failed') this.#context.metrics.gone();
    if (last === 'fenced') this.#host.fenced(this);
    if (this.#failure !== null) this.#host.failed(this, this.#failure);
  }

  async #release(): Promise<void> {
    const session = this.#session;
    this.#session = null;
    session?.pause();
    await session?.close();
  }

  async #live(session: Session): Promise<void> {
    await this.#work(session);
    // given up on meanwhile
    if (this.#session !== session) return;
    this.#to('closing');
    await this.#commit(session);
  }

  /** An abort waits for nobody: whatever the log still owes an answer for is left to itself. */
  async #unlessAborted(life: Promise<void>): Promise<void> {
    let stop!: () => void;
    const aborted = new Promise<void>((_, reject) => (stop = () => reject(this.#abort.signal.reason as Error)));
    this.#abort.signal.addEventListener('abort', stop);
    life.catch(() => {});
    try {
      await Promise.race([life, aborted]);
    } finally {
      this.#abort.signal.removeEventListener('abort', stop);
    }
  }

  async #work(session: Session): Promise<void> {
    if (this.#stopping) return;
    this.#to('running');
    session.start();
    while (!this.#stopping) {
      this.#roused = false;
      const worked = await this.#step(session);
      if (session.commitDue) await this.#commit(session);
      const { lost } = session.inbox;
      if (lost !== null) {
        // its own position is no longer kept either, so what was processed would not come again
        await this.#commit(session);
        throw lost;
      }
      if (worked) {
        this.#progress();
        // lets the log's client do its work: a step may have awaited nothing
        await new Promise((resolve) => setImmediate(resolve));
      } else {
        // nothing to do is no standstill
        if (session.inbox.lag === 0) this.#progress();
        await this.#idle(session);
      }
    }
  }

  async #commit(session: Session): Promise<void> {
    if (!session.hasUncommitted) return;
    await session.commit();
    this.#budget.achieved();
    this.#progress();
  }

  /**
   * A registry that does not answer is no reason to rebuild anything: its schemas are needed before a step begins. Once
   * it was waited for long enough, the records that it is needed for go to the dead letters, and the others on.
   */
  async #step(session: Session): Promise<boolean> {
    const { clock, options, logger } = this.#context;
    const patience = new RegistryPatience({ clock, options, logger, signal: this.#leave.signal });
    for (let gaveUp = false; ;) {
      try {
        return await session.step();
      } catch (error) {
        if (await patience.waits(error)) {
          this.#progress();
          // what was processed before must not wait with it
          if (session.commitDue) await this.#commit(session);
          continue;
        }
        if (!RegistryPatience.concerns(error)) throw error;
        if (this.#stopping) return false;
        if (gaveUp) throw error;
        gaveUp = true;
        session.inbox.giveUpOnRegistry();
        logger.error(
          { error: error.message },
          'the schema registry was waited for long enough: what cannot be read without it goes to the dead-letter topic',
        );
      }
    }
  }

  /** Decides on an error: null to rebuild, or the state to end in. */
  async #judge(error: unknown): Promise<TaskState | null> {
    const { logger, metrics, names } = this.#context;
    metrics.dropCounts();
    if (this.#stopping) {
      if (this.#state === 'closing')
        logger.warn({ error: messageOf(error) }, 'the last commit failed; it is done again by the next owner');
      return 'closed';
    }
    this.#lastError = messageOf(error);
    const code = error instanceof SeralError ? error.code : undefined;
    if (error instanceof SeralError && error.fenced) {
      logger.warn({ code, error: error.message }, 'fenced: another owner has the partition now');
      metrics.inc('fenced_total');
      return 'fenced';
    }
    if (error instanceof SeralError && error.fatal) return this.#fail(error);

    await this.#release();
    this.#rebuilds++;
    metrics.inc('rebuilds_total');
    const culprit = Session.culprit(error, (source) => names.source(source.spec));
    if (culprit !== undefined && this.#condemn(culprit, error)) {
      this.#to('rebuilding');
      return null;
    }
    if (code === 'STORE_CORRUPTED') {
      const path = statePath(this.#context);
      logger.error({ path, error: messageOf(error) }, 'the local state is wiped and restored from the changelog');
      // where it cannot be removed it cannot be opened either, which says so
      await StateDb.wipe(path).catch(() => {});
    }
    const wait = this.#budget.spend(error);
    if (typeof wait !== 'number') return this.#fail(wait);
    this.#to('rebuilding');
    logger.warn({ code, error: messageOf(error), waitMs: wait }, 'the task is rebuilt from its last commit');
    await pause(wait, this.#abort.signal);
    return null;
  }

  /** Remembers what to step over; false where that was known and did not help. */
  #condemn(culprit: Culprit, error: unknown): boolean {
    const { logger } = this.#context;
    const failure = failureOf((error as Error).cause);
    if ('timer' in culprit) {
      if (this.#poison.timer(culprit.timer.id) !== undefined) return false;
      this.#poison.addTimer(culprit.timer.id, failure);
      logger.warn(
        { ...failure, kind: culprit.timer.timer.kind },
        'a timer broke the topology: it goes to the dead-letter topic',
      );
      return true;
    }
    const { topic, record } = culprit;
    if (this.#poison.record(topic, record.offset) !== undefined) return false;
    this.#poison.addRecord(topic, record.offset, failure);
    logger.warn(
      { ...failure, topic, offset: record.offset },
      'a record broke the topology: it goes to the dead-letter topic',
    );
    return true;
  }

  #fail(error: SeralError): TaskState {
    this.#lastError = error.message;
    this.#context.logger.error({ code: error.code, error: error.message }, 'the task has failed');
    this.#failure = error;
    return 'failed';
  }

  /** Until a batch comes, a commit is due, or a timer may be. */
  #idle(session: Session): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#wake = null;
        resolve();
      };
      const timer = setTimeout(done, Math.min(IDLE_MS, session.commitIn));
      this.#wake = done;
      if (this.#roused) done();
    });
  }

  #rouse(): void {
    this.#roused = true;
    this.#wake?.();
  }

  #to(state: TaskState): void {
    this.#state = state;
    this.#context.metrics.state(state);
    this.#context.logger.debug({ state }, 'task');
    this.#progress();
  }

  #progress(): void {
    this.#lastProgress = this.#context.clock.elapsed();
  }

  #onRestore(progress: RestoreProgress): void {
    const { metrics, logger, clock, options } = this.#context;
    this.#restore = progress;
    this.#progress();
    metrics.set('restore_remaining_records', progress.remaining);
    metrics.set('restore_rate', progress.recordsPerSecond);
    if (progress.secondsLeft !== null) metrics.set('restore_seconds_left', progress.secondsLeft);
    if (progress.remaining > 0 && clock.elapsed() - this.#lastRestoreLog < options.restoreLogMs) return;
    this.#lastRestoreLog = clock.elapsed();
    logger.info(progress, 'restoring');
  }
}
