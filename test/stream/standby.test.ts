import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LogError } from '../../src/errors.ts';
import type { RuntimeOptions } from '../../src/stream/options.ts';
import type { Worker } from '../../src/stream/worker.ts';
import { Bench, eventually, withLog } from './bench.ts';
import { counting } from './counting.ts';

describe('the state of a partition', () => {
  let bench: Bench;
  const topology = counting();
  let sent = 0;
  beforeEach(async () => {
    bench = await Bench.open();
    sent = 0;
  });
  afterEach(() => bench.close());

  const start = (i: number, options: Partial<RuntimeOptions> = {}, given = {}): Promise<Worker> =>
    bench.started(topology, { stateDir: join(bench.folder, `state-${i}`), ...options }, given);
  const partitionsOf = (worker: Worker) => worker.status().tasks.map((task) => task.partition);
  const standbysOf = (worker: Worker) => worker.status().standbys.map(({ partition }) => partition);
  const write = async (count: number) => {
    const clicks = Array.from({ length: count }, () => ({ key: `user-${sent % 31}`, value: { at: sent++ } }));
    await bench.write('clicks', clicks);
    await bench.settled();
  };
  /** All standbys of a worker hold what the owners have committed. */
  const caughtUp = (worker: Worker) =>
    eventually(() => {
      expect(worker.status().standbys.length).toBeGreaterThan(0);
      expect(worker.status().standbys.every(({ lag }) => lag === 0)).toBe(true);
    });
  async function expectExact(): Promise<void> {
    const counts = new Map<string, number[]>();
    for (const [key, n] of await bench.read('counted')) counts.set(key, [...(counts.get(key) ?? []), n]);
    for (const list of counts.values()) expect(list).toEqual(list.map((_, i) => i + 1));
    expect([...counts.values()].flat()).toHaveLength(sent);
  }

  it('is kept current by another worker, which takes over without a restore', async () => {
    await bench.topics(topology, 4);
    const first = await start(1, { standbys: 1 });
    const second = await start(2, { standbys: 1 });
    await eventually(() => expect(partitionsOf(first)).toHaveLength(2));
    expect(standbysOf(second)).toEqual(partitionsOf(first));
    expect(standbysOf(first)).toEqual(partitionsOf(second));
    await write(300);
    // that there is something to read a standby hears a moment later: until then its lag is 0 too
    await eventually(async () => {
      const written = await bench.metric('changelog_records_total');
      expect(written).toBeGreaterThan(0);
      expect(await bench.metric('standby_records_total')).toBe(written);
    });
    await caughtUp(second);
    expect(await bench.metric('standby_lag_records')).toBe(0);
    const restored = await bench.metric('restored_records_total');
    await bench.stop(first);
    await eventually(() => expect(partitionsOf(second)).toHaveLength(4));
    expect(standbysOf(second)).toEqual([]);
    await write(100);
    expect(await bench.metric('restored_records_total')).toBe(restored);
    await expectExact();
  });

  it('stays where it is when its worker comes back under another name', async () => {
    await bench.topics(topology, 6);
    const first = await start(1);
    const second = await start(2);
    await eventually(() => expect([first, second].map((w) => partitionsOf(w).length)).toEqual([3, 3]));
    await write(300);
    const kept = partitionsOf(first);
    expect(kept).toEqual([0, 1, 2]);
    await bench.stop(first);
    await eventually(() => expect(partitionsOf(second)).toHaveLength(6));
    await write(60);
    const again = await start(1);
    await eventually(() => expect([again, second].map(partitionsOf)).toEqual([kept, [3, 4, 5]]));
    await write(100);
    await expectExact();
  });

  it('is copied before a partition moves, which its owner goes on with until then', async () => {
    await bench.topics(topology, 2);
    const first = await start(1, { warmWithin: 10 });
    await write(300);
    const second = await start(2, { warmWithin: 10 });
    expect(partitionsOf(second)).toEqual([]);
    expect(standbysOf(second)).toEqual([1]);
    expect(partitionsOf(first)).toEqual([0, 1]);
    await write(31);
    await eventually(() => expect([first, second].map(partitionsOf)).toEqual([[0], [1]]));
    expect(standbysOf(second)).toEqual([]);
    await write(31);
    expect(await bench.metric('restored_records_total')).toBe(0);
    await expectExact();
  });

  it('is followed again from where it was when following it has failed', async () => {
    await bench.topics(topology, 2);
    let failures = 0;
    const log = withLog(bench.log, {
      reader: () => {
        const reader = bench.log.reader();
        return {
          close: () => reader.close(),
          async *read(at, from, to, options) {
            for await (const batch of reader.read(at, from, to, options)) {
              yield batch;
              if (to === Infinity && at.topic.includes('counts') && batch.records.length > 0 && failures < 2) {
                failures++;
                throw new LogError('LOG_UNAVAILABLE', 'injected', { retriable: true });
              }
            }
          },
        };
      },
    });
    const first = await start(1, { standbys: 1 });
    const second = await start(2, { standbys: 1 }, { log });
    await eventually(() => expect(partitionsOf(first)).toEqual([0]));
    await write(100);
    await write(100);
    await eventually(() => expect(bench.saidThat('a standby has failed')).toHaveLength(2));
    await caughtUp(second);
    await bench.stop(first);
    await eventually(() => expect(partitionsOf(second)).toEqual([0, 1]));
    await write(31);
    await expectExact();
    expect(bench.saidThat('wiped')).toEqual([]);
  });

  it('is not gone on with where it lay idle for longer than its changelog remembers what was deleted', async () => {
    await bench.topics(topology);
    const admin = bench.log.admin();
    const changelogs = ['timers', 'counts'].map((store) => `test-counting-${store}-changelog`);
    for (const topic of changelogs) await admin.configure(topic, { 'delete.retention.ms': '1' });
    await admin.close();
    const first = await start(1);
    await bench.write('clicks', [{ key: 'a', value: { at: 1, do: 'timer' } }]);
    await bench.settled();
    await bench.stop(first);
    const second = await start(2);
    await bench.write('clicks', [{ key: 'b', value: { at: 5000 } }]);
    await bench.write('clicks', [{ key: 'b', value: { at: 6000 } }]);
    await bench.settled();
    await bench.stop(second);
    const counted = async () => (await bench.read('counted')).map(([key, n]) => `${key} ${n}`);
    expect(await counted()).toContain('a timer at 1');
    for (const topic of changelogs) await bench.log.compact(topic);
    // the first one's disk has the timer, and nothing tells it any more that it has fired
    await start(1, {}, { now: () => Date.now() + 120_000 });
    await bench.write('clicks', [{ key: 'b', value: { at: 7000 } }]);
    await bench.settled();
    expect((await counted()).sort()).toEqual(['a 1', 'a timer at 1', 'b 1', 'b 2', 'b 3']);
    expect(bench.saidThat('wiped')).toHaveLength(1);
  });

  it('is said to be how far restored, how fast, and for how long still', async () => {
    await bench.topics(topology);
    const first = await start(1);
    for (let i = 0; i < 5; i++) await write(62);
    await bench.stop(first);
    let seen: object | null = null;
    const worker = bench.worker(topology, {
      stateDir: join(bench.folder, 'other'),
      restoreLogMs: 1,
      restoreBatchBytes: 1,
    });
    const watching = setInterval(() => (seen = worker.status().tasks[0]?.restore ?? seen), 0);
    await worker.start();
    await bench.settled();
    clearInterval(watching);
    const lines = bench.saidThat('restoring').map(({ fields }) => fields);
    expect(lines[0]).toMatchObject({ done: 0, percent: 0, secondsLeft: null });
    expect(lines.at(-1)).toMatchObject({ store: 'counts', remaining: 0, percent: 100, secondsLeft: 0 });
    expect(seen).toMatchObject({ recordsPerSecond: expect.any(Number) });
    expect(await bench.metric('restore_remaining_records')).toBe(0);
    expect(await bench.metric('restore_seconds_left')).toBe(0);
  });
});
