/**
 * What every log must keep (src/log/port.ts). `kafka/` and `embedded/` are both held to it, by this one suite:
 *
 *   logContract('the embedded log', async () => ({ log: embeddedLog(...) }));
 *
 * A log may show a commit a moment after `commit` resolved (Kafka writes its markers behind it), so the tests read up
 * to a position they know of, which waits, instead of to "the end now". Likewise a marker may or may not take an offset:
 * nothing here counts on it.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LogError } from '../../src/errors.ts';
import type {
  Claim,
  GroupAssignment,
  GroupConsumer,
  GroupHandler,
  GroupOptions,
  Log,
  LogAdmin,
  LogRecord,
  OffsetReader,
  OutRecord,
  Producer,
  RecordBatch,
  TopicPartition,
  TopicSpec,
  TransactionalProducer,
} from '../../src/log/port.ts';

export interface ContractLog {
  log: Log;
  /** Makes `before` the first kept position of a partition, as retention would; without it that test is skipped. */
  trim?(partition: TopicPartition, before: number): Promise<void>;
  /** Called after `log.close()`. */
  close?(): Promise<void>;
}

const nameOf = (partition: TopicPartition): string => `${partition.topic}/${partition.partition}`;
const text = (buffer: Buffer | null): string | null => (buffer === null ? null : buffer.toString());
const valuesOf = (records: readonly LogRecord[]): (string | null)[] => records.map((record) => text(record.value));
const numbers = (from: number, count: number): string[] => Array.from({ length: count }, (_, i) => String(from + i));

/** Tries until it no longer throws. */
export const eventually = async <T>(check: () => T | Promise<T>, withinMs = 20_000): Promise<T> => {
  const deadline = Date.now() + withinMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await sleep(20);
    }
  }
};

/** The LogError that a promise must fail with. */
export const refusal = async (promise: Promise<unknown>): Promise<LogError> => {
  const outcome = await promise.then(
    () => 'it succeeded',
    (error: unknown) => error,
  );
  expect(outcome).toBeInstanceOf(LogError);
  return outcome as LogError;
};

/** One test's hold on a log: what it opens is closed after it, whatever happened. */
class Bench {
  readonly log: Log;
  private readonly closers: (() => Promise<void>)[] = [];

  constructor(log: Log) {
    this.log = log;
  }

  private opened<T extends { close(): Promise<void> }>(thing: T): T {
    this.closers.push(() => thing.close());
    return thing;
  }

  admin(): LogAdmin {
    return this.opened(this.log.admin());
  }

  reader(): OffsetReader {
    return this.opened(this.log.reader());
  }

  async producer(): Promise<Producer> {
    const producer = this.opened(this.log.producer());
    await producer.open();
    return producer;
  }

  async transactions(transactionalId = `tx-${randomUUID()}`): Promise<TransactionalProducer> {
    const producer = this.opened(this.log.transactionalProducer({ transactionalId }));
    await producer.open();
    return producer;
  }

  async topic(partitions = 1, config?: Record<string, string>): Promise<string> {
    const spec: TopicSpec = {
      topic: `contract-${randomUUID()}`,
      partitions,
      ...(config === undefined ? {} : { config }),
    };
    const admin = this.log.admin();
    await admin.create([spec]);
    await admin.close();
    return spec.topic;
  }

  /** Everything from `from` on, up to `to` (default: the end now), and the position the reading ended at. */
  async read(partition: TopicPartition, from = 0, to?: number): Promise<{ records: LogRecord[]; position: number }> {
    const reader = this.log.reader();
    const records: LogRecord[] = [];
    let position = from;
    try {
      for await (const batch of reader.read(partition, from, to)) {
        expect(nameOf(batch)).toBe(nameOf(partition));
        expect(batch.position).toBeGreaterThan(position);
        expect(batch.end).toBeGreaterThanOrEqual(batch.position);
        for (const record of batch.records) {
          expect(record.offset).toBeGreaterThanOrEqual(position);
          position = record.offset + 1;
          records.push(record);
        }
        expect(batch.position).toBeGreaterThanOrEqual(position);
        position = batch.position;
      }
    } finally {
      await reader.close();
    }
    return { records, position };
  }

  async values(partition: TopicPartition, from = 0, to?: number): Promise<(string | null)[]> {
    return valuesOf((await this.read(partition, from, to)).records);
  }

  /** Where read_committed ends now. */
  async end(partition: TopicPartition): Promise<number> {
    const admin = this.log.admin();
    try {
      const all = await admin.offsets(partition.topic, 'committed');
      return all.find((one) => one.partition === partition.partition)!.end;
    } finally {
      await admin.close();
    }
  }

  async consumer(options: Partial<GroupOptions> & { topics: string[] }, plan?: Plan): Promise<Member> {
    const member = new Member(this.log.groupConsumer({ group: `group-${randomUUID()}`, ...options }), plan);
    this.closers.push(() => member.consumer.stop());
    await member.consumer.run(member);
    return member;
  }

  async close(): Promise<void> {
    for (const close of this.closers.splice(0).reverse()) await close();
    await this.log.close();
  }
}

/** Where a member starts a partition that it was newly given or whose position was dropped; null leaves it paused. */
type Plan = (partition: TopicPartition) => number | null;

/** A group consumer's owner that remembers what it was told, and holds the consumer to the order of things. */
class Member implements GroupHandler {
  readonly consumer: GroupConsumer;
  readonly batches: RecordBatch[] = [];
  readonly crashes: Error[] = [];
  readonly lost: string[] = [];
  readonly complaints: string[] = [];
  generation = -1;
  assignments = 0;
  owned: TopicPartition[] = [];
  standbys: number[] = [];
  warming: number[] = [];
  /** A batch waits here where set. */
  hold: ((batch: RecordBatch) => Promise<void>) | null = null;
  private readonly plan: Plan;
  private readonly started = new Set<string>();
  private readonly busy = new Set<string>();

  constructor(consumer: GroupConsumer, plan: Plan = () => 0) {
    this.consumer = consumer;
    this.plan = plan;
  }

  assigned(assignment: GroupAssignment): void {
    this.standbys = assignment.standbys;
    this.warming = assignment.warming;
    if (assignment.generation <= this.generation) this.complaints.push('a generation did not rise');
    this.generation = assignment.generation;
    this.assignments++;
    const before = new Set(this.owned.map(nameOf));
    const restarted = new Set(assignment.restarted.map(nameOf));
    this.owned = assignment.partitions;
    const now = new Set(this.owned.map(nameOf));
    for (const name of restarted) {
      if (!before.has(name) || !now.has(name)) this.complaints.push(`${name} restarted, yet not kept`);
    }
    for (const name of before) if (!now.has(name) || restarted.has(name)) this.started.delete(name);
    for (const partition of this.owned) {
      if (before.has(nameOf(partition)) && !restarted.has(nameOf(partition))) continue;
      const position = this.plan(partition);
      if (position !== null) this.start(partition, position);
    }
  }

  async batch(batch: RecordBatch): Promise<void> {
    const name = nameOf(batch);
    if (!this.started.has(name)) this.complaints.push(`${name} delivered, yet not started or not ours`);
    if (this.busy.has(name)) this.complaints.push(`${name} delivered while a batch of it was held`);
    this.batches.push(batch);
    this.busy.add(name);
    if (this.hold !== null) await this.hold(batch);
    this.busy.delete(name);
  }

  outOfRange(partition: TopicPartition, error: Error): void {
    this.started.delete(nameOf(partition));
    this.lost.push(`${partition.partition}: ${(error as LogError).code}`);
  }

  crashed(error: Error): void {
    this.crashes.push(error);
  }

  start(partition: TopicPartition, position: number): void {
    this.started.add(nameOf(partition));
    this.consumer.start(partition, position);
  }

  records(partition?: number): LogRecord[] {
    return this.batches.filter((b) => partition === undefined || b.partition === partition).flatMap((b) => b.records);
  }

  values(partition?: number): (string | null)[] {
    return valuesOf(this.records(partition));
  }

  check(): void {
    expect(this.complaints).toEqual([]);
    expect(this.crashes).toEqual([]);
  }
}

export function logContract(name: string, makeLog: () => Promise<ContractLog>): void {
  describe(`${name} keeps the log's promises`, () => {
    let made: ContractLog;
    let bench: Bench;

    beforeEach(async () => {
      made = await makeLog();
      bench = new Bench(made.log);
    });

    afterEach(async () => {
      await bench.close();
      await made.close?.();
    });

    /** Records with the given values, for one partition. */
    const records = (topic: string, values: string[], partition = 0): OutRecord[] =>
      values.map((value) => ({ topic, partition, key: null, value: Buffer.from(value) }));

    const write = async (topic: string, values: string[], partition = 0): Promise<void> => {
      const producer = bench.log.producer();
      await producer.open();
      await producer.send(records(topic, values, partition));
      await producer.close();
    };

    describe('writing and reading', () => {
      it('hands back keys, values, nulls, headers and timestamps as they were written, in order', async () => {
        const topic = await bench.topic();
        const producer = await bench.producer();
        const before = Date.now();
        const timestamp = before - 86_400_000;
        await producer.send([
          { topic, partition: 0, key: Buffer.from('k'), value: Buffer.from('v'), timestamp },
          { topic, partition: 0, key: null, value: Buffer.from('no key'), timestamp: timestamp + 5 },
          { topic, partition: 0, key: Buffer.from('tombstone'), value: null, timestamp: timestamp - 5 },
          { topic, partition: 0, key: Buffer.alloc(0), value: Buffer.alloc(0), timestamp },
          { topic, partition: 0, key: Buffer.from([0, 0, 0, 0]), value: Buffer.from([0xff, 0, 0xfe]), timestamp },
          {
            topic,
            partition: 0,
            key: null,
            value: null,
            timestamp,
            headers: { 'trace-id': Buffer.from([1, 2, 0xff]), ü: Buffer.from('grün'), empty: Buffer.alloc(0) },
          },
          { topic, partition: 0, key: Buffer.from('now'), value: Buffer.from('x'.repeat(100_000)) },
        ]);
        const { records: read } = await bench.read({ topic, partition: 0 });
        expect(read.map((r) => r.offset)).toEqual([0, 1, 2, 3, 4, 5, 6]);
        expect(read.map((r) => text(r.key))).toEqual(['k', null, 'tombstone', '', '\0\0\0\0', null, 'now']);
        expect(valuesOf(read.slice(0, 4))).toEqual(['v', 'no key', null, '']);
        expect(read[4]!.value).toEqual(Buffer.from([0xff, 0, 0xfe]));
        expect(read[6]!.value).toEqual(Buffer.from('x'.repeat(100_000)));
        expect(read.slice(0, 6).map((r) => r.timestamp - timestamp)).toEqual([0, 5, -5, 0, 0, 0]);
        expect(read[6]!.timestamp).toBeGreaterThanOrEqual(before - 1000);
        expect(read[6]!.timestamp).toBeLessThanOrEqual(Date.now() + 1000);
        expect(read.map((r) => Object.keys(r.headers ?? {}).length)).toEqual([0, 0, 0, 0, 0, 3, 0]);
        expect(read[5]!.headers).toEqual({
          'trace-id': Buffer.from([1, 2, 0xff]),
          ü: Buffer.from('grün'),
          empty: Buffer.alloc(0),
        });
      });

      it("picks the partition by Java's murmur2 of the key, unless one is named", async () => {
        const topic = await bench.topic(7);
        const producer = await bench.producer();
        // the hashes are Kafka's own test vectors
        const hashes: [string, number][] = [
          ['21', -973932308],
          ['foobar', -790332482],
          ['a-little-bit-long-string', -985981536],
          ['a-little-bit-longer-string', -1486304829],
          ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
          ['abc', 479470107],
        ];
        await producer.send(hashes.map(([key]) => ({ topic, key: Buffer.from(key), value: Buffer.from(key) })));
        await producer.send([{ topic, key: null, value: Buffer.from('no key') }]);
        await producer.send([{ topic, partition: 6, key: Buffer.from('abc'), value: Buffer.from('named') }]);
        const expected: string[][] = Array.from({ length: 7 }, () => []);
        for (const [key, hash] of hashes) expected[(hash & 0x7fffffff) % 7]!.push(key);
        expected[0]!.push('no key');
        expected[6]!.push('named');
        const found = await Promise.all(expected.map((_, partition) => bench.values({ topic, partition })));
        expect(found).toEqual(expected);
      });

      it('reads from a position in the middle up to a position, and no further', async () => {
        const topic = await bench.topic();
        await write(topic, numbers(0, 10));
        const { records: read, position } = await bench.read({ topic, partition: 0 }, 3, 7);
        expect(valuesOf(read)).toEqual(['3', '4', '5', '6']);
        expect(position).toBeGreaterThanOrEqual(7);
        expect(await bench.values({ topic, partition: 0 }, 10)).toEqual([]);
        expect(await bench.values({ topic, partition: 0 }, 4, 4)).toEqual([]);
      });

      it('ends at once on an empty partition', async () => {
        const topic = await bench.topic(2);
        await write(topic, ['elsewhere'], 1);
        expect(await bench.read({ topic, partition: 0 })).toEqual({ records: [], position: 0 });
      });

      it('reads past the kept start only, and says where a position is no longer kept', async ({ skip }) => {
        if (made.trim === undefined) return skip();
        const topic = await bench.topic();
        await write(topic, numbers(0, 10));
        await made.trim({ topic, partition: 0 }, 4);
        const admin = bench.admin();
        expect(await admin.offsets(topic)).toEqual([{ partition: 0, start: 4, end: 10 }]);
        expect(await bench.values({ topic, partition: 0 }, 4)).toEqual(numbers(4, 6));
        expect((await refusal(bench.read({ topic, partition: 0 }, 2))).code).toBe('OFFSET_OUT_OF_RANGE');
        await made.trim({ topic, partition: 0 }, 10);
        expect(await bench.read({ topic, partition: 0 }, 10)).toEqual({ records: [], position: 10 });
      });

      it('refuses a position past the end, which only a log that lost records can give', async () => {
        const topic = await bench.topic();
        await write(topic, numbers(0, 3));
        expect((await refusal(bench.read({ topic, partition: 0 }, 50))).code).toBe('OFFSET_OUT_OF_RANGE');
        expect((await refusal(bench.read({ topic, partition: 0 }, 50, 60))).code).toBe('OFFSET_OUT_OF_RANGE');
      });

      it('names a topic that is not there', async () => {
        const topic = `missing-${randomUUID()}`;
        expect((await refusal(bench.read({ topic, partition: 0 }))).code).toBe('UNKNOWN_TOPIC');
        const producer = await bench.producer();
        expect((await refusal(producer.send(records(topic, ['x'])))).code).toBe('UNKNOWN_TOPIC');
        expect((await refusal(bench.admin().offsets(topic))).code).toBe('UNKNOWN_TOPIC');
      });

      it('waits for a position that is not written yet', async () => {
        const topic = await bench.topic();
        await write(topic, ['0']);
        const reading = bench.values({ topic, partition: 0 }, 0, 3);
        await sleep(100);
        await write(topic, ['1', '2']);
        expect(await reading).toEqual(['0', '1', '2']);
      });

      it('follows without end, until its signal is aborted, which is no error', async () => {
        const topic = await bench.topic();
        const stop = new AbortController();
        const seen: (string | null)[] = [];
        const following = (async () => {
          for await (const batch of bench
            .reader()
            .read({ topic, partition: 0 }, 0, Infinity, { signal: stop.signal })) {
            seen.push(...valuesOf(batch.records));
          }
        })();
        for (const value of ['a', 'b', 'c']) {
          await write(topic, [value]);
          await eventually(() => expect(seen.at(-1)).toBe(value));
        }
        stop.abort();
        await following;
        expect(seen).toEqual(['a', 'b', 'c']);
        // a signal that was aborted before reads nothing
        for await (const _ of bench.reader().read({ topic, partition: 0 }, 0, Infinity, { signal: stop.signal })) {
          expect.fail('delivered after the abort');
        }
      });

      it('lets go of everything when the loop is left, or when the reader is closed under it', async () => {
        const topic = await bench.topic();
        await write(topic, numbers(0, 5));
        const reader = bench.reader();
        for await (const batch of reader.read({ topic, partition: 0 }, 0, Infinity)) {
          if (batch.records.length > 0) break;
        }
        const following = (async () => {
          for await (const _ of reader.read({ topic, partition: 0 }, 5, Infinity))
            expect.fail('there is nothing to read');
        })().catch((error: unknown) => expect(error).toBeInstanceOf(LogError));
        await sleep(100);
        await reader.close();
        await following;
      });

      it('reads several partitions at once through one reader', async () => {
        const topic = await bench.topic(3);
        for (const partition of [0, 1, 2]) await write(topic, numbers(partition * 100, 50), partition);
        const reader = bench.reader();
        const all = await Promise.all(
          [0, 1, 2].map(async (partition) => {
            const values: (string | null)[] = [];
            for await (const batch of reader.read({ topic, partition }, 0)) values.push(...valuesOf(batch.records));
            return values;
          }),
        );
        expect(all).toEqual([numbers(0, 50), numbers(100, 50), numbers(200, 50)]);
      });

      it('takes one send of many megabytes for one partition, and refuses one record that is too large', async () => {
        const topic = await bench.topic();
        const producer = await bench.producer();
        const large = Array.from({ length: 3_000 }, (_, i) => Buffer.alloc(1_000 + (i % 7), i));
        await producer.send(large.map((value) => ({ topic, partition: 0, key: null, value })));
        const { records: read } = await bench.read({ topic, partition: 0 });
        expect(read.length).toBe(large.length);
        expect(read.every((record, i) => record.value!.equals(large[i]!))).toBe(true);
        const most = Buffer.alloc(900_000, 1);
        await producer.send([{ topic, partition: 0, key: null, value: most }]);
        const tooLarge = Buffer.alloc(2_000_000, 1);
        const error = await refusal(producer.send([{ topic, partition: 0, key: null, value: tooLarge }]));
        expect(error).toMatchObject({ code: 'RECORD_TOO_LARGE', retriable: false, fenced: false });
        expect((await bench.read({ topic, partition: 0 }, 3_000)).records.length).toBe(1);
      });

      it('takes sends that overlap in time', async () => {
        const topic = await bench.topic(2);
        const producer = await bench.producer();
        await Promise.all(numbers(0, 20).map((value, i) => producer.send(records(topic, [value], i % 2))));
        expect(await bench.values({ topic, partition: 0 })).toEqual(numbers(0, 20).filter((_, i) => i % 2 === 0));
        expect(await bench.values({ topic, partition: 1 })).toEqual(numbers(0, 20).filter((_, i) => i % 2 === 1));
      });
    });

    describe('transactions', () => {
      it('shows a transaction whole, on all its partitions and topics, and only once it is committed', async () => {
        const [one, two] = [await bench.topic(2), await bench.topic(1)];
        const producer = await bench.transactions();
        await producer.send([...records(one, ['a', 'b'], 0), ...records(one, ['c'], 1)]);
        await producer.send([...records(two, ['d'], 0), ...records(one, ['e'], 0)]);
        for (const partition of [
          { topic: one, partition: 0 },
          { topic: one, partition: 1 },
          { topic: two, partition: 0 },
        ]) {
          expect(await bench.read(partition)).toEqual({ records: [], position: 0 });
        }
        const { written } = await producer.commit(null);
        const position = (topic: string, partition: number): number =>
          written.find((w) => w.topic === topic && w.partition === partition)!.position;
        expect(written.length).toBe(3);
        expect(position(one, 0)).toBe(3);
        expect(position(one, 1)).toBe(1);
        expect(position(two, 0)).toBe(1);
        expect(await bench.values({ topic: one, partition: 0 }, 0, 3)).toEqual(['a', 'b', 'e']);
        expect(await bench.values({ topic: one, partition: 1 }, 0, 1)).toEqual(['c']);
        expect(await bench.values({ topic: two, partition: 0 }, 0, 1)).toEqual(['d']);
      });

      it('runs one transaction after another, empty ones too, and says what each wrote', async () => {
        const topic = await bench.topic();
        const producer = await bench.transactions();
        expect((await producer.commit(null)).written).toEqual([]);
        const values: string[] = [];
        let last = 0;
        for (let i = 0; i < 20; i++) {
          if (i % 5 === 0) await producer.commit(null);
          await producer.send(records(topic, [`${i}`]));
          values.push(`${i}`);
          const { written } = await producer.commit(null);
          expect(written.length).toBe(1);
          expect(written[0]).toMatchObject({ topic, partition: 0 });
          expect(written[0]!.position).toBeGreaterThan(last);
          last = written[0]!.position;
        }
        const { records: read } = await bench.read({ topic, partition: 0 }, 0, last);
        expect(valuesOf(read)).toEqual(values);
        expect(read.at(-1)!.offset).toBe(last - 1);
      });

      it('never shows what was aborted, and a reading whose tail was aborted ends all the same', async () => {
        const topic = await bench.topic();
        const producer = await bench.transactions();
        await producer.send(records(topic, ['dropped']));
        await producer.abort();
        await producer.send(records(topic, ['kept']));
        const { written } = await producer.commit(null);
        expect(await bench.values({ topic, partition: 0 }, 0, written[0]!.position)).toEqual(['kept']);
        await producer.send(records(topic, ['dropped too']));
        await producer.abort();
        await producer.abort();
        const admin = bench.admin();
        // the marker of the last abort may take a moment to arrive
        const end = await eventually(async () => {
          const [committed] = await admin.offsets(topic, 'committed');
          const [uncommitted] = await admin.offsets(topic, 'uncommitted');
          expect(committed!.end).toBe(uncommitted!.end);
          expect(committed!.end).toBeGreaterThanOrEqual(written[0]!.position);
          return committed!.end;
        });
        const whole = await bench.read({ topic, partition: 0 });
        expect(valuesOf(whole.records)).toEqual(['kept']);
        expect(whole.position).toBe(end);
        // nothing but the tail: no record, yet the position arrives
        expect(await bench.read({ topic, partition: 0 }, written[0]!.position)).toEqual({ records: [], position: end });
      });

      it('holds the end of a partition back while a transaction is open, for later records too', async () => {
        const topic = await bench.topic();
        await write(topic, ['before']);
        const [early, late] = [await bench.transactions(), await bench.transactions()];
        await early.send(records(topic, ['early']));
        await late.send(records(topic, ['late']));
        await late.commit(null);
        await write(topic, ['plain']);
        expect(await bench.end({ topic, partition: 0 })).toBe(1);
        expect(await bench.read({ topic, partition: 0 })).toMatchObject({ position: 1 });
        const { written } = await early.commit(null);
        expect(written).toEqual([{ topic, partition: 0, position: 2 }]);
        await eventually(async () => {
          expect(await bench.values({ topic, partition: 0 })).toEqual(['before', 'early', 'late', 'plain']);
        });
      });

      const interleavings: { ends: ('commit' | 'abort')[]; order: number[] }[] = [
        { ends: ['abort', 'abort'], order: [0, 1] },
        { ends: ['abort', 'abort'], order: [1, 0] },
        { ends: ['abort', 'commit'], order: [0, 1] },
        { ends: ['abort', 'commit'], order: [1, 0] },
        { ends: ['commit', 'abort'], order: [0, 1] },
        { ends: ['abort', 'abort', 'abort'], order: [2, 0, 1] },
        { ends: ['abort', 'commit', 'abort'], order: [2, 1, 0] },
      ];
      for (const { ends, order } of interleavings) {
        it(`keeps interleaved transactions apart: ${order.map((i) => `${i} ${ends[i]}s`).join(', then ')}`, async () => {
          const topic = await bench.topic();
          await write(topic, ['first']);
          const producers = await Promise.all(ends.map(() => bench.transactions()));
          const expected: string[] = ['first'];
          for (const round of [0, 1]) {
            for (const [i, producer] of producers.entries()) {
              await producer.send(records(topic, [`${i}.${round}.a`, `${i}.${round}.b`]));
              if (ends[i] === 'commit') expected.push(`${i}.${round}.a`, `${i}.${round}.b`);
            }
          }
          for (const i of order) await (ends[i] === 'commit' ? producers[i]!.commit(null) : producers[i]!.abort());
          const closing = await bench.transactions();
          await closing.send(records(topic, ['last']));
          const { written } = await closing.commit(null);
          const to = written[0]!.position;
          expect(await bench.values({ topic, partition: 0 }, 0, to)).toEqual([...expected, 'last']);
          // and from every position in the middle, where some transactions are already open
          for (let from = 1; from < to; from++) {
            const { records: read } = await bench.read({ topic, partition: 0 }, from, to);
            const tail = [...expected, 'last'].slice(-read.length);
            expect(valuesOf(read)).toEqual(tail);
            expect(read[0]!.offset).toBeGreaterThanOrEqual(from);
          }
        });
      }

      it('equals a simple model under a random schedule of four producers', async () => {
        const topic = await bench.topic(2);
        // a small linear congruential generator: the schedule is the same each time
        let state = 20_24;
        const random = (below: number): number => {
          state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
          return Math.floor((state / 2 ** 32) * below);
        };
        const producers = await Promise.all([0, 1, 2, 3].map(() => bench.transactions()));
        const log: { partition: number; value: string; fate: { committed: boolean } }[] = [];
        const fates = producers.map(() => ({ committed: false }));
        for (let step = 0; step < 120; step++) {
          const who = random(producers.length);
          const what = random(10);
          if (what < 7) {
            const partition = random(2);
            await producers[who]!.send(records(topic, [`${step}`], partition));
            log.push({ partition, value: `${step}`, fate: fates[who]! });
            continue;
          }
          if (what === 7) {
            await producers[who]!.commit(null);
            fates[who]!.committed = true;
          } else await producers[who]!.abort();
          fates[who] = { committed: false };
        }
        for (const producer of producers) await producer.abort();
        for (const partition of [0, 1]) {
          const expected = log.filter((r) => r.partition === partition && r.fate.committed).map((r) => r.value);
          await eventually(async () => {
            const [committed, all] = [bench.admin(), bench.admin()];
            const ends = await Promise.all([committed.offsets(topic, 'committed'), all.offsets(topic, 'uncommitted')]);
            expect(ends[0]).toEqual(ends[1]);
          });
          expect(await bench.values({ topic, partition })).toEqual(expected);
        }
      });

      it('commits source positions with the records, or neither', async () => {
        const topic = await bench.topic();
        const source = await bench.topic(3);
        const group = `group-${randomUUID()}`;
        const admin = bench.admin();
        const partitions = [0, 1, 2].map((partition) => ({ topic: source, partition }));
        const at = (...positions: [number, number][]) => ({
          group,
          positions: positions.map(([partition, position]) => ({ topic: source, partition, position })),
        });
        expect(await admin.committed(group, partitions)).toEqual([null, null, null]);

        const producer = await bench.transactions();
        await producer.send(records(topic, ['a']));
        await producer.commit(at([0, 7], [2, 0]));
        expect(await admin.committed(group, partitions)).toEqual([7, null, 0]);

        await producer.send(records(topic, ['b']));
        expect(await admin.committed(group, partitions)).toEqual([7, null, 0]);
        await producer.abort();
        expect(await admin.committed(group, partitions)).toEqual([7, null, 0]);

        // positions without a record
        await producer.commit(at([0, 9], [1, 1]));
        expect(await admin.committed(group, partitions)).toEqual([9, 1, 0]);
        // and in the order asked for
        expect(await admin.committed(group, [...partitions].reverse())).toEqual([0, 1, 9]);
        expect(await admin.committed(`group-${randomUUID()}`, partitions)).toEqual([null, null, null]);
      });

      it('sees each commit of a position as soon as the commit resolved', async () => {
        const source = await bench.topic();
        const topic = await bench.topic();
        const group = `group-${randomUUID()}`;
        const admin = bench.admin();
        const producer = await bench.transactions();
        for (let position = 1; position <= 15; position++) {
          await producer.send(records(topic, [`${position}`]));
          await producer.commit({ group, positions: [{ topic: source, partition: 0, position }] });
          expect(await admin.committed(group, [{ topic: source, partition: 0 }])).toEqual([position]);
        }
      });

      it('splits a large transaction and commits it whole', async () => {
        const topic = await bench.topic(2);
        const producer = await bench.transactions();
        const large = Array.from({ length: 3_000 }, (_, i) => Buffer.alloc(1_000, i));
        await producer.send(large.map((value, i) => ({ topic, partition: i < 2_900 ? 0 : 1, key: null, value })));
        const { written } = await producer.commit(null);
        const byPartition = [...written].sort((a, b) => a.partition - b.partition);
        expect(byPartition.map((w) => w.position)).toEqual([2_900, 100]);
        const { records: read } = await bench.read({ topic, partition: 0 }, 0, 2_900);
        expect(read.length).toBe(2_900);
        expect(read.every((record, i) => record.value!.equals(large[i]!))).toBe(true);
      });

      it('is dead after an error, and a new one of the same id drops what it left', async () => {
        const topic = await bench.topic();
        const id = `tx-${randomUUID()}`;
        const producer = await bench.transactions(id);
        await producer.send(records(topic, ['dropped']));
        const error = await refusal(producer.send(records(topic, ['x'.repeat(2_000_000)])));
        expect(error).toMatchObject({ code: 'RECORD_TOO_LARGE', fenced: false });
        await refusal(producer.send(records(topic, ['no longer'])));
        await refusal(producer.commit(null));
        await producer.close();
        const next = await bench.transactions(id);
        await next.send(records(topic, ['kept']));
        const { written } = await next.commit(null);
        expect(await bench.values({ topic, partition: 0 }, 0, written[0]!.position)).toEqual(['kept']);
      });

      it('drops what is open when it is closed or taken over', async () => {
        const topic = await bench.topic();
        const id = `tx-${randomUUID()}`;
        const producer = await bench.transactions(id);
        await producer.send(records(topic, ['dropped']));
        await producer.close();
        await producer.close();
        await refusal(producer.send(records(topic, ['closed'])));
        const next = await bench.transactions(id);
        await next.send(records(topic, ['kept']));
        const { written } = await next.commit(null);
        expect(await bench.values({ topic, partition: 0 }, 0, written[0]!.position)).toEqual(['kept']);
      });
    });

    describe('fencing', () => {
      it('ends what the older producer left open, before open resolves', async () => {
        const topic = await bench.topic();
        const group = `group-${randomUUID()}`;
        const id = `tx-${randomUUID()}`;
        const older = await bench.transactions(id);
        await older.send(records(topic, ['left open']));
        await write(topic, ['behind it']);
        expect(await bench.end({ topic, partition: 0 })).toBe(0);
        const newer = await bench.transactions(id);
        expect(await bench.values({ topic, partition: 0 }, 0, 2)).toEqual(['behind it']);

        expect(await refusal(older.send(records(topic, ['too late'])))).toMatchObject({ code: 'FENCED', fenced: true });
        // and it stays so
        const late = older.commit({ group, positions: [{ topic, partition: 0, position: 1 }] });
        expect(await refusal(late)).toMatchObject({ fenced: true });
        await newer.send(records(topic, ['kept']));
        const { written } = await newer.commit(null);
        const { records: read } = await bench.read({ topic, partition: 0 }, 0, written[0]!.position);
        expect(valuesOf(read)).toEqual(['behind it', 'kept']);
        expect(await bench.admin().committed(group, [{ topic, partition: 0 }])).toEqual([null]);
        await older.close();
      });

      it('refuses the commit of an older producer', async () => {
        const topic = await bench.topic();
        const group = `group-${randomUUID()}`;
        const id = `tx-${randomUUID()}`;
        const older = await bench.transactions(id);
        await older.send(records(topic, ['left open']));
        await bench.transactions(id);
        const error = await refusal(older.commit({ group, positions: [{ topic, partition: 0, position: 1 }] }));
        expect(error).toMatchObject({ code: 'FENCED', fenced: true, retriable: false });
        expect(await bench.values({ topic, partition: 0 })).toEqual([]);
        expect(await bench.admin().committed(group, [{ topic, partition: 0 }])).toEqual([null]);
      });

      it('refuses an older producer that had nothing open', async () => {
        const topic = await bench.topic();
        const group = `group-${randomUUID()}`;
        const [a, b] = [`tx-${randomUUID()}`, `tx-${randomUUID()}`];
        const sender = await bench.transactions(a);
        const committer = await bench.transactions(b);
        await sender.send(records(topic, ['kept']));
        const { written } = await sender.commit(null);
        await bench.transactions(a);
        await bench.transactions(b);
        const positions = [{ topic, partition: 0, position: 1 }];
        expect(await refusal(sender.send(records(topic, ['late'])))).toMatchObject({ fenced: true });
        expect(await refusal(committer.commit({ group, positions }))).toMatchObject({ fenced: true });
        expect(await bench.values({ topic, partition: 0 }, 0, written[0]!.position)).toEqual(['kept']);
      });

      it('leaves producers of other ids alone', async () => {
        const topic = await bench.topic();
        const one = await bench.transactions();
        await one.send(records(topic, ['one']));
        await bench.transactions();
        const { written } = await one.commit(null);
        expect(await bench.values({ topic, partition: 0 }, 0, written[0]!.position)).toEqual(['one']);
      });
    });

    describe('group consumers', () => {
      it('are told their assignment first, and get nothing before a start', async () => {
        const topic = await bench.topic(3);
        for (const partition of [0, 1, 2]) await write(topic, numbers(0, 3), partition);
        const member = await bench.consumer({ topics: [topic] }, () => null);
        expect(member.owned.map((p) => p.partition).sort()).toEqual([0, 1, 2]);
        expect(member.owned.every((p) => p.topic === topic)).toBe(true);
        expect(member.generation).toBeGreaterThanOrEqual(0);
        await sleep(400);
        expect(member.batches).toEqual([]);
        member.start({ topic, partition: 1 }, 1);
        await eventually(() => expect(member.values()).toEqual(['1', '2']));
        expect(member.batches.every((b) => b.partition === 1)).toBe(true);
        expect(member.batches.at(-1)).toMatchObject({ position: 3, end: 3 });
        member.check();
      });

      it('get what is written later, with keys, headers and timestamps', async () => {
        const topic = await bench.topic();
        const member = await bench.consumer({ topics: [topic] });
        const producer = await bench.producer();
        const record = {
          key: Buffer.from('k'),
          value: null,
          timestamp: 1_700_000_000_123,
          headers: { h: Buffer.from('1') },
        };
        await producer.send([{ topic, partition: 0, ...record }]);
        await eventually(() => expect(member.records()).toEqual([{ offset: 0, ...record }]));
        for (let i = 0; i < 5; i++) {
          await write(topic, [`${i}`]);
          await eventually(() => expect(member.values().at(-1)).toBe(`${i}`));
        }
        member.check();
      });

      it('are not shown aborted or open transactions, and arrive at an end made of markers', async () => {
        const topic = await bench.topic();
        const member = await bench.consumer({ topics: [topic] });
        const [one, two, three] = [await bench.transactions(), await bench.transactions(), await bench.transactions()];
        await one.send(records(topic, ['1']));
        await two.send(records(topic, ['2']));
        await three.send(records(topic, ['3']));
        await one.send(records(topic, ['1']));
        await two.abort();
        await three.commit(null);
        await one.abort();
        await two.send(records(topic, ['4']));
        await two.commit(null);
        await three.send(records(topic, ['5']));
        await three.abort();
        const admin = bench.admin();
        await eventually(async () => {
          const [committed] = await admin.offsets(topic, 'committed');
          const [uncommitted] = await admin.offsets(topic, 'uncommitted');
          expect(committed!.end).toBe(uncommitted!.end);
          expect(member.batches.at(-1)).toMatchObject({ position: committed!.end, end: committed!.end });
        });
        expect(member.values()).toEqual(['3', '4']);
        member.check();
      });

      it('deliver again from the position of a new start, and go on from there', async () => {
        const topic = await bench.topic();
        await write(topic, numbers(0, 5));
        const member = await bench.consumer({ topics: [topic] });
        await eventually(() => expect(member.values()).toEqual(numbers(0, 5)));
        member.start({ topic, partition: 0 }, 2);
        await eventually(() => expect(member.values().length).toBe(8));
        await write(topic, ['5']);
        await eventually(() => expect(member.values()).toEqual([...numbers(0, 5), ...numbers(2, 4)]));
        member.check();
      });

      it('can be started anew from within a batch', async () => {
        const topic = await bench.topic();
        await write(topic, numbers(0, 4));
        let again = true;
        const member = await bench.consumer({ topics: [topic] }, () => null);
        member.hold = async (batch) => {
          if (!again) return;
          again = false;
          await sleep(50);
          member.start(batch, 1);
          await sleep(50);
        };
        member.start({ topic, partition: 0 }, 0);
        await eventually(() => expect(member.values()).toEqual([...numbers(0, 4), ...numbers(1, 3)]));
        member.check();
      });

      it('deliver nothing of a paused partition until it is started again', async () => {
        const topic = await bench.topic(2);
        const member = await bench.consumer({ topics: [topic] });
        await write(topic, ['a'], 0);
        await eventually(() => expect(member.values(0)).toEqual(['a']));
        member.consumer.pause({ topic, partition: 0 });
        // what was under way when it was called may still arrive
        await sleep(300);
        await write(topic, ['b'], 0);
        await write(topic, ['c'], 1);
        await eventually(() => expect(member.values(1)).toEqual(['c']));
        await sleep(300);
        expect(member.values(0)).toEqual(['a']);
        member.start({ topic, partition: 0 }, 1);
        await eventually(() => expect(member.values(0)).toEqual(['a', 'b']));
        member.check();
      });

      it('say which partition has lost its position, go on with the others, and with it where they are told', async ({
        skip,
      }) => {
        if (made.trim === undefined) return skip();
        const topic = await bench.topic(2);
        await write(topic, numbers(0, 4), 0);
        await write(topic, ['x'], 1);
        await made.trim({ topic, partition: 0 }, 2);
        const member = await bench.consumer({ topics: [topic] });
        await eventually(() => expect(member.lost).toEqual(['0: OFFSET_OUT_OF_RANGE']));
        await write(topic, ['y'], 1);
        await eventually(() => expect(member.values(1)).toEqual(['x', 'y']));
        expect(member.values(0)).toEqual([]);
        member.start({ topic, partition: 0 }, 2);
        await eventually(() => expect(member.values(0)).toEqual(numbers(2, 2)));
        member.check();
      });

      it('hold back the next batch of a partition until the last one is done, and only of that partition', async () => {
        const topic = await bench.topic(2);
        const release = Promise.withResolvers<void>();
        const member = await bench.consumer({ topics: [topic] }, () => null);
        member.hold = (batch) => (batch.partition === 0 ? release.promise : Promise.resolve());
        for (const partition of [0, 1]) member.start({ topic, partition }, 0);
        await write(topic, ['a'], 0);
        await eventually(() => expect(member.values(0)).toEqual(['a']));
        for (const value of ['b', 'c']) {
          await write(topic, [value], 0);
          await write(topic, [value], 1);
        }
        await eventually(() => expect(member.values(1)).toEqual(['b', 'c']));
        await sleep(300);
        expect(member.values(0)).toEqual(['a']);
        release.resolve();
        await eventually(() => expect(member.values(0)).toEqual(['a', 'b', 'c']));
        member.check();
      });

      it('deliver every record once and in order, in batches, where there are many', async () => {
        const topic = await bench.topic(2);
        const producer = await bench.transactions();
        const values = numbers(0, 5_000);
        for (let i = 0; i < 5_000; i += 1_000) {
          await producer.send(records(topic, values.slice(i, i + 1_000), 0));
          await producer.send(records(topic, values.slice(i, i + 1_000), 1));
          await producer.commit(null);
        }
        const member = await bench.consumer({ topics: [topic], maxBytesPerPartition: 20_000 });
        await eventually(() => expect(member.records().length).toBe(10_000));
        for (const partition of [0, 1]) expect(member.values(partition)).toEqual(values);
        expect(member.batches.length).toBeGreaterThan(4);
        member.check();
      });

      it('share the partitions of their topics, and take over those of one that stops, each record once', async () => {
        const [one, two] = [await bench.topic(4), await bench.topic(2)];
        const group = `group-${randomUUID()}`;
        // the position of each partition, as its last owner left it
        const positions = new Map<string, number>();
        const plan: Plan = (partition) => positions.get(nameOf(partition)) ?? 0;
        const seen = new Map<string, string[]>();
        const follow = (member: Member): void => {
          member.hold = (batch) => {
            positions.set(nameOf(batch), batch.position);
            const list = seen.get(nameOf(batch)) ?? [];
            list.push(...(valuesOf(batch.records) as string[]));
            seen.set(nameOf(batch), list);
            return Promise.resolve();
          };
        };
        const all = [0, 1, 2, 3].map((partition) => ({ topic: one, partition }));
        all.push(...[0, 1].map((partition) => ({ topic: two, partition })));
        const writeAll = async (value: string): Promise<void> => {
          for (const partition of all) await write(partition.topic, [value], partition.partition);
        };
        const arrived = (...values: string[]): Promise<void> =>
          eventually(() => {
            for (const partition of all)
              expect([nameOf(partition), seen.get(nameOf(partition))]).toEqual([nameOf(partition), values]);
          });
        const first = new Member(bench.log.groupConsumer({ group, topics: [one, two] }), plan);
        const second = new Member(bench.log.groupConsumer({ group, topics: [one, two] }), plan);
        follow(first);
        follow(second);
        try {
          await first.consumer.run(first);
          expect(first.owned.length).toBe(6);
          await writeAll('alone');
          await arrived('alone');

          await second.consumer.run(second);
          await eventually(() => {
            expect(first.owned.length).toBeLessThan(6);
            const names = [...first.owned, ...second.owned].map(nameOf).sort();
            expect(names).toEqual(all.map(nameOf).sort());
          });
          expect(first.owned.length).toBeGreaterThan(0);
          expect(second.owned.length).toBeGreaterThan(0);
          // the topics are co-partitioned: who has a number has it of both
          const of = (member: Member, topic: string): number[] =>
            member.owned.filter((p) => p.topic === topic && p.partition < 2).map((p) => p.partition);
          for (const member of [first, second]) expect(of(member, one).sort()).toEqual(of(member, two).sort());
          await writeAll('shared');
          await arrived('alone', 'shared');

          await second.consumer.stop();
          const quiet = second.batches.length;
          await eventually(() => expect(first.owned.length).toBe(6));
          await writeAll('alone again');
          await arrived('alone', 'shared', 'alone again');
          expect(second.batches.length).toBe(quiet);
          first.check();
          second.check();
        } finally {
          await first.consumer.stop();
          await second.consumer.stop();
        }
      });

      it('go on with the partitions that stay, while the group is being balanced', async () => {
        const topic = await bench.topic(2);
        const group = `group-${randomUUID()}`;
        let joins = 0;
        const held = Promise.withResolvers<void>();
        const release = Promise.withResolvers<void>();
        // the group waits for this member's second join, which waits here
        const claims = async (): Promise<Claim[]> => {
          if (++joins === 2) {
            held.resolve();
            await release.promise;
          }
          return [];
        };
        const first = await bench.consumer({ topics: [topic], group, claims });
        for (const partition of [0, 1]) await write(topic, ['before'], partition);
        await eventually(() => expect(first.values()).toEqual(['before', 'before']));
        const second = bench.consumer({ topics: [topic], group });
        await held.promise;
        for (const partition of [0, 1]) await write(topic, ['meanwhile'], partition);
        await eventually(() => expect(first.values().slice(2)).toEqual(['meanwhile', 'meanwhile']));
        expect(first.assignments).toBe(1);
        release.resolve();
        await second;
        await eventually(() => expect(first.owned.length).toBe(1));
        const [kept] = first.owned;
        await write(topic, ['after'], kept!.partition);
        await eventually(() => expect(first.values(kept!.partition)).toEqual(['before', 'meanwhile', 'after']));
        first.check();
      });

      it('get what they claim the state of, and keep standbys of the rest where they are asked for', async () => {
        const topic = await bench.topic(4);
        const group = `group-${randomUUID()}`;
        const claim = (...partitions: number[]) => {
          return () => Promise.resolve(partitions.map((partition) => ({ partition, behind: 0, of: 1_000_000 })));
        };
        const options = { topics: [topic], group, standbys: 1 };
        const first = await bench.consumer({ ...options, claims: claim(0, 1, 2, 3) });
        expect(first).toMatchObject({ standbys: [], warming: [] });
        const second = await bench.consumer({ ...options, claims: claim(1, 2) });
        const of = (member: Member): number[] => member.owned.map(({ partition }) => partition).sort();
        await eventually(() =>
          expect([of(first), of(second)]).toEqual([
            [0, 3],
            [1, 2],
          ]),
        );
        expect([first.standbys, second.standbys]).toEqual([
          [1, 2],
          [0, 3],
        ]);
        for (const member of [first, second]) member.check();
      });

      it('are given a partition with much state once they have said that it is warm', async () => {
        const topic = await bench.topic(2);
        const group = `group-${randomUUID()}`;
        const all = [0, 1].map((partition) => ({ partition, behind: 0, of: 1_000_000 }));
        const first = await bench.consumer({ topics: [topic], group, claims: () => Promise.resolve(all) });
        let warm: Claim[] = [];
        const second = await bench.consumer({ topics: [topic], group, claims: () => Promise.resolve(warm) });
        expect(second).toMatchObject({ owned: [], standbys: [1], warming: [1] });
        expect(first.owned.length).toBe(2);
        warm = [{ partition: 1, behind: 10, of: 1_000_000 }];
        second.consumer.rejoin();
        await eventually(() => expect(second.owned).toEqual([{ topic, partition: 1 }]));
        expect(second).toMatchObject({ standbys: [], warming: [] });
        await eventually(() => expect(first.owned).toEqual([{ topic, partition: 0 }]));
        for (const member of [first, second]) member.check();
      });

      it('deliver nothing after stop, which can be called twice, or before run', async () => {
        const topic = await bench.topic();
        const member = await bench.consumer({ topics: [topic] });
        await write(topic, ['a']);
        await eventually(() => expect(member.values()).toEqual(['a']));
        await Promise.all([member.consumer.stop(), member.consumer.stop()]);
        await member.consumer.stop();
        await write(topic, ['b']);
        await sleep(300);
        expect(member.values()).toEqual(['a']);
        member.check();
        await bench.log.groupConsumer({ group: `group-${randomUUID()}`, topics: [topic] }).stop();
      });

      it('do not meet in different groups', async () => {
        const topic = await bench.topic();
        await write(topic, ['a']);
        const [one, two] = [await bench.consumer({ topics: [topic] }), await bench.consumer({ topics: [topic] })];
        await eventually(() => {
          expect(one.values()).toEqual(['a']);
          expect(two.values()).toEqual(['a']);
        });
        one.check();
        two.check();
      });
    });

    describe('the admin', () => {
      it('makes topics, describes them and names them', async () => {
        const admin = bench.admin();
        const [one, two] = [`contract-${randomUUID()}`, `contract-${randomUUID()}`];
        await admin.create([
          { topic: one, partitions: 3, config: { 'cleanup.policy': 'compact', 'retention.ms': '86400000' } },
          { topic: two, partitions: 1 },
        ]);
        await eventually(async () => expect(await admin.topics()).toEqual(expect.arrayContaining([one, two])));
        const [first, missing, second] = await admin.describe([one, `missing-${randomUUID()}`, two]);
        expect(first).toMatchObject({ topic: one, partitions: 3 });
        expect(first!.config).toMatchObject({ 'cleanup.policy': 'compact', 'retention.ms': '86400000' });
        expect(missing).toBeNull();
        expect(second).toMatchObject({ topic: two, partitions: 1 });
        expect(second!.config['cleanup.policy'] ?? 'delete').toBe('delete');
        expect(await refusal(admin.create([{ topic: one, partitions: 3 }]))).toMatchObject({ code: 'TOPIC_EXISTS' });
      });

      it('changes the settings it is given and leaves the others', async () => {
        const admin = bench.admin();
        const topic = await bench.topic(1, { 'retention.ms': '86400000', 'cleanup.policy': 'compact' });
        await admin.configure(topic, { 'retention.ms': '3600000' });
        await eventually(async () => {
          const [description] = await admin.describe([topic]);
          expect(description!.config).toMatchObject({ 'retention.ms': '3600000', 'cleanup.policy': 'compact' });
        });
        expect((await refusal(admin.configure(`missing-${randomUUID()}`, {}))).code).toBe('UNKNOWN_TOPIC');
      });

      it('removes topics', async () => {
        const admin = bench.admin();
        const topic = await bench.topic();
        const kept = await bench.topic();
        await write(topic, ['a']);
        await admin.remove([topic]);
        await eventually(async () => {
          const names = await admin.topics();
          expect(names).not.toContain(topic);
          expect(names).toContain(kept);
          expect(await admin.describe([topic])).toEqual([null]);
        });
        expect((await refusal(admin.remove([topic]))).code).toBe('UNKNOWN_TOPIC');
      });

      it('knows where each partition starts and ends, with and without open transactions', async () => {
        const admin = bench.admin();
        const topic = await bench.topic(2);
        await write(topic, numbers(0, 4), 1);
        const both = [
          { partition: 0, start: 0, end: 0 },
          { partition: 1, start: 0, end: 4 },
        ];
        expect(await admin.offsets(topic)).toEqual(both);
        const producer = await bench.transactions();
        await producer.send(records(topic, ['open'], 0));
        expect(await admin.offsets(topic)).toEqual(both);
        expect(await admin.offsets(topic, 'committed')).toEqual(both);
        expect(await admin.offsets(topic, 'uncommitted')).toEqual([{ partition: 0, start: 0, end: 1 }, both[1]]);
        await producer.abort();
      });

      it('finds positions by time', async () => {
        const admin = bench.admin();
        const topic = await bench.topic(2);
        const producer = await bench.producer();
        const at = (value: string, timestamp: number) => ({
          topic,
          partition: 0,
          key: null,
          value: Buffer.from(value),
          timestamp,
        });
        // of today: what is older than its topic's retention may be gone at any moment
        const base = Date.now() - 3_600_000;
        await producer.send([at('a', base), at('b', base + 1_000), at('c', base + 2_000)]);
        const find = async (timestamp: number): Promise<number[]> => {
          const found = await admin.offsetsAt(topic, timestamp);
          expect(found.map((f) => f.partition)).toEqual([0, 1]);
          return found.map((f) => f.position);
        };
        expect(await find(base - 1)).toEqual([0, 0]);
        expect(await find(base + 1)).toEqual([1, 0]);
        expect(await find(base + 1_000)).toEqual([1, 0]);
        expect(await find(base + 2_000)).toEqual([2, 0]);
        expect(await find(base + 2_001)).toEqual([3, 0]);
      });

      it('knows each transactional id, and what is open under it', async () => {
        const admin = bench.admin();
        const topic = await bench.topic(2);
        await write(topic, ['before'], 1);
        const id = `tx-${randomUUID()}`;
        const phase = async () => (await admin.transactionalIds()).find((one) => one.transactionalId === id)?.phase;
        expect(await phase()).toBeUndefined();
        expect(await admin.describeTransactions([id])).toEqual([null]);
        const producer = await bench.transactions(id);
        expect(await phase()).toBe('Empty');
        expect((await admin.describeTransactions([id]))[0]).toMatchObject({ phase: 'Empty', startedAt: null });
        expect(await admin.openTransactions([topic])).toEqual([]);

        await producer.send(records(topic, ['open'], 1));
        expect(await phase()).toBe('Ongoing');
        const [missing, found] = await admin.describeTransactions([`tx-${randomUUID()}`, id]);
        expect(missing).toBeNull();
        expect(found).toMatchObject({ transactionalId: id, phase: 'Ongoing', partitions: [{ topic, partition: 1 }] });
        expect(found!.startedAt).toBeGreaterThan(Date.now() - 3_600_000);
        const open = await admin.openTransactions([topic, `missing-${randomUUID()}`], ['a group']);
        const { producerId, epoch } = found!;
        expect(open).toEqual([expect.objectContaining({ topic, partition: 1, from: 1, producerId, epoch })]);

        await producer.commit({ group: 'a group', positions: [{ topic, partition: 1, position: 1 }] });
        await eventually(async () => {
          expect(await admin.openTransactions([topic], ['a group'])).toEqual([]);
          expect(await phase()).not.toBe('Ongoing');
        });
      });

      it('aborts what is open under an id, and fences its producer', async () => {
        const admin = bench.admin();
        const topic = await bench.topic();
        const id = `tx-${randomUUID()}`;
        const producer = await bench.transactions(id);
        await producer.send(records(topic, ['left open']));
        await write(topic, ['behind it']);
        expect(await bench.end({ topic, partition: 0 })).toBe(0);
        await admin.abortTransaction(id);
        await eventually(async () => expect(await bench.end({ topic, partition: 0 })).toBeGreaterThanOrEqual(2));
        expect(await bench.values({ topic, partition: 0 }, 0, 2)).toEqual(['behind it']);
        expect(await refusal(producer.commit(null))).toMatchObject({ code: 'FENCED', fenced: true });
        const next = await bench.transactions(id);
        await next.send(records(topic, ['next']));
        const { written } = await next.commit(null);
        expect(await bench.values({ topic, partition: 0 }, 0, written[0]!.position)).toEqual(['behind it', 'next']);
        expect(await refusal(admin.abortTransaction(`tx-${randomUUID()}`))).toMatchObject({
          code: 'TRANSACTION_FAILED',
        });
      });

      it('names its brokers, and the members of a group', async () => {
        const admin = bench.admin();
        const topic = await bench.topic(2);
        const brokers = await admin.brokers();
        expect(brokers.length).toBeGreaterThan(0);
        for (const broker of brokers) expect(broker).toMatchObject({ problem: null, address: expect.any(String) });
        const group = `group-${randomUUID()}`;
        expect(await admin.group(group)).toEqual({ state: 'Dead', members: [] });
        const member = await bench.consumer({ topics: [topic], group });
        await eventually(async () => {
          const { state, members } = await admin.group(group);
          expect(state).toBe('Stable');
          expect(members.flatMap(({ partitions }) => partitions)).toEqual(
            expect.arrayContaining([
              { topic, partition: 0 },
              { topic, partition: 1 },
            ]),
          );
        });
        await member.consumer.stop();
        await eventually(async () => expect((await admin.group(group)).members).toEqual([]));
        const skew = await admin.clockSkew();
        if (skew !== null) expect(skew).toMatchObject({ aheadMs: expect.any(Number), withinMs: expect.any(Number) });
      });
    });
  });
}
