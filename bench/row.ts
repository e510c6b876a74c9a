/**
 * One row of the bench, in a process of its own, so that its CPU seconds and its peak of memory are its own:
 *   node bench/row.ts file|profiles|regeneration|candidates|serengpt|retrieval|serve-get|serve-fuse|consume|copy --json '{...}'
 * The last line of its output is `RESULT` and a JSON object.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Producer } from 'kafkajs';
import { kafkaLog } from '../src/log/kafka/index.ts';
import { NgramEmbedder } from '../src/inference/ngram-embedder.ts';
import { readLines, TextFile } from '../src/log/ndjson.ts';
import { readTopic } from '../src/log/read-topic.ts';
import { replayLabels } from '../src/cli/replay-labels.ts';
import { replayProfiles } from '../src/cli/replay-profiles.ts';
import { answerExtractively } from '../src/profile/worker/answering.ts';
import { CatalogWords } from '../src/profile/worker/catalog-words.ts';
import { PROFILES_DEFAULTS } from '../src/profile/options.ts';
import { LABELS_DEFAULTS } from '../topologies/labels.ts';
import { filterFile } from './candidates.ts';
import { Digest } from './digest.ts';
import { itemsOf } from './generate.ts';
import { markersIn } from './job.ts';
import { regenerateFile } from './regeneration.ts';
import type { StageResult } from './stages.ts';

export interface RowOptions {
  brokers: string;
  file: string;
  topic: string;
  folder: string;
  /** of this run */
  id: string;
  cacheBytes: number;
  /** of the log, which says what its items are */
  seed: string;
  /** of a stage of the channel */
  requests: number;
}

export interface RowResult {
  seconds: number;
  cpuSeconds: number;
  residentBytes: number;
  /** what was read, or written as labels or profiles */
  count: number;
  digest: string;
  stateBytes: number | null;
  changelogBytes: number | null;
  /** of a stage that reads no log of events: what it has done, by unit */
  work?: Record<string, number>;
}

const { positionals, values } = parseArgs({ allowPositionals: true, options: { json: { type: 'string' } } });
const options = JSON.parse(values.json ?? '{}') as RowOptions;

const rows: Record<string, () => Promise<Omit<RowResult, 'cpuSeconds' | 'residentBytes'>>> = {
  file,
  profiles,
  regeneration,
  candidates,
  serengpt: async () => stage((await import('./stage-serengpt.ts')).serengpt(options)),
  retrieval: async () => stage((await import('./stage-retrieval.ts')).retrieval(options)),
  'serve-get': async () => stage((await import('./stage-serve.ts')).serve('get', options)),
  'serve-fuse': async () => stage((await import('./stage-serve.ts')).serve('fuse', options)),
  consume,
  copy,
};

/** CPU and memory of the work alone: what the check of the output costs is not in them. */
let used: { cpuSeconds: number; residentBytes: number } | null = null;
function measured(): void {
  if (process.env['BENCH_MEM']) console.error(process.memoryUsage(), process.resourceUsage().maxRSS);
  const { user, system } = process.cpuUsage();
  used = { cpuSeconds: (user + system) / 1e6, residentBytes: process.resourceUsage().maxRSS * 1024 };
}

async function file() {
  const output = join(options.folder, 'labels.ndjson');
  const begun = performance.now();
  const done = await replayLabels({
    input: options.file,
    output,
    catalog: null,
    metrics: null,
    refused: null,
    rules: LABELS_DEFAULTS,
    cacheBytes: options.cacheBytes,
  });
  const seconds = (performance.now() - begun) / 1000;
  measured();
  const digest = new Digest();
  for await (const lines of readLines(output)) for (const { value } of lines) digest.add(JSON.stringify(value));
  if (digest.count !== done.labels) throw new Error('the file does not hold the labels that were counted');
  return { seconds, count: digest.count, digest: String(digest), stateBytes: done.stateBytes, changelogBytes: null };
}

/** The topology, the extractive profiler's answers and their approval, in one process. */
async function profiles() {
  const catalog = new TextFile(join(options.folder, 'catalog.ndjson'));
  const words = new CatalogWords();
  let lines: string[] = [];
  for (const item of itemsOf({ seed: options.seed })) {
    words.add(CatalogWords.row(item));
    if (lines.push(JSON.stringify(item)) < 5000) continue;
    await catalog.write(`${lines.join('\n')}\n`);
    lines = [];
  }
  await catalog.write(lines.map((line) => `${line}\n`).join(''));
  await catalog.close();
  const output = join(options.folder, 'profiles.ndjson');
  const embedder = new NgramEmbedder();
  const { same } = PROFILES_DEFAULTS.approval;
  const begun = performance.now();
  let read = begun;
  const done = await replayProfiles({
    input: options.file,
    output,
    catalog: join(options.folder, 'catalog.ndjson'),
    users: null,
    history: true,
    record: null,
    options: PROFILES_DEFAULTS,
    answer: (request) => answerExtractively(request, words, { embedder, same, at: request.asked_at }),
    cacheBytes: options.cacheBytes,
    onTables: () => (read = performance.now()),
  });
  const seconds = (performance.now() - read) / 1000;
  measured();
  process.stderr.write(`${done.requests} requests, ${done.profiles} profiles of ${done.users} users\n`);
  const digest = new Digest();
  for await (const all of readLines(output)) for (const { value } of all) digest.add(JSON.stringify(value));
  if (digest.count !== done.profiles) throw new Error('the file does not hold the profiles that were counted');
  return { seconds, count: digest.count, digest: String(digest), stateBytes: done.stateBytes, changelogBytes: null };
}

/** When to ask; each round is answered. */
async function regeneration() {
  let begun = 0;
  const { stats, requests } = await regenerateFile(options.file, options, () => (begun = performance.now()));
  const seconds = (performance.now() - begun) / 1000;
  measured();
  const digest = new Digest();
  for (const request of requests) digest.add(JSON.stringify(request));
  process.stderr.write(`${requests.length} requests, ${JSON.stringify(Object.fromEntries(stats.counts))}\n`);
  const { stateBytes } = stats;
  return { seconds, count: digest.count, digest: String(digest), stateBytes, changelogBytes: null };
}

/** Of a stage the time and the processor time are its own, without what it takes to be ready. */
async function stage(running: Promise<StageResult>) {
  const { cpuSeconds, ...result } = await running;
  measured();
  used!.cpuSeconds = cpuSeconds;
  return { ...result, stateBytes: null, changelogBytes: null };
}

/** The window filter, with an answer a user and day; lists are counted, and checked as they are in the end. */
async function candidates() {
  let begun = 0;
  const { stats, answers, lists } = await filterFile(options.file, options, () => (begun = performance.now()));
  const seconds = (performance.now() - begun) / 1000;
  measured();
  const digest = new Digest();
  for (const [user, list] of lists) digest.add(JSON.stringify([user, list && { ...list, revision: null }]));
  process.stderr.write(
    `${answers} answers, ${stats.outputs} lists said, ${JSON.stringify(Object.fromEntries(stats.counts))}\n`,
  );
  const { stateBytes } = stats;
  return { seconds, count: digest.count, digest: String(digest), stateBytes, changelogBytes: null };
}

/** kafkajs by itself: what the client costs before anything of ours. */
async function consume() {
  return bare(null);
}

async function copy() {
  return bare(`${options.topic}.copy-${options.id}`);
}

async function bare(to: string | null) {
  const { Kafka, logLevel } = await import('kafkajs');
  const kafka = new Kafka({ brokers: options.brokers.split(','), logLevel: logLevel.ERROR });
  const admin = kafka.admin();
  await admin.connect();
  const ends = new Map(
    (await admin.fetchTopicOffsets(options.topic)).map(({ partition, offset }) => [partition, Number(offset)]),
  );
  if (to !== null) {
    const topics = [{ topic: to, numPartitions: ends.size, replicationFactor: 1 }];
    await admin.createTopics({ topics, waitForLeaders: true });
  }
  const groupId = `bench-bare-${options.id}`;
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100, maxBytesPerPartition: 1 << 20 });
  await consumer.connect();
  await consumer.subscribe({ topics: [options.topic], fromBeginning: true });
  const producers = new Map<number, Producer>();
  if (to !== null) {
    for (const partition of ends.keys()) {
      const producer = kafka.producer({
        transactionalId: `${groupId}-${partition}`,
        idempotent: true,
        maxInFlightRequests: 1,
        retry: { initialRetryTime: 30 },
      });
      await producer.connect();
      producers.set(partition, producer);
    }
  }
  let count = 0;
  let bytes = 0;
  let left = ends.size;
  const begun = performance.now();
  await new Promise<void>((done, fail) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => fail(payload.error));
    void consumer
      .run({
        autoCommit: false,
        partitionsConsumedConcurrently: ends.size,
        eachBatchAutoResolve: true,
        eachBatch: async ({ batch }) => {
          count += batch.messages.length;
          for (const message of batch.messages) bytes += message.value?.length ?? 0;
          if (to !== null) {
            const transaction = await producers.get(batch.partition)!.transaction();
            // one send of a partition is one batch, which the broker takes up to a megabyte of
            for (let from = 0; from < batch.messages.length; from += 1000) {
              await transaction.send({
                topic: to,
                acks: -1,
                messages: batch.messages
                  .slice(from, from + 1000)
                  .map(({ key, value, timestamp }) => ({ key, value, timestamp, partition: batch.partition })),
              });
            }
            const offset = String(Number(batch.lastOffset()) + 1);
            await transaction.sendOffsets({
              consumerGroupId: groupId,
              topics: [{ topic: options.topic, partitions: [{ partition: batch.partition, offset }] }],
            });
            await transaction.commit();
          }
          if (Number(batch.lastOffset()) + 1 >= ends.get(batch.partition)! && --left === 0) done();
        },
      })
      .catch(fail);
  });
  const seconds = (performance.now() - begun) / 1000;
  measured();
  await consumer.disconnect();
  for (const producer of producers.values()) await producer.disconnect();
  if (to !== null) {
    let copied = 0;
    const log = kafkaLog({ brokers: options.brokers.split(',') });
    await markersIn(log, to);
    await readTopic(log, to, () => copied++);
    await log.close();
    if (copied !== count) throw new Error(`${copied} records were copied of ${count}`);
    await admin.deleteTopics({ topics: [to] });
  }
  await admin.disconnect();
  return { seconds, count, digest: `${bytes} bytes`, stateBytes: null, changelogBytes: null };
}

const result = await rows[positionals[0]]();
process.stdout.write(`RESULT ${JSON.stringify(Object.assign(result, used))}\n`);
process.exit(0);
