/**
 * Regeneration and SerenGPT's worker on a log, with members that come, go and are cut off. What stands for the retrieval
 * answers each generation with nothing found.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Registry } from 'prom-client';
import { expect } from 'vitest';
import { Prompts } from '../../src/inference/prompts.ts';
import type { Sampler } from '../../src/inference/sampler.ts';
import { encodeKey } from '../../src/log/keys.ts';
import type { Log } from '../../src/log/port.ts';
import { registerSchemas, type TopicSchema } from '../../src/log/registry/subjects.ts';
import type { Serdes } from '../../src/log/serde.ts';
import { REGENERATION_DEFAULTS } from '../../src/serengpt/options.ts';
import {
  checkAsked,
  GENERATIONS,
  REGENERATION_REQUESTS,
  RETRIEVED,
  type Generation,
  type RegenerationRequest,
  type RetrievedItems,
} from '../../src/serengpt/records.ts';
import { Generating } from '../../src/serengpt/worker/generating.ts';
import { regenerationRequests } from '../../src/serengpt/worker/serengpt-worker.ts';
import { SERENGPT_WORKER_DEFAULTS } from '../../src/serengpt/worker/settings.ts';
import { silent } from '../../src/stream/logger.ts';
import { Metrics } from '../../src/stream/metrics.ts';
import { RequestMetrics } from '../../src/stream/request-metrics.ts';
import { RequestWorker, type RequestHandler } from '../../src/stream/request-worker.ts';
import { Worker } from '../../src/stream/worker.ts';
import { regenerationTopology } from '../../topologies/regeneration.ts';
import { DAY, eventOf, HOUR, NOW, profileOf, retrievedOf } from '../serengpt/channel.ts';
import { eventually } from '../stream/bench.ts';
import { apart, createTopics, newPlace, produce, removeTopics, schemasOf, untilProcessed } from '../support/apart.ts';
import { readAll } from '../support/outcome-of.ts';

const USERS = Array.from({ length: 40 }, (_, i) => `user-${i}`);

/** A model that takes its time. */
const slow: Sampler = {
  name: 'slow-1',
  promptVersion: null,
  async sample(_request, signal) {
    await sleep(40, undefined, { signal });
    return { samples: [{ text: 'Rope', logprob: null, finished: true }], promptTokens: 1, completionTokens: 1 };
  },
  close: () => Promise.resolve(),
};

export async function regenerateOnALog(log: Log, serdes: Serdes, registryUrl: string | null): Promise<void> {
  const place = newPlace('channel', 4);
  const at = (topic: string) => `${topic}${place.suffix}`;
  const topology = apart(regenerationTopology({ ...REGENERATION_DEFAULTS, partitions: place.partitions }), place);
  if (registryUrl !== null) {
    const schemas: TopicSchema[] = [...schemasOf([topology], place), GENERATIONS];
    await registerSchemas({ url: registryUrl }, schemas);
  }
  const letters = ['serengpt-worker', 'stand-in'].map((name) => `${at(name)}.dlq`);
  const workersTopics = [at(GENERATIONS.topic), ...letters];
  const topics = [...(await createTopics(log, [topology], place)), ...workersTopics];
  const admin = log.admin();
  await admin.create(workersTopics.map((topic) => ({ topic, partitions: place.partitions })));
  await admin.close();
  const stateDir = await mkdtemp(join(tmpdir(), 'seral-channel-'));
  const running = new Set<{ stop(): Promise<void> }>();
  let failed: Error | null = null;
  const check = (): void => {
    if (failed !== null) throw failed;
  };
  const onFatal = (error: Error) => void (failed ??= error);
  const clock = { now: Date.now, random: Math.random };
  let members = 0;

  /** What is read by the topology is renamed and its schema with it, what is written keeps the schema of its own name. */
  const subjectOf = (topic: string) =>
    topic.startsWith(RETRIEVED.topic) ? topic : topic.slice(0, -place.suffix.length);

  /** Each with a disk of its own: what it takes over it restores. */
  const member = async () => {
    const options = { app: place.app, suffix: place.suffix, stateDir: join(stateDir, String(members++)) };
    const metrics = new Metrics(new Registry());
    const worker = new Worker({
      topology,
      log,
      serdes,
      options,
      metrics,
      logger: silent,
      ...clock,
      checkNow: () => Infinity,
      onFatal,
    });
    running.add(worker);
    await worker.start();
    return worker;
  };
  const answering = async <Q, A>(name: string, handler: RequestHandler<Q, A>, drainMs = 5000) => {
    const registry = new Registry();
    const worker = new RequestWorker<Q, A>({
      name: at(name),
      handler: {
        ...handler,
        requests: { ...handler.requests, topic: at(handler.requests.topic) },
        answers: { ...handler.answers, topic: at(handler.answers.topic) },
      },
      concurrency: 4,
      log,
      serdes: {
        serde: (topic, schema) => serdes.serde(subjectOf(topic), schema),
        close: () => Promise.resolve(),
      },
      options: { app: place.app, stateDir: 'none', commitIntervalMs: 50 },
      metrics: new Metrics(registry),
      requestMetrics: new RequestMetrics(registry, name, 4),
      logger: silent,
      drainMs,
      ...clock,
      onFatal,
    });
    running.add(worker);
    await worker.start();
    return worker;
  };
  const end = async (one: { stop(): Promise<void> }) => {
    running.delete(one);
    await one.stop();
  };

  const write = async <T>(topic: string, schema: string, rows: readonly (readonly [string, T | null])[]) => {
    const serde = await serdes.serde<T>(at(topic), schema);
    await produce(
      log,
      rows.map(([key, value]) => ({
        topic: at(topic),
        key: encodeKey(key),
        value: value === null ? null : serde.encode(value),
      })),
    );
  };
  const events = (made: (user: string) => ReturnType<typeof eventOf>) =>
    write(
      'behavior.events',
      'BehaviorEvent',
      USERS.map((user) => [user, made(user)] as const),
    );
  const records = async <T>(topic: string, schema: string): Promise<T[]> => {
    const serde = await serdes.serde<T>(subjectOf(at(topic)), schema);
    const all = (await readAll(log, at(topic))).map(({ value }) => value);
    await serde.prepare(all);
    return all.map((value) => serde.decode(value));
  };
  const requests = () => records<RegenerationRequest>(REGENERATION_REQUESTS.topic, REGENERATION_REQUESTS.schema);
  const answered = async () =>
    new Set((await records<RetrievedItems>(RETRIEVED.topic, RETRIEVED.schema)).map((one) => one.request_id));

  const generating = new Generating({
    ...SERENGPT_WORKER_DEFAULTS,
    sampler: slow,
    prompts: new Prompts(),
    logger: silent,
    now: Date.now,
  });
  const serengpt = (drainMs?: number) =>
    answering(
      'serengpt-worker',
      regenerationRequests((request, signal) => generating.answer(request, signal)),
      drainMs,
    );
  const standIn: RequestHandler<Generation, RetrievedItems> = {
    requests: GENERATIONS,
    answers: RETRIEVED,
    check: checkAsked,
    expiresAt: (generation) => generation.expires_at,
    handle: (generation) =>
      Promise.resolve({ answer: retrievedOf({ ...generation, reason: 'missing' } as unknown as RegenerationRequest) }),
  };
  try {
    await write('catalog.items', 'CatalogItem', [
      [
        'tent',
        {
          item_id: 'tent',
          title: 'A tent',
          category_id: 'tents',
          category_path: ['tents'],
          brand_id: null,
          brand_name: null,
          seller_id: null,
          tags: [],
          price: null,
        },
      ],
    ]);
    await write('profile.short-term', 'ShortTermProfile', [
      ['user-0', profileOf('user-0', NOW - DAY, ['camping'])],
      ['user-1', profileOf('user-1', NOW - DAY, ['camping'])],
      ['user-1', null],
    ]);
    const [first, second] = await Promise.all([member(), member(), answering('stand-in', standIn)]);
    await untilProcessed(log, [topology], place, { check });
    const cutOff = await serengpt(0);
    await events((user) => eventOf(user, 'click', NOW, { item: 'tent' }));
    await events((user) => eventOf(user, 'visit', NOW + HOUR));
    await eventually(async () => expect((await answered()).size).toBeGreaterThan(5), 60_000);
    await Promise.all([end(cutOff), end(first!)]);
    await serengpt();
    await eventually(async () => expect((await answered()).size).toBe(USERS.length), 60_000);
    // the other one goes too: whoever comes has nothing on its disk
    await end(second!);
    await member();
    await events((user) => eventOf(user, 'visit', NOW + 25 * HOUR));
    await eventually(async () => expect((await answered()).size).toBe(2 * USERS.length), 60_000);
    await events((user) => eventOf(user, 'visit', NOW + 26 * HOUR));
    await untilProcessed(log, [topology], place, { check });

    const asked = await requests();
    const byUser = Object.groupBy(asked, ({ user_id: user }) => user);
    expect(Object.keys(byUser).sort()).toEqual([...USERS].sort());
    for (const [user, rounds] of Object.entries(byUser)) {
      expect(rounds!.map(({ request_id }) => request_id)).toEqual([`${user}/1/${NOW}`, `${user}/2/${NOW + 25 * HOUR}`]);
      for (const { history, tags } of rounds!) {
        expect(history.map(({ text }) => text)).toEqual(['A tent']);
        expect(tags.map(({ tag }) => tag)).toEqual(user === 'user-0' ? ['camping'] : []);
      }
    }
    expect([...(await answered())].sort()).toEqual(asked.map(({ request_id }) => request_id).sort());
    for (const topic of [`regeneration.dlq${place.suffix}`, ...letters]) {
      expect(await readAll(log, topic), topic).toEqual([]);
    }
  } finally {
    await Promise.all([...running].map((one) => one.stop()));
    await removeTopics(log, topics);
    await rm(stateDir, { recursive: true, force: true });
  }
}
