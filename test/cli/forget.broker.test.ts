/** An erasure on a real Kafka: transactions and their markers, compaction by the broker, retention as it is set there. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { checkForgotten, forget } from '../../src/cli/forget.ts';
import { kafkaLog } from '../../src/log/kafka/index.ts';
import { encodeKey } from '../../src/log/keys.ts';
import type { Log } from '../../src/log/port.ts';
import { embeddedSerdes } from '../../src/log/registry/embedded.ts';
import type { Serdes } from '../../src/log/serde.ts';
import { PROFILES_DEFAULTS } from '../../src/profile/options.ts';
import type { RetrievedItems } from '../../src/serengpt/records.ts';
import { silent } from '../../src/stream/logger.ts';
import { Metrics } from '../../src/stream/metrics.ts';
import { Worker } from '../../src/stream/worker.ts';
import { candidatesTopology } from '../../topologies/candidates.ts';
import { labelsTopology } from '../../topologies/labels.ts';
import { metricsTopology } from '../../topologies/metrics.ts';
import { profilesTopology } from '../../topologies/profiles.ts';
import { createTopics, produce, untilProcessed } from '../support/apart.ts';
import { answerOf, itemOf } from '../nearline/candidates/given.ts';
import { describeWithKafka } from '../support/broker.ts';
import { startKafka, type RunningKafka } from '../support/kafka-harness.ts';
import { eventOf, sample } from '../support/sample.ts';

const DAY = 86_400_000;
const place = { app: 'forgets', suffix: '', partitions: 2 };
// nobody waits for a budget: what is kept of others is to stand still while one is erased
const profiles = { ...PROFILES_DEFAULTS, requestsPerMinute: null };
const topologies = () => [labelsTopology(), metricsTopology(), profilesTopology(profiles), candidatesTopology()];

describeWithKafka('seral forget', { timeout: 300_000 }, () => {
  let kafka: RunningKafka;
  let log: Log;
  let serdes: Serdes;
  let folder: string;
  let user: string;
  let other: string;
  const workers: Worker[] = [];
  const options = (of: string) => ({
    log,
    serdes,
    topologies: topologies(),
    app: place.app,
    user: of,
    timeoutMs: 60_000,
  });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'seral-forget-broker-'));
    // topics have their names, so the broker has to be our own
    kafka = await startKafka({ config: {} });
    log = kafkaLog({ brokers: kafka.brokers.split(',') });
    serdes = await embeddedSerdes();
    await createTopics(log, topologies(), place, { 'behavior.events': { 'retention.ms': '-1' } });
    const { events, catalog } = await sample(1500, 3);
    const clickers = events.filter(({ event_type }) => event_type === 'click').map(({ user_id }) => user_id);
    [user, other] = [...new Set(clickers)] as [string, string];
    const serde = await serdes.serde('behavior.events', 'BehaviorEvent');
    const items = await serdes.serde('catalog.items', 'CatalogItem');
    const retrieved = await serdes.serde<RetrievedItems>('serengpt.retrieved', 'RetrievedItems');
    await produce(log, [
      ...catalog.map((item) => ({ topic: 'catalog.items', key: encodeKey(item.item_id), value: items.encode(item) })),
      { topic: 'users', key: encodeKey(user), value: Buffer.from('row') },
      ...[user, other].map((id) => ({
        topic: 'serengpt.retrieved',
        key: encodeKey(id),
        value: retrieved.encode(
          answerOf({
            user_id: id,
            asked_at: events.at(-1)!.event_time,
            valid_until: events.at(-1)!.event_time + 300 * DAY,
            items: [itemOf({ item_id: catalog[0]!.item_id, category_id: 'a new one' })],
          }),
        ),
      })),
      ...events.map((raw) => ({
        topic: 'behavior.events',
        key: encodeKey(raw.user_id),
        value: serde.encode(eventOf(raw)),
      })),
    ]);
    const metrics = new Metrics(new Registry());
    for (const topology of topologies()) {
      workers.push(
        new Worker({
          topology,
          log,
          serdes,
          options: { app: place.app, stateDir: join(folder, 'state'), cacheBytes: 16 << 20 },
          metrics,
          logger: silent,
          now: Date.now,
          random: Math.random,
          onFatal: (error) => expect.fail(error.message),
        }),
      );
    }
    await Promise.all(workers.map((worker) => worker.start()));
    await untilProcessed(log, topologies(), place);
  }, 300_000);
  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.stop()));
    await serdes?.close();
    await log?.close();
    await kafka?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('erases a user and nobody else, proves it, and knows when the last copy goes', async () => {
    const leftOf = (report: Awaited<ReturnType<typeof forget>>) =>
      Object.fromEntries(
        report.compacted.filter(({ left }) => left.length > 0).map(({ topic, left }) => [topic, left]),
      );
    const before = await checkForgotten(options(user));
    expect(Object.keys(leftOf(before))).toEqual(
      expect.arrayContaining([
        'forgets-labels-today-changelog',
        'forgets-metrics-seen-changelog',
        'users',
        'forgets-candidates-lists-changelog',
        'serengpt.candidates',
      ]),
    );
    const others = leftOf(await checkForgotten(options(other)));

    const report = await forget(options(user));
    expect(leftOf(report)).toEqual({});
    expect(report.erased).toBe(true);
    expect(report.topologies.map(({ state, members }) => [state, members])).toEqual([
      ['passed', 1],
      ['passed', 1],
      ['passed', 1],
      ['passed', 1],
    ]);
    expect(leftOf(await checkForgotten(options(other)))).toEqual(others);

    const of = (topic: string) => report.retained.find((one) => one.topic === topic)!;
    expect(of('behavior.events').goneBy).toBe(Infinity);
    // the broker's own defaults: seven days, in segments of as many
    const labels = of('serendipity.labels');
    expect(labels.goneBy! - labels.newest!).toBe(14 * DAY);
    // by the time of writing, though the labels are of 2017
    expect(Math.abs(labels.newest! - Date.now())).toBeLessThan(DAY);
    expect(of('labels.dlq').goneBy).toBeNull();
  });
});
