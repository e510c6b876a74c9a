/** The fetcher against a leader that is made up: what a real broker does too seldom to be tested with. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { LogError } from '../../src/errors.ts';
import type { Cluster } from '../../src/log/kafka/cluster.ts';
import { Fetcher } from '../../src/log/kafka/fetcher.ts';
import { BATCH_HEADER_BYTES, recordBytes, writeBatch } from '../../src/log/kafka/records.ts';
import type { FetchedPartition, FetchPosition } from '../../src/log/kafka/wire.ts';
import type { RecordBatch } from '../../src/log/port.ts';
import { eventually } from './contract.ts';

type Answer = (
  asked: { partition: number; position: number }[],
) => Partial<FetchedPartition>[] | Promise<Partial<FetchedPartition>[]>;

/** One record at an offset, as a broker sends it. */
function oneRecord(offset: number): Buffer {
  const record = { topic: 't', key: null, value: Buffer.from(`${offset}`) };
  const buffer = Buffer.alloc(BATCH_HEADER_BYTES + recordBytes(record));
  const end = writeBatch(buffer, 0, [record], { producerId: 1n, producerEpoch: 0, transactional: false }, 0, 0);
  buffer.writeBigInt64BE(BigInt(offset), 0);
  return buffer.subarray(0, end);
}

describe('the fetcher', () => {
  let fetcher: Fetcher;
  let refreshes = 0;
  const batches: RecordBatch[] = [];
  const failures: LogError[] = [];

  const fetching = (answer: Answer): Fetcher => {
    refreshes = batches.length = failures.length = 0;
    const cluster = {
      log: () => undefined,
      leader: () => 1,
      partitionsOf: () => 4,
      know: () => Promise.resolve(),
      refresh: async () => void refreshes++,
      node: () => Promise.resolve({}),
      send: async (_broker: unknown, protocol: { request: { encode(): { buffer: Buffer } } }) => {
        const asked = positionsIn(protocol.request.encode().buffer);
        const answered = await answer(asked);
        await sleep(2);
        const empty = { topic: 't', errorCode: 0, stable: 0, aborted: [], batches: Buffer.alloc(0) };
        return answered.map((partition, i) => ({ ...empty, partition: asked[i]!.partition, ...partition }));
      },
    };
    const feed = {
      batch: async (batch: RecordBatch) => void batches.push(batch),
      failed: (error: LogError) => void failures.push(error),
    };
    return (fetcher = new Fetcher(cluster as unknown as Cluster, { feed, waitMs: 5, maxBytesPerPartition: 1_000 }));
  };
  afterEach(() => fetcher.close());

  it('passes a hole that reaches up to the end, once it was asked for alone', async () => {
    const alone: boolean[] = [];
    fetching((asked) => {
      const holed = asked.find(({ partition }) => partition === 0);
      if (holed?.position === 5) alone.push(asked.length === 1);
      // partition 1 always has more, as if it filled every response
      return asked.map(({ partition, position }) =>
        partition === 0 ? { stable: 9 } : { stable: position + 2, batches: oneRecord(position) },
      );
    });
    fetcher.start({ topic: 't', partition: 0 }, 5);
    fetcher.start({ topic: 't', partition: 1 }, 0);
    await eventually(() => expect(batches.some((batch) => batch.partition === 0)).toBe(true));
    const [hole] = batches.filter((batch) => batch.partition === 0);
    expect(hole).toEqual({ topic: 't', partition: 0, records: [], position: 9, end: 9 });
    expect(alone.at(-1)).toBe(true);
    expect(failures).toEqual([]);
  });

  it('drops what was fetched for a position that was given up', async () => {
    const release = Promise.withResolvers<void>();
    fetching(async ([asked]) => {
      if (asked!.position === 3) await release.promise;
      return [asked!.position < 50 ? { stable: 51, batches: oneRecord(asked!.position) } : { stable: 51 }];
    });
    fetcher.start({ topic: 't', partition: 0 }, 3);
    await sleep(10);
    fetcher.start({ topic: 't', partition: 0 }, 49);
    release.resolve();
    await eventually(() => expect(batches.length).toBeGreaterThan(0));
    expect(batches[0]!.records.map((record) => record.offset)).toEqual([49]);
  });

  it('asks who leads and tries again where a leader has moved, and gives up where a position is not kept', async () => {
    let asked = 0;
    fetching(() => {
      asked++;
      // NOT_LEADER_FOR_PARTITION, and then OFFSET_OUT_OF_RANGE
      return [{ errorCode: asked === 1 ? 6 : 1 }];
    });
    fetcher.start({ topic: 't', partition: 0 }, 3);
    await eventually(() => expect(failures.map((error) => error.code)).toEqual(['OFFSET_OUT_OF_RANGE']));
    expect(refreshes).toBeGreaterThan(0);
    await sleep(30);
    expect(asked).toBe(2);
  });
});

/** What a Fetch request of topic `t` asks for. */
function positionsIn(request: Buffer): Omit<FetchPosition, 'topic'>[] {
  // replica, wait, min, max, isolation, session, epoch, topics, "t", then the partitions
  const start = 4 * 4 + 1 + 4 * 2 + 4 + 3;
  return Array.from({ length: request.readInt32BE(start) }, (_, i) => {
    const at = start + 4 + i * 28;
    return { partition: request.readInt32BE(at), position: Number(request.readBigInt64BE(at + 8)) };
  });
}
