/** What a worker may be told, with defaults, checked in one pure function that names every problem at once. */

export interface RuntimeOptions {
  /** application id: part of the names of the group, the transactions and the changelogs */
  app: string;
  /** of a replay: its outputs, changelogs and group get it behind their names */
  suffix?: string;
  /** folder of the local state */
  stateDir: string;
  /** memory for decoded state, of all tasks of this worker together */
  cacheBytes?: number;
  /** how long what was processed waits for its commit, at most */
  commitIntervalMs?: number;
  /** an earlier commit, after so many records */
  commitRecords?: number;
  /** records that go through the topology together: one read of the disk each */
  maxBatchRecords?: number;
  /** fetched bytes that wait in a task; above, its partitions are not read on */
  maxBufferedBytes?: number;
  /** outputs that wait for the log to take them; above, processing waits */
  maxUnsentBytes?: number;
  /** an output above this breaks the record that caused it */
  maxOutputBytes?: number;
  /** where a source has no committed position, or one that is no longer kept */
  offsetReset?: 'earliest' | 'latest' | 'error';
  /** how long the records of one source wait for those of another that lags behind, to be taken in the order of time */
  sourceWaitMs?: number;
  /** a task stops when more than this share of its last records went to the dead-letter topic */
  deadLetterShare?: number;
  /** of how many records the share is taken; below so many nothing is stopped */
  deadLetterWindow?: number;
  /** no progress for so long, though there is lag: the worker reports itself dead */
  wedgeMs?: number;
  /** for all tasks of a revoke together: to finish, commit and let go of their state */
  revokeDeadlineMs?: number;
  /** rebuilds of one task within `rebuildWindowMs`; one more is fatal */
  rebuildBudget?: number;
  rebuildWindowMs?: number;
  rebuildBackoffMs?: number;
  rebuildBackoffMaxMs?: number;
  /** fenced though the group still gives the partition to us: so long until the task tries to take it back */
  fencedRetryMs?: number;
  /** a schema registry that does not answer is asked again for so long; then what needs it goes to the dead letters */
  registryPatienceMs?: number;
  transactionTimeoutMs?: number;
  sessionTimeoutMs?: number;
  writeBufferBytes?: number;
  lockRetries?: number;
  lockRetryMs?: number;
  /** timers of each clock and task that are held in memory; the others lie on disk */
  timersInMemory?: number;
  /** keys of each store with a TTL that are looked at, every `sweepEveryCommits` */
  sweepKeys?: number;
  sweepEveryCommits?: number;
  /** progress of a restore is logged this often */
  restoreLogMs?: number;
  restoreBatchBytes?: number;
  /** copies of each partition's state that other workers keep current on their disks */
  standbys?: number;
  /** a partition moves to another worker when that one's copy is at most so many changelog records behind */
  warmWithin?: number;
}

export type CompiledOptions = Required<RuntimeOptions>;

const MB = 1024 * 1024;

export const DEFAULTS: Omit<CompiledOptions, 'app' | 'stateDir'> = {
  suffix: '',
  cacheBytes: 128 * MB,
  commitIntervalMs: 100,
  commitRecords: 20_000,
  maxBatchRecords: 500,
  maxBufferedBytes: MB,
  maxUnsentBytes: 2 * MB,
  maxOutputBytes: 1_000_000,
  offsetReset: 'earliest',
  sourceWaitMs: 500,
  deadLetterShare: 0.5,
  deadLetterWindow: 1000,
  wedgeMs: 60_000,
  revokeDeadlineMs: 10_000,
  rebuildBudget: 20,
  rebuildWindowMs: 600_000,
  rebuildBackoffMs: 100,
  rebuildBackoffMaxMs: 30_000,
  fencedRetryMs: 10_000,
  registryPatienceMs: 300_000,
  transactionTimeoutMs: 60_000,
  sessionTimeoutMs: 30_000,
  writeBufferBytes: 8 * MB,
  lockRetries: 10,
  lockRetryMs: 3000,
  timersInMemory: 10_000,
  sweepKeys: 500,
  sweepEveryCommits: 10,
  restoreLogMs: 10_000,
  restoreBatchBytes: 4 * MB,
  standbys: 0,
  warmWithin: 10_000,
};

const NAME = /^[A-Za-z0-9._-]{1,100}$/;

/** Defaults filled in, and every problem. The options are to be used only where there is none. */
export function compileOptions(options: RuntimeOptions): { options: CompiledOptions; problems: string[] } {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const all = { ...DEFAULTS, ...given } as CompiledOptions;
  const problems: string[] = [];
  const between = (name: keyof CompiledOptions, min: number, max: number, whole = true) => {
    const value = all[name] as number;
    if (typeof value !== 'number' || !(value >= min && value <= max) || (whole && !Number.isSafeInteger(value))) {
      problems.push(`${name}: expected a ${whole ? 'whole number' : 'number'} from ${min} to ${max}, got ${value}`);
    }
  };
  if (typeof all.app !== 'string' || !NAME.test(all.app)) problems.push(`app: "${all.app}" is not of ${NAME.source}`);
  if (all.suffix !== '' && !NAME.test(all.suffix)) problems.push(`suffix: "${all.suffix}" is not of ${NAME.source}`);
  if (typeof all.stateDir !== 'string' || all.stateDir === '') problems.push('stateDir: no folder is named');
  if (!['earliest', 'latest', 'error'].includes(all.offsetReset)) {
    problems.push(`offsetReset: expected earliest, latest or error, got ${all.offsetReset}`);
  }
  between('cacheBytes', MB, 2 ** 40);
  between('commitIntervalMs', 1, 600_000);
  between('commitRecords', 1, 1e9);
  between('maxBatchRecords', 1, 100_000);
  between('maxBufferedBytes', 1, 2 ** 40);
  between('maxUnsentBytes', 1, 2 ** 40);
  between('maxOutputBytes', 1, 2 ** 30);
  between('sourceWaitMs', 0, 600_000);
  between('deadLetterShare', 0, 1, false);
  between('deadLetterWindow', 1, 1e9);
  between('wedgeMs', 1, 86_400_000);
  between('revokeDeadlineMs', 1, 600_000);
  between('rebuildBudget', 0, 1e6);
  between('rebuildWindowMs', 1, 86_400_000);
  between('rebuildBackoffMs', 0, 600_000);
  between('rebuildBackoffMaxMs', 0, 3_600_000);
  between('fencedRetryMs', 1, 600_000);
  between('registryPatienceMs', 0, 86_400_000);
  between('transactionTimeoutMs', 1000, 900_000);
  between('sessionTimeoutMs', 1000, 900_000);
  between('writeBufferBytes', 64 * 1024, 2 ** 32);
  between('lockRetries', 0, 10_000);
  between('lockRetryMs', 1, 60_000);
  between('timersInMemory', 1, 1e8);
  between('sweepKeys', 1, 1e6);
  between('sweepEveryCommits', 1, 1e6);
  between('restoreLogMs', 1, 3_600_000);
  between('restoreBatchBytes', 1, 2 ** 30);
  between('standbys', 0, 100);
  between('warmWithin', 0, 1e12);
  if (problems.length === 0) {
    if (all.commitIntervalMs >= all.transactionTimeoutMs / 2) {
      problems.push('commitIntervalMs: must be below half of transactionTimeoutMs, or the broker aborts transactions');
    }
    if (all.rebuildBackoffMs > all.rebuildBackoffMaxMs) problems.push('rebuildBackoffMs: is above rebuildBackoffMaxMs');
  }
  return { options: all, problems };
}
