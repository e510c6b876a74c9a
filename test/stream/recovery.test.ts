import { join } from 'node:path';
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StateDb } from '../../src/stream/state-db.ts';
import { Bench, eventually, withLog, withProducers } from './bench.ts';
import { counting, type Click } from './counting.ts';

const HOUR = 3_600_000;

describe('a task that comes back', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await Bench.open();
  });
  afterEach(() => bench.close());

  const click = (key: string, value: Click) => ({ key, value });
  const counted = async () => (await bench.read('counted')).map(([key, n]) => `${key} ${n}`);
  const statePath = () => join(bench.folder, 'state', 'test-counting', '0');
  const loseDisk = () => rmSync(join(bench.folder, 'state'), { recursive: true });

  it('has nothing of what a crash left uncommitted, neither in the output nor in the state', async () => {
    const topology = counting();
    await bench.topics(topology);
    let cut = false;
    const log = withProducers(bench.log, (producer) => ({
      open: () => producer.open(),
      send: (records) => producer.send(records),
      // the process ends in the middle of its second transaction
      commit: (offsets) => (cut ? new Promise(() => {}) : producer.commit(offsets)),
      abort: () => producer.abort(),
      close: () => (cut ? Promise.resolve() : producer.close()),
    }));
    await bench.write(
      'clicks',
      Array.from({ length: 10 }, (_, i) => click('a', { at: i })),
    );
    const worker = await bench.started(topology, { revokeDeadlineMs: 50 }, { log });
    await eventually(async () => expect(await counted()).toHaveLength(10));
    cut = true;
    await bench.write(
      'clicks',
      Array.from({ length: 5 }, (_, i) => click('a', { at: 10 + i })),
    );
    await sleep(100);
    await bench.stop(worker);
    expect(await counted()).toHaveLength(10);

    await bench.started(topology);
    await bench.settled();
    expect(await counted()).toEqual(Array.from({ length: 15 }, (_, i) => `a ${i + 1}`));
    expect(await bench.metric('restored_records_total')).toBe(0);
    expect(bench.saidThat('wiped')).toEqual([]);
  });

  it('restores its whole state where the disk is lost, and only the tail where the disk is behind', async () => {
    const topology = counting();
    await bench.topics(topology);
    await bench.write(
      'clicks',
      Array.from({ length: 50 }, (_, i) => click(`user-${i}`, { at: i })),
    );
    const first = await bench.started(topology);
    await bench.settled();
    await bench.stop(first);
    loseDisk();

    const second = await bench.started(topology);
    await bench.settled();
    // 50 counts; and the clock's key, once a commit
    const restored = await bench.metric('restored_records_total');
    expect(restored).toBeGreaterThanOrEqual(51);
    await bench.write('clicks', [click('user-7', { at: 100 })]);
    await bench.settled();
    await bench.stop(second);
    expect(await counted()).toContain('user-7 2');

    // another machine goes on; then the first one, whose disk is behind, takes over again
    const third = await bench.started(topology, { stateDir: join(bench.folder, 'elsewhere') });
    await bench.write('clicks', [click('user-7', { at: 101 }), click('user-8', { at: 102 })]);
    await bench.settled();
    await bench.stop(third);
    const before = await bench.metric('restored_records_total');
    await bench.started(topology);
    await bench.write('clicks', [click('user-7', { at: 103 })]);
    await bench.settled();
    expect((await bench.metric('restored_records_total')) - before).toBeLessThanOrEqual(6);
    expect((await counted()).filter((line) => line.startsWith('user-7'))).toEqual(
      [1, 2, 3, 4].map((n) => `user-7 ${n}`),
    );
  });

  it('keeps its timers and its stream time over crashes and lost disks', async () => {
    const topology = counting();
    await bench.topics(topology);
    await bench.write('clicks', [click('a', { at: HOUR, do: 'timer' }), click('b', { at: HOUR + 500, do: 'timer' })]);
    const first = await bench.started(topology);
    await bench.settled();
    await bench.stop(first);
    loseDisk();
    const second = await bench.started(topology);
    // late, and no newer than a's timer: stream time is still that of before
    await bench.write('clicks', [click('c', { at: 1 })]);
    await bench.settled();
    expect(await counted()).toEqual(['a 1', 'b 1', 'c 1']);
    await bench.write('clicks', [click('c', { at: HOUR + 1000 })]);
    await bench.settled();
    await bench.stop(second);
    expect(await counted()).toEqual(['a 1', 'b 1', 'c 1', 'c 2', 'a timer at 1']);
    await bench.started(topology);
    await bench.write('clicks', [click('c', { at: 2 * HOUR })]);
    await bench.settled();
    expect((await counted()).slice(5)).toEqual(['c 3', 'b timer at 1']);
  });

  it('fires timers of the wall clock though nothing comes', async () => {
    const topology = counting();
    await bench.topics(topology);
    await bench.write('clicks', [click('a', { at: 1, do: 'wall' })]);
    await bench.started(topology);
    await eventually(async () => expect(await counted()).toEqual(['a 1', 'a wall at 1']));
  });

  it('goes on with an interrupted restore', async () => {
    const topology = counting();
    await bench.topics(topology);
    const users = 3000;
    await bench.write(
      'clicks',
      Array.from({ length: users }, (_, i) => click(`user-${i}`, { at: i })),
    );
    const first = await bench.started(topology);
    await bench.settled();
    await bench.stop(first);
    loseDisk();

    // reads the changelog slowly, in small batches
    const slow = withLog(bench.log, {
      reader: () => {
        const reader = bench.log.reader();
        return {
          async *read(at, from, to, options) {
            for await (const batch of reader.read(at, from, to, options)) {
              for (let i = 0; i < batch.records.length; i += 100) {
                const records = batch.records.slice(i, i + 100);
                const last = i + 100 >= batch.records.length;
                yield { ...batch, records, position: last ? batch.position : records.at(-1)!.offset + 1 };
                await sleep(5);
              }
            }
          },
          close: () => reader.close(),
        };
      },
    });
    const second = await bench.started(topology, { restoreBatchBytes: 1000 }, { log: slow });
    await eventually(() => {
      const [task] = second.status().tasks;
      expect(task!.restore!.done).toBeGreaterThan(300);
      expect(task!.restore!.remaining).toBeGreaterThan(0);
      expect(second.ready()).toBe(false);
    });
    await bench.stop(second);

    const before = await bench.metric('restored_records_total');
    await bench.started(topology);
    await bench.settled();
    const restored = (await bench.metric('restored_records_total')) - before;
    expect(restored).toBeLessThan(users - 250);
    expect(restored).toBeGreaterThan(100);
    await bench.write(
      'clicks',
      [0, 1, users - 1].map((i) => click(`user-${i}`, { at: users })),
    );
    await bench.settled();
    expect((await counted()).slice(users)).toEqual(['user-0 2', 'user-1 2', `user-${users - 1} 2`]);
  });

  it('wipes and restores, and says so, when its files are broken', async () => {
    const topology = counting();
    await bench.topics(topology);
    await bench.write('clicks', [click('a', { at: 1 })]);
    const first = await bench.started(topology);
    await bench.settled();
    await bench.stop(first);
    writeFileSync(join(statePath(), 'CURRENT'), 'MANIFEST-999999\n');
    await bench.started(topology);
    await bench.write('clicks', [click('a', { at: 2 })]);
    await bench.settled();
    expect(await counted()).toEqual(['a 1', 'a 2']);
    expect(bench.saidThat('wiped')).toHaveLength(1);
  });

  it('wipes and restores, and says so, when its state is past the end of its changelog', async () => {
    const topology = counting();
    await bench.topics(topology);
    await bench.write('clicks', [click('a', { at: 1 }), click('b', { at: 1 })]);
    const first = await bench.started(topology);
    await bench.settled();
    await bench.stop(first);
    const db = await StateDb.open(statePath(), { writeBufferBytes: 1 << 20, lockRetries: 0, lockRetryMs: 1 });
    await db.write([{ key: Buffer.from('\0changelog\0counts'), value: Buffer.from('1000') }]);
    await db.close();
    await bench.started(topology);
    await bench.write('clicks', [click('a', { at: 2 })]);
    await bench.settled();
    expect(await counted()).toEqual(['a 1', 'b 1', 'a 2']);
    expect(bench.saidThat('wiped')).toHaveLength(1);
  });

  it('restores from a compacted changelog', async () => {
    const topology = counting();
    await bench.topics(topology);
    const worker = await bench.started(topology);
    for (let i = 0; i < 5; i++) {
      await bench.write('clicks', [click('a', { at: i }), click(`other-${i}`, { at: i })]);
      await bench.settled();
    }
    await bench.stop(worker);
    await bench.log.compact();
    loseDisk();
    await bench.started(topology);
    await bench.write('clicks', [click('a', { at: 9 })]);
    await bench.settled();
    expect((await counted()).at(-1)).toBe('a 6');
  });

  it('writes large state in parts, and finds it again, also when it shrinks and grows', async () => {
    const topology = counting();
    await bench.topics(topology);
    const changelog = 'test-counting-counts-changelog';
    const parts = async () => {
      const live = new Map<string, boolean>();
      for (const { key, value } of await bench.records(changelog)) live.set(key!.toString('latin1'), value !== null);
      return [...live].filter(([key, there]) => there && key.startsWith('\xff')).length;
    };
    for (const [i, [pad, expected]] of [
      [1_700_000, 4],
      [600_000, 2],
      [10, 0],
      [1_200_000, 3],
    ].entries()) {
      const worker = await bench.started(topology);
      await bench.write('clicks', [click('heavy', { at: i, do: 'pad', pad: pad! }), click('light', { at: i })]);
      await bench.settled();
      await bench.stop(worker);
      expect(await parts()).toBe(expected);
      expect(Math.max(...(await bench.records(changelog)).map((r) => r.value?.length ?? 0))).toBeLessThan(600_000);
      if (i % 2 === 0) loseDisk();
      if (i === 2) await bench.log.compact(changelog);
    }
    loseDisk();
    const worker = await bench.started(topology);
    await bench.write('clicks', [click('heavy', { at: 9 }), click('light', { at: 9 })]);
    await bench.settled();
    expect((await counted()).slice(-2)).toEqual(['heavy 5', 'light 5']);
    await bench.stop(worker);
    const db = await StateDb.open(statePath(), { writeBufferBytes: 1 << 20, lockRetries: 0, lockRetryMs: 1 });
    const [bytes] = await db.getMany([Buffer.from('counts\0heavy')]);
    await db.close();
    expect(bytes!.length).toBeGreaterThan(1_200_000);
  });

  it('deletes expired state through the changelog', async () => {
    const topology = counting({ ttlMs: 1000 });
    await bench.topics(topology);
    const worker = await bench.started(topology, { sweepEveryCommits: 1 });
    await bench.write('clicks', [click('old', { at: 1 }), click('kept', { at: 1 })]);
    await bench.settled();
    await bench.write('clicks', [click('kept', { at: 900 })]);
    await bench.settled();
    // 'old' expires, is not swept before it is read: it counts from one; then it is refreshed
    await bench.write('clicks', [click('old', { at: 1500 })]);
    await bench.settled();
    await bench.write('clicks', [click('new', { at: 2100 })]);
    await bench.settled();
    await bench.write('clicks', [click('new', { at: 2200 })]);
    await bench.settled();
    expect(await counted()).toEqual(['old 1', 'kept 1', 'kept 2', 'old 1', 'new 1', 'new 2']);
    const last = new Map((await bench.records('test-counting-counts-changelog')).map((r) => [String(r.key), r.value]));
    expect([...last].filter(([, value]) => value === null).map(([key]) => key)).toEqual(['kept']);
    expect(await bench.metric('expired_entries_total')).toBe(1);
    await bench.stop(worker);
    loseDisk();
    await bench.started(topology);
    await bench.write('clicks', [click('old', { at: 2300 }), click('kept', { at: 2300 })]);
    await bench.settled();
    expect((await counted()).slice(-2)).toEqual(['old 2', 'kept 1']);
  });

  it('leaves nothing open behind', async () => {
    const topology = counting();
    await bench.topics(topology);
    const worker = await bench.started(topology);
    await bench.settled();
    await bench.stop(worker);
    expect(existsSync(statePath())).toBe(true);
    expect(readdirSync(statePath())).toContain('LOCK');
    // the lock is free
    const db = await StateDb.open(statePath(), { writeBufferBytes: 1 << 20, lockRetries: 0, lockRetryMs: 1 });
    await db.close();
  });
});
