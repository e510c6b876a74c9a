/**
 * npm run bench -- [options]: what the jobs cost, beside what the client costs by itself, in one run on one machine.
 * A broker of its own is started (Java and Maven, or Docker; or KAFKA_BROKERS). Every row checks what it wrote before it
 * counts: the broker's labels against the file's, by count and digest, and no revision missing or twice.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { table } from '../src/cli/table.ts';
import { kafkaLog } from '../src/log/kafka/index.ts';
import type { Log } from '../src/log/port.ts';
import { startKafka, type RunningKafka } from '../test/support/kafka-harness.ts';
import { wholeRun } from './job.ts';
import { latencyAt, type Latency } from './latency.ts';
import { load, type Loaded } from './load.ts';
import type { RowOptions, RowResult } from './row.ts';
import { STAGES, STAGES_HEAD, stageLines } from './stages.ts';
import { median, medians } from './stats.ts';
import { NODE_FLAGS } from './node-flags.ts';

const TOPIC = 'behavior.events';
const ROWS: Record<string, string> = {
  file: 'labels of a file',
  profiles: 'profiles of a file, with their approval',
  regeneration: 'requests of a file, each round answered',
  candidates: 'candidates of a file, a list a user and day',
  broker: 'labels on the broker, exactly once',
  'workers-1': 'the same, 1 process',
  'workers-2': 'the same, 2 processes',
  'workers-4': 'the same, 4 processes',
  consume: 'kafkajs, consume only',
  copy: 'kafkajs, consume → transaction',
  ...STAGES,
};
const GROUPS: Record<string, string[]> = {
  workers: ['workers-1', 'workers-2', 'workers-4'],
  serve: ['serve-get', 'serve-fuse'],
};
/** In this process, without a broker. */
const OF_FILES = ['file', 'profiles', 'regeneration', 'candidates'];
/** A request of `seral serve` takes so much less than one of the workers. */
const SERVED = 100;
const LATENCY_SHARES = [0.25, 0.5, 0.75];

const HELP = `npm run bench -- [options]

  --only ROWS             file, profiles, broker, workers (1, 2 and 4 processes; or workers-2), consume, copy, latency;
                          of the channel: regeneration, serengpt, retrieval, candidates, serve (or serve-get, serve-fuse)
                          (file,profiles,broker,consume,copy)
  --runs N                of each row, in turn; medians are printed (1)
  --events N              (400000)
  --users N               (a 76th of the events)
  --days N                (30)
  --seed S                (bench)
  --partitions N          (4)
  --commit-ms N           of the rows (1000)
  --cache-mb N            for decoded state, of all processes of a row together (128)
  --disorder MS           an event arrives up to so much after its time (0)
  --duplicates SHARE      of the events arrive once more (0)
  --requests N            of serengpt and retrieval, and 100 times as many of serve (200)
  --latency-events N      (150000)
  --latency-commit-ms N   (100, the default of runtime.commitInterval)
  --top-rate N            events a second that the latencies' rates are shares of (measured: one process at that
                          commit interval)

latency: from the moment an event is due to be sent to the moment another client has its label at read_committed, at
25, 50 and 75% of the top rate. Labels that wait for an exposure by contract are not in it; a fifth is warm-up.
serengpt, retrieval, serve: the workers and the API at their defaults, with the models and the catalog that come with the
project, in a table of their own; what it takes to be ready is not in it.
docs/performance.md says which command gave which of its rows.
`;

const text = { type: 'string' } as const;
const { values } = parseArgs({
  options: {
    only: { ...text, default: 'file,profiles,broker,consume,copy' },
    runs: { ...text, default: '1' },
    events: { ...text, default: '400000' },
    users: text,
    days: { ...text, default: '30' },
    seed: { ...text, default: 'bench' },
    partitions: { ...text, default: '4' },
    'commit-ms': { ...text, default: '1000' },
    'cache-mb': { ...text, default: '128' },
    disorder: { ...text, default: '0' },
    duplicates: { ...text, default: '0' },
    requests: { ...text, default: '200' },
    'latency-events': { ...text, default: '150000' },
    'latency-commit-ms': { ...text, default: '100' },
    'top-rate': text,
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}

const wanted = values.only.split(',').flatMap((row) => GROUPS[row] ?? [row]);
const unknown = wanted.filter((row) => row !== 'latency' && ROWS[row] === undefined);
if (unknown.length > 0) {
  process.stderr.write(`no such row: ${unknown.join(', ')}\n\n${HELP}`);
  process.exit(2);
}
const rows = wanted.filter((row) => row !== 'latency');
const runs = Number(values.runs);
const partitions = Number(values.partitions);
const cacheBytes = Number(values['cache-mb']) << 20;
const folder = await mkdtemp(join(tmpdir(), 'seral-bench-'));
let kafka: RunningKafka | null = null;
let log: Log | null = null;
let brokers = process.env['KAFKA_BROKERS'] ?? '';
let run = 0;

try {
  if (wanted.some((row) => !OF_FILES.includes(row) && !(row in STAGES))) {
    if (brokers === '') brokers = (kafka = await startKafka({ jvm: 'full', heapMb: 1024 })).brokers;
    log = kafkaLog({ brokers: brokers.split(',') });
  }
  if (rows.length > 0) await compare();
  if (wanted.includes('latency')) await latency(log!);
} finally {
  await log?.close();
  await kafka?.stop();
  await rm(folder, { recursive: true, force: true });
}

function logOf(events: number) {
  return {
    events,
    users: Number(values.users ?? Math.max(50, Math.round(events / 76))),
    days: Number(values.days),
    seed: values.seed,
    disorderMs: Number(values.disorder),
    duplicates: Number(values.duplicates),
  };
}

async function compare(): Promise<void> {
  const file = join(folder, 'events.ndjson');
  const loaded = rows.every((row) => row in STAGES)
    ? { events: 0, items: 0 }
    : await load(logOf(Number(values.events)), file, log === null ? null : { log, topic: TOPIC, partitions });
  const results = new Map<string, RowResult[]>(rows.map((row) => [row, []]));
  for (let n = 0; n < runs; n++) {
    for (const row of rows) {
      process.stderr.write(`${ROWS[row]} ...\n`);
      const result = await resultOf(row, file);
      check(row, result, loaded, results);
      results.get(row)!.push(result);
    }
  }
  const found = [...results].map(([row, all]): [string, RowResult] => [row, medians(all)]);
  report(new Map(found.filter(([row]) => !(row in STAGES))), loaded);
  reportStages(found.filter(([row]) => row in STAGES));
}

async function resultOf(row: string, file: string): Promise<RowResult> {
  const workers = row === 'broker' ? 1 : Number(/^workers-(\d+)$/.exec(row)?.[1] ?? 0);
  return workers > 0 ? onBroker(workers, TOPIC, Number(values['commit-ms'])) : inProcess(row, file);
}

function onBroker(workers: number, source: string, commitIntervalMs: number): Promise<RowResult> {
  const id = `run-${++run}`;
  return wholeRun({ log: log!, brokers, id, source, partitions, workers, cacheBytes, commitIntervalMs, folder });
}

/** A row in a process of its own: bench/row.ts. */
async function inProcess(row: string, file: string): Promise<RowResult> {
  const id = `run-${++run}`;
  const own = join(folder, id);
  await mkdir(own);
  const requests = Number(values.requests) * (row.startsWith('serve-') ? SERVED : 1);
  const options: RowOptions = { brokers, file, topic: TOPIC, folder: own, id, cacheBytes, seed: values.seed, requests };
  const script = join(import.meta.dirname, 'row.ts');
  const child = spawn(process.execPath, [...NODE_FLAGS, script, row, '--json', JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { MALLOC_ARENA_MAX: '2', ...process.env },
  });
  let said = '';
  child.stdout.on('data', (chunk) => (said += chunk));
  const [code] = await once(child, 'close');
  await rm(own, { recursive: true, force: true });
  const line = said.split('\n').findLast((l) => l.startsWith('RESULT '));
  if (code !== 0 || line === undefined) throw new Error(`row ${row} failed with exit code ${code}\n${said}`);
  return JSON.parse(line.slice(7)) as RowResult;
}

function check(row: string, result: RowResult, loaded: Loaded, others: ReadonlyMap<string, RowResult[]>): void {
  if (row === 'consume' || row === 'copy') {
    if (result.count !== loaded.events) throw new Error(`${row} read ${result.count} of ${loaded.events} records`);
    return;
  }
  // all rows of labels say the same ones, the file's first of all; the others only have those of other runs beside them
  const apart = ['consume', 'copy', ...OF_FILES.slice(1), ...Object.keys(STAGES)];
  const alike = (name: string) => (apart.includes(row) ? name === row : !apart.includes(name));
  const [other, reference] = [...others].find(([name, all]) => alike(name) && all.length > 0) ?? [];
  if (reference !== undefined) agree(row, result, `those of ${other}`, reference[0]!);
}

type Outcome = Pick<RowResult, 'count' | 'digest'>;

function agree(what: string, found: Outcome, wantedOf: string, expected: Outcome): void {
  if (found.count === expected.count && found.digest === expected.digest) return;
  throw new Error(
    `${what}: ${found.count} (${found.digest}) are not ${wantedOf}, ${expected.count} (${expected.digest})`,
  );
}

async function latency(log: Log): Promise<void> {
  const file = join(folder, 'latency.ndjson');
  const commitIntervalMs = Number(values['latency-commit-ms']);
  const options = logOf(Number(values['latency-events']));
  const source = `${TOPIC}.latency`;
  await load(options, file, { log, topic: source, partitions });
  const expected = await inProcess('file', file);
  const top: number[] = [];
  const found = new Map<number, Latency[]>(LATENCY_SHARES.map((share) => [share, []]));
  for (let n = 0; n < runs; n++) {
    if (values['top-rate'] === undefined) {
      process.stderr.write('top rate ...\n');
      const result = await onBroker(1, source, commitIntervalMs);
      agree('top rate', result, "the file's", expected);
      top.push(options.events / result.seconds);
    }
    const rate = values['top-rate'] === undefined ? median(top) : Number(values['top-rate']);
    for (const share of LATENCY_SHARES) {
      process.stderr.write(`latency at ${share * 100}% of ${Math.round(rate)} events/s ...\n`);
      const job = { log, brokers, partitions, workers: 1, cacheBytes, commitIntervalMs, folder };
      const one = await latencyAt(rate * share, options, { ...job, id: `run-${++run}` }, expected);
      found.get(share)!.push(one);
    }
  }
  const rate = values['top-rate'] === undefined ? median(top) : Number(values['top-rate']);
  const ms = (value: number) => `${value.toFixed(0)} ms`;
  const lines = LATENCY_SHARES.map((share) => {
    const { rate: sent, p50, p99, most, measured, left, late } = medians(found.get(share)!);
    const figures = [ms(p50), ms(p99), ms(most), ms(late)];
    return [`${share * 100}%`, Math.round(sent).toLocaleString('en-US'), ...figures, String(measured), String(left)];
  });
  process.stdout.write(
    `\ncommit interval ${commitIntervalMs} ms, top rate ${Math.round(rate).toLocaleString('en-US')} events/s\n` +
      table(['rate', 'events/s', 'p50', 'p99', 'most', 'sent late (p99)', 'labels', 'that wait'], lines),
  );
}

function reportStages(results: [string, RowResult][]): void {
  if (results.length === 0) return;
  const head = [runs > 1 ? `medians of ${runs}` : '', ...STAGES_HEAD];
  const lines = results.flatMap(([row, { work = {}, ...result }]) => stageLines(STAGES[row]!, { ...result, work }));
  process.stdout.write(`\n${table(head, lines)}`);
}

function report(results: Map<string, RowResult>, { events, items }: Loaded): void {
  if (results.size === 0) return;
  const whole = (value: number) => Math.round(value).toLocaleString('en-US');
  const mb = (bytes: number | null) => (bytes === null ? '' : `${(bytes / 1e6).toFixed(0)} MB`);
  const base = results.get('consume') ?? [...results.values()][0]!;
  const lines = [...results].map(([row, result]) => [
    ROWS[row]!,
    whole(events / result.seconds),
    whole(items / result.seconds),
    (base.seconds / result.seconds).toFixed(2),
    result.cpuSeconds.toFixed(1),
    whole(events / result.cpuSeconds),
    mb(result.residentBytes),
    mb(result.stateBytes),
    mb(result.changelogBytes),
    `${result.count} ${result.digest}`,
  ]);
  const head = [
    runs > 1 ? `medians of ${runs}` : '',
    'events/s',
    'item exposures/s',
    'ratio',
    'CPU s',
    'events/CPU s',
    'resident',
    'state',
    'changelog',
    'checked',
  ];
  process.stdout.write(table(head, lines));
}
