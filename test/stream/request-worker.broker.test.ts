/** Requests over a real broker: rebalances, fencing, and a worker that ends in the middle. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { kafkaLog } from '../../src/log/kafka/index.ts';
import type { Log } from '../../src/log/port.ts';
import { describeWithKafka, kafkaBrokers } from '../support/broker.ts';
import { Asking, doubling, type Question } from './asking.ts';
import { Bench, eventually } from './bench.ts';

describeWithKafka('a worker that answers requests on Kafka', () => {
  let bench: Bench<Log>;
  let asking: Asking<Log>;
  let prefix: string;
  let name: string;

  beforeEach(() => {
    bench = Bench.over(kafkaLog({ brokers: kafkaBrokers.split(','), fetchWaitMs: 50 }));
    const id = randomUUID().slice(0, 8);
    prefix = `${id}-`;
    name = `doubler-${id}`;
    asking = new Asking(bench, name);
  });
  afterEach(async () => {
    await asking.close();
    await bench.close();
  });

  const handle = async ({ n }: Question, signal: AbortSignal) => {
    await sleep(n % 50 === 0 ? 500 : 20, undefined, { signal });
    return { answer: { n, twice: 2 * n } };
  };
  const handler = () => doubling(handle, prefix);
  const feed = (from: number, count: number): Promise<void> =>
    bench.write(
      `${prefix}questions`,
      Array.from({ length: count }, (_, i) => ({ key: `user-${(from + i) % 31}`, value: { n: from + i } })),
    );
  const answered = async () => (await bench.read(`${prefix}replies`)).map(([, { n }]) => n as number);
  const isDone = async (partitions: number) => {
    const admin = bench.log.admin();
    const topic = `${prefix}questions`;
    const at = Array.from({ length: partitions }, (_, partition) => ({ topic, partition }));
    const [committed, ends] = await Promise.all([admin.committed(`test-${name}`, at), admin.offsets(topic)]);
    await admin.close();
    expect(committed.map((position) => position ?? 0)).toEqual(ends.map(({ end }) => end));
  };

  it('answers every request once while nothing happens', async () => {
    await asking.topics(3, prefix);
    await feed(0, 500);
    const { metric } = await asking.start({ handler: handler(), concurrency: 16 });
    await eventually(() => isDone(3), 60_000);
    expect((await answered()).sort((a, b) => a - b)).toEqual(Array.from({ length: 500 }, (_, i) => i));
    expect(await metric('requests_failed_total')).toBe(0);
    const admin = bench.log.admin();
    for (const topic of [`${prefix}replies`, `${prefix}questions`]) {
      expect(await admin.offsets(topic, 'committed')).toEqual(await admin.offsets(topic, 'uncommitted'));
    }
    await admin.close();
  });

  it('loses none while workers come, go and are cut off', async () => {
    await asking.topics(5, prefix);
    let sent = 0;
    let going = true;
    const feeding = (async () => {
      while (going) {
        await feed(sent, 20);
        sent += 20;
        await sleep(50);
      }
    })();
    const start = (drainMs: number) => asking.start({ handler: handler(), concurrency: 8, drainMs });
    const first = await start(0);
    await sleep(1000);
    const second = await start(5000);
    await sleep(2000);
    await asking.stop(first.worker);
    await start(5000);
    await sleep(2000);
    await asking.stop(second.worker);
    await sleep(1000);
    going = false;
    await feeding;
    await eventually(() => isDone(5), 60_000);
    const all = await answered();
    expect(new Set(all).size).toBe(sent);
    // what was under way when a worker was cut off, or its partition moved, is answered again, and no more than that
    expect(all.length - sent).toBeLessThan(200);
  });
});
