/**
 * node bench/serve.ts [--users 100000] [--candidates 50] [--rate 1000] [--seconds 20] [--runs 3] [--only get,fuse,top-get,top-fuse,memory,intake]
 *                     [--cache 256MB] [--zipf 1] [--wait-s 0] [--quiet-below 30] [--profile FOLDER]
 *
 * What `seral serve` gives on one core: the server in a process of its own, pinned to the last core where `taskset` is
 * there, the load from this one. The cache is on the disk and users come by Zipf's law, so that some are in memory.
 *   get, fuse          requests at a fixed rate, at random times as a shop's are; latencies count from when a request was
 *                      due, so that one that had to wait for others does not look quick
 *   top-get, top-fuse  as many as it takes, by autocannon over 64 connections
 *   memory             what decoded lists take in memory for each byte on the disk
 *   intake             records a second from the embedded log into an empty cache on the disk
 * A fusion is of 200 personalised items to 50 rows. Each answer's status is checked. Medians of the runs are printed, with
 * what all others took of the machine meanwhile, in per cent of one core: with --wait-s each run waits
 * for a second in which they took less than --quiet-below of one core.
 */
import { fork, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Registry } from 'prom-client';
import { table } from '../src/cli/table.ts';
import { embeddedLog } from '../src/log/embedded/index.ts';
import { embeddedSerdes } from '../src/log/registry/embedded.ts';
import { CANDIDATES, type UserCandidates } from '../src/nearline/records.ts';
import { CandidateCache, userKey } from '../src/nearline/serve/cache.ts';
import type { Entry } from '../src/nearline/serve/entry.ts';
import { CandidateFollower } from '../src/nearline/serve/follower.ts';
import { ServeMetrics } from '../src/nearline/serve/metrics.ts';
import { TRIGGERS } from '../src/serengpt/records.ts';
import { silent } from '../src/stream/logger.ts';
import { compileOptions } from '../src/stream/options.ts';
import { StateDb } from '../src/stream/state-db.ts';
import { cannon } from './cannon.ts';
import { NODE_FLAGS } from './node-flags.ts';
import {
  ARMS,
  codecOfCandidates,
  getOf,
  nameOf,
  ServeLoad,
  TOKEN,
  zipfUser,
  type Asked,
  type Kind,
} from './serve-load.ts';
import type { RateOptions, RateResult } from './serve-rate.ts';
import { median, medians, percentile } from './stats.ts';
import { randomOf } from './world.ts';

const { values } = parseArgs({
  options: {
    users: { type: 'string', default: '100000' },
    candidates: { type: 'string', default: '50' },
    rate: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '20' },
    runs: { type: 'string', default: '3' },
    cache: { type: 'string', default: '256MB' },
    zipf: { type: 'string', default: '1' },
    only: { type: 'string', default: 'get,fuse,top-get,top-fuse,memory,intake' },
    'wait-s': { type: 'string', default: '0' },
    'quiet-below': { type: 'string', default: '30' },
    profile: { type: 'string' },
  },
});
const users = Number(values.users);
const candidates = Number(values.candidates);
const rate = Number(values.rate);
const seconds = Number(values.seconds);
const runs = Number(values.runs);
const only = values.only.split(',');

const WARM_UP_S = 5;
const HOUR = 3_600_000;
const folder = await mkdtemp(join(tmpdir(), 'seral-bench-serve-'));
const codec = await codecOfCandidates();
const random = randomOf('serve');
const load = new ServeLoad(random, candidates);

const anyUser = zipfUser(random, users, Number(values.zipf));
const GET = (): Asked => getOf(anyUser());
const FUSE = (): Asked => load.fuseOf(anyUser());

/** The cache's folder as a server leaves it that has read everything. */
async function fill(path: string): Promise<number> {
  const db = await StateDb.open(path, { writeBufferBytes: 32 << 20, lockRetries: 0, lockRetryMs: 1 });
  await db.write([{ key: Buffer.from('\0schema'), value: Buffer.from(codec.schema) }]);
  let bytes = 0;
  for (let from = 0; from < users; from += 500) {
    const rows = Array.from({ length: Math.min(500, users - from) }, (_, i) => {
      const user = nameOf(from + i);
      return { key: userKey(user), value: codec.encode(load.listOf(user)) };
    });
    for (const { value } of rows) bytes += value.length;
    await db.write(rows);
  }
  await db.close();
  return bytes / users;
}

async function makeTopics(path: string): Promise<void> {
  const log = await embeddedLog({ path });
  const admin = log.admin();
  await admin.create([
    { topic: CANDIDATES.topic, partitions: 4, config: { 'cleanup.policy': 'compact' } },
    { topic: TRIGGERS.topic, partitions: 4 },
  ]);
  await admin.close();
  await log.close();
}

let runNumber = 0;
const port = 18_000 + (process.pid % 1000);
const pinned = spawnSync('taskset', ['-V']).status === 0 && cpus().length > 1;
const onCore = (core: number): string[] => (pinned ? ['taskset', '-c', String(core)] : []);

async function startServer(): Promise<ChildProcess> {
  const profiled = values.profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', values.profile];
  const main = join(import.meta.dirname, '../src/cli/main.ts');
  const line = [...onCore(cpus().length - 1), process.execPath, ...NODE_FLAGS, ...profiled, main, 'serve'];
  const server = spawn(line[0]!, line.slice(1), {
    cwd: folder,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      SERAL_LOG_KIND: 'embedded',
      SERAL_EMBEDDED_PATH: join(folder, 'log'),
      SERAL_RUNTIME_STATE_DIR: join(folder, 'state'),
      SERAL_LOGGING_LEVEL: 'warn',
      SERAL_HTTP_PORT: String(port + 1000),
      SERAL_SERVE_PORT: String(port),
      SERAL_SERVE_TOKENS: TOKEN,
      SERAL_SERVE_CACHE: values.cache,
      SERAL_SERVE_RATE_LIMIT_REQUESTS: '1000000',
      SERAL_SERVE_ARMS: JSON.stringify(ARMS),
    },
  });
  for (let tries = 0; ; tries++) {
    if (server.exitCode !== null || tries > 600) throw new Error('the server did not come up');
    const ready = await fetch(`http://127.0.0.1:${port + 1000}/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (ready) return server;
    await sleep(50);
  }
}

async function stopServer(server: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGTERM');
  await ended;
}

/** CPU seconds that all cores were busy, whoever used them. */
function busyCores(): number {
  const ticks = cpus().map(({ times }) => times.user + times.nice + times.sys + times.irq);
  return ticks.reduce((sum, one) => sum + one, 0) / 1000;
}

/** What everybody else took of the machine since `begin`, in per cent of one core. */
function othersSince(begin: { at: number; busy: number; ours: number }, server: ChildProcess): number {
  const took = (performance.now() - begin.at) / 1000;
  return ((busyCores() - begin.busy - (oursNow(server) - begin.ours)) / took) * 100;
}
const oursNow = (server: ChildProcess): number =>
  cpuOf(server) + process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6;
const beginning = (server: ChildProcess) => ({ at: performance.now(), busy: busyCores(), ours: oursNow(server) });

/** Until others leave the machine alone for a moment, or so long. */
async function quiet(): Promise<void> {
  for (const until = performance.now() + Number(values['wait-s']) * 1000; performance.now() < until;) {
    const before = busyCores();
    await sleep(1000);
    if ((busyCores() - before) * 100 < Number(values['quiet-below'])) return;
  }
}

/** CPU seconds of a process. */
function cpuOf(server: ChildProcess): number {
  try {
    const fields = readFileSync(`/proc/${server.pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return NaN;
  }
}

interface Latencies {
  'req/s': number;
  'p50 ms': number;
  'p99 ms': number;
  'p99.9 ms': number;
  'max ms': number;
  'core %': number;
  pending: number;
  'others %': number;
}

/** Asked by a process of its own, at times that do not wait for answers. */
async function atRate(server: ChildProcess, kind: Kind): Promise<Latencies> {
  const options: RateOptions = {
    ...{ port, kind, users, candidates, rate, seconds },
    zipf: Number(values.zipf),
    warmUp: WARM_UP_S,
    seed: `rate-${runNumber}`,
  };
  const asking = fork(join(import.meta.dirname, 'serve-rate.ts'), [JSON.stringify(options)], {
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  if (pinned) spawnSync('taskset', ['-cp', '0', String(asking.pid)]);
  await once(asking, 'message');
  const cpu = cpuOf(server);
  const own = cpuOf(asking);
  const begin = beginning(server);
  const [found] = (await once(asking, 'message')) as [RateResult];
  const used = cpuOf(server) - cpu;
  const others = othersSince(begin, server) - ((cpuOf(asking) - own) / seconds) * 100;
  return {
    'req/s': Math.round(found.perSecond),
    'p50 ms': found.p50,
    'p99 ms': found.p99,
    'p99.9 ms': found.p999,
    'max ms': found.max,
    'core %': (used / seconds) * 100,
    pending: found.pending,
    'others %': others,
  };
}

async function atTop(server: ChildProcess, of: () => Asked): Promise<Latencies> {
  await cannon(port, of, { duration: WARM_UP_S });
  const times: number[] = [];
  const cpu = cpuOf(server);
  const begin = beginning(server);
  const { result, pending } = await cannon(port, of, { duration: seconds }, (ms) => times.push(ms));
  const others = othersSince(begin, server);
  const { latency } = result;
  return {
    'req/s': result.requests.average,
    'p50 ms': times.length > 0 ? percentile(times, 0.5) : latency.p50,
    'p99 ms': times.length > 0 ? percentile(times, 0.99) : latency.p99,
    'p99.9 ms': times.length > 0 ? percentile(times, 0.999) : latency.p99_9,
    'max ms': latency.max,
    'core %': ((cpuOf(server) - cpu) / seconds) * 100,
    pending,
    'others %': others,
  };
}

/** Where the time went: functions and native work by their own time, of the newest profile. */
function profileOf(where: string): string[][] {
  const file = readdirSync(where)
    .filter((name) => name.endsWith('.cpuprofile'))
    .sort()
    .at(-1)!;
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(join(where, file), 'utf8'));
  const own = new Map<number, number>();
  samples.forEach((id: number, i: number) => own.set(id, (own.get(id) ?? 0) + timeDeltas[i]));
  const named = new Map<string, number>();
  let busy = 0;
  for (const { id, callFrame } of nodes) {
    const time = own.get(id) ?? 0;
    if (callFrame.functionName === '(idle)') continue;
    busy += time;
    const place =
      callFrame.url === '' ? '' : ` ${callFrame.url.split('/').slice(-2).join('/')}:${callFrame.lineNumber + 1}`;
    const name = `${callFrame.functionName || '(anonymous)'}${place}`;
    named.set(name, (named.get(name) ?? 0) + time);
  }
  const top = [...named].sort(([, a], [, b]) => b - a).slice(0, 25);
  return top.map(([name, time]) => [`${((time / busy) * 100).toFixed(1)} %`, name]);
}

async function memoryPerByte(): Promise<number> {
  globalThis.gc?.();
  const before = process.memoryUsage();
  let bytes = 0;
  const kept: Entry[] = [];
  for (let i = 0; i < 3000; i++) {
    const row = codec.encode(load.listOf(nameOf(i)));
    bytes += row.length;
    const entry = codec.decode(row);
    entry.json(0);
    kept.push(entry);
  }
  // memory outside the heap is given back a while after it was let go of
  for (let i = 0; i < 5; i++) {
    globalThis.gc?.();
    await sleep(100);
  }
  const after = process.memoryUsage();
  return (after.heapUsed + after.external - before.heapUsed - before.external) / bytes + kept.length * 0;
}

async function intake(): Promise<number> {
  const count = 20_000;
  const log = await embeddedLog({ path: join(folder, 'intake-log') });
  const serdes = await embeddedSerdes();
  const admin = log.admin();
  await admin.create([{ topic: CANDIDATES.topic, partitions: 4, config: { 'cleanup.policy': 'compact' } }]);
  await admin.close();
  const serde = await serdes.serde<UserCandidates>(CANDIDATES.topic, CANDIDATES.schema);
  const producer = log.producer();
  await producer.open();
  for (let from = 0; from < count; from += 500) {
    await producer.send(
      Array.from({ length: 500 }, (_, i) => {
        const user = nameOf(from + i);
        return { topic: CANDIDATES.topic, key: Buffer.from(user), value: serde.encode(load.listOf(user)) };
      }),
    );
  }
  await producer.close();
  const metrics = new ServeMetrics(new Registry(), () => ({
    ...{ lag: 0, behindSeconds: 0, memoryBytes: 0, stale: false, waitingTriggers: 0 },
  }));
  const cache = new CandidateCache({
    codec,
    memoryBytes: 1 << 20,
    lookupMs: 1000,
    now: Date.now,
    metrics,
    onBroken() {},
  });
  const follower = new CandidateFollower({
    ...{ log, serdes, cache, codec, metrics, logger: silent },
    path: join(folder, 'intake-cache'),
    staleAfterMs: 24 * HOUR,
    runtime: compileOptions({ app: 'bench', stateDir: folder }).options,
    clock: { now: Date.now, checkNow: Date.now, elapsed: () => performance.now(), random: Math.random },
    check: async () => {},
    onFatal: (error) => {
      throw error;
    },
  });
  const began = performance.now();
  await follower.open();
  follower.run();
  while (!follower.status().ready) await sleep(5);
  const took = (performance.now() - began) / 1000;
  await follower.stop();
  await serdes.close();
  await log.close();
  return count / took;
}

const say = (line: string) => process.stdout.write(`${line}\n`);
const shown = (value: number) => (value >= 100 ? value.toFixed(0) : value.toFixed(2));
try {
  say(`${cpus()[0]!.model}, ${cpus().length} cores, load ${loadavg()[0]!.toFixed(2)} before; Node ${process.version}`);
  const measures: [string, (server: ChildProcess) => Promise<Latencies>][] = [
    [`get`, (server) => atRate(server, 'get')],
    [`fuse`, (server) => atRate(server, 'fuse')],
    ['top-get', (server) => atTop(server, GET)],
    ['top-fuse', (server) => atTop(server, FUSE)],
  ];
  const wanted = measures.filter(([name]) => only.includes(name));
  if (wanted.length > 0) {
    const began = performance.now();
    const bytes = await fill(join(folder, 'state', 'seral-serve'));
    await makeTopics(join(folder, 'log'));
    const took = ((performance.now() - began) / 1000).toFixed(0);
    say(`${users} users of ${candidates} candidates, ${bytes.toFixed(0)} bytes each on the disk, filled in ${took} s`);
    if (pinned) spawnSync('taskset', ['-cp', '0', String(process.pid)]);
    const found = new Map<string, Latencies[]>(wanted.map(([name]) => [name, []]));
    const server = await startServer();
    try {
      for (runNumber = 0; runNumber < runs; runNumber++) {
        for (const [name, measure] of wanted) {
          await quiet();
          const figures = await measure(server);
          found.get(name)!.push(figures);
          say(`${name} ${JSON.stringify(figures)}`);
        }
      }
    } finally {
      await stopServer(server);
    }
    const rows = [...found].map(([name, all]) => [
      name,
      ...Object.values(medians(all)).map(shown),
      shown(Math.max(...all.map((one) => one['p99 ms']))),
      loadavg()[0]!.toFixed(2),
    ]);
    const figures = ['req/s', 'p50 ms', 'p99 ms', 'p99.9 ms', 'max ms', 'core %', 'pending', 'others %'];
    say(table(['', ...figures, 'worst p99 ms', 'load'], rows));
    if (values.profile !== undefined)
      say(
        profileOf(values.profile)
          .map((row) => row.join('  '))
          .join('\n'),
      );
  }
  if (only.includes('memory')) say(`memory for each byte on the disk: ${(await memoryPerByte()).toFixed(1)}`);
  if (only.includes('intake')) {
    const rates: number[] = [];
    for (runNumber = 0; runNumber < runs; runNumber++) {
      rates.push(await intake());
      for (const name of ['intake-log', 'intake-cache']) await rm(join(folder, name), { recursive: true });
    }
    say(`intake: ${median(rates).toFixed(0)} lists a second`);
  }
} finally {
  await rm(folder, { recursive: true });
}
