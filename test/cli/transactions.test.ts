import { describe, expect, it } from 'vitest';
import { compileConfig } from '../../src/cli/config.ts';
import { buildTopologies } from '../../src/cli/topologies.ts';
import {
  gatherTransactions,
  judgeTransactions,
  MARGIN_MS,
  nameOf,
  oursOf,
  planAbort,
  type TransactionFacts,
} from '../../src/cli/transactions.ts';
import type { LogAdmin, OpenTransaction, TransactionDescription } from '../../src/log/port.ts';

const { config } = compileConfig(null, {});
const ours = oursOf(buildTopologies([], config), 'seral');
const at = { topic: 'serendipity.labels', partition: 0 };

const described = (changes: Partial<TransactionDescription> = {}): TransactionDescription => ({
  transactionalId: 'seral-labels-0',
  phase: 'Ongoing',
  producerId: 7,
  epoch: 3,
  timeoutMs: 60_000,
  startedAt: 1_000_000,
  partitions: [at],
  ...changes,
});
const open = (changes: Partial<OpenTransaction> = {}): OpenTransaction => ({
  ...at,
  producerId: 7,
  epoch: 3,
  from: 100,
  lastAt: 1_000_000,
  coordinatorEpoch: 0,
  ...changes,
});
const facts = (changes: Partial<TransactionFacts> = {}): TransactionFacts => ({
  now: 1_010_000,
  ids: [described()],
  open: [open()],
  orphans: [],
  ends: [{ ...at, end: 130 }],
  ...changes,
});
const judge = (changes: Partial<TransactionFacts> = {}) => judgeTransactions(facts(changes), ours);

describe('a transaction', () => {
  it('holds readers back from its first record on', () => {
    expect(judge()).toMatchObject([{ ageMs: 10_000, hanging: null, held: [{ ...at, from: 100, waiting: 30 }] }]);
  });

  it('holds nobody back where an older one is open too', () => {
    const older = open({ producerId: 8, from: 50 });
    expect(judge({ open: [open(), older] })[0]!.held).toEqual([]);
  });

  it('hangs when its coordinator should have ended it and has not', () => {
    const over = 1_000_000 + 60_000 + MARGIN_MS + 1;
    expect(judge({ now: over })[0]!.hanging).toBe('overdue');
    expect(judge({ now: over - 1 })[0]!.hanging).toBeNull();
    expect(judge({ now: over, ids: [described({ phase: 'PrepareCommit' })] })[0]!.hanging).toBe('undelivered');
    expect(judge({ now: over, ids: [described({ phase: 'Empty', startedAt: null })] })[0]!.hanging).toBeNull();
    // a log that ends none by itself
    expect(judge({ now: over, ids: [described({ timeoutMs: null })] })[0]!.hanging).toBeNull();
  });

  it('is named by its place where no coordinator knows of it', () => {
    const [, row] = judge({ ids: [described({ phase: 'CompleteAbort', startedAt: null })], orphans: [open()] });
    expect(row).toMatchObject({ hanging: 'orphaned', foreign: false, held: [{ from: 100, waiting: 30 }] });
    expect(nameOf(row!)).toBe('serendipity.labels/0@7');
  });
});

describe('an abort', () => {
  const how = (changes: Partial<TransactionFacts>, force = false) => planAbort(judge(changes).at(-1)!, force).how;
  const late = 2_000_000;

  it('goes by the coordinator where that knows it, by the partition where it does not', () => {
    expect(how({ now: late })).toBe('coordinator');
    expect(how({ orphans: [open()] })).toBe('partition');
  });

  it('leaves what may be a running task’s, unless it is forced', () => {
    expect(how({})).toBe('refused');
    expect(how({}, true)).toBe('coordinator');
  });

  it('leaves an orphan on a topic that others write, unless it is forced', () => {
    const orphan = open({ topic: 'behavior.events' });
    expect(how({ orphans: [orphan] })).toBe('refused');
    expect(how({ orphans: [orphan] }, true)).toBe('partition');
  });

  it('never touches what is decided, or has nothing open', () => {
    expect(how({ now: late, ids: [described({ phase: 'PrepareCommit' })] }, true)).toBe('refused');
    expect(how({ ids: [described({ phase: 'Empty', startedAt: null })] }, true)).toBe('refused');
  });
});

it('knows the ids of the application from those of another whose name begins alike', () => {
  const worker = ['seral-profile-worker-0', 'profile-worker.dlq.replayed'];
  for (const id of ['seral-labels-0', 'seral-metrics-11', 'labels.dlq.replayed', ...worker]) {
    expect(ours.isOurs(id)).toBe(true);
  }
  for (const id of [
    'seral-labels-x-0',
    'seral-eu-labels-0',
    'seral-labels-',
    'other',
    'seral-labels-1b',
    'seral-profile-0',
  ]) {
    expect(ours.isOurs(id)).toBe(false);
  }
});

it('has what a worker writes and reads, with the topology that asks it', () => {
  const written = ['profile.refresh-requests', 'profile.proposals', 'profile-worker.dlq'];
  expect(ours.topics).toEqual(expect.arrayContaining(written));
  for (const topic of written) expect(ours.own.has(topic)).toBe(true);
  expect(ours.groups).toContain('seral-profile-worker');

  const profiles = oursOf(buildTopologies(['profiles'], config), 'seral');
  expect(profiles.groups).toEqual(['seral-profiles', 'seral-profile-worker']);
  const labels = oursOf(buildTopologies(['labels'], config), 'seral');
  expect(labels.groups).toEqual(['seral-labels']);
  expect(labels.isOurs('seral-profile-worker-0')).toBe(false);
  expect(labels.topics.filter((topic) => topic.startsWith('profile'))).toEqual([]);
});

describe('an orphan', () => {
  /** A log that answers each question with the next of what it is given, the last one for good. */
  const gather = async (looks: OpenTransaction[][], books: TransactionDescription[][]) => {
    const next = <T>(list: T[]): T => (list.length > 1 ? list.shift()! : list[0]!);
    let book: TransactionDescription[] = [];
    const admin = {
      clockSkew: async () => null,
      openTransactions: async () => next(looks),
      transactionalIds: async () => (book = next(books)),
      describeTransactions: async (ids: string[]) => book.filter((one) => ids.includes(one.transactionalId)),
      offsets: async () => [{ partition: 0, start: 0, end: 130 }],
    };
    return (await gatherTransactions(admin as unknown as LogAdmin, ours)).orphans;
  };
  const gone = described({ phase: 'CompleteCommit', startedAt: null, partitions: [] });

  it('is open before and after the coordinators were asked, and in nobody’s books', async () => {
    expect(await gather([[open()]], [[gone]])).toEqual([open()]);
    expect(await gather([[open()]], [[]])).toEqual([open()]);
  });

  it('is none that ended, or began anew, while they were asked', async () => {
    expect(await gather([[open()], []], [[gone]])).toEqual([]);
    expect(await gather([[open()], [open({ from: 140 })]], [[gone]])).toEqual([]);
  });

  it('is none whose id moved from one coordinator to another while they were asked', async () => {
    expect(await gather([[open()]], [[], [], [described()]])).toEqual([]);
  });

  it('is none that is under another id, which is not ours', async () => {
    expect(await gather([[open()]], [[described({ transactionalId: 'a shop' })]])).toEqual([]);
  });

  it('is what an id left behind on a partition that its next transaction does not have', async () => {
    expect(await gather([[open()]], [[described({ epoch: 4, partitions: [{ ...at, partition: 1 }] })]])).toHaveLength(
      1,
    );
  });
});
