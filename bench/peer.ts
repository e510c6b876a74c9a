/**
 * node bench/peer.ts --peer DIR: the labels job and a Kafka Streams application of the same contract, in turn on one broker
 * and one topic. DIR holds kstreams/run.sh with the commands build, label and dump (its RESULT line is read); it is built
 * with Maven into a scratch folder. Both should publish the same labels: where they do not it says so and exits with 1;
 * --keep and `seral replay labels` then show which.
 */
import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { table } from '../src/cli/table.ts';
import { kafkaLog } from '../src/log/kafka/index.ts';
import { readLines } from '../src/log/ndjson.ts';
import { startKafka } from '../test/support/kafka-harness.ts';
import { Digest } from './digest.ts';
import { wholeRun } from './job.ts';
import { load } from './load.ts';
import { medians } from './stats.ts';

const exec = promisify(execFile);
const SOURCE = 'behavior.events';
const PEERS_LABELS = 'peer.labels';

const HELP = `node bench/peer.ts --peer DIR [options]

  --peer DIR       the Kafka Streams application
  --runs N         of each, in turn; medians are printed (5)
  --events N       (1600000)
  --users N        (a 76th of the events)
  --days N         (30)
  --seed S         (big1)
  --partitions N   (4)
  --commit-ms N    (1000)
  --cache-mb N     of ours, for decoded state (256); the peer's record cache is 256 MB
  --keep FILE      the peer's labels, as ndjson
  --workers N      processes of ours, and threads of the peer (1)
`;

const text = { type: 'string' } as const;
const { values } = parseArgs({
  options: {
    peer: text,
    runs: { ...text, default: '5' },
    events: { ...text, default: '1600000' },
    users: text,
    days: { ...text, default: '30' },
    seed: { ...text, default: 'big1' },
    partitions: { ...text, default: '4' },
    'commit-ms': { ...text, default: '1000' },
    'cache-mb': { ...text, default: '256' },
    keep: text,
    workers: { ...text, default: '1' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help || values.peer === undefined) {
  process.stdout.write(HELP);
  process.exit(values.help ? 0 : 2);
}

interface Figures {
  seconds: number;
  cpuSeconds: number;
  residentBytes: number;
  changelogBytes: number;
  stateBytes: number;
  count: number;
  digest: string;
}

/** What the peer prints of a run, of that what is read here. */
interface PeerResult {
  seconds: number;
  cpu_s: number;
  rss_peak_mb: number;
  changelog_mb: number;
  state_mb: number;
}

const peer = resolve(values.peer, 'kstreams', 'run.sh');
const folder = await mkdtemp(join(tmpdir(), 'seral-peer-'));
const events = Number(values.events);
const partitions = Number(values.partitions);
const workers = Number(values.workers);
const commitIntervalMs = Number(values['commit-ms']);

async function runPeer(brokers: string, ...args: string[]): Promise<string> {
  const at = brokers === '' ? [] : ['--bootstrap', brokers];
  const { stdout } = await exec(peer, [...args, ...at], {
    env: { ...process.env, YARD: folder, BROKER_PID: '' },
    maxBuffer: 16 << 20,
  });
  return stdout;
}

async function theirs(brokers: string): Promise<Figures> {
  const options = { input: SOURCE, output: PEERS_LABELS, threads: workers, 'commit-ms': commitIntervalMs };
  const flags = { ...options, 'cache-mb': 256, 'app-id': 'peer', 'state-dir': join(folder, 'peer-state') };
  const said = await runPeer(
    brokers,
    'label',
    ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]),
    '--event-schema',
    join(import.meta.dirname, '../schemas/BehaviorEvent.avsc'),
  );
  const line = said.split('\n').find((one) => one.startsWith('RESULT '));
  if (line === undefined) throw new Error(`the peer gave no result:\n${said}`);
  const result = JSON.parse(line.slice(7)) as PeerResult;
  const file = join(folder, 'peer-labels.ndjson');
  await runPeer(brokers, 'dump', '--topic', PEERS_LABELS, '--out', file);
  if (values.keep !== undefined) await copyFile(file, values.keep);
  const digest = new Digest();
  for await (const lines of readLines(file)) {
    for (const { value } of lines) {
      const { revision: _revision, ...label } = value as Record<string, unknown>;
      digest.add(JSON.stringify(label));
    }
  }
  return {
    seconds: result.seconds,
    cpuSeconds: result.cpu_s,
    residentBytes: result.rss_peak_mb * 2 ** 20,
    changelogBytes: result.changelog_mb * 1e6,
    stateBytes: result.state_mb * 1e6,
    count: digest.count,
    digest: String(digest),
  };
}

function report(ours: Figures, peers: Figures): void {
  const whole = (value: number) => Math.round(value).toLocaleString('en-US');
  const mb = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;
  const figures: [string, (of: Figures) => number, (value: number) => string][] = [
    ['events/s', ({ seconds }) => events / seconds, whole],
    ['CPU s', ({ cpuSeconds }) => cpuSeconds, (value) => value.toFixed(1)],
    ['events a CPU second', ({ cpuSeconds }) => events / cpuSeconds, whole],
    ['resident, peak', ({ residentBytes }) => residentBytes, mb],
    ['changelog', ({ changelogBytes }) => changelogBytes, mb],
    ['state', ({ stateBytes }) => stateBytes, mb],
  ];
  const lines = figures.map(([name, of, shown]) => [
    name,
    shown(of(ours)),
    shown(of(peers)),
    (of(ours) / of(peers)).toFixed(2),
  ]);
  lines.push(['labels', `${ours.count} ${ours.digest}`, `${peers.count} ${peers.digest}`, '']);
  process.stdout.write(table([`medians of ${values.runs}`, 'ours', 'Kafka Streams', 'ratio'], lines));
}

try {
  process.stderr.write('building the peer ...\n');
  await runPeer('', 'build');
  const kafka = await startKafka({ jvm: 'full', heapMb: 1024 });
  const { brokers } = kafka;
  const log = kafkaLog({ brokers: brokers.split(',') });
  try {
    const options = {
      events,
      users: Number(values.users ?? Math.max(50, Math.round(events / 76))),
      days: Number(values.days),
      seed: values.seed,
    };
    await load(options, join(folder, 'events.ndjson'), { log, topic: SOURCE, partitions });
    const all: { ours: Figures[]; peers: Figures[] } = { ours: [], peers: [] };
    for (let n = 0; n < Number(values.runs); n++) {
      process.stderr.write(`run ${n + 1}: ours ...\n`);
      const job = { log, brokers, id: `run-${n}`, source: SOURCE, partitions, workers, commitIntervalMs, folder };
      const { changelogBytes, stateBytes, ...rest } = await wholeRun({
        ...job,
        cacheBytes: Number(values['cache-mb']) << 20,
      });
      const ours = { ...rest, changelogBytes: changelogBytes!, stateBytes: stateBytes! };
      process.stderr.write(`run ${n + 1}: the peer ...\n`);
      const peers = await theirs(brokers);
      if (ours.count !== peers.count || ours.digest !== peers.digest) {
        process.stderr.write(
          `NOT THE SAME: ours ${ours.count} labels (${ours.digest}), the peer's ${peers.count} (${peers.digest})\n`,
        );
        process.exitCode = 1;
      }
      all.ours.push(ours);
      all.peers.push(peers);
    }
    report(medians(all.ours), medians(all.peers));
  } finally {
    await log.close();
    await kafka.stop();
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
