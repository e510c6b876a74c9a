/**
 * One row of the bench, in a process of its own, so that its CPU seconds and its peak of memory are its own:
 *   node bench/row.ts file|broker|consume|copy --json '{...}'
 * The last line of its output is `RESULT` and a JSON object.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Producer } from 'kafkajs';
import { Registry } from 'prom-client';
import { kafkaLog } from '../src/log/kafka/index.ts';
import { readLines } from '../src/log/ndjson.ts';
import { embeddedSerdes } from '../src/log/registry/embedded.ts';
import type { Log } from '../src/log/port.ts';
import { readTopic } from '../src/log/read-topic.ts';
import { silent } from '../src/stream/logger.ts';
import { Metrics } from '../src/stream/metrics.ts';
import { namesOf } from '../src/stream/names.ts';
import { Worker } from '../src/stream/worker.ts';
import { replayLabels } from '../src/cli/replay-labels.ts';
import type { SerendipityLabel } from '../src/serendipity/events.ts';
import { LABELS_DEFAULTS, labelsTopology } from '../topologies/labels.ts';
import { Digest } from './digest.ts';

export interface RowOptions {
  brokers: string;
  file: string;
  topic: string;
  folder: string;
  app: string;
  commitIntervalMs: number;
  cacheBytes: number;
}

export interface RowResult {
  seconds: number;
  cpuSeconds: number;
  residentBytes: number;
  /** what was read, or written as labels */
  count: number;
  digest: string;
  stateBytes: number | null;
  changelogBytes: number | null;
}

const { positionals, values } = parseArgs({ allowPositionals: true, options: { json: { type: 'string' } } });
const options = JSON.parse(values.json ?? '{}') as RowOptions;

const rows: Record<string, () => Promise<Omit<RowResult, 'cpuSeconds' | 'residentBytes'>>> = {
  file,
  broker,
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

async function broker() {
  const log = kafkaLog({ brokers: options.brokers.split(',') });
  const serdes = await embeddedSerdes();
  const topology = labelsTopology();
  const names = namesOf(topology.name, options);
  const registry = new Registry();
  const stateDir = join(options.folder, 'state');
  let failed: Error | null = null;
  const worker = new Worker({
    topology,
    log,
    serdes,
    options: {
      app: options.app,
      stateDir,
      cacheBytes: options.cacheBytes,
      commitIntervalMs: options.commitIntervalMs,
      commitRecords: 100_000,
    },
    metrics: new Metrics(registry),
    logger:
      process.env['BENCH_LOGS'] === undefined
        ? silent
        : { ...silent, warn: console.error, error: console.error, info: console.error },
    now: Date.now,
    random: Math.random,
    checkNow: () => Infinity,
    onFatal: (error) => (failed = error),
  });
  const admin = log.admin();
  const ends = await admin.offsets(options.topic);
  const begun = performance.now();
  await worker.start();
  for (;;) {
    await new Promise((wake) => setTimeout(wake, 100));
    if (failed !== null) throw failed;
    const partitions = ends.map(({ partition }) => ({ topic: options.topic, partition }));
    const committed = await admin.committed(names.group, partitions);
    if (committed.every((position, i) => position !== null && position >= ends[i].end)) break;
  }
  const seconds = (performance.now() - begun) / 1000;
  measured();
  const changelogBytes = (await registry.getSingleMetric('seral_changelog_bytes_total')!.get()).values.reduce(
    (sum, { value }) => sum + value,
    0,
  );
  await worker.stop();
  const stateBytes = await folderBytes(stateDir);
  const { count, digest } = await labelsOf(log);
  await admin.close();
  await serdes.close();
  await log.close();
  return { seconds, count, digest, stateBytes, changelogBytes };
}

/** The labels that hold, as they can be read at read_committed. */
async function labelsOf(log: Log): Promise<{ count: number; digest: string }> {
  const serdes = await embeddedSerdes();
  const serde = await serdes.serde<SerendipityLabel>('serendipity.labels', 'SerendipityLabel');
  const last = new Map<string, string | null>();
  await markersIn(log, 'serendipity.labels');
  await readTopic(log, 'serendipity.labels', ({ value }) => {
    const { revision: _revision, withdrawn, ...label } = serde.decode(value);
    last.set(`${label.label_id}\0${label.user_id}`, withdrawn ? null : JSON.stringify(label));
  });
  const digest = new Digest();
  for (const label of last.values()) if (label !== null) digest.add(label);
  return { count: digest.count, digest: String(digest) };
}

/** A commit's markers reach the partitions a moment after its answer. */
async function markersIn(log: Log, topic: string): Promise<void> {
  const admin = log.admin();
  const ends = async (isolation: 'committed' | 'uncommitted') =>
    (await admin.offsets(topic, isolation)).map(({ end }) => end).join();
  while ((await ends('committed')) !== (await ends('uncommitted'))) await new Promise((wake) => setTimeout(wake, 50));
  await admin.close();
}

/** kafkajs by itself: what the client costs before anything of ours. */
async function consume() {
  return bare(null);
}

async function copy() {
  return bare(`${options.topic}.copy`);
}

async function bare(to: string | null) {
  const { Kafka, logLevel } = await import('kafkajs');
  const kafka = new Kafka({ brokers: options.brokers.split(','), logLevel: logLevel.ERROR });
  const admin = kafka.admin();
  await admin.connect();
  const ends = new Map(
    (await admin.fetchTopicOffsets(options.topic)).map(({ partition, offset }) => [partition, Number(offset)]),
  );
  const groupId = `${options.app}-bare-${to === null ? 'consume' : 'copy'}`;
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
  }
  await admin.disconnect();
  return { seconds, count, digest: `${bytes} bytes`, stateBytes: null, changelogBytes: null };
}

async function folderBytes(folder: string): Promise<number> {
  let sum = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) sum += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return sum;
}

const result = await rows[positionals[0]]();
process.stdout.write(`RESULT ${JSON.stringify(Object.assign(result, used))}\n`);
process.exit(0);
