/** A broker that wants TLS and a password: both are handed through, and a wrong one is told as what it is. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { kafkaLog } from '../../src/log/kafka/index.ts';
import { describeWithKafka } from '../support/broker.ts';
import { hasJava } from '../support/artifacts.ts';
import { startKafka, type RunningKafka } from '../support/kafka-harness.ts';
import { eventually, refusal } from './contract.ts';

const canSecure = await hasJava();

describeWithKafka('a secured broker', () => {
  let kafka: RunningKafka;

  beforeAll(async () => {
    if (canSecure) kafka = await startKafka({ secured: true });
  });
  afterAll(() => kafka?.stop());

  it.runIf(canSecure)('is written to, read and consumed in a group', async () => {
    const log = kafkaLog({ brokers: [kafka.brokers], ...kafka.security });
    const topic = randomUUID();
    const group = randomUUID();
    const admin = log.admin();
    await admin.create([{ topic, partitions: 1 }]);
    const producer = log.transactionalProducer({ transactionalId: randomUUID() });
    await producer.open();
    await producer.send([{ topic, key: null, value: Buffer.from('secured') }]);
    await producer.commit({ group, positions: [{ topic, partition: 0, position: 1 }] });
    expect(await admin.committed(group, [{ topic, partition: 0 }])).toEqual([1]);
    const values: string[] = [];
    const consumer = log.groupConsumer({ group, topics: [topic] });
    await consumer.run({
      assigned: ({ partitions }) => partitions.forEach((partition) => consumer.start(partition, 0)),
      batch: async ({ records }) => void values.push(...records.map((record) => String(record.value))),
      crashed: (error) => expect.fail(error.message),
    });
    await eventually(() => expect(values).toEqual(['secured']));
    await log.close();
  });

  it.runIf(canSecure)('refuses a wrong password for good', async () => {
    const { ssl, sasl } = kafka.security!;
    const log = kafkaLog({ brokers: [kafka.brokers], ssl, sasl: { ...sasl, password: 'wrong' } });
    const producer = log.transactionalProducer({ transactionalId: randomUUID() });
    for (const attempt of [log.admin().topics(), producer.open()]) {
      expect(await refusal(attempt)).toMatchObject({ code: 'LOG_REFUSED', fatal: true });
    }
    await log.close();
  });
});
