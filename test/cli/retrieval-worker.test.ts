import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { compileConfig } from '../../src/cli/config.ts';
import { openLog, openSerdes } from '../../src/cli/environment.ts';
import { jobsOf } from '../../src/cli/jobs.ts';
import { createLogger } from '../../src/cli/logging.ts';
import { runRetrievalWorker } from '../../src/cli/retrieval-worker.ts';
import { rolesOf, wantedTopics } from '../../src/cli/topic-plan.ts';
import type { Log } from '../../src/log/port.ts';
import type { Serdes } from '../../src/log/serde.ts';
import type { Generation, RetrievedItems } from '../../src/serengpt/records.ts';
import type { CatalogItem } from '../../src/shop/catalog.ts';
import { regenerationTopology } from '../../topologies/regeneration.ts';
import { generation, item } from '../nearline/given.ts';
import { eventually } from '../stream/bench.ts';
import { OpenSearchStub } from '../support/opensearch-stub.ts';

let folder: string;
let log: Log;
let serdes: Serdes;
let stub: OpenSearchStub;
const config = (retrievalWorker: object) =>
  compileConfig(
    {
      log: { kind: 'embedded' },
      embedded: { path: join(folder, 'log') },
      topics: { partitions: 2 },
      runtime: { stopDeadline: '5s' },
      http: { port: 0 },
      retrievalWorker: { embedder: 'ngram', ...retrievalWorker },
    },
    { SERAL_RETRIEVAL_WORKER_OPEN_SEARCH_PASSWORD: 'secret' },
  ).config;
const signedIn = { openSearch: { username: 'me' } };
const topology = regenerationTopology();

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seral-retrieval-'));
  log = await openLog(config(signedIn));
  serdes = await openSerdes(config(signedIn));
  stub = await OpenSearchStub.start();
});
afterEach(async () => {
  await stub.close();
  await serdes.close();
  await log.close();
  await rm(folder, { recursive: true });
});

async function write<T>(topic: string, schema: string, key: string, value: T): Promise<void> {
  const serde = await serdes.serde<T>(topic, schema);
  const producer = log.producer();
  await producer.open();
  await producer.send([{ topic, key: Buffer.from(key), value: serde.encode(value) }]);
  await producer.close();
}

async function answers(): Promise<RetrievedItems[]> {
  const serde = await serdes.serde<RetrievedItems>('serengpt.retrieved', 'RetrievedItems');
  const reader = log.reader();
  const found: RetrievedItems[] = [];
  for (const partition of [0, 1]) {
    for await (const { records } of reader.read({ topic: 'serengpt.retrieved', partition }, 0)) {
      found.push(...records.map(({ value }) => serde.decode(value)));
    }
  }
  await reader.close();
  return found;
}

it.each([
  ['in this process', () => ({ engine: 'embedded', ...signedIn }), 'bm25-1+ngram-256-1'],
  [
    'in OpenSearch',
    () => ({ engine: 'opensearch', openSearch: { ...signedIn.openSearch, url: stub.url } }),
    'opensearch-1+ngram-256-1',
  ],
])('answers generations from indexes %s, answers probes, and ends when told', async (_, settings, retriever) => {
  const admin = log.admin();
  await admin.create(wantedTopics([topology], config(signedIn)));
  if ((await admin.describe(['catalog.items']))[0] === null) {
    await admin.create([{ topic: 'catalog.items', partitions: 2 }]);
  }
  await admin.close();
  await write<CatalogItem>('catalog.items', 'CatalogItem', 'a', item('a', 'camping tent'));
  const logger = await createLogger({ level: 'silent' });
  const stop = new AbortController();
  const listening = Promise.withResolvers<string>();
  const running = runRetrievalWorker({
    config: config({ ...settings(), modelFolder: join(folder, 'none') }),
    log,
    serdes,
    logger,
    stop: stop.signal,
    onListening: listening.resolve,
  });
  const url = await listening.promise;
  await eventually(async () => expect((await fetch(`${url}/ready`)).status).toBe(200));
  expect((await fetch(`${url}/live`)).status).toBe(200);
  // OpenSearch shows what was written within a second: the stand-in when it is told to
  for (const index of stub.indexes.keys()) await fetch(`${stub.url}/${index}/_refresh`, { method: 'POST' });
  await write<Generation>('serengpt.generations', 'Generation', 'u1', generation(['camping tent']));
  await eventually(async () => expect(await answers()).toHaveLength(1));
  expect((await answers())[0]).toMatchObject({ retriever, outcome: 'retrieved', items: [{ item_id: 'a' }] });
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toContain('seral_requests_total{worker="retrieval-worker"} 1');
  expect(metrics).toContain('seral_pre_rank_fallback 1');
  stop.abort();
  await running;
  await expect(fetch(`${url}/live`)).rejects.toThrow();
});

it('names the topics that are missing, and what makes them', async () => {
  const logger = await createLogger({ level: 'silent' });
  const { signal } = new AbortController();
  await expect(
    runRetrievalWorker({ config: config(signedIn), log, serdes, logger, stop: signal }),
  ).rejects.toMatchObject({
    code: 'MISSING_TOPICS',
    message: expect.stringContaining('serengpt.generations, serengpt.retrieved, retrieval-worker.dlq'),
  });
});

it('has its topics made with those of the topology that begins the chain, and stands among its jobs', () => {
  const wanted = wantedTopics([topology], config(signedIn));
  const spec = (name: string) => wanted.find(({ topic }) => topic === name)!;
  const asked = spec('serengpt.regeneration-requests');
  expect(spec('serengpt.generations')).toEqual({ ...asked, topic: 'serengpt.generations' });
  expect(spec('retrieval-worker.dlq')).toEqual({ ...spec('regeneration.dlq'), topic: 'retrieval-worker.dlq' });
  expect(new Set(wanted.map(({ topic }) => topic)).size).toBe(wanted.length);
  const { ours } = rolesOf([topology], config(signedIn));
  for (const topic of ['serengpt.generations', 'serengpt.retrieved', 'retrieval-worker.dlq']) {
    expect(ours.has(topic), topic).toBe(true);
  }
  expect(jobsOf([topology], 'app')).toContainEqual({
    kind: 'worker',
    name: 'retrieval-worker',
    start: 'seral worker retrieval',
    group: 'app-retrieval-worker',
    reads: ['serengpt.generations'],
    deadLetters: 'retrieval-worker.dlq',
  });
});

it('is told of every problem of its section at once', () => {
  const wrong = {
    engine: 'opensearch',
    perText: 0,
    openSearch: { index: '_Items', attemptTimeout: '1m', password: 'x' },
  };
  expect(() => config(wrong)).toThrow('perText');
  expect(() => config({ engine: 'opensearch', openSearch: { index: '_Items', attemptTimeout: '1m' } })).toThrow(
    /url.*\n.*username.*\n.*index.*\n.*attemptTimeout/,
  );
});
