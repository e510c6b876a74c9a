import { describe, expect, it } from 'vitest';
import type { RecordBatch } from '../../src/log/port.ts';
import { compile } from '../../src/stream/compile.ts';
import type { Item } from '../../src/stream/engine.ts';
import { Inbox } from '../../src/stream/inbox.ts';
import { Topology } from '../../src/stream/topology.ts';
import { jsonSerde } from './bench.ts';

const compiled = compile(
  new Topology('two')
    .source<{ at: number }>({ name: 'a', topic: 'a', schema: 'X', time: (v) => v.at })
    .source<{ at: number }>({ name: 'b', topic: 'b', schema: 'X', time: (v) => v.at })
    .processor({ name: 'p', from: ['a', 'b'], create: () => ({ process: () => {} }) }),
);

const make = (ends: Record<string, number>, maxBytes = 1e6) => {
  const clock = { now: 0 };
  const inbox = new Inbox({
    sources: compiled.sources.map((source) => ({
      compiled: source,
      topic: source.spec.topic,
      serde: jsonSerde<unknown>(),
      position: 0,
      end: ends[source.spec.topic] ?? 0,
    })),
    maxBytes,
    sourceWaitMs: 100,
    now: () => clock.now,
    checkNow: () => Infinity,
    poison: () => undefined,
    onBatch: () => {},
  });
  return { inbox, clock };
};

const batch = (topic: string, from: number, times: number[], position = from + times.length): RecordBatch => ({
  topic,
  partition: 0,
  records: times.map((at, i) => ({
    offset: from + i,
    timestamp: 0,
    key: Buffer.from('k'),
    value: Buffer.from(JSON.stringify({ at })),
  })),
  position,
  end: position,
});

const take = async (inbox: Inbox, max = 100) => (await inbox.take(max))?.items.map((item: Item) => item.time);
const positions = (inbox: Inbox) => inbox.queues.map((queue) => queue.position);

describe('an inbox', () => {
  it('gives records in the order of time across its sources, and commits only what it gave', async () => {
    const { inbox } = make({});
    void inbox.offer(batch('a', 0, [1, 5, 9]));
    void inbox.offer(batch('b', 0, [2, 3, 10], 7));
    expect(await take(inbox, 4)).toEqual([1, 2, 3, 5]);
    expect(positions(inbox)).toEqual([2, 2]);
    expect(await take(inbox)).toEqual([9]);
    expect(await take(inbox)).toEqual([10]);
    // past the hole behind the last record
    expect(positions(inbox)).toEqual([3, 7]);
    expect(await take(inbox)).toBeUndefined();
  });

  it('waits for a source that has more in the log, for a while', async () => {
    const { inbox, clock } = make({ b: 5 });
    void inbox.offer(batch('a', 0, [1, 2]));
    expect(await take(inbox)).toBeUndefined();
    clock.now = 99;
    expect(await take(inbox)).toBeUndefined();
    clock.now = 100;
    expect(await take(inbox)).toEqual([1, 2]);
    // it was given up on until it is heard of
    void inbox.offer(batch('a', 2, [3]));
    expect(await take(inbox)).toEqual([3]);
    inbox.seenEnd('b', 9);
    void inbox.offer(batch('a', 3, [8]));
    expect(await take(inbox)).toBeUndefined();
    void inbox.offer(batch('b', 0, [7]));
    expect(await take(inbox)).toEqual([7]);
    expect(await take(inbox)).toEqual([8]);
  });

  it('does not wait for a source that has nothing, nor for one whose end is reached', async () => {
    const { inbox } = make({ a: 4 });
    void inbox.offer(batch('a', 0, [1, 2]));
    expect(await take(inbox)).toEqual([1, 2]);
    void inbox.offer(batch('b', 0, [0]));
    // b is taken at once, and a, which has more, is waited for
    void inbox.offer(batch('a', 2, [3, 4]));
    expect([await take(inbox), await take(inbox)]).toEqual([[0], [3, 4]]);
    inbox.seenEnd('b', 1);
    void inbox.offer(batch('a', 4, [5]));
    expect(await take(inbox)).toEqual([5]);
  });

  it('passes holes and markers, before, between and behind records', async () => {
    const { inbox } = make({ a: 9 });
    void inbox.offer(batch('a', 0, [], 3));
    expect([positions(inbox), inbox.moved, inbox.lag]).toEqual([[3, 0], true, 0]);
    void inbox.offer(batch('a', 5, [1]));
    void inbox.offer(batch('a', 6, [], 8));
    expect(await take(inbox)).toEqual([1]);
    expect(await take(inbox)).toBeUndefined();
    expect(positions(inbox)).toEqual([8, 0]);
  });

  it('takes no record twice, whatever is delivered again', async () => {
    const { inbox } = make({});
    void inbox.offer(batch('a', 0, [1, 2, 3]));
    void inbox.offer(batch('a', 0, [1, 2, 3]));
    void inbox.offer(batch('a', 1, [2, 3, 4]));
    expect(await take(inbox)).toEqual([1, 2, 3]);
    expect(await take(inbox)).toEqual([4]);
  });

  it('holds the next batch back until there is room, and lets go of it when closed', async () => {
    const { inbox } = make({}, 250);
    const seen: string[] = [];
    void inbox.offer(batch('a', 0, [1])).then(() => seen.push('first'));
    void inbox.offer(batch('a', 1, [2, 3])).then(() => seen.push('second'));
    await Promise.resolve();
    expect(seen).toEqual(['first']);
    await take(inbox);
    await take(inbox);
    expect(seen).toEqual(['first', 'second']);
    void inbox.offer(batch('a', 3, [4, 5, 6])).then(() => seen.push('third'));
    inbox.close();
    await inbox.offer(batch('a', 6, [7]));
    expect(seen).toEqual(['first', 'second', 'third']);
  });
});
