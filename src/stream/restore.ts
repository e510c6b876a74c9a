/**
 * Brings a task's local state up to its changelogs: only the tail behind the position stored with the state, or all of
 * it where there is no state. Positions are written together with what they stand for, so that an interrupted restore
 * goes on from where it was.
 */
import { LogError } from '../errors.ts';
import type { LogAdmin, OffsetReader, TopicPartition } from '../log/port.ts';
import { ChangelogReader, type SplitKeys } from './changelog.ts';
import { changelogPositionKey, decodePosition, encodePosition, type DbChange, type StateDb } from './state-db.ts';

export interface RestoreProgress {
  store: string;
  /** records restored so far, of all stores */
  done: number;
  /** offsets still to be passed, of all stores: an upper bound of the records */
  remaining: number;
  recordsPerSecond: number;
  secondsLeft: number | null;
}

export interface RestoreOptions {
  stores: string[];
  partition: number;
  topicOf(store: string): string;
  admin: LogAdmin;
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

interface Plan {
  store: string;
  at: TopicPartition;
  from: number;
  end: number;
}

/** Returns how many records were restored. Throws StateMismatch before anything was changed. */
export async function restore(db: StateDb, options: RestoreOptions): Promise<number> {
  const plans = await Promise.all(options.stores.map((store) => plan(db, store, options)));
  const started = options.elapsed();
  const total = plans.reduce((sum, { from, end }) => sum + Math.max(end - from, 0), 0);
  let passed = 0;
  let done = 0;
  for (const { store, at, from, end } of plans) {
    const changelog = new ChangelogReader(store, options.split);
    let rows: DbChange[] = [];
    let bytes = 0;
    let position = from;
    const write = async () => {
      rows.push({ key: changelogPositionKey(store), value: encodePosition(changelog.resumeAt(position)) });
      await db.write(rows);
      rows = [];
      bytes = 0;
      const seconds = (options.elapsed() - started) / 1000;
      const remaining = Math.max(total - passed - (position - from), 0);
      const rate = seconds > 0 ? done / seconds : 0;
      const passRate = seconds > 0 ? (total - remaining) / seconds : 0;
      options.onProgress({
        store,
        done,
        remaining,
        recordsPerSecond: Math.round(rate),
        secondsLeft: passRate > 0 ? Math.round(remaining / passRate) : null,
      });
    };
    if (from < end) {
      for await (const batch of options.reader.read(at, from, end, { signal: options.signal })) {
        options.signal.throwIfAborted();
        for (const record of batch.records) {
          changelog.apply(record, rows);
          bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0);
        }
        done += batch.records.length;
        position = batch.position;
        if (bytes >= options.batchBytes) await write();
      }
      options.signal.throwIfAborted();
      changelog.end();
      // the reader ends by position: markers and holes behind the last record are passed
      position = Math.max(position, end);
      await write();
    }
    passed += end - from;
  }
  return done;
}

async function plan(db: StateDb, store: string, options: RestoreOptions): Promise<Plan> {
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
