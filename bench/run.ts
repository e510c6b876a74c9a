/**
 * npm run bench -- [options]: what the labels job costs, beside what the client costs by itself, in one run on one machine.
 * A broker of its own is started (Java and Maven, or Docker; or KAFKA_BROKERS). Every row checks what it wrote before it
 * counts: the broker's labels against the file's, by count and digest.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { table } from '../src/cli/table.ts';
import { progress } from '../src/cli/progress.ts';
import { TextFile } from '../src/log/ndjson.ts';
import { kafkaLog } from '../src/log/kafka/index.ts';
import { embeddedSerdes } from '../src/log/registry/embedded.ts';
import type { BehaviorEvent } from '../src/serendipity/events.ts';
import { requiredTopics } from '../src/stream/names.ts';
import { startKafka, type RunningKafka } from '../test/support/kafka-harness.ts';
import { labelsTopology } from '../topologies/labels.ts';
import { generate, toLine, type GeneratedEvent } from './generate.ts';
import type { RowOptions, RowResult } from './row.ts';

const TOPIC = 'behavior.events';
const ROWS = {
  file: 'labels of a file',
  broker: 'labels on the broker, exactly once',
  consume: 'kafkajs, consume only',
  copy: 'kafkajs, consume → transaction',
} as const;

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '400000' },
    users: { type: 'string' },
    days: { type: 'string', default: '30' },
    seed: { type: 'string', default: 'bench' },
    partitions: { type: 'string', default: '4' },
    'commit-ms': { type: 'string', default: '1000' },
    'cache-mb': { type: 'string', default: '128' },
    rows: { type: 'string', default: 'file,broker,consume,copy' },
    disorder: { type: 'string', default: '0' },
    duplicates: { type: 'string', default: '0' },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  process.stdout
    .write(`npm run bench -- [--events 400000] [--users N] [--days 30] [--seed bench] [--partitions 4] [--commit-ms 1000]
                [--cache-mb 128] [--rows file,broker,consume,copy] [--disorder MS] [--duplicates SHARE]
--events 1600000 --users 21000 is the size that docs/performance.md quotes.\n`);
  process.exit(0);
}

const events = Number(values.events);
const users = Number(values.users ?? Math.max(50, Math.round(events / 76)));
const partitions = Number(values.partitions);
const wanted = values.rows.split(',') as (keyof typeof ROWS)[];
const folder = await mkdtemp(join(tmpdir(), 'seral-bench-'));
let kafka: RunningKafka | null = null;

try {
  const file = join(folder, 'events.ndjson');
  const needsBroker = wanted.some((row) => row !== 'file');
  if (needsBroker && process.env['KAFKA_BROKERS'] === undefined)
    kafka = await startKafka({ jvm: 'full', heapMb: 1024 });
  const brokers = process.env['KAFKA_BROKERS'] ?? kafka?.brokers ?? '';
  const { items, loaded } = await load(file, brokers);
  const results = new Map<keyof typeof ROWS, RowResult>();
  for (const row of wanted) {
    const options: RowOptions = {
      brokers,
      file,
      topic: TOPIC,
      folder: await mkdtemp(join(folder, `${row}-`)),
      app: 'bench',
      commitIntervalMs: Number(values['commit-ms']),
      cacheBytes: Number(values['cache-mb']) << 20,
    };
    process.stderr.write(`${ROWS[row]} ...\n`);
    const result = await runRow(row, options);
    check(row, result, loaded, results);
    results.set(row, result);
  }
  report(results, loaded, items);
} finally {
  await kafka?.stop();
  await rm(folder, { recursive: true, force: true });
}

/** Generates the log once, into the file and into the topic. */
async function load(path: string, brokers: string): Promise<{ loaded: number; items: number }> {
  const out = new TextFile(path);
  const log = brokers === '' ? null : kafkaLog({ brokers: brokers.split(',') });
  const serdes = await embeddedSerdes();
  const serde = await serdes.serde<BehaviorEvent>(TOPIC, 'BehaviorEvent');
  if (log !== null) {
    const admin = log.admin();
    const specs = requiredTopics(labelsTopology(), { app: 'bench', partitions, replication: 1 });
    await admin.create([...specs, { topic: `${TOPIC}.copy`, partitions, replication: 1 }]);
    await admin.close();
  }
  const producer = log?.producer() ?? null;
  await producer?.open();
  let items = 0;
  let loaded = 0;
  let batch: GeneratedEvent[] = [];
  const bar = progress('loading', events, 'events');
  const send = async () => {
    for (const event of batch) await out.write(`${toLine(event)}\n`);
    await producer?.send(
      batch.map((event) => ({
        topic: TOPIC,
        key: Buffer.from(event.user_id),
        value: serde.encode(event as BehaviorEvent),
      })),
    );
    bar.update((loaded += batch.length));
    batch = [];
  };
  const options = {
    events,
    users,
    days: Number(values.days),
    seed: values.seed,
    disorderMs: Number(values.disorder),
    duplicates: Number(values.duplicates),
  };
  for await (const event of generate(options)) {
    items += event.event_type === 'exposure' ? event.items.length : 0;
    batch.push(event);
    if (batch.length === 5000) await send();
  }
  await send();
  bar.stop(`${loaded} events, ${items} item exposures, ${users} users, ${values.days} days`);
  await out.close();
  await producer?.close();
  await serdes.close();
  await log?.close();
  return { loaded, items };
}

async function runRow(row: string, options: RowOptions): Promise<RowResult> {
  // as bin/seral starts the job
  const flags = ['--max-semi-space-size=8', ...(process.env['BENCH_NODE_FLAGS'] ?? '').split(' ').filter(Boolean)];
  const child = spawn(
    process.execPath,
    [...flags, join(import.meta.dirname, 'row.ts'), row, '--json', JSON.stringify(options)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { MALLOC_ARENA_MAX: '2', ...process.env },
    },
  );
  let text = '';
  child.stdout.on('data', (chunk) => (text += chunk));
  const [code] = await once(child, 'close');
  const line = text.split('\n').findLast((l) => l.startsWith('RESULT '));
  if (code !== 0 || line === undefined) throw new Error(`row ${row} failed with exit code ${code}\n${text}`);
  return JSON.parse(line.slice(7)) as RowResult;
}

function check(
  row: keyof typeof ROWS,
  result: RowResult,
  loaded: number,
  others: Map<keyof typeof ROWS, RowResult>,
): void {
  if ((row === 'consume' || row === 'copy') && result.count !== loaded)
    throw new Error(`${row} read ${result.count} of ${loaded} records`);
  const reference = row === 'broker' ? others.get('file') : undefined;
  if (reference !== undefined && (reference.count !== result.count || reference.digest !== result.digest)) {
    throw new Error(
      `the broker's ${result.count} labels (${result.digest}) are not the file's ${reference.count} (${reference.digest})`,
    );
  }
}

function report(results: Map<keyof typeof ROWS, RowResult>, loaded: number, items: number): void {
  const mb = (bytes: number | null) => (bytes === null ? '' : `${(bytes / 1e6).toFixed(0)} MB`);
  const base = results.get('consume') ?? [...results.values()][0];
  const lines = [...results].map(([row, result]) => [
    ROWS[row],
    Math.round(loaded / result.seconds).toLocaleString('en-US'),
    Math.round(items / result.seconds).toLocaleString('en-US'),
    (base.seconds / result.seconds).toFixed(2),
    result.cpuSeconds.toFixed(1),
    Math.round(loaded / result.cpuSeconds).toLocaleString('en-US'),
    mb(result.residentBytes),
    mb(result.stateBytes),
    mb(result.changelogBytes),
    `${result.count} ${result.digest}`,
  ]);
  const head = [
    '',
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
