import { describe, expect, it } from 'vitest';
import { compileConfig } from '../../../src/cli/config.ts';
import type { Facts, FolderFacts, GroupFacts, LogFacts, TopicFacts } from '../../../src/cli/doctor/facts.ts';
import { exitCodeOf, judge } from '../../../src/cli/doctor/judge.ts';
import { jobsOf } from '../../../src/cli/jobs.ts';
import { buildTopologies } from '../../../src/cli/topologies.ts';
import type { SubjectCheck } from '../../../src/log/registry/subjects.ts';
import type { TransactionRow } from '../../../src/cli/transactions.ts';

const { config } = compileConfig(null, {});
const jobs = jobsOf(buildTopologies([], config), 'seral');
const job = jobs.find(({ name }) => name === 'labels')!;
const worker = jobs.find(({ name }) => name === 'profile-worker')!;
const GB = 1024 ** 3;
const folder: FolderFacts = {
  path: '.seral/state',
  looked: '/here',
  writable: true,
  fileSystem: 'ext4',
  freeBytes: 50 * GB,
  totalBytes: 100 * GB,
};
const copies = [{ replicas: 3, inSync: 3, hasLeader: true }];
const topic = (changes: Partial<TopicFacts> = {}, found: object = {}): TopicFacts => {
  const described = { topic: 't', partitions: 1, config: { 'min.insync.replicas': '2' }, copies, ...found };
  return { spec: described, action: 'keep', change: {}, notes: [], isSource: false, found: described, ...changes };
};
const group = (changes: Partial<GroupFacts> = {}): GroupFacts => ({
  job,
  description: { state: 'Stable', members: [{ clientId: 'seral', host: 'here', partitions: [] }] },
  partitions: [{ topic: 't', partition: 0, start: 0, end: 10, committed: 10 }],
  ...changes,
});
const at = (position: Partial<GroupFacts['partitions'][number]>) =>
  group({ partitions: [{ ...group().partitions[0]!, ...position }] });

const log = (changes: Partial<LogFacts> = {}): LogFacts => ({
  brokers: { value: [{ id: 1, address: 'b:1', problem: null, config: {} }] },
  clock: { value: { aheadMs: 3, withinMs: 2 } },
  topics: { value: [topic()] },
  transactions: { value: [] },
  groups: [{ value: group() }],
  deadLetters: [{ value: { job, kept: 9, lastHour: 0, lastDay: 0 } }],
  ...changes,
});
const subject = (changes: Partial<SubjectCheck> = {}): SubjectCheck => ({
  topic: 't',
  schema: 'S',
  subject: 't-value',
  state: 'registered',
  id: 1,
  problems: [],
  ...changes,
});
const facts = (changes: Partial<Facts> = {}): Facts => ({
  configFile: 'seral.yaml',
  configProblems: [],
  node: '24.21.0',
  rocksdb: { value: true },
  config,
  stateDir: { value: folder },
  log: { value: log() },
  registry: { value: [subject()] },
  ...changes,
});
/** What is wrong, as `severity CODE`. */
const wrong = (changes: Partial<Facts> = {}): string[] =>
  judge(facts(changes))
    .filter(({ severity }) => severity !== 'ok')
    .map(({ severity, code }) => `${severity} ${code}`);
const onLog = (changes: Partial<LogFacts>): string[] => wrong({ log: { value: log(changes) } });
const onDisk = (changes: Partial<FolderFacts>): string[] => wrong({ stateDir: { value: { ...folder, ...changes } } });

it('finds nothing where all is well, and every trouble says what to do', () => {
  expect(wrong()).toEqual([]);
  expect(exitCodeOf(judge(facts()))).toBe(0);
  const broken = judge(
    facts({ rocksdb: { code: 'FAILED', problem: 'libatomic' }, registry: { value: [subject({ state: 'new' })] } }),
  );
  for (const { severity, todo } of broken) expect(severity === 'ok' || todo !== null).toBe(true);
  expect(exitCodeOf(broken)).toBe(1);
});

it('judges this machine, and goes no further with a configuration that is wrong', () => {
  expect(wrong({ node: '22.17.1' })).toEqual(['error NODE_TOO_OLD']);
  expect(wrong({ node: '22.18.0' })).toEqual([]);
  expect(wrong({ rocksdb: { code: 'FAILED', problem: 'libatomic.so.1' } })).toEqual(['error ROCKSDB_UNUSABLE']);
  const without = { config: null, stateDir: null, log: null, registry: null };
  expect(wrong({ ...without, configProblems: ['app: no', 'log: no'] })).toEqual([
    'error CONFIG_INVALID',
    'error CONFIG_INVALID',
  ]);
});

it('judges the folder of the state', () => {
  expect(onDisk({ writable: false })).toEqual(['error STATE_DIR_READ_ONLY']);
  expect(onDisk({ freeBytes: GB / 8 })).toEqual(['error DISK_FULL']);
  expect(onDisk({ freeBytes: 4 * GB })).toEqual(['warning DISK_LOW']);
  expect(onDisk({ fileSystem: 'tmpfs' })).toEqual(['warning STATE_IN_MEMORY']);
  expect(onDisk({ fileSystem: 'nfs' })).toEqual(['warning STATE_REMOTE']);
  expect(onDisk({ fileSystem: 'overlay' })).toEqual(['note STATE_IN_CONTAINER']);
  expect(wrong({ stateDir: { code: 'EACCES', problem: 'no' } })).toEqual(['error STATE_DIR_UNUSABLE']);
});

describe('a log', () => {
  it('that does not answer is one finding', () => {
    expect(wrong({ log: { code: 'LOG_UNAVAILABLE', problem: 'refused' } })).toEqual(['error LOG_UNAVAILABLE']);
    expect(wrong({ log: { code: 'NO_ANSWER', problem: 'late' } })).toEqual(['error LOG_UNAVAILABLE']);
    const embedded = compileConfig({ log: { kind: 'embedded' } }, {}).config;
    const locked = { code: 'STORE_LOCKED', problem: 'open elsewhere' };
    expect(wrong({ config: embedded, log: locked, registry: null })).toEqual(['note STORE_LOCKED']);
  });

  it('that answers in part is judged by that part', () => {
    const late = { code: 'NO_ANSWER', problem: 'late' };
    expect(onLog({ topics: late, groups: [late] })).toEqual(['error NO_ANSWER', 'error NO_ANSWER']);
    expect(onLog({ transactions: { code: 'LOG_UNSUPPORTED', problem: 'old' } })).toEqual(['note NOT_CHECKED']);
    expect(onLog({ clock: { code: 'LOG_REFUSED', problem: 'forbidden' } })).toEqual(['warning NOT_CHECKED']);
    // the embedded log has our clock
    expect(onLog({ clock: { value: null } })).toEqual([]);
  });

  it('has settings that ours must fit', () => {
    const brokers = (config: Record<string, string>) =>
      onLog({ brokers: { value: [{ id: 1, address: 'b:1', problem: null, config }] } });
    expect(brokers({ 'transaction.max.timeout.ms': '59999' })).toEqual(['error TRANSACTION_TIMEOUT_REFUSED']);
    expect(brokers({ 'group.min.session.timeout.ms': '31000', 'group.max.session.timeout.ms': '60000' })).toEqual([
      'error SESSION_TIMEOUT_REFUSED',
    ]);
    expect(brokers({ 'offsets.retention.minutes': '1439' })).toEqual(['warning POSITIONS_KEPT_SHORT']);
    expect(brokers({ 'offsets.retention.minutes': '10080', 'transaction.max.timeout.ms': '900000' })).toEqual([]);
    const dead = { id: 2, address: 'b:2', problem: 'refused', config: {} };
    expect(onLog({ brokers: { value: [dead] } })).toEqual(['error BROKER_UNREACHABLE']);
  });

  it('has a clock, which is trusted no further than its answer was quick', () => {
    const clock = (aheadMs: number, withinMs: number) => onLog({ clock: { value: { aheadMs, withinMs } } });
    expect(clock(-1500, 10)).toEqual(['warning CLOCK_SKEW']);
    expect(clock(1500, 600)).toEqual([]);
    expect(clock(61_000, 100)).toEqual(['error CLOCK_SKEW']);
  });
});

describe('a topic', () => {
  const topics = (...value: TopicFacts[]) => onLog({ topics: { value } });

  it('is there, and as planned', () => {
    expect(topics(topic({ action: 'create', found: null }))).toEqual(['error MISSING_TOPICS']);
    expect(topics(topic({ action: 'refuse', notes: ['has 3'] }))).toEqual(['error PARTITIONS_DIFFER']);
    expect(topics(topic({ action: 'change', notes: ['retention'] }))).toEqual(['warning TOPIC_DIFFERS']);
    expect(topics(topic({ notes: ['left to its owner'] }))).toEqual(['note TOPIC_NOTE']);
    const compacted = { config: { 'cleanup.policy': 'compact', 'min.insync.replicas': '2' } };
    expect(topics(topic({ isSource: true, notes: ['left'] }, compacted))).toEqual(['error SOURCE_COMPACTED']);
  });

  it('has leaders, and copies that are up to date', () => {
    const one = (copy: object, config: object = {}) =>
      topics(topic({}, { copies: [{ ...copies[0], ...copy }], config: { 'min.insync.replicas': '2', ...config } }));
    expect(one({ hasLeader: false, inSync: 0 })).toEqual(['error NO_LEADER']);
    expect(one({ inSync: 1 })).toEqual(['error NOT_ENOUGH_REPLICAS']);
    expect(one({ inSync: 2 })).toEqual(['warning COPIES_BEHIND']);
    expect(one({}, { 'min.insync.replicas': '1' })).toEqual(['warning ONE_COPY_IS_ENOUGH']);
    expect(one({ replicas: 1, inSync: 1 }, { 'min.insync.replicas': '1' })).toEqual(['note ONE_COPY']);
  });

  it('takes batches as large as ours', () => {
    expect(topics(topic({}, { config: { 'min.insync.replicas': '2', 'max.message.bytes': '1000000' } }))).toEqual([
      'warning BATCHES_TOO_LARGE',
    ]);
    expect(topics(topic({}, { config: { 'min.insync.replicas': '2', 'max.message.bytes': '1048588' } }))).toEqual([]);
  });
});

it('names each transaction that hangs, and the command that ends it', () => {
  const row: TransactionRow = {
    transactionalId: 'seral-labels-0',
    phase: 'Ongoing',
    producerId: 1,
    epoch: 0,
    startedAt: 0,
    ageMs: 100_000,
    timeoutMs: 60_000,
    partitions: [],
    held: [{ topic: 't', partition: 0, from: 5, waiting: 7 }],
    hanging: 'overdue',
    open: null,
    foreign: false,
  };
  const found = judge(facts({ log: { value: log({ transactions: { value: [row] } }) } })).find(
    (one) => one.code === 'TRANSACTION_HANGS',
  );
  expect(found).toMatchObject({ severity: 'error', todo: 'seral transactions abort seral-labels-0' });
  expect(found!.what).toContain('t/0 from 5 (7 waiting)');
  expect(onLog({ transactions: { value: [{ ...row, hanging: null }] } })).toEqual([]);
});

describe('a group', () => {
  const groups = (value: GroupFacts) => onLog({ groups: [{ value }] });
  const nobody = (state: string) => ({ state, members: [] });

  it('has members, or nothing to do', () => {
    expect(groups(group({ description: nobody('Dead') }))).toEqual(['note NEVER_RAN']);
    expect(groups(group({ description: nobody('Empty') }))).toEqual(['note NOT_RUNNING']);
    expect(groups({ ...at({ committed: 4 }), description: nobody('Empty') })).toEqual(['warning NOT_RUNNING']);
    expect(groups(group({ description: nobody('PreparingRebalance') }))).toEqual(['warning REBALANCING']);
  });

  it('stands within what is kept', () => {
    expect(groups(at({ start: 3, committed: 2 }))).toEqual(['error POSITION_NOT_KEPT']);
    expect(groups(at({ committed: 11 }))).toEqual(['error POSITION_PAST_END']);
    expect(groups(at({ committed: 3 }))).toEqual([]);
    expect(groups(at({ committed: null }))).toEqual([]);
    const [one] = group().partitions;
    expect(groups(group({ partitions: [one!, { ...one!, partition: 1, committed: null }] }))).toEqual([
      'warning NO_POSITION',
    ]);
  });

  it('is told with its lag, and where it is largest', () => {
    const lag = judge(facts({ log: { value: log({ groups: [{ value: at({ committed: 3 }) }] }) } }));
    expect(lag.find(({ code }) => code === 'GROUP')!.what).toBe('labels: 1 member; 7 behind, most on t/0 (7)');
  });
});

describe("a worker's group", () => {
  const found = (state: string, position: Partial<GroupFacts['partitions'][number]>, settings: object = {}) => {
    const value: GroupFacts = { ...at(position), job: worker, description: { state, members: [] } };
    const { config } = compileConfig(settings, {});
    const all = judge(facts({ config, log: { value: log({ groups: [{ value }] }) } }));
    return all.filter(({ area, severity }) => area === 'consumer groups' && severity !== 'ok');
  };

  it('is to be started where requests wait, though it never ran', () => {
    const todo = 'seral worker profile';
    expect(found('Empty', { committed: 4 })).toMatchObject([{ severity: 'warning', code: 'NOT_RUNNING', todo }]);
    expect(found('Dead', { committed: null })).toMatchObject([{ severity: 'warning', code: 'NEVER_RAN', todo }]);
    expect(found('Dead', { end: 0, committed: null })).toMatchObject([{ severity: 'note', code: 'NEVER_RAN', todo }]);
    expect(found('Empty', {})).toMatchObject([{ severity: 'note', code: 'NOT_RUNNING' }]);
  });

  it('goes on by itself where its position is of no use, unless it is told to stop', () => {
    const codes = (settings: object) =>
      [{ start: 3, committed: 2 }, { committed: 11 }].flatMap((position) =>
        found('Stable', position, settings).map(({ severity, code }) => `${severity} ${code}`),
      );
    expect(codes({})).toEqual(['warning POSITION_NOT_KEPT', 'warning POSITION_PAST_END']);
    expect(codes({ runtime: { offsetReset: 'error' } })).toEqual([
      'error POSITION_NOT_KEPT',
      'error POSITION_PAST_END',
    ]);
  });
});

it('warns of dead letters of the last day', () => {
  const letters = { job: worker, kept: 9, lastHour: 1, lastDay: 2 };
  expect(onLog({ deadLetters: [{ value: letters }] })).toEqual(['warning DEAD_LETTERS']);
  const found = judge(facts({ log: { value: log({ deadLetters: [{ value: letters }] }) } }));
  expect(found.find(({ code }) => code === 'DEAD_LETTERS')).toMatchObject({
    what: 'profile-worker.dlq: 9 kept, 2 of the last day, 1 of the last hour',
    todo: expect.stringContaining('seral dlq list profile-worker'),
  });
});

it('judges each subject of the registry', () => {
  const registry = (...value: SubjectCheck[]) => wrong({ registry: { value } });
  expect(registry(subject({ state: 'new' }))).toEqual(['error SCHEMA_NOT_REGISTERED']);
  expect(registry(subject(), subject({ state: 'compatible' }))).toEqual(['error SCHEMA_NOT_REGISTERED']);
  expect(registry(subject({ state: 'incompatible', problems: ['no'] }))).toEqual(['error SCHEMA_INCOMPATIBLE']);
  expect(wrong({ registry: { code: 'REGISTRY_UNAVAILABLE', problem: 'dead' } })).toEqual([
    'error REGISTRY_UNAVAILABLE',
  ]);
  expect(wrong({ registry: { code: 'NO_ANSWER', problem: 'late' } })).toEqual(['error REGISTRY_UNAVAILABLE']);
});
