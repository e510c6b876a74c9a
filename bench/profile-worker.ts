/**
 * node bench/profile-worker.ts [--concurrency 64] [--seconds 20] [--latency-ms 1000] [--failing 0.05] [--partitions 4]
 *
 * How well the profile worker keeps a model server busy, on the embedded log: the server answers each request after so
 * long, and refuses a share of the users. Seen from the server, not from the worker: how many requests it had under way,
 * averaged over a time in which there was always more to do, against the worker's limit. And the QPS and E-QPS that the
 * worker's metrics show over the same time, against what the server counted. Exit code 1 where the limit is used by less
 * than 95 % or a figure is off by more than a hundredth of the requests, or more than what was just under way.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Registry } from 'prom-client';
import { table } from '../src/cli/table.ts';
import { OpenAiGenerator } from '../src/inference/openai/client.ts';
import { embeddedLog } from '../src/log/embedded/index.ts';
import type { Log } from '../src/log/port.ts';
import { embeddedSerdes } from '../src/log/registry/embedded.ts';
import type { Serdes } from '../src/log/serde.ts';
import { ProfileWorker } from '../src/profile/worker/profile-worker.ts';
import type { ProfileRequest } from '../src/profile/records.ts';
import { PROFILE_REQUESTS, PROFILE_WORKER_DEFAULTS } from '../src/profile/worker/settings.ts';
import { silent } from '../src/stream/logger.ts';
import { Metrics } from '../src/stream/metrics.ts';
import { ModelServer } from '../test/support/model-server.ts';

const { values } = parseArgs({
  options: {
    concurrency: { type: 'string', default: '64' },
    seconds: { type: 'string', default: '20' },
    'latency-ms': { type: 'string', default: '1000' },
    failing: { type: 'string', default: '0.05' },
    partitions: { type: 'string', default: '4' },
  },
});
const concurrency = Number(values.concurrency);
const seconds = Number(values.seconds);
const latencyMs = Number(values['latency-ms']);
const failing = Number(values.failing);
const partitions = Number(values.partitions);
/** All is running by then. */
const warmUpMs = 2 * latencyMs + 1000;
const requests = Math.ceil(concurrency * ((seconds * 1000 + 2 * warmUpMs) / latencyMs + 4));
const least = 0.95;

const ANSWER = JSON.stringify({
  'Product categories': [{ behaviours: [], inference: 'they bought it', tag: 'tents' }],
});

const folder = await mkdtemp(join(tmpdir(), 'seral-bench-'));
const log = await embeddedLog({ path: folder });
const serdes = await embeddedSerdes();
const registry = new Registry();
/** what the server saw: when requests were under way, and how many it refused */
const seen = { busyMs: 0, last: performance.now(), running: 0, all: 0, refused: 0 };
const server = await ModelServer.start(async ({ prompt }) => {
  count(1);
  await sleep(latencyMs);
  count(-1);
  seen.all++;
  if (!prompt.includes('of no use')) return { text: ANSWER };
  seen.refused++;
  return { status: 400 };
});
const worker = new ProfileWorker({
  ...PROFILE_WORKER_DEFAULTS,
  concurrency,
  generator: (metrics) =>
    new OpenAiGenerator({
      url: server.url,
      model: 'stub',
      apiKey: null,
      structuredOutput: 'json_object',
      requestTimeoutMs: 60_000,
      attemptTimeoutMs: 60_000,
      attempts: 1,
      retryShare: 0.2,
      maxAnswerBytes: 256 * 1024,
      onRetry: (code) => metrics.retried(code),
    }),
  log,
  serdes,
  options: { app: 'bench', stateDir: 'none' },
  registry,
  metrics: new Metrics(registry),
  logger: silent,
  drainMs: 0,
  onFatal: (error) => {
    throw error;
  },
});

try {
  await topicsOf(log);
  await write(log, serdes);
  await worker.start();
  await sleep(warmUpMs);
  const before = await figures();
  await sleep(seconds * 1000);
  const after = await figures();
  process.exitCode = report(before, after) ? 0 : 1;
} finally {
  await worker.stop();
  await server.close();
  await log.close();
  await rm(folder, { recursive: true });
}

function count(by: number): void {
  const now = performance.now();
  seen.busyMs += seen.running * (now - seen.last);
  seen.last = now;
  seen.running += by;
}

interface Figures {
  at: number;
  server: { busyMs: number; all: number; refused: number };
  worker: { all: number; failed: number; busySeconds: number };
}

async function figures(): Promise<Figures> {
  count(0);
  const { busyMs, all, refused } = seen;
  const server = { busyMs, all, refused };
  const at = performance.now();
  const sum = async (name: string, part = name) =>
    (await registry.getSingleMetric(name)!.get()).values
      .filter((value) => !('metricName' in value) || value.metricName === part)
      .reduce((sum, { value }) => sum + value, 0);
  const busySeconds = await sum('seral_request_seconds', 'seral_request_seconds_sum');
  return {
    at,
    server,
    worker: { all: await sum('seral_requests_total'), failed: await sum('seral_requests_failed_total'), busySeconds },
  };
}

function report(before: Figures, after: Figures): boolean {
  const ms = after.at - before.at;
  const under = (after.server.busyMs - before.server.busyMs) / ms;
  const all = after.server.all - before.server.all;
  const refused = after.server.refused - before.server.refused;
  const toldAll = after.worker.all - before.worker.all;
  const toldFailed = after.worker.failed - before.worker.failed;
  const toldUnder = ((after.worker.busySeconds - before.worker.busySeconds) * 1000) / ms;
  const rate = (n: number) => ((n * 1000) / ms).toFixed(1);
  process.stdout.write(
    `${table(
      ['over ' + (ms / 1000).toFixed(1) + ' s', 'server saw', 'metrics say'],
      [
        [`under way, of ${concurrency}`, under.toFixed(1), toldUnder.toFixed(1)],
        ['share of the limit', `${((100 * under) / concurrency).toFixed(1)} %`, ''],
        ['QPS', rate(all), rate(toldAll)],
        ['E-QPS', rate(refused), rate(toldFailed)],
      ],
    )}\n`,
  );
  // what was just under way at either end is counted by one and not by the other
  const agree = (a: number, b: number) => Math.abs(a - b) <= Math.max(0.01 * all, concurrency * 0.25);
  return under / concurrency >= least && agree(all, toldAll) && agree(refused, toldFailed);
}

async function topicsOf(log: Log): Promise<void> {
  const admin = log.admin();
  await admin.create(ProfileWorker.topics(false).map((topic) => ({ topic, partitions })));
  await admin.close();
}

async function write(log: Log, serdes: Serdes): Promise<void> {
  const serde = await serdes.serde<ProfileRequest>(PROFILE_REQUESTS.topic, PROFILE_REQUESTS.schema);
  const producer = log.producer();
  await producer.open();
  const records = Array.from({ length: requests }, (_, i) => {
    const bad = i % Math.round(1 / failing) === 0;
    const user_id = `user-${i}`;
    const request: ProfileRequest = {
      request_id: `${user_id}/short_term/1`,
      user_id,
      kind: 'short_term',
      asked_at: 1,
      attempt: 1,
      expires_at: 4e15,
      prompt_version: 'short-term-1',
      number_of_tags: 20,
      tag_length: 16,
      static_profile: null,
      searches: [],
      purchases: Array.from({ length: 30 }, (_, p) => ({
        time: 1,
        title: bad ? 'of no use' : `tent for ${p}`,
        category: 'tents',
        brand: null,
        times: 1,
      })),
      candidates: [],
    };
    return { topic: PROFILE_REQUESTS.topic, key: Buffer.from(user_id), value: serde.encode(request) };
  });
  for (let i = 0; i < records.length; i += 500) await producer.send(records.slice(i, i + 500));
  await producer.close();
}
