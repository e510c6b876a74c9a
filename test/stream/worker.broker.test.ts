/** The runtime over a real broker: fencing, rebalances and restores as Kafka does them. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { LogError } from '../../src/errors.ts';
import { kafkaLog } from '../../src/log/kafka/index.ts';
import type { Log } from '../../src/log/port.ts';
import type { Topology } from '../../src/stream/topology.ts';
import type { Worker } from '../../src/stream/worker.ts';
import { describeWithKafka, kafkaBrokers } from '../support/broker.ts';
import { Bench, eventually, withLog, withProducers } from './bench.ts';
import { counting } from './counting.ts';

describeWithKafka('a worker on Kafka', () => {
  let bench: Bench<Log>;
  let prefix: string;
  let topology: Topology;

  beforeEach(() => {
    bench = Bench.over(kafkaLog({ brokers: kafkaBrokers.split(','), fetchWaitMs: 50 }));
    const id = randomUUID().slice(0, 8);
    prefix = `${id}-`;
    topology = counting({ name: `counting-${id}`, prefix });
  });
  afterEach(() => bench.close());

  const start = (i: number, options = {}, given = {}): Promise<Worker> =>
    bench.started(topology, { stateDir: join(bench.folder, `state-${i}`), ...options }, given);
  const feed = (from: number, count: number): Promise<void> =>
    bench.write(
      `${prefix}clicks`,
      Array.from({ length: count }, (_, i) => ({ key: `user-${(from + i) % 31}`, value: { at: from + i } })),
    );

  async function expectExact(records: number): Promise<void> {
    const output = async () => bench.read(`${prefix}counted`);
    await eventually(async () => expect((await output()).length).toBeGreaterThanOrEqual(records), 60_000);
    const counts = new Map<string, number[]>();
    for (const [key, n] of await output()) counts.set(key, [...(counts.get(key) ?? []), n]);
    for (const list of counts.values()) expect(list).toEqual(list.map((_, i) => i + 1));
    expect([...counts.values()].flat()).toHaveLength(records);
  }

  /** Nothing is left open: read_committed ends where the log ends. */
  async function expectNothingHanging(): Promise<void> {
    const admin = bench.log.admin();
    await eventually(async () => {
      const topic = `${prefix}counted`;
      expect(await admin.offsets(topic, 'committed')).toEqual(await admin.offsets(topic, 'uncommitted'));
    });
    await admin.close();
  }

  it('is exact while workers come and go', async () => {
    await bench.topics(topology, 5);
    let sent = 0;
    let going = true;
    const feeding = (async () => {
      while (going) {
        await feed(sent, 50);
        sent += 50;
        await sleep(20);
      }
    })();
    const first = await start(1);
    await sleep(1000);
    const second = await start(2);
    await sleep(2000);
    const third = await start(3);
    await sleep(2000);
    await bench.stop(first);
    await sleep(2000);
    await bench.stop(third);
    await start(1);
    await sleep(2000);
    going = false;
    await feeding;
    await expectExact(sent);
    expect(second.live()).toBe(true);
    expect(bench.saidThat('wiped')).toEqual([]);
    await expectNothingHanging();
  });

  it('goes on with what stays while a third joins, and until its partitions have moved', async () => {
    await bench.topics(topology, 6);
    // the group waits for its second member's third join, which waits here
    let joins = 0;
    const joining = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const log = withLog(bench.log, {
      groupConsumer: (options) =>
        bench.log.groupConsumer({
          ...options,
          claims: async () => {
            if (++joins === 2) {
              joining.resolve();
              await release.promise;
            }
            return options.claims!();
          },
        }),
    });
    const first = await start(1);
    const second = await start(2, {}, { log });
    const both = () => [first, second].flatMap((worker) => worker.status().tasks);
    await eventually(() => expect([first, second].map((w) => w.status().tasks.length)).toEqual([3, 3]), 60_000);
    await feed(0, 310);
    await expectExact(310);
    const saidBefore = bench.saidThat('task').length;
    const third = start(3);
    await joining.promise;
    // the third has asked to join, and nobody has an assignment until the second one has joined again
    const admin = bench.log.admin();
    const processed = async () => {
      const partitions = both().map(({ partition }) => ({ topic: `${prefix}clicks`, partition }));
      return admin.committed(`test-${topology.name}`, partitions);
    };
    const before = await processed();
    await feed(310, 310);
    await expectExact(620);
    await eventually(async () => {
      for (const [i, position] of (await processed()).entries()) expect(position).toBeGreaterThan(before[i]!);
    }, 60_000);
    expect(both()).toHaveLength(6);
    expect(joins).toBe(2);
    release.resolve();
    const joined = await third;
    await eventually(() => expect(joined.status().tasks).toHaveLength(2), 60_000);
    await eventually(() => expect(both()).toHaveLength(4), 60_000);
    await feed(620, 310);
    await expectExact(930);
    // those that stayed have run all the while
    const moved = joined.status().tasks.map((task) => task.partition);
    for (const { fields } of bench.saidThat('task').slice(saidBefore)) expect(moved).toContain(fields.partition);
    await admin.close();
  });

  it('is exact when answers to commits are lost', async () => {
    await bench.topics(topology, 2);
    let commits = 0;
    const log = withProducers(bench.log, (producer) => ({
      open: () => producer.open(),
      send: (records) => producer.send(records),
      commit: async (offsets) => {
        const result = await producer.commit(offsets);
        if (++commits % 7 === 0) throw new LogError('LOG_UNAVAILABLE', 'injected', { retriable: true });
        return result;
      },
      abort: () => producer.abort(),
      close: () => producer.close(),
    }));
    await start(1, { maxBatchRecords: 20, commitRecords: 20, rebuildBudget: 1000 }, { log });
    await feed(0, 1000);
    await expectExact(1000);
    expect(commits).toBeGreaterThan(20);
    await expectNothingHanging();
  });

  it('restores only the tail on the disk it had, and everything on another', async () => {
    await bench.topics(topology, 1);
    const first = await start(1);
    await feed(0, 310);
    await expectExact(310);
    await bench.stop(first);
    const second = await start(1);
    await feed(310, 31);
    await expectExact(341);
    expect(await bench.metric('restored_records_total')).toBe(0);
    await bench.stop(second);
    await start(2);
    await feed(341, 31);
    await expectExact(372);
    expect(await bench.metric('restored_records_total')).toBeGreaterThanOrEqual(31);
  });

  it('has no lag and is not wedged behind the markers of a transactional source', async () => {
    await bench.topics(topology, 1);
    const worker = await start(1, { wedgeMs: 1000 });
    const producer = bench.log.transactionalProducer({ transactionalId: randomUUID() });
    await producer.open();
    for (let i = 0; i < 3; i++) {
      await producer.send([{ topic: `${prefix}clicks`, key: Buffer.from('a'), value: Buffer.from(`{"at":${i}}`) }]);
      if (i === 1) await producer.abort();
      else await producer.commit(null);
    }
    await producer.close();
    await expectExact(2);
    await eventually(() => expect(worker.status().tasks[0]!.lag).toBe(0));
    await sleep(2500);
    expect(worker.status().tasks[0]!.lag).toBe(0);
    expect(worker.live()).toBe(true);
  });

  it('lets a fenced owner write nothing', async () => {
    await bench.topics(topology, 1);
    const worker = await start(1, { fencedRetryMs: 200 });
    await feed(0, 31);
    await expectExact(31);
    const admin = bench.log.admin();
    const names = `test-${topology.name}-0`;
    const usurper = bench.log.transactionalProducer({ transactionalId: names });
    await usurper.open();
    await feed(31, 31);
    await eventually(async () => expect(await bench.metric('fenced_total')).toBe(1));
    await usurper.close();
    await expectExact(62);
    expect(worker.live()).toBe(true);
    await admin.close();
    await expectNothingHanging();
  });
});
