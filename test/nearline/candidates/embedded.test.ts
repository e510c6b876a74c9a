/** The topology on the embedded log, with real records: what it gives is what the driver gives, after a lost disk too. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { embeddedLog, type EmbeddedLog } from '../../../src/log/embedded/index.ts';
import { encodeKey } from '../../../src/log/keys.ts';
import { readTopic } from '../../../src/log/read-topic.ts';
import { embeddedSerdes } from '../../../src/log/registry/embedded.ts';
import type { Serdes } from '../../../src/log/serde.ts';
import { soldItem } from '../../../src/nearline/candidates/rules.ts';
import type { UserCandidates } from '../../../src/nearline/records.ts';
import type { RetrievedItems } from '../../../src/serengpt/records.ts';
import type { BehaviorEvent } from '../../../src/shop/behaviour.ts';
import type { CatalogItem } from '../../../src/shop/catalog.ts';
import { TopologyTestDriver } from '../../../src/stream/driver.ts';
import { silent } from '../../../src/stream/logger.ts';
import { Metrics } from '../../../src/stream/metrics.ts';
import { Worker } from '../../../src/stream/worker.ts';
import { candidatesTopology } from '../../../topologies/candidates.ts';
import { createTopics, produce, untilProcessed } from '../../support/apart.ts';
import { eventOf, sample } from '../../support/sample.ts';
import { answerOf, itemOf, DAY } from './given.ts';

const place = { app: 'channel', suffix: '', partitions: 2 };
let folder: string;
let log: EmbeddedLog;
let serdes: Serdes;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seral-candidates-'));
  log = await embeddedLog({ path: join(folder, 'log') });
  serdes = await embeddedSerdes();
});
afterEach(async () => {
  await serdes.close();
  await log.close();
  await rm(folder, { recursive: true, force: true });
});

async function started(state: string): Promise<Worker> {
  const worker = new Worker({
    topology: candidatesTopology(),
    log,
    serdes,
    options: { app: place.app, stateDir: join(folder, state), cacheBytes: 16 << 20, commitIntervalMs: 50 },
    metrics: new Metrics(new Registry()),
    logger: silent,
    now: Date.now,
    random: Math.random,
    onFatal: (error) => expect.fail(error.message),
  });
  await worker.start();
  return worker;
}

it('gives each user the list that the driver gives, though its disk is lost in between', async () => {
  const topology = candidatesTopology();
  await createTopics(log, [topology], place);
  const { events, catalog } = await sample(4000, 3);
  const half = events.length >> 1;
  const asked = events[half - 1]!.event_time;
  const users = [...new Set(events.map(({ user_id }) => user_id))].slice(0, 40);
  const answers = users.map((user_id, n) =>
    answerOf({
      user_id,
      asked_at: asked,
      valid_until: asked + 300 * DAY,
      items: Array.from({ length: 60 }, (_, i) => catalog[(n * 7 + i * 13) % catalog.length]!).map(({ item_id }) =>
        itemOf({ item_id }),
      ),
    }),
  );

  const driver = new TopologyTestDriver(candidatesTopology(), {
    tables: { catalog: new Map(catalog.map((item) => [item.item_id, soldItem(item as CatalogItem)])) },
    checkNow: Infinity,
  });
  const feed = (some: typeof events) =>
    driver.pipeAll(some.map((raw) => ({ source: 'events', key: raw.user_id, value: eventOf(raw) })));
  feed(events.slice(0, half));
  driver.pipeAll(answers.map((value) => ({ source: 'retrieved', key: value.user_id, value })));
  feed(events.slice(half));
  const expected = new Map(driver.read<UserCandidates>('candidates').map(({ key, value }) => [key, value]));

  const eventSerde = await serdes.serde<BehaviorEvent>('behavior.events', 'BehaviorEvent');
  const itemSerde = await serdes.serde('catalog.items', 'CatalogItem');
  const answerSerde = await serdes.serde<RetrievedItems>('serengpt.retrieved', 'RetrievedItems');
  const listSerde = await serdes.serde<UserCandidates>('serengpt.candidates', 'UserCandidates');
  const write = (some: typeof events) =>
    produce(
      log,
      some.map((raw) => ({
        topic: 'behavior.events',
        key: encodeKey(raw.user_id),
        value: eventSerde.encode(eventOf(raw)),
      })),
    );
  await produce(
    log,
    catalog.map((item) => ({
      topic: 'catalog.items',
      key: encodeKey(item.item_id),
      value: itemSerde.encode(item),
    })),
  );
  await write(events.slice(0, half));
  let worker = await started('one');
  await untilProcessed(log, [topology], place);
  for (let again = 0; again < 2; again++) {
    await produce(
      log,
      answers.map((answer) => ({
        topic: 'serengpt.retrieved',
        key: encodeKey(answer.user_id),
        value: answerSerde.encode(answer),
      })),
    );
    await untilProcessed(log, [topology], place);
  }
  await worker.stop();
  worker = await started('another');
  await write(events.slice(half));
  await untilProcessed(log, [topology], place);
  await worker.stop();

  const found = new Map<string, UserCandidates>();
  await readTopic(log, 'serengpt.candidates', ({ key, value }) => {
    found.set(String(key), listSerde.decode(value!));
  });
  // what comes of Avro has classes of its own
  const plain = ({ revision: _number, ...list }: UserCandidates) =>
    structuredClone(JSON.parse(JSON.stringify(list)) as object);
  expect([...found].map(([user, list]) => [user, plain(list)]).sort()).toEqual(
    [...expected].map(([user, list]) => [user, plain(list)]).sort(),
  );
  // the lists are worth comparing: some items were left out, some left later, some stay
  expect([...found.values()].some(({ revision }) => revision > 0)).toBe(true);
  expect([...found.values()].filter(({ candidates }) => candidates.length > 0).length).toBeGreaterThan(20);
});
