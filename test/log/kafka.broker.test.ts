/** The Kafka adapter over a real broker: the log's contract, and what only Kafka can get wrong. */
import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Consumer } from '@platformatic/kafka';
import { Kafka, logLevel } from 'kafkajs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { kafkaLog } from '../../src/log/kafka/index.ts';
import { murmur2, partitionOf } from '../../src/log/murmur2.ts';
import type { GroupHandler, Log, LogAdmin, LogRecord, RecordBatch, TopicPartition } from '../../src/log/port.ts';
import { describeWithKafka, kafkaBrokers } from '../support/broker.ts';
import { hasJavaClient, javaClient } from '../support/java-client.ts';
import { freePort } from '../support/process.ts';
import { trim } from '../support/trim.ts';
import { eventually, logContract, refusal } from './contract.ts';

const brokers = kafkaBrokers.split(',');
const withJava = kafkaBrokers !== '' && (await hasJavaClient());

describeWithKafka('Kafka', () => {
  logContract('the Kafka adapter', async () => ({
    log: kafkaLog({ brokers, fetchWaitMs: 50 }),
    trim: (at, before) => trim(kafkaBrokers, at, before),
  }));
});

describeWithKafka('the Kafka adapter', () => {
  let log: Log;
  let admin: LogAdmin;

  beforeEach(() => {
    log = kafkaLog({ brokers, fetchWaitMs: 50 });
    admin = log.admin();
  });
  afterEach(() => log.close());

  const makeTopic = async (partitions = 1, config: Record<string, string> = {}): Promise<string> => {
    const topic = `kafka-${randomUUID()}`;
    await admin.create([{ topic, partitions, config }]);
    return topic;
  };
  const record = (topic: string, value: string | Buffer, key: Buffer | null = null, partition = 0) => ({
    topic,
    partition,
    key,
    value: Buffer.from(value),
  });
  const producers = (count: number) =>
    Promise.all(
      Array.from({ length: count }, async () => {
        const producer = log.transactionalProducer({ transactionalId: randomUUID() });
        await producer.open();
        return producer;
      }),
    );
  const read = async (topic: string, to?: number, from = 0): Promise<{ records: LogRecord[]; position: number }> => {
    const reader = log.reader();
    const records: LogRecord[] = [];
    let position = from;
    for await (const batch of reader.read({ topic, partition: 0 }, from, to)) {
      records.push(...batch.records);
      position = batch.position;
    }
    await reader.close();
    return { records, position };
  };
  /** The end once every transaction has its marker. */
  const settledEnd = (topic: string): Promise<number> =>
    eventually(async () => {
      const [[committed], [all]] = await Promise.all([admin.offsets(topic), admin.offsets(topic, 'uncommitted')]);
      expect(committed!.end).toBe(all!.end);
      return all!.end;
    });

  /**
   * Transactions that are truly interleaved, of which two are aborted, and a third committed, in each of three rounds, by
   * the same producers or by new ones; all with keys that look like abort markers, and a tail of aborted records only.
   */
  const interleaved = async (topic: string, who: 'the same' | 'new ones'): Promise<string[]> => {
    const marker = Buffer.from([0, 0, 0, 0]);
    let [one, two, three] = await producers(3);
    const plain = log.producer();
    await plain.open();
    for (let round = 0; round < 3; round++) {
      if (who === 'new ones') [one, two, three] = await producers(3);
      await one!.send([record(topic, `aborted 1.${round}`, marker)]);
      await plain.send([record(topic, `plain ${round}`, marker)]);
      await two!.send([record(topic, `aborted 2.${round}`, marker)]);
      await three!.send([record(topic, `committed ${round}`, marker)]);
      await one!.send([record(topic, `aborted 1.${round}`)]);
      await two!.abort();
      await three!.commit(null);
      await one!.abort();
    }
    if (who === 'new ones') [one, two] = await producers(2);
    await two!.send([record(topic, 'aborted')]);
    await one!.send([record(topic, 'aborted')]);
    await Promise.all([one!.abort(), two!.abort()]);
    return [0, 1, 2].flatMap((round) => [`plain ${round}`, `committed ${round}`]);
  };

  for (const who of ['the same', 'new ones'] as const) {
    it(`delivers no aborted record of interleaved transactions, each of ${who}`, async () => {
      const topic = await makeTopic();
      const expected = await interleaved(topic, who);
      const end = await settledEnd(topic);
      const { records, position } = await read(topic);
      expect(records.map((r) => String(r.value))).toEqual(expected);
      expect(position).toBe(end);
      // from every position: some transactions are already open there
      for (let from = 0; from <= end; from++) {
        const later = await read(topic, undefined, from);
        expect(later.records.map((r) => r.offset)).toEqual(
          records.map((r) => r.offset).filter((offset) => offset >= from),
        );
        expect(later.position).toBe(end);
      }
    });
  }

  it('sees the same as @platformatic/kafka', async () => {
    const topic = await makeTopic();
    // it takes only one aborted transaction of a producer into account in each fetch
    const expected = await interleaved(topic, 'new ones');
    await settledEnd(topic);
    const consumer = new Consumer({ clientId: 'check', groupId: randomUUID(), bootstrapBrokers: brokers });
    const seen: string[] = [];
    try {
      const options = { mode: 'earliest', isolationLevel: 1, autocommit: false, maxWaitTime: 50 } as const;
      const stream = await consumer.consume({ topics: [topic], ...options });
      stream.on('data', (message: { value: Buffer }) => seen.push(String(message.value)));
      await eventually(() => expect(seen.length).toBeGreaterThanOrEqual(expected.length));
      await sleep(200);
      await stream.close();
    } finally {
      await consumer.close(true);
    }
    expect(seen).toEqual(expected);
  });

  it("sees the same as kafkajs's own consumer, which leaked before it was patched", async () => {
    const topic = await makeTopic();
    const expected = await interleaved(topic, 'the same');
    await settledEnd(topic);
    const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING });
    const consumer = kafka.consumer({ groupId: randomUUID(), maxWaitTimeInMs: 50 });
    const seen: string[] = [];
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) });
    await eventually(() => expect(seen.length).toBeGreaterThanOrEqual(expected.length));
    await sleep(200);
    await consumer.disconnect();
    expect(seen).toEqual(expected);
  });

  it.runIf(withJava)("is read by Kafka's own consumer, checksums and all, as it reads itself", async () => {
    const topic = await makeTopic();
    await interleaved(topic, 'the same');
    const [producer] = await producers(1);
    await producer!.send(
      Array.from({ length: 3_000 }, (_, i) =>
        record(topic, randomBytes(i % 700), i % 3 === 0 ? null : randomBytes(i % 40)),
      ),
    );
    await producer!.commit(null);
    const end = await settledEnd(topic);
    const base64 = (bytes: Buffer | null): string => (bytes === null ? '-' : `=${bytes.toString('base64')}`);
    const { records } = await read(topic);
    expect(records.length).toBe(3_006);
    const lines = records.map(({ offset, key, value }) => `${offset} ${base64(key)} ${base64(value)}`);
    expect(await javaClient(['consume', kafkaBrokers, topic, end])).toEqual(lines);
  });

  it.runIf(withJava)("picks the partitions that Kafka's own producer picks", async () => {
    const keys = Array.from({ length: 2_000 }, (_, i) => randomBytes(i % 67));
    const input = keys.map((key) => `${key.toString('base64')}\n`).join('');
    const picked = await javaClient(['partitions', 12], input);
    expect(picked).toEqual(keys.map((key) => String(partitionOf(key, 12))));
    expect(murmur2(keys[1]!)).toBeTypeOf('number');
  });

  for (const codec of ['gzip', 'snappy', 'lz4', 'zstd']) {
    it.runIf(withJava)(`reads what Kafka's own producer compressed with ${codec}`, async () => {
      const topic = await makeTopic();
      await javaClient(['produce', kafkaBrokers, topic, codec, 2_000]);
      const { records } = await read(topic);
      expect(records.map((r) => String(r.value))).toEqual(
        Array.from({ length: 2_000 }, (_, i) => `${i}:${'abc'.repeat(i % 300)}`),
      );
      expect(records.map((r) => r.key!.length)).toEqual(Array.from({ length: 2_000 }, (_, i) => i % 40));
      // from the middle of a batch
      expect((await read(topic, undefined, 1_234)).records[0]).toEqual(records[1_234]);
    });
  }

  it('ends where there are only markers, from every position', async () => {
    const topic = await makeTopic();
    const [producer] = await producers(1);
    for (let i = 0; i < 6; i++) {
      await producer!.send([record(topic, `${i}`)]);
      await (i % 2 === 0 ? producer!.commit(null) : producer!.abort());
    }
    const end = await settledEnd(topic);
    for (let from = 0; from <= end; from++) expect((await read(topic, undefined, from)).position).toBe(end);
  });

  it('waits for a transaction that still holds positions before it tells them', async () => {
    const source = await makeTopic();
    const group = randomUUID();
    const partition = { topic: source, partition: 0 };
    // kafkajs's own producer can be stopped between sending positions and committing
    const producer = new Kafka({ brokers, logLevel: logLevel.NOTHING }).producer({
      transactionalId: randomUUID(),
      maxInFlightRequests: 1,
      idempotent: true,
    });
    await producer.connect();
    try {
      const transaction = await producer.transaction();
      await transaction.sendOffsets({
        consumerGroupId: group,
        topics: [{ topic: source, partitions: [{ partition: 0, offset: '5' }] }],
      });
      let answer: (number | null)[] | undefined;
      const asking = admin.committed(group, [partition]).then((positions) => (answer = positions));
      await sleep(300);
      expect(answer).toBeUndefined();
      await transaction.commit();
      await asking;
      expect(answer).toEqual([5]);
    } finally {
      await producer.disconnect();
    }
  });

  it('cuts batches smaller where a topic takes less than most', async () => {
    const topic = await makeTopic(2, { 'max.message.bytes': '20000' });
    const producer = log.producer();
    await producer.open();
    const values = Array.from({ length: 500 }, (_, i) => `${i} ${'x'.repeat(1_000)}`);
    await producer.send(values.map((value, i) => record(topic, value, null, i % 2)));
    const { records } = await read(topic);
    expect(records.map((r) => String(r.value))).toEqual(values.filter((_, i) => i % 2 === 0));
    expect(await refusal(producer.send([record(topic, 'x'.repeat(30_000))]))).toMatchObject({
      code: 'RECORD_TOO_LARGE',
    });
    // a producer without transactions starts over
    await producer.send([record(topic, 'after')]);
    expect(String((await read(topic)).records.at(-1)!.value)).toBe('after');
  });

  it('says that no broker can be reached, and that a topic to consume is not there', async () => {
    const nowhere = kafkaLog({ brokers: [`127.0.0.1:${await freePort()}`] });
    expect(await refusal(nowhere.admin().topics())).toMatchObject({ code: 'LOG_UNAVAILABLE', retriable: true });
    await nowhere.close();
    const consumer = log.groupConsumer({ group: randomUUID(), topics: [`missing-${randomUUID()}`] });
    expect(await refusal(consumer.run(new Owner()))).toMatchObject({ code: 'UNKNOWN_TOPIC' });
  });

  it('fails with LOG_CLOSED what is under way when it is closed', async () => {
    const topic = await makeTopic();
    const reader = log.reader();
    const reading = (async () => {
      for await (const _ of reader.read({ topic, partition: 0 }, 0, 10)) expect.fail('there is nothing to read');
    })();
    const [producer] = await producers(1);
    await sleep(100);
    const failed = refusal(reading);
    await log.close();
    expect((await failed).code).toBe('LOG_CLOSED');
    expect((await refusal(producer!.send([record(topic, 'x')]))).code).toBe('LOG_CLOSED');
    expect(() => log.reader()).toThrowError(expect.objectContaining({ code: 'LOG_CLOSED' }));
  });

  describe('group consumers', () => {
    it('stay members while a batch is handled for longer than their session', async () => {
      const topic = await makeTopic();
      const producer = log.producer();
      await producer.open();
      await producer.send([record(topic, 'slow')]);
      const owner = new Owner();
      owner.hold = () => sleep(7_500);
      const consumer = log.groupConsumer({ group: randomUUID(), topics: [topic], sessionTimeoutMs: 6_000 });
      owner.onAssigned = (partitions) => partitions.forEach((partition) => consumer.start(partition, 0));
      await consumer.run(owner);
      await eventually(() => expect(owner.handled).toBe(1));
      await producer.send([record(topic, 'next')]);
      await eventually(() => expect(owner.batches.length).toBe(2));
      expect(owner.assignments.length).toBe(1);
      await consumer.stop();
    });

    it('keep their partitions, and go on in them, when others come and go', async () => {
      const topic = await makeTopic(4);
      const group = randomUUID();
      const producer = log.producer();
      await producer.open();
      const members: { consumer: ReturnType<Log['groupConsumer']>; owner: Owner }[] = [];
      const join = async () => {
        const owner = new Owner();
        const consumer = log.groupConsumer({ group, topics: [topic] });
        let before: number[] = [];
        owner.onAssigned = (partitions, restarted) => {
          expect(restarted).toEqual([]);
          for (const partition of partitions) if (!before.includes(partition.partition)) consumer.start(partition, 0);
          before = partitions.map((p) => p.partition);
        };
        members.push({ consumer, owner });
        await consumer.run(owner);
      };
      const owned = () => members.map(({ owner }) => owner.owned());
      await join();
      expect(owned()).toEqual([[0, 1, 2, 3]]);
      await join();
      await eventually(() =>
        expect(owned()).toEqual([
          [0, 1],
          [2, 3],
        ]),
      );
      await producer.send([0, 1, 2, 3].map((p) => record(topic, `${p}`, null, p)));
      await eventually(() =>
        expect(members.flatMap(({ owner }) => owner.values()).sort()).toEqual(['0', '1', '2', '3']),
      );
      await members[1]!.consumer.stop();
      await eventually(() => expect(members[0]!.owner.owned()).toEqual([0, 1, 2, 3]));
      // 0 and 1 were never interrupted, so they are not delivered again; 2 and 3 were started anew
      await eventually(() => expect(members[0]!.owner.values().sort()).toEqual(['0', '1', '2', '3']));
      await members[0]!.consumer.stop();
    });

    it('crash where a position is no longer kept, instead of jumping', async () => {
      const topic = await makeTopic();
      const owner = new Owner();
      const consumer = log.groupConsumer({ group: randomUUID(), topics: [topic] });
      owner.onAssigned = (partitions) => partitions.forEach((partition) => consumer.start(partition, 100));
      await consumer.run(owner);
      await eventually(() => expect(owner.crash).toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' }));
      expect(await admin.committed('none', [{ topic, partition: 0 }])).toEqual([null]);
    });

    it('crash where their owner breaks on a batch', async () => {
      const topic = await makeTopic();
      const producer = log.producer();
      await producer.open();
      await producer.send([record(topic, 'x')]);
      const owner = new Owner();
      owner.hold = () => Promise.reject(new Error('broken'));
      const consumer = log.groupConsumer({ group: randomUUID(), topics: [topic] });
      owner.onAssigned = (partitions) => partitions.forEach((partition) => consumer.start(partition, 0));
      await consumer.run(owner);
      await eventually(() => expect(owner.crash?.message).toContain('broken'));
      expect(owner.batches.length).toBe(1);
    });

    it('are told of partitions that are added to a topic', { timeout: 60_000 }, async () => {
      const topic = await makeTopic(1);
      const owner = new Owner();
      const consumer = log.groupConsumer({ group: randomUUID(), topics: [topic] });
      await consumer.run(owner);
      expect(owner.owned()).toEqual([0]);
      const other = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin();
      await other.connect();
      await other.createPartitions({ topicPartitions: [{ topic, count: 3 }] });
      await other.disconnect();
      const second = log.groupConsumer({ group: randomUUID(), topics: [topic] });
      const fresh = new Owner();
      await second.run(fresh);
      expect(fresh.owned()).toEqual([0, 1, 2]);
      await second.stop();
      await eventually(() => expect(owner.owned()).toEqual([0, 1, 2]), 45_000);
      await consumer.stop();
    });
  });
});

/** A group handler that keeps what it is told. */
class Owner implements GroupHandler {
  assignments: TopicPartition[][] = [];
  batches: RecordBatch[] = [];
  crash: Error | null = null;
  handled = 0;
  hold: (batch: RecordBatch) => Promise<void> = () => Promise.resolve();
  onAssigned: (partitions: TopicPartition[], restarted: TopicPartition[]) => void = () => undefined;

  assigned({ partitions, restarted }: { partitions: TopicPartition[]; restarted: TopicPartition[] }): void {
    this.assignments.push(partitions);
    this.onAssigned(partitions, restarted);
  }

  async batch(batch: RecordBatch): Promise<void> {
    this.batches.push(batch);
    await this.hold(batch);
    this.handled++;
  }

  crashed(error: Error): void {
    this.crash = error;
  }

  owned(): number[] {
    return (this.assignments.at(-1) ?? []).map((partition) => partition.partition).sort((a, b) => a - b);
  }

  values(): string[] {
    return this.batches.flatMap((batch) => batch.records.map((r) => String(r.value)));
  }
}
