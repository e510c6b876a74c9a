/** The profiles on a real Kafka with a real registry, shared by two members of which one leaves in the middle. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { NgramEmbedder } from '../../src/inference/ngram-embedder.ts';
import { encodeKey } from '../../src/log/keys.ts';
import { kafkaLog } from '../../src/log/kafka/index.ts';
import { confluentSerdes } from '../../src/log/registry/confluent.ts';
import { registerSchemas } from '../../src/log/registry/subjects.ts';
import { PROFILES_DEFAULTS } from '../../src/profile/options.ts';
import type { ProfileProposals, ProfileRequest, ShortTermProfile } from '../../src/profile/records.ts';
import { answerExtractively } from '../../src/profile/worker/answering.ts';
import { CatalogWords } from '../../src/profile/worker/catalog-words.ts';
import type { BehaviorEvent } from '../../src/shop/behaviour.ts';
import type { CatalogItem } from '../../src/shop/catalog.ts';
import { TopologyTestDriver } from '../../src/stream/driver.ts';
import { silent } from '../../src/stream/logger.ts';
import { Metrics } from '../../src/stream/metrics.ts';
import { Worker } from '../../src/stream/worker.ts';
import { profilesTopology } from '../../topologies/profiles.ts';
import { apart, createTopics, newPlace, produce, removeTopics, schemasOf, untilProcessed } from '../support/apart.ts';
import { describeWithKafkaAndRegistry, kafkaBrokers, registryUrl } from '../support/broker.ts';
import { readAll } from '../support/outcome-of.ts';
import { closing, eventOf, sample } from '../support/sample.ts';

const DAY = 86_400_000;
const PIECES = 5;

describeWithKafkaAndRegistry('real households over ten weeks', () => {
  const place = newPlace('profiles', 4);
  const options = { ...PROFILES_DEFAULTS, partitions: place.partitions, requestsPerMinute: null };

  it('get the profiles on Kafka that the driver gives, each once, whoever has their partition', async () => {
    const { events: all, catalog } = await sample(13_000, 3);
    const households = new Set([...new Set(all.map(({ user_id }) => user_id))].slice(0, 8));
    const own = all.filter(({ user_id }) => households.has(user_id));
    const events = [...own, ...closing(own, place.partitions, 2 * DAY)].map(eventOf);
    const words = new CatalogWords();
    for (const item of catalog) words.add(CatalogWords.row(item));
    const embedder = new NgramEmbedder();
    const answer = (request: ProfileRequest): ProfileProposals =>
      answerExtractively(request, words, { embedder, same: options.approval.same, at: request.asked_at });

    const topology = profilesTopology(options);
    const driver = new TopologyTestDriver(topology, {
      tables: { catalog: new Map(catalog.map((item) => [item.item_id, topology.tables[0]!.project(item)])) },
      checkNow: Infinity,
    });
    const expected = new Map<string, ShortTermProfile>();
    for (const event of events) {
      driver.pipe('events', event.user_id, event);
      for (const { value } of driver.read<ProfileRequest>('requests'))
        driver.pipe('proposals', value.user_id, answer(value));
      for (const { value } of driver.read<ShortTermProfile>('short-term')) expected.set(value.request_id, value);
    }
    expect(expected.size).toBeGreaterThan(15);

    const log = kafkaLog({ brokers: kafkaBrokers.split(',') });
    const serdes = confluentSerdes({ url: registryUrl });
    const live = apart(profilesTopology(options), place);
    await registerSchemas({ url: registryUrl }, schemasOf([live], place));
    const topics = await createTopics(log, [live], place);
    const stateDir = await mkdtemp(join(tmpdir(), 'seral-profiles-'));
    const workers: Worker[] = [];
    let failed: Error | null = null;
    const start = async (): Promise<void> => {
      const worker = new Worker({
        topology: live,
        log,
        serdes,
        options: { app: place.app, suffix: place.suffix, stateDir: join(stateDir, String(workers.length)) },
        metrics: new Metrics(new Registry()),
        logger: silent,
        now: Date.now,
        random: Math.random,
        checkNow: () => Infinity,
        onFatal: (error) => (failed ??= error),
      });
      workers.push(worker);
      await worker.start();
    };
    const check = (): void => {
      if (failed !== null) throw failed;
    };
    try {
      const [eventTopic, answerTopic, itemTopic] = ['behavior.events', 'profile.proposals', 'catalog.items'].map(
        (name) => `${name}${place.suffix}`,
      ) as [string, string, string];
      const items = await serdes.serde<CatalogItem>(itemTopic, 'CatalogItem');
      const behaviour = await serdes.serde<BehaviorEvent>(eventTopic, 'BehaviorEvent');
      const answers = await serdes.serde<ProfileProposals>(answerTopic, 'ProfileProposals');
      const requests = await serdes.serde<ProfileRequest>('profile.refresh-requests', 'ProfileRequest');
      const profiles = await serdes.serde<ShortTermProfile>('profile.short-term', 'ShortTermProfile');
      await produce(
        log,
        catalog.map((item) => ({ topic: itemTopic, key: encodeKey(item.item_id), value: items.encode(item) })),
      );
      await Promise.all([start(), start()]);

      const answered = new Set<string>();
      /** Answers what is new, and what follows from that, until nothing is. */
      const settle = async (): Promise<void> => {
        for (let fresh = true; fresh;) {
          await untilProcessed(log, [live], place, { check });
          const asked = (await readAll(log, `profile.refresh-requests${place.suffix}`)).map(({ value }) =>
            requests.decode(value!),
          );
          const open = asked.filter(({ request_id }) => !answered.has(request_id));
          for (const { request_id } of open) answered.add(request_id);
          fresh = open.length > 0;
          // at least once, as workers are
          const twice = [...open, ...open];
          await produce(
            log,
            twice.map((request) => ({
              topic: answerTopic,
              key: encodeKey(request.user_id),
              value: answers.encode(answer(request)),
            })),
          );
        }
      };
      for (let piece = 0; piece < PIECES; piece++) {
        const [from, to] = [piece, piece + 1].map((n) => Math.floor((n * events.length) / PIECES));
        await produce(
          log,
          events.slice(from, to).map((event) => ({
            topic: eventTopic,
            key: encodeKey(event.user_id),
            value: behaviour.encode(event),
          })),
        );
        if (piece === 2) await workers[0]!.stop();
        await settle();
      }

      const given = (await readAll(log, `profile.short-term${place.suffix}`)).map(({ value }) =>
        profiles.decode(value!),
      );
      expect(given.map(({ request_id }) => request_id).sort()).toEqual([...expected.keys()].sort());
      for (const profile of given) expect(profile).toEqual(expected.get(profile.request_id));
      expect(await readAll(log, `profiles.dlq${place.suffix}`)).toEqual([]);
    } finally {
      await Promise.all(workers.map((worker) => worker.stop()));
      await removeTopics(log, topics);
      await serdes.close();
      await log.close();
      await rm(stateDir, { recursive: true, force: true });
    }
  });
});
