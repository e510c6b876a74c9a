/** Transactions that truly hang, of both kinds, on a broker that ends none by itself and takes what it cannot verify. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Cluster } from '../../src/log/kafka/cluster.ts';
import { kafkaLog } from '../../src/log/kafka/index.ts';
import { RecordSender } from '../../src/log/kafka/produce.ts';
import type { Log, LogAdmin } from '../../src/log/port.ts';
import { eventually } from '../log/contract.ts';
import { describeWithKafka } from '../support/broker.ts';
import { startKafka, type RunningKafka } from '../support/kafka-harness.ts';
import { seral } from '../support/seral.ts';

const LABELS = 'serendipity.labels';

// each command is a process, and a hanging transaction has to be waited for
describeWithKafka('seral transactions', { timeout: 300_000 }, () => {
  let kafka: RunningKafka;
  let log: Log;
  let admin: LogAdmin;
  let env: Record<string, string>;

  beforeAll(async () => {
    kafka = await startKafka({
      config: {
        'transaction.abort.timed.out.transaction.cleanup.interval.ms': '3600000',
        'transaction.partition.verification.enable': 'false',
      },
    });
    log = kafkaLog({ brokers: kafka.brokers.split(',') });
    admin = log.admin();
    env = { SERAL_APP: 'hung', SERAL_KAFKA_BROKERS: kafka.brokers, SERAL_TOPICS_PARTITIONS: '1' };
    expect(await seral(['topics', 'apply'], env)).toMatchObject({ code: 0 });
  }, 300_000);
  afterAll(async () => {
    await log?.close();
    await kafka?.stop();
  });

  const list = async (...options: string[]) => {
    const { code, stdout, stderr } = await seral(['transactions', 'list', '--format', 'json', ...options], env);
    expect(code, stderr).toBe(0);
    return stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  };
  const abort = (...args: string[]) => seral(['transactions', 'abort', ...args], env);
  const write = async (topic: string, value: string): Promise<void> => {
    const producer = log.producer();
    await producer.open();
    await producer.send([{ topic, partition: 0, key: null, value: Buffer.from(value) }]);
    await producer.close();
  };
  const read = async (topic: string): Promise<string[]> => {
    const reader = log.reader();
    const values: string[] = [];
    for await (const batch of reader.read({ topic, partition: 0 }, 0)) {
      values.push(...batch.records.map(({ value }) => String(value)));
    }
    await reader.close();
    return values;
  };
  /** A process that is killed in the middle of a transaction. */
  const killedWith = async (id: string, timeoutMs: number, topic: string): Promise<void> => {
    const script = join(import.meta.dirname, '../support/open-transaction.ts');
    const child = spawn(process.execPath, [script, kafka.brokers, id, String(timeoutMs), topic], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await Promise.race([
      once(child.stdout, 'data'),
      once(child, 'close').then(() => expect.fail('it ended by itself')),
    ]);
    child.kill('SIGKILL');
    await once(child, 'close');
  };

  it('says that there is none', async () => {
    const { code, stdout } = await seral(['transactions', 'list'], env);
    expect([code, stdout]).toEqual([0, 'no transactions of hung\n']);
    expect(await abort('hung-labels-0')).toMatchObject({ code: 2 });
    expect(await abort()).toMatchObject({ code: 2 });
  });

  it('aborts by the coordinator what a killed process left open, once its time is over, or by force', async () => {
    await killedWith('hung-labels-0', 1000, LABELS);
    await killedWith('hung-metrics-0', 600_000, 'metrics.daily');
    await killedWith('hung-profile-worker-0', 600_000, 'profile.proposals');
    await write(LABELS, 'behind it');
    expect(await read(LABELS)).toEqual([]);
    const held = { topic: LABELS, partition: 0, from: 0, waiting: 2 };
    // by its time-out and the margin in which its coordinator should have seen to it
    await eventually(async () => {
      expect(await list('--hanging')).toMatchObject([{ name: 'hung-labels-0', hanging: 'overdue', held: [held] }]);
    }, 60_000);
    const { stdout } = await seral(['transactions', 'list'], env);
    expect(stdout).toMatch(/^hung-labels-0 +Ongoing .* overdue +serendipity\.labels\/0 from 0 \(2 waiting\)$/m);
    expect(stdout).toMatch(/^hung-metrics-0 +Ongoing /m);
    expect(stdout).toMatch(/^hung-profile-worker-0 +Ongoing .* profile\.proposals\/0 from 0 \(1 waiting\)$/m);

    // nobody is there to be asked
    expect(await abort('--hanging')).toMatchObject({ code: 2 });
    expect(await abort('--hanging', '--yes')).toMatchObject({ code: 0, stdout: expect.stringMatching(/1 aborted, 0/) });
    await eventually(async () => expect(await read(LABELS)).toEqual(['behind it']));

    const left = await abort('hung-metrics-0', 'hung-profile-worker-0', '--yes');
    expect(left).toMatchObject({ code: 1, stdout: expect.stringContaining('its task may be running') });
    const forced = await abort('hung-metrics-0', 'hung-profile-worker-0', '--yes', '--force');
    expect(forced).toMatchObject({ code: 0, stdout: expect.stringContaining('2 aborted') });
    const topics = ['metrics.daily', 'profile.proposals'];
    await eventually(async () => expect(await admin.openTransactions(topics)).toEqual([]));
  });

  it('aborts on its partition what no coordinator knows of', async () => {
    const cluster = new Cluster({
      brokers: [kafka.brokers],
      clientId: 'orphan',
      connectionTimeoutMs: 10_000,
      requestTimeoutMs: 30_000,
      log: () => undefined,
    });
    // a producer id that no coordinator ever gave
    const id = { producerId: 987_654n, producerEpoch: 0 };
    const limits = { maxBatchBytes: 900_000, deliveryTimeoutMs: 30_000 };
    const sender = new RecordSender(cluster, limits, 'nobody', id);
    const topics = ['serendipity.user-days', 'behavior.events'];
    const user = topics.map((topic) => ({ topic, partition: 0, key: null, value: Buffer.from('orphan') }));
    await sender.send(await sender.prepare(user));
    await cluster.close();
    await write('serendipity.user-days', 'behind it');
    expect(await read('serendipity.user-days')).toEqual([]);

    const rows = await list('--hanging');
    expect(rows.map(({ name, hanging }) => [name, hanging]).sort()).toEqual([
      ['behavior.events/0@987654', 'orphaned'],
      ['serendipity.user-days/0@987654', 'orphaned'],
    ]);
    const first = await abort('--hanging', '--yes');
    expect(first).toMatchObject({ code: 1, stdout: expect.stringContaining('others write this topic too') });
    await eventually(async () => expect(await read('serendipity.user-days')).toEqual(['behind it']));
    expect(await abort('--hanging', '--yes', '--force')).toMatchObject({ code: 0 });
    await eventually(async () => expect(await list('--hanging')).toEqual([]));
  });
});
