/** A broker that is killed under the adapter and comes back: what may go on goes on, what may not dies, nothing is lost. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { kafkaLog } from '../../src/log/kafka/index.ts';
import type { Log, TransactionalProducer } from '../../src/log/port.ts';
import { hasJava } from '../support/artifacts.ts';
import { describeWithKafka } from '../support/broker.ts';
import { startKafka, type RunningKafka } from '../support/kafka-harness.ts';
import { eventually } from './contract.ts';

const canKill = await hasJava();

describeWithKafka('a broker that is killed', () => {
  let kafka: RunningKafka;
  let log: Log;

  beforeAll(async () => {
    if (!canKill) return;
    kafka = await startKafka();
    log = kafkaLog({ brokers: [kafka.brokers] });
  });
  afterAll(async () => {
    await log?.close();
    await kafka?.stop();
  });

  it.runIf(canKill)('interrupts readers and consumers, ends transactions, and loses nothing', async () => {
    const [topic, group, transactionalId] = [randomUUID(), randomUUID(), randomUUID()];
    const admin = log.admin();
    await admin.create([{ topic, partitions: 1 }]);
    const opened = async (): Promise<TransactionalProducer> => {
      const producer = log.transactionalProducer({ transactionalId });
      await producer.open();
      return producer;
    };
    const commit = async (producer: TransactionalProducer, value: string, position: number): Promise<void> => {
      await producer.send([{ topic, key: null, value: Buffer.from(value) }]);
      await producer.commit({ group, positions: [{ topic, partition: 0, position }] });
    };

    const consumed: string[] = [];
    const crashes: Error[] = [];
    const consumer = log.groupConsumer({ group: randomUUID(), topics: [topic] });
    await consumer.run({
      assigned: ({ partitions, restarted }) => {
        // after the outage the same partition goes on, or it is started at the position it had
        if (consumed.length === 0) partitions.forEach((partition) => consumer.start(partition, 0));
        else restarted.forEach((partition) => consumer.start(partition, reached));
      },
      batch: async (batch) => {
        reached = batch.position;
        consumed.push(...batch.records.map((record) => String(record.value)));
      },
      crashed: (error) => void crashes.push(error),
    });
    let reached = 0;
    const followed: string[] = [];
    const stop = new AbortController();
    const following = (async () => {
      for await (const batch of log.reader().read({ topic, partition: 0 }, 0, Infinity, { signal: stop.signal })) {
        followed.push(...batch.records.map((record) => String(record.value)));
      }
    })();

    const before = await opened();
    await commit(before, 'before', 1);
    await eventually(() => expect([consumed, followed]).toEqual([['before'], ['before']]));
    await before.send([{ topic, key: null, value: Buffer.from('in the outage') }]);
    await kafka.kill9();
    const position = { topic, partition: 0, position: 2 };
    const committing = before.commit({ group, positions: [position] }).then(
      () => true,
      (error: unknown) => {
        expect(error).toMatchObject({ retriable: true, fenced: false, fatal: false });
        return false;
      },
    );
    await sleep(500);
    await kafka.restart();
    // whether it was committed the promise says, or, where that failed, the position: never one without the other
    const succeeded = await committing;
    await before.close();
    const after = await opened();
    const [committed] = await admin.committed(group, [position]);
    if (succeeded) expect(committed).toBe(2);
    const values = committed === 2 ? ['before', 'in the outage', 'after'] : ['before', 'after'];
    await commit(after, 'after', 3);
    await eventually(() => expect([consumed, followed]).toEqual([values, values]), 60_000);
    expect(await admin.committed(group, [position])).toEqual([3]);
    expect(crashes).toEqual([]);
    stop.abort();
    await following;
    await consumer.stop();
  });
});
