/**
 * Brings a task's local state up to its changelogs: only the tail behind the position stored with the state, or all of
 * it where there is no state. Positions are written together with what they stand for, so that an interrupted restore
 * goes on from where it was.
 */
import { LogError } from '../errors.ts';
import type { LogAdmin, OffsetReader, TopicPartition } from '../log/port.ts';
import { ChangelogCopy } from './changelog-copy.ts';
import type { SplitKeys } from './changelog.ts';
import { changelogPositionKey, CURRENT_KEY, decodePosition, encodePosition, type StateDb } from './state-db.ts';

export interface RestoreProgress {
  store: string;
  /** records restored so far, of all stores */
  done: number;
  /** offsets still to be passed, of all stores: an upper bound of the records */
  remaining: number;
  /** of the offsets that were to be passed */
  percent: number;
  recordsPerSecond: number;
  secondsLeft: number | null;
}

export interface PlanOptions {
  stores: readonly string[];
  partition: number;
  topicOf(store: string): string;
  admin: LogAdmin;
  /** how long the changelogs remember a deletion */
  deletionsKeptMs: number;
  now: () => number;
}

export interface RestoreOptions extends PlanOptions {
  reader: OffsetReader;
  split: SplitKeys;
  batchBytes: number;
  signal: AbortSignal;
  onProgress: (progress: RestoreProgress) => void;
  /** monotonic milliseconds */
  elapsed: () => number;
}

/** The state on disk does not fit the changelog: it must be wiped and restored whole. */
export class StateMismatch extends Error {}

export interface Plan {
  store: string;
  at: TopicPartition;
  from: number;
  end: number;
}

/** Returns how many records were restored. Throws StateMismatch before anything was changed. */
export async function restore(db: StateDb, options: RestoreOptions): Promise<number> {
  const { split, batchBytes, signal, elapsed, onProgress } = options;
  const began = options.now();
  const plans = await planRestore(db, options);
  const total = plans.reduce((sum, { from, end }) => sum + end - from, 0);
  if (total === 0) return 0;
  const started = elapsed();
  let passed = 0;
  let done = 0;
  const progress = (store: string, position: number, records: number): void => {
    const seconds = (elapsed() - started) / 1000;
    const gone = Math.min(passed + position, total);
    onProgress({
      store,
      done: done + records,
      remaining: total - gone,
      percent: Math.floor((gone / total) * 1000) / 10,
      recordsPerSecond: seconds > 0 ? Math.round((done + records) / seconds) : 0,
      secondsLeft: gone > 0 && seconds > 0 ? Math.round(((total - gone) * seconds) / gone) : null,
    });
  };
  const behind = plans.filter(({ from, end }) => from < end);
  for (const { store, at, from, end } of behind) {
    // what is read and not written yet would be read again: it is not restored
    const onWritten = (records: number, position: number): void => {
      if (!signal.aborted) progress(store, position - from, records);
    };
    const copy = new ChangelogCopy(db, { store, split, batchBytes, position: from, onWritten });
    progress(store, 0, 0);
    for await (const batch of options.reader.read(at, from, end, { signal })) {
      signal.throwIfAborted();
      await copy.take(batch);
    }
    signal.throwIfAborted();
    // with the last piece the whole state is current
    await copy.finish(end, store === behind.at(-1)!.store ? [currentAt(began)] : []);
    passed += end - from;
    done += copy.records;
    progress(store, 0, 0);
  }
  return done;
}

/** As of `now` the state was at the ends of its changelogs. */
export const currentAt = (now: number) => ({ key: CURRENT_KEY, value: encodePosition(now) });

/**
 * Whether what was deleted since may be gone from the changelog without a trace: a compacted topic forgets deletions
 * after a while, so that a state which has lain idle for longer would keep what no longer is, a timer that has fired long
 * ago among it.
 */
export const isStale = (
  current: number | null,
  { deletionsKeptMs, now }: Pick<PlanOptions, 'deletionsKeptMs' | 'now'>,
): boolean => current !== null && now() - current >= deletionsKeptMs;

/** From where each store's changelog is to be read, and where it ends now. */
export async function planRestore(db: StateDb, options: PlanOptions): Promise<Plan[]> {
  const plans = await Promise.all(options.stores.map((store) => plan(db, store, options)));
  const [current] = (await db.getMany([CURRENT_KEY])).map(decodePosition);
  if (current == null) await db.write([currentAt(options.now())]);
  else if (isStale(current, options) && plans.some(({ from, end }) => from < end)) {
    const [then, kept] = [new Date(current).toISOString(), `${Math.round(options.deletionsKeptMs / 60_000)} min`];
    throw new StateMismatch(`the state was last current at ${then}, and its changelogs forget deletions after ${kept}`);
  }
  return plans;
}

async function plan(db: StateDb, store: string, options: PlanOptions): Promise<Plan> {
  const at = { topic: options.topicOf(store), partition: options.partition };
  const [stored] = (await db.getMany([changelogPositionKey(store)])).map(decodePosition);
  const bounds = (await options.admin.offsets(at.topic)).find((one) => one.partition === at.partition);
  if (bounds === undefined) {
    throw new LogError('UNKNOWN_TOPIC', `${at.topic} has no partition ${at.partition}`, { fatal: true });
  }
  if (stored == null) return { store, at, from: bounds.start, end: bounds.end };
  if (stored > bounds.end) {
    throw new StateMismatch(`the state of "${store}" is at ${stored}, past the end ${bounds.end} of ${at.topic}`);
  }
  if (stored < bounds.start) {
    throw new StateMismatch(`the state of "${store}" is at ${stored}, before the start ${bounds.start} of ${at.topic}`);
  }
  return { store, at, from: stored, end: bounds.end };
}
