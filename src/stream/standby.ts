/**
 * The state of a partition that another worker has, kept current on our disk, in the form in which a task keeps its own:
 * a task that takes over opens it and restores only the tail.
 *
 *   created    start() → following
 *   following  the changelogs are read, to their ends and on, until close() → closed, or an error → waiting
 *   waiting    after a pause → following, from where the disk is
 *   closed     everything is released
 */
import { messageOf } from '../errors.ts';
import type { OffsetReader } from '../log/port.ts';
import { ChangelogCopy } from './changelog-copy.ts';
import { openState, storesOf, type Positions } from './local-state.ts';
import { backoff } from './patience.ts';
import { currentAt, planRestore, type Plan } from './restore.ts';
import { pause, type StateDb } from './state-db.ts';
import type { SplitKeys } from './changelog.ts';
import type { PartitionContext } from './task-context.ts';

export interface StandbyContext extends PartitionContext {
  /** it has come closer to the end, or has reached it */
  onProgress: (standby: Standby) => void;
}

export interface StandbyStatus {
  partition: number;
  state: 'created' | 'following' | 'waiting' | 'closed';
  /** records of the changelogs still to be read; null until their ends are known */
  lag: number | null;
  lastError: string | null;
}

/** That the copy is current is noted on its disk as often as this, though nothing comes. */
const CURRENT_EVERY_MS = 30_000;

interface Followed {
  copy: ChangelogCopy;
  end: number;
}

export class Standby {
  readonly partition: number;
  /** Resolves when everything is released. */
  readonly done: Promise<void>;
  readonly #context: StandbyContext;
  readonly #stop = new AbortController();
  #finish!: () => void;
  #state: StandbyStatus['state'] = 'created';
  /** by store, since the state was opened */
  #followed: Map<string, Followed> | null = null;
  #lastError: string | null = null;
  #lastLog = -Infinity;

  constructor(context: StandbyContext) {
    this.partition = context.partition;
    this.#context = context;
    this.done = new Promise((resolve) => (this.#finish = resolve));
  }

  /** Begins once `after` (whoever has the state open) is over. */
  start(after: Promise<void> = Promise.resolve()): void {
    void after.then(() => this.#run()).finally(() => this.#finish());
  }

  /** Lets go of the state. Idempotent. */
  close(): Promise<void> {
    this.#stop.abort();
    return this.done;
  }

  get lag(): number | null {
    if (this.#followed === null) return null;
    let lag = 0;
    for (const { copy, end } of this.#followed.values()) lag += Math.max(end - copy.position, 0);
    return lag;
  }

  /** Null until the state is open. */
  get positions(): Positions | null {
    return this.#followed && new Map([...this.#followed].map(([store, { copy }]) => [store, copy.position]));
  }

  status(): StandbyStatus {
    return { partition: this.partition, state: this.#state, lag: this.lag, lastError: this.#lastError };
  }

  async #run(): Promise<void> {
    const { options, logger, metrics, clock } = this.#context;
    const { signal } = this.#stop;
    for (let failures = 0; !signal.aborted;) {
      this.#state = 'following';
      try {
        await openState(this.#context, signal, async (db, split) => {
          try {
            await this.#follow(db, split, () => (failures = 0));
          } finally {
            this.#followed = null;
            await db.close();
          }
        });
      } catch (error) {
        if (signal.aborted) break;
        this.#state = 'waiting';
        this.#lastError = messageOf(error);
        const waitMs = backoff(failures++, options, clock);
        logger.warn({ error: messageOf(error), waitMs }, 'a standby has failed and is opened again');
        await pause(waitMs, signal);
      }
    }
    this.#state = 'closed';
    metrics.gone();
  }

  async #follow(db: StateDb, split: SplitKeys, onRead: () => void): Promise<void> {
    const { log, names, partition, admin, options, topology, deletionsKeptMs, clock } = this.#context;
    const { signal } = this.#stop;
    const stores = storesOf(topology);
    const topicOf = names.changelog;
    const { now } = clock;
    const plans = await planRestore(db, { stores, partition, topicOf, admin, deletionsKeptMs, now });
    const { restoreBatchBytes: batchBytes } = options;
    this.#followed = new Map(
      plans.map(({ store, from, end }) => [
        store,
        { copy: new ChangelogCopy(db, { store, split, batchBytes, position: from }), end },
      ]),
    );
    this.#tell(0);
    const reader = log.reader();
    const failed = new AbortController();
    const note = setInterval(() => {
      if (this.lag === 0) db.write([currentAt(now())]).catch(() => {});
    }, CURRENT_EVERY_MS);
    try {
      const following = plans.map((plan) =>
        this.#read(reader, plan, AbortSignal.any([signal, failed.signal]), onRead).catch((error: unknown) => {
          failed.abort();
          throw error;
        }),
      );
      const ended = await Promise.allSettled(following);
      for (const one of ended) if (one.status === 'rejected') throw one.reason;
    } finally {
      clearInterval(note);
      await reader.close();
    }
  }

  async #read(reader: OffsetReader, { store, at, from }: Plan, signal: AbortSignal, onRead: () => void): Promise<void> {
    const followed = this.#followed!.get(store)!;
    for await (const batch of reader.read(at, from, Infinity, { signal })) {
      followed.end = Math.max(batch.end, batch.position);
      await followed.copy.take(batch);
      // at the end a piece is as large as what has come
      if (batch.position >= batch.end) await followed.copy.flush();
      onRead();
      this.#tell(batch.records.length);
    }
    await followed.copy.flush();
  }

  #tell(records: number): void {
    const { metrics, logger, clock, options, onProgress } = this.#context;
    const lag = this.lag!;
    metrics.inc('standby_records_total', records);
    metrics.set('standby_lag_records', lag);
    if (lag > options.warmWithin && clock.elapsed() - this.#lastLog >= options.restoreLogMs) {
      this.#lastLog = clock.elapsed();
      logger.info({ lag }, 'a standby catches up');
    }
    onProgress(this);
  }
}
