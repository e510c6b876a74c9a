import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InferenceError } from '../../../src/errors.ts';
import { NgramEmbedder } from '../../../src/inference/ngram-embedder.ts';
import type { Ranker } from '../../../src/inference/ranker.ts';
import { embeddedSerdes } from '../../../src/log/registry/embedded.ts';
import type { Serdes } from '../../../src/log/serde.ts';
import { EmbeddedRetriever } from '../../../src/nearline/retrieval/embedded.ts';
import { TableFollower } from '../../../src/nearline/worker/catalog-follower.ts';
import { RetrievalWorker, type RetrievalWorkerOptions } from '../../../src/nearline/worker/retrieval-worker.ts';
import { RETRIEVAL_DEFAULTS } from '../../../src/nearline/worker/settings.ts';
import type { Generation, RetrievedItems } from '../../../src/serengpt/records.ts';
import type { CatalogItem } from '../../../src/shop/catalog.ts';
import { Metrics } from '../../../src/stream/metrics.ts';
import { Bench, eventually } from '../../stream/bench.ts';
import { generation, item, said } from '../given.ts';

describe('the retrieval worker', () => {
  let bench: Bench;
  let serdes: Serdes;
  let registry: Registry;
  let workers: RetrievalWorker[];
  let modelFolder: string;
  beforeEach(async () => {
    bench = await Bench.open();
    serdes = await embeddedSerdes();
    registry = new Registry();
    workers = [];
    modelFolder = await mkdtemp(join(tmpdir(), 'seral-models-'));
    const admin = bench.log.admin();
    await admin.create(RetrievalWorker.topics().map((topic) => ({ topic, partitions: 2 })));
    await admin.close();
  });
  afterEach(async () => {
    await Promise.all(workers.map((worker) => worker.stop()));
    await bench.close();
    await rm(modelFolder, { recursive: true });
  });

  async function start(given: Partial<RetrievalWorkerOptions> = {}): Promise<RetrievalWorker> {
    const embedder = new NgramEmbedder();
    const { log, logger } = bench;
    const options = { app: 'test', stateDir: 'none', commitIntervalMs: 20 };
    const retriever = new EmbeddedRetriever({ embedder, logger, now: Date.now });
    const follower = new TableFollower({
      index: retriever,
      log,
      serdes,
      options,
      logger,
      now: Date.now,
      random: Math.random,
    });
    const worker = new RetrievalWorker({
      ...RETRIEVAL_DEFAULTS,
      retriever,
      follower,
      embedder,
      modelFolder,
      loadRanker: () => Promise.resolve(byWords),
      modelPollMs: 5,
      log,
      serdes,
      options,
      registry,
      metrics: new Metrics(registry),
      logger,
      drainMs: 5000,
      onFatal: (error) => bench.fatal.push(error),
      ...given,
    });
    workers.push(worker);
    await worker.start();
    return worker;
  }

  /** The less of the history's words an item has, the better. */
  const byWords: Ranker = {
    name: 'by-words-1',
    features: ['words_seen', 'keyword'],
    score: (rows) =>
      Promise.resolve(
        Float32Array.from({ length: rows.length / 2 }, (_, i) => 0.9 * (1 - rows[2 * i]!) + 0.1 * rows[2 * i + 1]!),
      ),
    close: () => Promise.resolve(),
  };
  const model = async () => {
    await writeFile(join(modelFolder, 'model.onnx'), 'x');
    await writeFile(join(modelFolder, 'model.json'), '{}');
  };

  async function write<T>(topic: string, schema: string, values: T[], keyOf: (value: T) => string): Promise<void> {
    const serde = await serdes.serde<T>(topic, schema);
    await bench.write(
      topic,
      values.map((value) => ({ key: keyOf(value), value: serde.encode(value) })),
    );
  }
  const ask = (...requests: Generation[]) =>
    write('serengpt.generations', 'Generation', requests, ({ user_id }) => user_id);
  const shop = (...items: CatalogItem[]) => write('catalog.items', 'CatalogItem', items, ({ item_id }) => item_id);
  const answers = async (): Promise<RetrievedItems[]> => {
    const serde = await serdes.serde<RetrievedItems>('serengpt.retrieved', 'RetrievedItems');
    return (await bench.records('serengpt.retrieved')).map(({ value }) => serde.decode(value));
  };
  const answerTo = (user: string): Promise<RetrievedItems> =>
    eventually(async () => {
      const found = (await answers()).find(({ user_id }) => user_id === user);
      expect(found).toBeDefined();
      return found!;
    });
  const figure = (name: string, labels: Record<string, string> = {}) =>
    registry
      .getSingleMetric(`seral_${name}`)!
      .get()
      .then(({ values }) =>
        values
          .filter((one) => Object.entries(labels).every(([key, value]) => one.labels[key] === value))
          .reduce((sum, { value }) => sum + value, 0),
      );
  const of = (user_id: string, texts: Parameters<typeof generation>[0], given: Partial<Generation> = {}) =>
    generation(texts, { user_id, request_id: `${user_id}/1/1`, ...given });

  const CATALOG = [
    item('tent', 'camping tent', { category_id: 'tents', category_path: ['outdoor', 'tents'], price: 99 }),
    item('tent2', 'camping tent, large', { category_id: 'tents', category_path: ['outdoor', 'tents'] }),
    item('stove', 'camping stove', { category_id: 'stoves', category_path: ['outdoor', 'stoves'] }),
    item('gone', 'camping lamp', { category_id: 'lamps', available: false }),
    item('tea', 'green tea', { category_id: 'tea', category_path: ['grocery', 'tea'] }),
  ];

  it('answers a generation with items of the catalog, each with what led to it', async () => {
    await shop(...CATALOG);
    const worker = await start();
    await eventually(() =>
      expect(worker.status()).toMatchObject({ ready: true, tables: [{ name: 'catalog', rows: 5, ready: true }] }),
    );
    await ask(of('u1', [said('camping stove', { times: 3 }), said('green tea', { kind: 'query' })]));
    const answer = await answerTo('u1');
    expect(answer).toMatchObject({
      request_id: 'u1/1/1',
      round: 1,
      attempt: 1,
      asked_at: 1000,
      expires_at: 4e15,
      valid_until: 90_000_000,
      generated_at: 2000,
      outcome: 'retrieved',
      error: null,
      model: 'model-1',
      prompt_version: 'serengpt-1',
      retriever: 'bm25-1+ngram-256-1',
      ranker: 'retrieval-score-1',
    });
    const [first, second] = answer.items;
    expect([first!.item_id, second!.item_id].sort()).toEqual(['stove', 'tea']);
    const tea = answer.items.find(({ item_id }) => item_id === 'tea')!;
    expect(tea).toMatchObject({ led_by: 'green tea', led_by_kind: 'query', channels: ['keyword', 'vector'], score: 1 });
    expect(answer.items.map(({ item_id }) => item_id)).not.toContain('gone');
    expect(await figure('pre_rank_fallback')).toBe(1);
    expect(await figure('retrieval_items_total', { stage: 'answered' })).toBe(answer.items.length);
    expect(await figure('retrieval_index_items', { channel: 'keyword' })).toBe(4);
  });

  it('ranks by the model once there is one, and leaves out what the user has bought', async () => {
    await shop(...CATALOG);
    await start();
    await model();
    await eventually(async () => expect(await figure('pre_rank_model', { model: 'by-words-1' })).toBe(1));
    const purchase = { time: 1, kind: 'purchase' as const, brand_id: null };
    const history = [
      { ...purchase, text: 'camping tent', item_id: 'tent', category_id: 'tents' },
      { ...purchase, kind: 'click' as const, text: 'camping stove', item_id: 'stove', category_id: 'stoves' },
    ];
    await ask(of('u1', ['camping tent', 'green tea'], { history }));
    const answer = await answerTo('u1');
    expect(answer.ranker).toBe('by-words-1');
    expect(answer.items[0]!.item_id).toBe('tea');
    const ids = answer.items.map(({ item_id }) => item_id);
    expect(ids).toContain('stove');
    expect(ids).not.toContain('tent');
    expect(answer.dropped).toEqual([{ rule: 'bought', count: 1 }]);
    expect(await figure('pre_rank_fallback')).toBe(0);
    expect(await figure('retrieval_dropped_total', { rule: 'bought' })).toBe(1);
  });

  it('lets no category fill the list', async () => {
    await shop(
      ...Array.from({ length: 30 }, (_, i) => item(`t${i}`, `camping tent ${i}`, { category_id: 'tents' })),
      item('stove', 'stove for camping', { category_id: 'stoves' }),
    );
    await start({ perCategory: 3, perText: 40 });
    await ask(of('u1', ['camping tent']));
    const { items, dropped } = await answerTo('u1');
    expect(items.map(({ category_id }) => category_id).sort()).toEqual(['stoves', 'tents', 'tents', 'tents']);
    expect(dropped).toEqual([{ rule: 'category_full', count: 27 }]);
  });

  it('follows the catalog while it works', async () => {
    await shop(...CATALOG);
    await start();
    await ask(of('u1', ['camping stove']));
    expect((await answerTo('u1')).items[0]!.item_id).toBe('stove');
    await shop({ ...CATALOG[2]!, available: false }, item('new', 'camping stove with gas'));
    // a row that cannot be read changes nothing
    await bench.write('catalog.items', [{ key: 'tea', value: Buffer.alloc(1) }]);
    await eventually(async () => expect(await figure('retrieval_index_items', { channel: 'keyword' })).toBe(4));
    await eventually(async () => expect(await figure('retrieval_index_items', { channel: 'vector' })).toBe(4));
    await ask(of('u2', ['camping stove']));
    const ids = (await answerTo('u2')).items.map(({ item_id }) => item_id);
    expect(ids[0]).toBe('new');
    expect(ids).not.toContain('stove');
  });

  it('passes a failed generation on, and says where nothing was found', async () => {
    await shop(...CATALOG);
    await start();
    await ask(
      of('u1', [], { outcome: 'failed', error: 'MODEL_TIMEOUT' }),
      of('u2', ['!!!']),
      of('u3', ['camping tent'], {
        history: CATALOG.map(({ item_id }) => ({
          time: 1,
          kind: 'purchase',
          text: 'x',
          item_id,
          category_id: null,
          brand_id: null,
        })),
      }),
    );
    expect(await answerTo('u1')).toMatchObject({ outcome: 'failed', error: 'MODEL_TIMEOUT', items: [] });
    expect(await answerTo('u2')).toMatchObject({ outcome: 'failed', error: 'NO_ITEMS' });
    const bought = await answerTo('u3');
    expect(bought).toMatchObject({ outcome: 'failed', error: 'NO_ITEMS' });
    expect(bought.dropped[0]!.rule).toBe('bought');
    await eventually(async () => expect(await bench.records('retrieval-worker.dlq')).toHaveLength(2));
    expect(await figure('requests_failed_total', { code: 'NO_ITEMS' })).toBe(2);
  });

  it('answers by the retrieval score where the model fails', async () => {
    await shop(...CATALOG);
    let broken = 0;
    const failing: Ranker = {
      ...byWords,
      score: (rows) => (broken++ > 0 ? Promise.reject(new InferenceError('MODEL_FAILED', 'no')) : byWords.score(rows)),
    };
    await model();
    await start({ loadRanker: () => Promise.resolve(failing) });
    await ask(of('u1', ['camping tent']));
    expect(await answerTo('u1')).toMatchObject({ outcome: 'retrieved', ranker: 'retrieval-score-1' });
    expect(await figure('pre_rank_failed_total', { code: 'MODEL_FAILED' })).toBe(1);
  });

  it('answers as failed where nothing can be retrieved', async () => {
    const retriever = new EmbeddedRetriever({ embedder: new NgramEmbedder(), logger: bench.logger, now: Date.now });
    retriever.retrieve = () => Promise.reject(new InferenceError('RETRIEVER_UNAVAILABLE', 'no answer'));
    await start({ retriever, follower: null });
    await ask(of('u1', ['camping tent']));
    expect(await answerTo('u1')).toMatchObject({ outcome: 'failed', error: 'RETRIEVER_UNAVAILABLE', items: [] });
    await eventually(async () => expect(await bench.records('retrieval-worker.dlq')).toHaveLength(1));
  });

  it('does not answer what nobody waits for, nor what is under another key', async () => {
    await shop(...CATALOG);
    await start();
    await ask(of('u1', ['camping tent'], { expires_at: 5 }));
    await write('serengpt.generations', 'Generation', [of('u2', ['camping tent'])], () => 'other');
    await ask(of('u3', ['camping tent']));
    await answerTo('u3');
    await eventually(async () => expect(await figure('requests_failed_total', { code: 'EXPIRED' })).toBe(1));
    await eventually(async () => expect(await figure('requests_failed_total', { code: 'KEY_MISMATCH' })).toBe(1));
    expect((await answers()).map(({ user_id }) => user_id)).toEqual(['u3']);
  });

  it('is not ready before the whole catalog can be found', async () => {
    await shop(...Array.from({ length: 700 }, (_, i) => item(`i${i}`, `thing number ${i}`)));
    const gate = Promise.withResolvers<void>();
    class Slow extends NgramEmbedder {
      override async embed(texts: readonly string[]): Promise<Int8Array[]> {
        await gate.promise;
        return super.embed(texts);
      }
    }
    const embedder = new Slow();
    const { log, logger } = bench;
    const retriever = new EmbeddedRetriever({ embedder, logger, now: Date.now });
    const options = { app: 'test', stateDir: 'none' };
    const follower = new TableFollower({
      index: retriever,
      log,
      serdes,
      options,
      logger,
      now: Date.now,
      random: Math.random,
      progressMs: 1,
    });
    const started = start({ retriever, follower, embedder });
    await eventually(() => expect(retriever.status()).toMatchObject({ items: { keyword: 700 }, pending: 700 }));
    expect(workers[0]!.status()).toMatchObject({ ready: false, tables: [{ rows: 700, ready: false }] });
    await eventually(() => expect(bench.saidThat('reading the catalog').length).toBeGreaterThan(0));
    gate.resolve();
    await started;
    await eventually(() => expect(workers[0]!.status().ready).toBe(true));
    expect(bench.saidThat('the catalog is read')).toHaveLength(1);
  });
});
