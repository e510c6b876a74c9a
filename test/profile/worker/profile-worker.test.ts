import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OpenAiGenerator } from '../../../src/inference/openai/client.ts';
import { embeddedSerdes } from '../../../src/log/registry/embedded.ts';
import type { Serdes } from '../../../src/log/serde.ts';
import { ProfileWorker, type ProfileWorkerOptions } from '../../../src/profile/worker/profile-worker.ts';
import { PROFILE_WORKER_DEFAULTS } from '../../../src/profile/worker/settings.ts';
import type { ProfileProposals, ProfileRequest } from '../../../src/profile/records.ts';
import type { CatalogItem } from '../../../src/shop/catalog.ts';
import { Metrics } from '../../../src/stream/metrics.ts';
import { ModelServer, type Asked } from '../../support/model-server.ts';
import { Bench, eventually } from '../../stream/bench.ts';
import { bought, requestWith } from './requests.ts';

describe('the profile worker', () => {
  let bench: Bench;
  let serdes: Serdes;
  let server: ModelServer;
  let registry: Registry;
  let workers: ProfileWorker[];
  beforeEach(async () => {
    bench = await Bench.open();
    serdes = await embeddedSerdes();
    server = await ModelServer.start();
    registry = new Registry();
    workers = [];
    const admin = bench.log.admin();
    await admin.create(ProfileWorker.topics(true).map((topic) => ({ topic, partitions: 2 })));
    await admin.close();
  });
  afterEach(async () => {
    await Promise.all(workers.map((worker) => worker.stop()));
    await server.close();
    await bench.close();
  });

  const generator: ProfileWorkerOptions['generator'] = (metrics) =>
    new OpenAiGenerator({
      url: server.url,
      model: 'stub-1',
      apiKey: null,
      structuredOutput: 'auto',
      requestTimeoutMs: 2000,
      attemptTimeoutMs: 300,
      attempts: 2,
      retryShare: 0.2,
      maxAnswerBytes: 100_000,
      backoffMs: 1,
      onRetry: (code) => metrics.retried(code),
    });

  async function start(given: Partial<ProfileWorkerOptions> = {}): Promise<ProfileWorker> {
    const worker = new ProfileWorker({
      ...PROFILE_WORKER_DEFAULTS,
      generator,
      log: bench.log,
      serdes,
      options: { app: 'test', stateDir: 'none', commitIntervalMs: 20 },
      registry,
      metrics: new Metrics(registry),
      logger: bench.logger,
      drainMs: 5000,
      onFatal: (error) => bench.fatal.push(error),
      ...given,
    });
    workers.push(worker);
    await worker.start();
    return worker;
  }

  async function write<T>(topic: string, schema: string, values: T[], keyOf: (value: T) => string): Promise<void> {
    const serde = await serdes.serde<T>(topic, schema);
    await bench.write(
      topic,
      values.map((value) => ({ key: keyOf(value), value: serde.encode(value) })),
    );
  }
  const ask = (...requests: ProfileRequest[]) =>
    write('profile.refresh-requests', 'ProfileRequest', requests, ({ user_id }) => user_id);
  const answers = async (): Promise<ProfileProposals[]> => {
    const serde = await serdes.serde<ProfileProposals>('profile.proposals', 'ProfileProposals');
    return (await bench.records('profile.proposals')).map(({ value }) => serde.decode(value));
  };
  const figures = async (name: string): Promise<Record<string, number>> => {
    const { values } = await registry.getSingleMetric(`seral_${name}`)!.get();
    return Object.fromEntries(
      values.map(({ labels, value }) => [labels['code'] ?? labels['kind'] ?? labels['rule'] ?? '', value]),
    );
  };
  const user = (id: string, title = `tent of ${id}`) =>
    requestWith({ user_id: id, request_id: id, purchases: [bought(title)] });
  const tagging = (...tags: string[]) =>
    JSON.stringify({ category: tags.map((tag) => ({ behaviours: [], inference: '', tag })) });

  it('answers every user, whatever its model server does for some', async () => {
    const times = new Map<string, number>();
    server.script = ({ prompt }: Asked) => {
      const name = /tent of (\w+)/.exec(prompt)![1]!;
      const time = (times.get(name) ?? 0) + 1;
      times.set(name, time);
      switch (name) {
        case 'busy':
          return time === 1 ? { status: 429, retryAfter: '0.05' } : { text: tagging('tents') };
        case 'down':
          return { status: 503 };
        case 'broken':
          return { text: '{"category": oh no' };
        case 'cut':
          return { cutAfter: 50, text: tagging('tents') };
        case 'huge':
          return { bytes: 1_000_000 };
        case 'slow':
          return { silence: true };
        case 'long':
          return { text: tagging('a tag that is too long for it', 'tents') };
        default:
          return { text: tagging('tents', 'camping') };
      }
    };
    await start({ priceIn: 2, priceOut: 10 });
    const names = ['fine', 'busy', 'down', 'broken', 'cut', 'huge', 'slow', 'long'];
    await ask(...names.map((name) => user(name)));
    await eventually(async () => expect(await answers()).toHaveLength(names.length));
    const told = Object.fromEntries(
      (await answers()).map((one) => [one.user_id, one.error ?? one.proposals.map(({ tag }) => tag)]),
    );
    expect(told).toEqual({
      fine: ['tents', 'camping'],
      busy: ['tents'],
      down: 'MODEL_UNAVAILABLE',
      broken: 'BAD_ANSWER',
      cut: 'MODEL_UNAVAILABLE',
      huge: 'ANSWER_TOO_LARGE',
      slow: 'MODEL_TIMEOUT',
      long: ['tents'],
    });
    expect(await figures('requests_failed_total')).toEqual({
      MODEL_UNAVAILABLE: 2,
      BAD_ANSWER: 1,
      ANSWER_TOO_LARGE: 1,
      MODEL_TIMEOUT: 1,
    });
    expect(await figures('requests_total')).toEqual({ '': names.length });
    expect(await figures('model_retries_total')).toEqual({
      MODEL_OVERLOADED: 1,
      MODEL_UNAVAILABLE: 2,
      MODEL_TIMEOUT: 1,
    });
    expect(await figures('model_tokens_total')).toEqual({ prompt: 400, completion: 40 });
    expect((await figures('model_cost_total'))['']).toBeCloseTo((400 * 2 + 40 * 10) / 1e6);
    expect(await figures('proposals_dropped_total')).toEqual({ long_tag: 1 });
    expect(await bench.records('profile-worker.dlq')).toHaveLength(5);
  });

  it('works without a model, after it has read the catalog, and follows it', async () => {
    const item = (id: string, title: string): CatalogItem => ({
      item_id: id,
      title,
      category_id: title,
      category_path: [title],
      brand_id: null,
      brand_name: null,
      seller_id: null,
      tags: [],
      price: null,
    });
    const add = (...items: CatalogItem[]) => write('catalog.items', 'CatalogItem', items, ({ item_id }) => item_id);
    await add(item('1', 'camping tents'), ...Array.from({ length: 30 }, (_, i) => item(`b${i}`, 'everyday bread')));
    const worker = await start({ generator: null });
    await eventually(() =>
      expect(worker.status()).toMatchObject({ ready: true, tables: [{ name: 'catalog', rows: 31, ready: true }] }),
    );
    await ask({ ...user('a'), purchases: [bought('camping tents'), bought('everyday bread')] });
    await eventually(async () => expect(await answers()).toHaveLength(1));
    expect((await answers())[0]).toMatchObject({ profiler: 'extractive', proposals: [{ tag: 'camping tents' }] });
    expect(server.asked).toEqual([]);
    // bread becomes rare again
    await add(...Array.from({ length: 28 }, (_, i) => item(`b${i}`, `thing ${i}`)));
    await eventually(async () => {
      await ask({ ...user('b'), purchases: [bought('everyday bread')] });
      expect((await answers()).some(({ proposals }) => proposals[0]?.tag === 'everyday bread')).toBe(true);
    });
  });

  it('answers again after a crash, under the same id, and loses nothing', async () => {
    server.script = async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      return { text: tagging('tents') };
    };
    await ask(...Array.from({ length: 40 }, (_, i) => user(`u${i}`)));
    const first = await start({ concurrency: 4, drainMs: 0 });
    await eventually(async () => expect((await answers()).length).toBeGreaterThan(5));
    await first.stop();
    registry = new Registry();
    await start({ concurrency: 4 });
    await eventually(async () => expect(new Set((await answers()).map(({ request_id }) => request_id)).size).toBe(40));
    expect(server.mostRunning).toBeLessThanOrEqual(8);
  });

  it('refuses a request under a key that is not its user', async () => {
    await write('profile.refresh-requests', 'ProfileRequest', [user('a')], () => 'b');
    await start();
    await eventually(async () => expect(await bench.records('profile-worker.dlq')).toHaveLength(1));
    expect(await figures('requests_failed_total')).toEqual({ KEY_MISMATCH: 1 });
  });
});
