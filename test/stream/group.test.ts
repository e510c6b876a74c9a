import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Topology, type Processor, type ProcessorContext } from '../../src/stream/topology.ts';
import type { Worker } from '../../src/stream/worker.ts';
import { Bench, eventually, jsonSerde, withLog, withProducers } from './bench.ts';
import { counting } from './counting.ts';

describe('workers of a group', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await Bench.open();
  });
  afterEach(() => bench.close());

  const partitionsOf = (worker: Worker) => worker.status().tasks.map((task) => task.partition);
  async function expectExact(records: number): Promise<void> {
    await eventually(async () => expect((await bench.read('counted')).length).toBeGreaterThanOrEqual(records));
    const counts = new Map<string, number[]>();
    for (const [key, n] of await bench.read('counted')) counts.set(key, [...(counts.get(key) ?? []), n]);
    for (const list of counts.values()) expect(list).toEqual(list.map((_, i) => i + 1));
    expect([...counts.values()].flat()).toHaveLength(records);
  }

  it('share its partitions, and hand state over as they come and go', async () => {
    const topology = counting();
    await bench.topics(topology, 6);
    let sent = 0;
    let going = true;
    const feeding = (async () => {
      while (going) {
        await bench.write(
          'clicks',
          Array.from({ length: 20 }, () => ({ key: `user-${sent % 31}`, value: { at: sent++ } })),
        );
        await sleep(3);
      }
    })();
    const stateDir = (i: number) => ({ stateDir: join(bench.folder, `state-${i}`) });
    const first = await bench.started(topology, stateDir(1));
    expect(partitionsOf(first)).toHaveLength(6);
    await sleep(150);
    const second = await bench.started(topology, stateDir(2));
    await eventually(() => expect(partitionsOf(first)).toHaveLength(3));
    await sleep(150);
    const third = await bench.started(topology, stateDir(3));
    await sleep(150);
    await bench.stop(first);
    await sleep(150);
    await bench.stop(third);
    await sleep(150);
    const fourth = await bench.started(topology, stateDir(1));
    await sleep(150);
    going = false;
    await feeding;
    await bench.settled();
    expect([...partitionsOf(second), ...partitionsOf(fourth)].sort()).toEqual([0, 1, 2, 3, 4, 5]);
    await expectExact(sent);
  });

  it('wait for each other where they share one state folder', async () => {
    const topology = counting();
    await bench.topics(topology, 4);
    await bench.write(
      'clicks',
      Array.from({ length: 400 }, (_, i) => ({ key: `user-${i % 11}`, value: { at: i } })),
    );
    const first = await bench.started(topology);
    await bench.started(topology);
    await bench.settled();
    await bench.stop(first);
    await bench.write(
      'clicks',
      Array.from({ length: 400 }, (_, i) => ({ key: `user-${i % 11}`, value: { at: i } })),
    );
    await bench.settled();
    await expectExact(800);
  });

  it('write nothing once another owner has taken over', async () => {
    const topology = counting();
    await bench.topics(topology);
    let frozen: (() => void) | null = null;
    let freeze = false;
    // stalls before its next send, as a stopped process would, and goes on when thawed
    const log = withProducers(bench.log, (producer) => ({
      open: () => producer.open(),
      send: async (records) => {
        if (freeze) await new Promise<void>((resolve) => (frozen = resolve));
        await producer.send(records);
      },
      commit: (offsets) => producer.commit(offsets),
      abort: () => producer.abort(),
      close: () => producer.close(),
    }));
    const zombie = await bench.started(topology, { fencedRetryMs: 600_000 }, { log });
    await bench.settled();
    freeze = true;
    await bench.write('clicks', [{ key: 'a', value: { at: 1 } }]);
    await eventually(() => expect(frozen).not.toBeNull());

    // the group believes it dead: another process, here with a group of its own on the same offsets
    const other = withLog(bench.log, {
      groupConsumer: (options) => bench.log.groupConsumer({ ...options, group: 'elsewhere' }),
    });
    await bench.started(topology, { stateDir: join(bench.folder, 'heir') }, { log: other });
    await bench.settled();
    await expectExact(1);
    freeze = false;
    frozen!();
    await eventually(() => expect(zombie.status().tasks[0]!.state).toBe('fenced'));
    expect(zombie.live()).toBe(true);
    expect(await bench.metric('fenced_total')).toBe(1);
    await bench.write('clicks', [{ key: 'a', value: { at: 2 } }]);
    await expectExact(2);
  });

  it('take a partition back when the one who fenced them is gone', async () => {
    const topology = counting();
    await bench.topics(topology);
    await bench.started(topology, { fencedRetryMs: 50 });
    await bench.settled();
    const stranger = bench.log.transactionalProducer({ transactionalId: 'test-counting-0' });
    await stranger.open();
    await stranger.close();
    await bench.write('clicks', [{ key: 'a', value: { at: 1 } }]);
    await expectExact(1);
    expect(await bench.metric('fenced_total')).toBe(1);
  });

  it('say that they are wedged when there is work and nothing moves', async () => {
    const topology = counting();
    await bench.topics(topology);
    let stuck = false;
    const log = withProducers(bench.log, (producer) => ({
      open: () => producer.open(),
      send: (records) => (stuck ? new Promise(() => {}) : producer.send(records)),
      commit: (offsets) => producer.commit(offsets),
      abort: () => producer.abort(),
      close: () => producer.close(),
    }));
    const worker = await bench.started(topology, { wedgeMs: 200, revokeDeadlineMs: 50 }, { log });
    await bench.settled();
    // a pause is none
    await sleep(300);
    await bench.write('clicks', [{ key: 'a', value: { at: 1 } }]);
    while ((await bench.read('counted')).length < 1) {
      expect(worker.live()).toBe(true);
      await sleep(1);
    }
    stuck = true;
    await bench.write('clicks', [{ key: 'a', value: { at: 1 } }]);
    await eventually(async () => {
      await bench.write('clicks', [{ key: 'a', value: { at: 1 } }]);
      expect(worker.live()).toBe(false);
    });
    // the deadline of a stop holds all the same
    const started = performance.now();
    await bench.stop(worker);
    expect(performance.now() - started).toBeLessThan(2000);
  });

  it('say that they are wedged when fetching has silently stopped', async () => {
    const topology = counting();
    await bench.topics(topology);
    let deaf = false;
    const log = withLog(bench.log, {
      groupConsumer: (options) => {
        const inner = bench.log.groupConsumer(options);
        return {
          run: (handler) =>
            inner.run({ ...handler, batch: (batch) => (deaf ? new Promise(() => {}) : handler.batch(batch)) }),
          start: (at, position) => inner.start(at, position),
          pause: (at) => inner.pause(at),
          rejoin: () => inner.rejoin(),
          stop: () => inner.stop(),
        };
      },
    });
    const worker = await bench.started(topology, { wedgeMs: 200 }, { log });
    await bench.settled();
    deaf = true;
    await bench.write('clicks', [{ key: 'a', value: { at: 1 } }]);
    await eventually(() => expect(worker.live()).toBe(false));
    expect(worker.status().tasks[0]!.lag).toBe(1);
  });

  it('refuse topics that are missing or cut differently, naming all of them', async () => {
    const topology = counting();
    const worker = bench.worker(topology);
    await expect(worker.start()).rejects.toMatchObject({
      code: 'MISSING_TOPIC',
      message: expect.stringMatching(/clicks.*timers-changelog.*counted.*counting\.dlq/s),
    });
    await bench.stop(worker);
    await bench.topics(topology, 2);
    const admin = bench.log.admin();
    await admin.remove(['test-counting-counts-changelog']);
    await admin.create([{ topic: 'test-counting-counts-changelog', partitions: 3 }]);
    await admin.close();
    const second = bench.worker(topology);
    await expect(second.start()).rejects.toMatchObject({ code: 'NOT_COPARTITIONED' });
    await bench.stop(second);
  });

  describe('without a usable position', () => {
    const start = async (offsetReset: 'earliest' | 'latest' | 'error') => {
      const topology = counting();
      await bench.topics(topology);
      await bench.write(
        'clicks',
        Array.from({ length: 10 }, (_, i) => ({ key: 'a', value: { at: i } })),
      );
      await bench.log.trim({ topic: 'clicks', partition: 0 }, 4);
      return bench.started(topology, { offsetReset });
    };

    it('start at the earliest record that is kept, and say so', async () => {
      await start('earliest');
      await expectExact(6);
      expect(bench.saidThat('no usable committed position')).toHaveLength(1);
    });

    it('start at the end, and keep to that choice', async () => {
      const worker = await start('latest');
      await bench.settled();
      await bench.stop(worker);
      await bench.write('clicks', [{ key: 'a', value: { at: 11 } }]);
      await bench.started(counting(), { offsetReset: 'latest' });
      await expectExact(1);
    });

    it('find one though they were running, and have committed what had come before', async () => {
      const topology = counting();
      await bench.topics(topology);
      const gate = Promise.withResolvers<void>();
      let came = false;
      const prepare = (): Promise<void> => {
        came = true;
        return gate.promise;
      };
      const serde = { ...jsonSerde<any>(), prepare };
      const serdes = { serde: () => Promise.resolve(serde), close: () => Promise.resolve() };
      const worker = await bench.started(topology, { maxBufferedBytes: 1, commitIntervalMs: 10_000 }, { serdes });
      const write = (from: number, count: number) =>
        bench.write(
          'clicks',
          Array.from({ length: count }, (_, i) => ({ key: 'a', value: { at: from + i } })),
        );
      await write(0, 10);
      await eventually(() => expect([came, worker.status().tasks[0]!.lag]).toEqual([true, 10]));
      await write(10, 10);
      await bench.log.trim({ topic: 'clicks', partition: 0 }, 15);
      gate.resolve();
      await eventually(() => expect(bench.saidThat('no usable committed position')).toHaveLength(1));
      expect(bench.saidThat('no usable')[0]!.fields).toMatchObject({ committed: 10, position: 15 });
      await write(20, 1);
      await bench.stop(worker);
      await bench.started(counting());
      await expectExact(16);
    });

    it('stop with an error', async () => {
      await start('error');
      await eventually(() => expect(bench.fatal).toHaveLength(1));
      expect(bench.fatal.splice(0)[0]).toMatchObject({ code: 'NO_POSITION' });
    });
  });

  it('take the records of several sources in the order of time when they catch up', async () => {
    const topology = new Topology('merge')
      .source<{ at: number }>({ name: 'left', topic: 'left', schema: 'X', time: (v) => v.at })
      .source<{ at: number }>({ name: 'right', topic: 'right', schema: 'X', time: (v) => v.at })
      .processor({
        name: 'join',
        from: ['left', 'right'],
        create: (context: ProcessorContext): Processor<{ at: number }> => ({
          process: ({ key, value }) => context.forward('merged', key, value.at),
        }),
      })
      .sink({ name: 'merged', from: ['join'], topic: 'merged', schema: 'X' });
    await bench.topics(topology);
    const at = (from: number, step: number) =>
      Array.from({ length: 500 }, (_, i) => ({ key: 'k', value: { at: from + i * step } }));
    await bench.write('left', at(0, 3));
    await bench.write('right', at(1, 2));
    await bench.started(topology, { maxBatchRecords: 37 });
    await eventually(async () => expect(await bench.read('merged')).toHaveLength(1000));
    const times = (await bench.read('merged')).map(([, time]) => time as number);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  it('read global tables to their end before they are ready, and follow them', async () => {
    const topology = new Topology('joined')
      .source<{ item: string }>({ name: 'views', topic: 'views', schema: 'X' })
      .table<{ title: string }, string>({
        name: 'items',
        topic: 'items',
        schema: 'X',
        project: (row) => row.title || undefined,
      })
      .processor({
        name: 'join',
        from: ['views'],
        tables: ['items'],
        create: (context: ProcessorContext): Processor<{ item: string }> => {
          const items = context.table<string>('items');
          return { process: ({ key, value }) => context.forward('out', key, items.get(value.item) ?? 'unknown') };
        },
      })
      .sink({ name: 'out', from: ['join'], topic: 'out', schema: 'X' });
    await bench.topics(topology, 3);
    await bench.write(
      'items',
      Array.from({ length: 100 }, (_, i) => ({ key: `i${i}`, value: { title: `title ${i}` } })),
    );
    await bench.write('items', [
      { key: 'i5', value: Buffer.from('broken') },
      { key: 'i7', value: { title: '' } },
    ]);
    await bench.write(
      'views',
      [5, 7, 50].map((i) => ({ key: 'u', value: { item: `i${i}` } })),
    );
    const worker = await bench.started(topology);
    expect(worker.status().tables).toEqual([{ name: 'items', rows: 99, ready: true }]);
    await eventually(async () =>
      expect((await bench.read('out')).map(([, title]) => title)).toEqual(['title 5', 'unknown', 'title 50']),
    );
    await bench.write('items', [{ key: 'i200', value: { title: 'new' } }]);
    await eventually(() => expect(worker.status().tables[0]!.rows).toBe(100));
    await bench.write('views', [{ key: 'u', value: { item: 'i200' } }]);
    await eventually(async () => expect((await bench.read('out')).at(-1)![1]).toBe('new'));
    expect(bench.saidThat('left out')).toHaveLength(1);
  });

  it('repartition through internal topics', async () => {
    const topology = new Topology('stages')
      .source<{ group: string }>({ name: 'in', topic: 'in', schema: 'X' })
      .processor({
        name: 'split',
        from: ['in'],
        create: (context: ProcessorContext): Processor<{ group: string }> => ({
          process: ({ value }) => context.forward('by-group', value.group, 1),
        }),
      })
      .sink({ name: 'by-group', from: ['split'], topic: 'groups', schema: 'G', internal: true })
      .source<number>({ name: 'groups', topic: 'groups', schema: 'G', internal: true })
      .store<number>({
        name: 'sums',
        codec: { encode: (n) => Buffer.from(String(n)), decode: (b) => Number(b.toString()), size: () => 8 },
      })
      .processor({
        name: 'sum',
        from: ['groups'],
        stores: ['sums'],
        create: (context: ProcessorContext): Processor<number> => {
          const sums = context.store<number>('sums');
          const touched = new Set<string>();
          return {
            keys: ({ key }, want) => want('sums', key),
            process: ({ key, value }) => {
              sums.put(key, (sums.get(key) ?? 0) + value);
              touched.add(key);
            },
            flush: () => {
              for (const key of touched) context.forward('out', key, sums.get(key));
              touched.clear();
            },
          };
        },
      })
      .sink({ name: 'out', from: ['sum'], topic: 'out', schema: 'X', compact: true });
    await bench.topics(topology, 4);
    await bench.write(
      'in',
      Array.from({ length: 1000 }, (_, i) => ({ key: `user-${i}`, value: { group: `g${i % 10}` } })),
    );
    await bench.started(topology);
    await eventually(async () => {
      const last = new Map(await bench.read('out'));
      expect([...last.values()].reduce((a, b) => a + b, 0)).toBe(1000);
      expect(last.size).toBe(10);
    });
  });
});
