import { describe, expect, it } from 'vitest';
import { compile } from '../../src/stream/compile.ts';
import { describeMermaid, describeText } from '../../src/stream/describe.ts';
import { namesOf, requiredTopics } from '../../src/stream/names.ts';
import { compileOptions } from '../../src/stream/options.ts';
import { Topology } from '../../src/stream/topology.ts';
import { counting } from './counting.ts';
import { jsonCodec } from './json-codec.ts';

const nothing = () => ({ process: () => {} });
const problemsOf = (topology: Topology): string => {
  try {
    compile(topology);
    return '';
  } catch (error) {
    expect(error).toMatchObject({ code: 'TOPOLOGY_INVALID', fatal: true });
    return (error as Error).message;
  }
};

describe('a topology', () => {
  it('is refused with all its problems at once', () => {
    const problems = problemsOf(
      new Topology('bad name')
        .source({ name: 'a', topic: 't', schema: 'X' })
        .source({ name: 'b', topic: 't', schema: 'X' })
        .store({ name: 'timers', codec: jsonCodec() })
        .store({ name: 's', codec: jsonCodec(), ttlMs: 0 })
        .table({ name: 'unused', topic: 'u', schema: 'X', project: (x) => x })
        .processor({ name: 'a', from: ['nobody'], stores: ['none'], tables: ['none'], create: nothing })
        .processor({ name: 'p', from: ['q'], create: nothing })
        .processor({ name: 'q', from: ['p'], create: nothing })
        .sink({ name: 'out', from: ['ghost'], topic: 'o', schema: 'X' })
        .sink({ name: 'loop', from: ['p'], topic: 'l', schema: 'X', internal: true }),
    );
    for (const part of [
      '"bad name" is not of',
      'the name "a" is used twice',
      'topic "t" is read twice',
      '"timers" is the runtime\'s own',
      'store "s": ttlMs must be above 0',
      'store "s" is used by no processor',
      'table "unused" is used by no processor',
      'reads from "nobody"',
      'uses store "none"',
      'uses table "none"',
      'takes from "ghost"',
      'internal sink "loop" writes "l", which no internal source reads',
      'source "b" feeds no processor',
      'its processors form a circle',
    ]) {
      expect(problems).toContain(part);
    }
  });

  it('is refused where processors of different stages share a store', () => {
    const topology = new Topology('t')
      .source({ name: 'a', topic: 'a', schema: 'X' })
      .store({ name: 's', codec: jsonCodec() })
      .processor({ name: 'p', from: ['a'], stores: ['s'], create: nothing })
      .processor({ name: 'q', from: ['p'], stores: ['s'], create: nothing });
    expect(problemsOf(topology)).toContain('shared by processors of different stages (p, q)');
  });

  it('owns names that come from the code and the application, and others for a replay', () => {
    const live = namesOf('labels', { app: 'seral' });
    expect([live.group, live.transactionalId(3), live.changelog('today'), live.deadLetters, live.folder(3)]).toEqual([
      'seral-labels',
      'seral-labels-3',
      'seral-labels-today-changelog',
      'labels.dlq',
      'seral-labels/3',
    ]);
    const replay = namesOf('labels', { app: 'seral', suffix: '-r1' });
    const sink = { name: 'x', from: [], topic: 'serendipity.labels', schema: 'X' };
    const source = { name: 'y', topic: 'behavior.events', schema: 'X' };
    expect([replay.sink(sink), replay.subjectTopic(sink), replay.source(source), replay.group]).toEqual([
      'serendipity.labels-r1',
      'serendipity.labels',
      'behavior.events',
      'seral-labels-r1',
    ]);
    expect(replay.transactionalId(3)).not.toBe(live.transactionalId(3));
    expect(replay.source({ ...source, internal: true })).toBe('seral-labels-behavior.events-r1');
  });

  it('lists the topics that it needs, each with the cleanup its part asks for', () => {
    const other = new Topology('other')
      .source({ name: 'counted', topic: 'counted', schema: 'X' })
      .table({ name: 'clicks', topic: 'clicks', schema: 'X', project: (x) => x })
      .processor({ name: 'p', from: ['counted'], tables: ['clicks'], create: nothing });
    const options = { app: 'seral', partitions: 6, replication: 3, retentionMs: { outputs: 5, deadLetters: -1 } };
    const topics = requiredTopics([counting(), other], options);
    expect(Object.fromEntries(topics.map(({ topic, config }) => [topic, config]))).toEqual({
      clicks: { 'cleanup.policy': 'compact' },
      counted: { 'cleanup.policy': 'delete', 'message.timestamp.type': 'LogAppendTime', 'retention.ms': '5' },
      'seral-counting-counts-changelog': { 'cleanup.policy': 'compact' },
      'seral-counting-timers-changelog': { 'cleanup.policy': 'compact' },
      'seral-other-timers-changelog': { 'cleanup.policy': 'compact' },
      'counting.dlq': { 'cleanup.policy': 'delete', 'message.timestamp.type': 'LogAppendTime', 'retention.ms': '-1' },
      'other.dlq': { 'cleanup.policy': 'delete', 'message.timestamp.type': 'LogAppendTime', 'retention.ms': '-1' },
    });
    expect(topics.every((topic) => topic.partitions === 6 && topic.replication === 3)).toBe(true);
  });

  it('describes itself in words and as a picture', () => {
    expect(describeText(counting({ ttlMs: 172_800_000 }), { app: 'seral' })).toBe(`topology counting
  group seral-counting
  source clicks < clicks (Click)
  processor count < clicks  stores counts
  store counts (changelog seral-counting-counts-changelog, kept 2 days after the last write)
  sink counted < count > counted (Counted)
  dead letters > counting.dlq
`);
    expect(describeMermaid(counting(), { app: 'seral' })).toBe(`flowchart LR
  p0("count")
  s1[("counts")]
  t2[/"clicks"/]
  t2 --> p0
  p0 <--> s1
  t3[/"counted"/]
  p0 --> t3
`);
  });
});

describe('the options of a worker', () => {
  it('have defaults for all but the names', () => {
    const { options, problems } = compileOptions({ app: 'seral', stateDir: 'state', cacheBytes: undefined });
    expect(problems).toEqual([]);
    expect(options).toMatchObject({ commitIntervalMs: 100, cacheBytes: 128 * 1024 * 1024, offsetReset: 'earliest' });
  });

  it('are refused with all their problems at once', () => {
    const { problems } = compileOptions({
      app: 'no spaces please',
      stateDir: '',
      cacheBytes: 5,
      deadLetterShare: 2,
      commitIntervalMs: 1.5,
      offsetReset: 'whatever' as 'latest',
    });
    expect(problems.map((problem) => problem.split(':')[0])).toEqual([
      'app',
      'stateDir',
      'offsetReset',
      'cacheBytes',
      'commitIntervalMs',
      'deadLetterShare',
    ]);
    const slow = compileOptions({ app: 'a', stateDir: 's', commitIntervalMs: 50_000 });
    expect(slow.problems).toEqual([expect.stringContaining('half of transactionTimeoutMs')]);
  });
});
