import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LogError, StoreError } from '../../src/errors.ts';
import type { TransactionalProducer } from '../../src/log/port.ts';
import { StateDb } from '../../src/stream/state-db.ts';
import { Bench, eventually, withProducers } from './bench.ts';
import { counting } from './counting.ts';

const KEYS = 7;
const RECORDS = 400;
const clicks = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => ({ key: `user-${(from + i) % KEYS}`, value: { at: from + i } }));

/** Each key's counts are 1, 2, 3 ... without a hole, a repetition or a change of order: state and output agree. */
async function expectExact(bench: Bench, records: number): Promise<void> {
  await eventually(async () => expect((await bench.read('counted')).length).toBeGreaterThanOrEqual(records));
  const counts = new Map<string, number[]>();
  for (const [key, n] of await bench.read('counted')) counts.set(key, [...(counts.get(key) ?? []), n]);
  for (const list of counts.values()) expect(list).toEqual(list.map((_, i) => i + 1));
  expect([...counts.values()].flat()).toHaveLength(records);
}

type Fault = (producer: TransactionalProducer) => Partial<TransactionalProducer>;

const unavailable = () => new LogError('LOG_UNAVAILABLE', 'injected', { retriable: true });

describe('a task whose log or disk fails', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await Bench.open();
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await bench.close();
  });

  /** Every n-th call of a producer's method goes wrong; after so many faults no more. */
  const faulty = (every: number, faults: number, fault: Fault) => {
    let calls = 0;
    let injected = 0;
    return withProducers(bench.log, (producer) => {
      const broken = fault(producer);
      const pick = <K extends 'open' | 'send' | 'commit'>(method: K): TransactionalProducer[K] =>
        ((...args: unknown[]) => {
          const use = broken[method] !== undefined && calls++ % every === 0 && injected < faults;
          if (use) injected++;
          return ((use ? broken : producer)[method] as (...args: unknown[]) => unknown)(...args);
        }) as TransactionalProducer[K];
      return {
        open: pick('open'),
        send: pick('send'),
        commit: pick('commit'),
        abort: () => producer.abort(),
        close: () => producer.close(),
      };
    });
  };

  const cases: [string, Fault][] = [
    ['opening the producer fails', () => ({ open: () => Promise.reject(unavailable()) })],
    ['a produce fails', () => ({ send: () => Promise.reject(unavailable()) })],
    [
      'a produce fails after the log has taken it',
      (producer) => ({
        send: async (records) => {
          await producer.send(records);
          throw unavailable();
        },
      }),
    ],
    ['a commit fails before it is sent', () => ({ commit: () => Promise.reject(unavailable()) })],
    [
      'a commit is made and its answer is lost',
      (producer) => ({
        commit: async (offsets) => {
          await producer.commit(offsets);
          throw unavailable();
        },
      }),
    ],
  ];

  it.each(cases)('has exact output when %s', async (_, fault) => {
    const topology = counting();
    await bench.topics(topology);
    await bench.write('clicks', clicks(0, RECORDS / 2));
    const options = { maxBatchRecords: 20, commitRecords: 40 };
    const worker = await bench.started(topology, options, { log: faulty(2, 6, fault) });
    await expectExact(bench, RECORDS / 2);
    await bench.write('clicks', clicks(RECORDS / 2, RECORDS / 2));
    await expectExact(bench, RECORDS);
    await eventually(() => expect(worker.status().tasks[0]!.rebuilds).toBeGreaterThanOrEqual(1));
    expect(bench.saidThat('wiped')).toEqual([]);
  });

  it('restores what the log has and the disk has not, when a crash falls between the two', async () => {
    const topology = counting();
    await bench.topics(topology);
    await bench.write('clicks', clicks(0, 100));
    const write = StateDb.prototype.write;
    let writes = 0;
    vi.spyOn(StateDb.prototype, 'write').mockImplementation(function (this: StateDb, changes) {
      if (++writes % 3 === 0) throw new StoreError('STORE_DISK_FULL', 'injected', { retriable: true });
      return write.call(this, changes);
    });
    await bench.started(topology, { maxBatchRecords: 10, commitRecords: 10 });
    await expectExact(bench, 100);
    // what each failed write had was restored: one record a key, and the clock's
    expect(await bench.metric('restored_records_total')).toBeGreaterThan(0);
    expect(bench.saidThat('wiped')).toEqual([]);
  });

  it('restores its state whole when a read finds it broken', async () => {
    const topology = counting();
    await bench.topics(topology);
    await bench.write('clicks', clicks(0, 100));
    const first = await bench.started(topology);
    await expectExact(bench, 100);
    await bench.stop(first);
    const getMany = StateDb.prototype.getMany;
    let broken = 1;
    vi.spyOn(StateDb.prototype, 'getMany').mockImplementation(function (this: StateDb, keys) {
      if (keys.some((key) => key.includes('user-3')) && broken-- > 0) {
        return Promise.reject(new StoreError('STORE_CORRUPTED', 'injected', { retriable: true }));
      }
      return getMany.call(this, keys);
    });
    await bench.started(topology);
    await bench.write('clicks', clicks(100, 100));
    await expectExact(bench, 200);
    expect(bench.saidThat('wiped')).toHaveLength(1);
  });

  it('gives up, and says why, when nothing helps', async () => {
    const topology = counting();
    await bench.topics(topology);
    writeFileSync(join(bench.folder, 'file'), '');
    const worker = await bench.started(topology, { stateDir: join(bench.folder, 'file'), rebuildBudget: 3 });
    await eventually(() => expect(bench.fatal).toHaveLength(1));
    expect(bench.fatal.splice(0)[0]).toMatchObject({
      code: 'REBUILD_BUDGET',
      message: expect.stringContaining('4 failures within 600 s, the last: cannot open'),
    });
    expect(worker.status()).toMatchObject({ live: false, tasks: [{ state: 'failed', rebuilds: 4 }] });
  });
});
