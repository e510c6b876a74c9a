import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OpenAiSampler } from '../../../src/inference/openai/sampler.ts';
import { embeddedSerdes } from '../../../src/log/registry/embedded.ts';
import type { Serdes } from '../../../src/log/serde.ts';
import type { Generation, RegenerationRequest } from '../../../src/serengpt/records.ts';
import { SerengptWorker, type SerengptWorkerOptions } from '../../../src/serengpt/worker/serengpt-worker.ts';
import { SERENGPT_WORKER_DEFAULTS } from '../../../src/serengpt/worker/settings.ts';
import { Metrics } from '../../../src/stream/metrics.ts';
import { Bench, eventually } from '../../stream/bench.ts';
import { ModelServer, type Asked } from '../../support/model-server.ts';
import { requestWith } from './requests.ts';

describe('the SerenGPT worker', () => {
  let bench: Bench;
  let serdes: Serdes;
  let server: ModelServer;
  let registry: Registry;
  let workers: SerengptWorker[];
  beforeEach(async () => {
    bench = await Bench.open();
    serdes = await embeddedSerdes();
    server = await ModelServer.start();
    registry = new Registry();
    workers = [];
    const admin = bench.log.admin();
    await admin.create(SerengptWorker.topics().map((topic) => ({ topic, partitions: 2 })));
    await admin.close();
  });
  afterEach(async () => {
    await Promise.all(workers.map((worker) => worker.stop()));
    await server.close();
    await bench.close();
  });

  const sampler: SerengptWorkerOptions['sampler'] = (metrics) =>
    new OpenAiSampler({
      url: server.url,
      model: 'stub-1',
      apiKey: null,
      endpoint: 'completions',
      logprobs: false,
      requestTimeoutMs: 10_000,
      attemptTimeoutMs: 1500,
      attempts: 2,
      retryShare: 0.2,
      maxAnswerBytes: 100_000,
      backoffMs: 1,
      onRetry: (code) => metrics.retried(code),
    });

  async function start(given: Partial<SerengptWorkerOptions> = {}): Promise<SerengptWorker> {
    const worker = new SerengptWorker({
      ...SERENGPT_WORKER_DEFAULTS,
      sampler,
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

  async function ask(requests: RegenerationRequest[], keyOf = ({ user_id }: RegenerationRequest) => user_id) {
    const topic = 'serengpt.regeneration-requests';
    const serde = await serdes.serde<RegenerationRequest>(topic, 'RegenerationRequest');
    await bench.write(
      topic,
      requests.map((request) => ({ key: keyOf(request), value: serde.encode(request) })),
    );
  }
  const generations = async (): Promise<Generation[]> => {
    const serde = await serdes.serde<Generation>('serengpt.generations', 'Generation');
    return (await bench.records('serengpt.generations')).map(({ value }) => serde.decode(value));
  };
  const figures = async (name: string): Promise<Record<string, number>> => {
    const { values } = await registry.getSingleMetric(`seral_${name}`)!.get();
    return Object.fromEntries(
      values.map(({ labels, value }) => [labels['code'] ?? labels['rule'] ?? labels['kind'] ?? '', value]),
    );
  };
  const user = (id: string) =>
    requestWith({
      user_id: id,
      request_id: `${id}/1/1000`,
      samples: 3,
      tags: [{ tag: `likes of ${id}`, group: 'interest', score: 1, long_term: false }],
    });
  const titles = { texts: ['Head lamp', 'head lamps', 'Rope'] };

  it('answers every user, whatever its model server does for some', async () => {
    const times = new Map<string, number>();
    server.script = ({ prompt }: Asked) => {
      const name = /likes of (\w+)/.exec(prompt)![1]!;
      const time = (times.get(name) ?? 0) + 1;
      times.set(name, time);
      switch (name) {
        case 'busy':
          return time === 1 ? { status: 429, retryAfter: '0.05' } : titles;
        case 'down':
          return { status: 500 };
        case 'garbage':
          return { raw: '{"choices": oh no' };
        case 'torn':
          return { cutAfter: 50, text: 'Head lamp' };
        case 'huge':
          return { bytes: 1_000_000 };
        case 'slow':
          return { silence: true };
        case 'useless':
          return { texts: ['', '<|im_end|>', '\n'] };
        default:
          return titles;
      }
    };
    await start({ priceIn: 2, priceOut: 10 });
    const names = ['fine', 'busy', 'down', 'garbage', 'torn', 'huge', 'slow', 'useless'];
    await ask(names.map(user));
    await eventually(async () => expect(await generations()).toHaveLength(names.length));
    const told = Object.fromEntries(
      (await generations()).map((one) => [one.user_id, one.error ?? one.texts.map(({ text }) => text)]),
    );
    expect(told).toEqual({
      fine: ['Head lamp', 'Rope'],
      busy: ['Head lamp', 'Rope'],
      down: 'MODEL_UNAVAILABLE',
      garbage: 'MODEL_UNAVAILABLE',
      torn: 'MODEL_UNAVAILABLE',
      huge: 'ANSWER_TOO_LARGE',
      slow: 'MODEL_TIMEOUT',
      useless: 'NO_USABLE_TEXT',
    });
    expect(await figures('requests_total')).toEqual({ '': names.length });
    expect(await figures('requests_failed_total')).toEqual({
      MODEL_UNAVAILABLE: 3,
      ANSWER_TOO_LARGE: 1,
      MODEL_TIMEOUT: 1,
      NO_USABLE_TEXT: 1,
    });
    expect(await figures('samples_total')).toEqual({ title: 9 });
    expect(await figures('texts_total')).toEqual({ title: 4 });
    expect(await figures('samples_dropped_total')).toEqual({ empty: 2, markup: 1 });
    expect(await figures('model_tokens_total')).toEqual({ prompt: 30, completion: 18 });
    expect((await figures('model_cost_total'))['']).toBeCloseTo((30 * 2 + 18 * 10) / 1e6);
    expect(await bench.records('serengpt-worker.dlq')).toHaveLength(6);
  });

  it('answers again after a crash, under the same id and with the same seed, and loses nothing', async () => {
    server.script = async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      return titles;
    };
    await ask(Array.from({ length: 40 }, (_, i) => user(`u${i}`)));
    const first = await start({ concurrency: 4, drainMs: 0 });
    await eventually(async () => expect((await generations()).length).toBeGreaterThan(5));
    await first.stop();
    registry = new Registry();
    await start({ concurrency: 4 });
    await eventually(async () =>
      expect(new Set((await generations()).map(({ request_id }) => request_id)).size).toBe(40),
    );
    expect(new Set(server.asked.map(({ body }) => body.seed)).size).toBe(40);
  });

  it('lets a request go that nobody waits for, and refuses one under a key that is not its user', async () => {
    server.script = () => titles;
    await ask([{ ...user('late'), expires_at: 5 }, user('ann')]);
    await ask([user('bob')], () => 'eve');
    await start();
    await eventually(async () => expect(await generations()).toHaveLength(1));
    await eventually(async () =>
      expect(await figures('requests_failed_total')).toEqual({ EXPIRED: 1, KEY_MISMATCH: 1 }),
    );
    expect((await generations())[0]!.user_id).toBe('ann');
  });
});
