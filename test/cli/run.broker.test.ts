/** The whole path as an operator walks it: topics, schemas, run, as real processes against a real Kafka and registry. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { kafkaLog } from '../../src/log/kafka/index.ts';
import { encodeKey } from '../../src/log/keys.ts';
import type { Log } from '../../src/log/port.ts';
import { confluentSerdes } from '../../src/log/registry/confluent.ts';
import type { Serdes } from '../../src/log/serde.ts';
import { labelsOf } from '../../src/cli/labels-of.ts';
import type { BehaviorEvent } from '../../src/shop/behaviour.ts';
import { describeWithKafkaAndRegistry, kafkaBrokers, registryUrl } from '../support/broker.ts';
import { freePort } from '../support/process.ts';
import { seral, startSeral, type SeralProcess } from '../support/seral.ts';

describeWithKafkaAndRegistry('seral run', () => {
  const user = `u-${randomUUID()}`;
  let folder: string;
  let env: Record<string, string>;
  let log: Log;
  let serdes: Serdes;
  let running: SeralProcess | null = null;
  let url: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'seral-run-broker-'));
    log = kafkaLog({ brokers: kafkaBrokers.split(',') });
    serdes = confluentSerdes({ url: registryUrl });
    const admin = log.admin();
    // the topics of the contract have fixed names: a broker that is not ours alone may have them already
    const there = (await admin.describe(['behavior.events']))[0];
    await admin.close();
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    env = {
      SERAL_APP: `run-${randomUUID().slice(0, 8)}`,
      SERAL_KAFKA_BROKERS: kafkaBrokers,
      SERAL_REGISTRY_URL: registryUrl,
      SERAL_TOPICS_PARTITIONS: String(there?.partitions ?? 3),
      SERAL_RUNTIME_STATE_DIR: join(folder, 'state'),
      SERAL_HTTP_PORT: String(port),
    };
  });
  afterAll(async () => {
    running?.signal('SIGKILL');
    await running?.ended;
    await serdes?.close();
    await log?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const at = async (path: string) => {
    const response = await fetch(url + path);
    return { status: response.status, text: await response.text() };
  };

  async function until(what: string, check: () => Promise<boolean>): Promise<void> {
    for (const deadline = Date.now() + 60_000; !(await check().catch(() => false)); await sleep(200)) {
      if (Date.now() > deadline) throw new Error(`${what}: not within 60 s\n${running?.stderr() ?? ''}`);
    }
  }

  const event = (
    type: BehaviorEvent['event_type'],
    time: number,
    request: string,
    category: string,
  ): BehaviorEvent => ({
    event_id: randomUUID(),
    event_type: type,
    event_time: time,
    user_id: user,
    request_id: request,
    scene: null,
    arm: 'a',
    items: [
      {
        item_id: `item-${category}`,
        category_id: category,
        brand_id: null,
        seller_id: null,
        position: 0,
        viewable: true,
        price: null,
        quantity: 1,
      },
    ],
    query: null,
  });

  it('says what is missing before the topics are there', async () => {
    const { code, stderr } = await seral(['run', 'labels', 'metrics'], env, folder);
    expect(code).toBe(1);
    expect(stderr).toContain('Run `seral topics apply labels metrics`');
  });

  it('has its topics created and its schemas registered, and both again change nothing', async () => {
    const applied = await seral(['topics', 'apply'], env, folder);
    expect(applied, applied.stderr).toMatchObject({ code: 0 });
    expect((await seral(['topics', 'apply'], env, folder)).stdout).toContain('created 0, changed 0');
    const registered = await seral(['schemas', 'register'], env, folder);
    expect(registered, registered.stderr).toMatchObject({ code: 0 });
    const checked = await seral(['schemas', 'check'], env, folder);
    expect(checked.code).toBe(0);
    expect(checked.stdout).toMatch(/registered +behavior\.events-value +BehaviorEvent/);
    expect(checked.stdout).not.toContain('compatible');
  });

  it('labels what is produced, answers probes, and ends with 0 on SIGTERM', async () => {
    running = startSeral(['run', 'labels', 'metrics'], env, folder);
    await until('ready', async () => (await at('/ready')).status === 200);

    const serde = await serdes.serde<BehaviorEvent>('behavior.events', 'BehaviorEvent');
    const now = Date.now();
    const events = [
      event('exposure', now - 5000, 'r1', 'tea'),
      event('exposure', now - 4000, 'r2', 'tea'),
      event('click', now - 3000, 'r2', 'tea'),
      event('exposure', now - 2000, 'r3', 'kites'),
      event('click', now - 1000, 'r3', 'kites'),
    ];
    const producer = log.producer();
    await producer.open();
    await producer.send(
      events.map((one) => ({ topic: 'behavior.events', key: encodeKey(user), value: serde.encode(one) })),
    );
    await producer.close();

    await until('two labels', async () => (await labelsOf(log, serdes, user)).labels.length === 2);
    const { labels } = await labelsOf(log, serdes, user);
    expect(labels.map((label) => [label.item_id, label.serendipitous])).toEqual([
      ['item-tea', false],
      ['item-kites', true],
    ]);
    const explained = await seral(['explain', user], env, folder);
    expect(explained.stdout).toContain('item-kites');

    await until('counted', async () =>
      /seral_records_total\{topology="metrics",partition="\d+"\} [1-9]/.test((await at('/metrics')).text),
    );
    const ready = JSON.parse((await at('/ready')).text);
    expect(ready.topologies.map(({ topology }: { topology: string }) => topology)).toEqual(['labels', 'metrics']);
    expect((await at('/live')).status).toBe(200);

    running.signal('SIGTERM');
    const { code, stdout, stderr } = await running.ended;
    expect(code, stderr).toBe(0);
    expect(stdout).toBe('');
    const lines = stderr.trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line)).at(-1)).toMatchObject({ level: 'info', msg: 'stopped' });
  });
});
