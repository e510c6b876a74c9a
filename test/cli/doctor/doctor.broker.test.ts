/** A Kafka and a registry where several things are wrong at once, then one after the other is put right. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { kafkaLog } from '../../../src/log/kafka/index.ts';
import type { Log, LogAdmin } from '../../../src/log/port.ts';
import type { Finding } from '../../../src/cli/doctor/findings.ts';
import { describeWithKafkaAndRegistry } from '../../support/broker.ts';
import { startKafka, startRegistry, type RunningKafka, type RunningRegistry } from '../../support/kafka-harness.ts';
import { seral } from '../../support/seral.ts';

describeWithKafkaAndRegistry('seral doctor', { timeout: 300_000 }, () => {
  let folder: string;
  let kafka: RunningKafka;
  let registry: RunningRegistry;
  let log: Log;
  let admin: LogAdmin;
  let env: Record<string, string>;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'seral-doctor-broker-'));
    // of our own: another suite's topics and subjects would be found too
    [kafka, registry] = await Promise.all([
      startKafka({ config: { 'transaction.max.timeout.ms': '45000', 'offsets.retention.minutes': '60' } }),
      startRegistry(),
    ]);
    log = kafkaLog({ brokers: kafka.brokers.split(',') });
    admin = log.admin();
    env = {
      SERAL_APP: 'sick',
      SERAL_KAFKA_BROKERS: kafka.brokers,
      SERAL_REGISTRY_URL: registry.url,
      SERAL_TOPICS_PARTITIONS: '2',
    };
  }, 300_000);
  afterAll(async () => {
    await log?.close();
    await Promise.all([kafka?.stop(), registry?.stop()]);
    await rm(folder, { recursive: true, force: true });
  });

  const doctor = async (more: Record<string, string> = {}) => {
    const { code, stdout, stderr } = await seral(
      ['doctor', '--format', 'json', '--deadline', '1m'],
      { ...env, ...more },
      folder,
    );
    const all = stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Finding);
    expect(all.length, stderr).toBeGreaterThan(0);
    const of = (severity: Finding['severity']) =>
      [...new Set(all.filter((one) => one.severity === severity).map((one) => one.code))].sort();
    return { code, all, errors: of('error'), warnings: of('warning'), fine: of('ok') };
  };

  it('finds all that is wrong before anything was set up', async () => {
    const { code, errors, warnings, fine } = await doctor();
    expect(errors).toEqual(['MISSING_TOPICS', 'SCHEMA_NOT_REGISTERED', 'TRANSACTION_TIMEOUT_REFUSED']);
    expect(warnings).toEqual(['POSITIONS_KEPT_SHORT']);
    expect(fine).toEqual(expect.arrayContaining(['BROKERS', 'CLOCK', 'TRANSACTIONS']));
    expect(code).toBe(1);
  });

  it('finds what is off in topics, positions and dead letters', async () => {
    env.SERAL_RUNTIME_TRANSACTION_TIMEOUT = '30s';
    // one with other partitions, one compacted
    await admin.create([
      { topic: 'behavior.events', partitions: 2, config: { 'cleanup.policy': 'compact' } },
      { topic: 'catalog.items', partitions: 1, config: { 'cleanup.policy': 'compact' } },
    ]);
    expect(await seral(['topics', 'apply'], env, folder)).toMatchObject({ code: 0 });
    expect(await seral(['schemas', 'register'], env, folder)).toMatchObject({ code: 0 });
    await admin.configure('serendipity.labels', { 'retention.ms': '1000', 'max.message.bytes': '500000' });
    const letters = log.producer();
    await letters.open();
    await letters.send([
      { topic: 'labels.dlq', key: null, value: Buffer.from('a letter') },
      { topic: 'profile.refresh-requests', key: null, value: Buffer.from('a request') },
    ]);
    await letters.close();
    // a position that the topic never reached, as after it was made anew
    const task = log.transactionalProducer({ transactionalId: 'sick-labels-0', timeoutMs: 30_000 });
    await task.open();
    await task.commit({ group: 'sick-labels', positions: [{ topic: 'behavior.events', partition: 0, position: 77 }] });
    await task.close();

    const { code, errors, warnings, all } = await doctor();
    expect(errors).toEqual(['POSITION_PAST_END', 'SOURCE_COMPACTED']);
    expect(warnings).toEqual([
      'BATCHES_TOO_LARGE',
      'DEAD_LETTERS',
      'NEVER_RAN',
      'POSITIONS_KEPT_SHORT',
      'TOPIC_DIFFERS',
    ]);
    expect(all.find((one) => one.code === 'NEVER_RAN' && one.severity === 'warning')).toMatchObject({
      what: expect.stringContaining('group sick-profile-worker has never run; 1 behind'),
      todo: 'seral worker profile',
    });
    expect(all.find((one) => one.code === 'DEAD_LETTERS')!.what).toContain(
      '1 kept, 1 of the last day, 1 of the last hour',
    );
    expect(code).toBe(1);

    const other = await doctor({ SERAL_TOPICS_PARTITIONS: '3' });
    const differing = other.all.filter((one) => one.code === 'PARTITIONS_DIFFER').map(({ what }) => what.split(' ')[0]);
    expect(differing).toEqual(expect.arrayContaining(['profile.refresh-requests', 'profile-worker.dlq']));
  });

  it('finds nothing wrong once it is put right', async () => {
    await admin.configure('behavior.events', { 'cleanup.policy': 'delete', 'message.timestamp.type': 'LogAppendTime' });
    await admin.configure('serendipity.labels', { 'max.message.bytes': '1048588' });
    expect(await seral(['topics', 'apply'], env, folder)).toMatchObject({ code: 0 });
    const task = log.transactionalProducer({ transactionalId: 'sick-labels-0', timeoutMs: 30_000 });
    await task.open();
    await task.commit({ group: 'sick-labels', positions: [{ topic: 'behavior.events', partition: 0, position: 0 }] });
    await task.close();
    const { code, errors } = await doctor();
    expect(errors).toEqual([]);
    expect(code).toBe(0);
    const { stdout } = await seral(['doctor'], env, folder);
    expect(stdout).toMatch(/^0 errors, \d warnings?$/m);
  });

  it('says of a broker and a registry that were killed that they do not answer', async () => {
    await Promise.all([kafka.kill9(), registry.stop()]);
    const { code, errors } = await doctor();
    expect(errors).toEqual(['LOG_UNAVAILABLE', 'REGISTRY_UNAVAILABLE']);
    expect(code).toBe(1);
  });
});
