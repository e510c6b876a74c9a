/**
 * node bench/soak.ts --minutes 20 [options]: the labels job at half its top rate while a worker is killed each minute and a
 * broker bounced each five, and what memory and disk do meanwhile. At the end the labels, read by another client, are held
 * against a file replay of the same events, and no transaction may be left open.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { stopSignal } from '../src/cli/signals.ts';
import { table } from '../src/cli/table.ts';
import { messageOf } from '../src/errors.ts';
import { kafkaLog } from '../src/log/kafka/index.ts';
import { embeddedSerdes } from '../src/log/registry/embedded.ts';
import type { SerendipityLabel } from '../src/serendipity/records.ts';
import type { BehaviorEvent } from '../src/shop/behaviour.ts';
import { eachCommitted } from '../test/support/committed-records.ts';
import { startKafka, type RunningKafka } from '../test/support/kafka-harness.ts';
import { closing, eventOf } from '../test/support/sample.ts';
import { feed } from './feed.ts';
import { generate, type GeneratedEvent } from './generate.ts';
import { HeldLabels } from './held-labels.ts';
import { Job, openRecords } from './job.ts';
import { load } from './load.ts';
import { replayed } from './replayed.ts';
import { header, lineOf, Sampler, verdicts, type Sample } from './soak-samples.ts';

const BROKERS = 3;
const GRACE_MS = 600_000;
/** as dense as the log that docs/performance.md quotes */
const EVENTS_A_DAY = 53_000;
const TOP_RATE_EVENTS = 200_000;

const HELP = `node bench/soak.ts [options]

  --minutes N         (20)
  --rate N            events a second (half of what the workers reach on a log of ${TOP_RATE_EVENTS} events)
  --workers N         processes (2)
  --kill-every S      seconds between two kill -9 of a worker, in turn (60)
  --bounce-every S    seconds between two bounces of a broker, in turn, one clean and one by kill -9 (300)
  --sample-every S    (10)
  --retention S       seconds that events are kept, so that the source's disk has a bound (300)
  --users N           (20000)
  --seed S            (soak)
  --partitions N      (6)
  --commit-ms N       (100, the default of runtime.commitInterval)
  --cache-mb N        for decoded state, of all workers together (256)

Ctrl-C ends the feeding early and goes on to the check; a second one ends it all. Needs Linux, Java 17 and Maven.
Exit code 1 where the labels are not exact or a transaction hangs.
`;

const text = { type: 'string' } as const;
const { values } = parseArgs({
  options: {
    minutes: { ...text, default: '20' },
    rate: text,
    workers: { ...text, default: '2' },
    'kill-every': { ...text, default: '60' },
    'bounce-every': { ...text, default: '300' },
    'sample-every': { ...text, default: '10' },
    retention: { ...text, default: '300' },
    users: { ...text, default: '20000' },
    seed: { ...text, default: 'soak' },
    partitions: { ...text, default: '6' },
    'commit-ms': { ...text, default: '100' },
    'cache-mb': { ...text, default: '256' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const number = (name: Exclude<keyof typeof values, 'help'>): number => {
  const value = Number(values[name]);
  if (value > 0) return value;
  process.stderr.write(`--${name} must be a number above 0: ${values[name]}\n\n${HELP}`);
  process.exit(2);
};
const partitions = number('partitions');
const workers = number('workers');
const minutes = number('minutes');

const { signal } = stopSignal();
const folder = await mkdtemp(join(tmpdir(), 'seral-soak-'));
process.stderr.write('starting three brokers ...\n');
const kafka = await startKafka({ brokers: BROKERS, jvm: 'full', heapMb: 512 });
const log = kafkaLog({ brokers: kafka.brokers.split(',') });
const admin = log.admin();
const common = {
  log,
  brokers: kafka.brokers,
  partitions,
  replication: BROKERS,
  workers,
  cacheBytes: number('cache-mb') << 20,
  commitIntervalMs: number('commit-ms'),
  folder,
  // the least that a broker allows, and a bit: so long do the others wait for a member that was killed
  runtime: { sessionTimeoutMs: 8000 },
};
try {
  const rate = values.rate === undefined ? Math.round((await topRate()) / 2) : number('rate');
  if (!signal.aborted) process.exitCode = (await soak(rate)) ? 0 : 1;
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await admin.close();
  await log.close();
  await kafka.stop();
  await rm(folder, { recursive: true, force: true });
  // where it failed, what was being sent is still being tried
  process.exit();
}

async function topRate(): Promise<number> {
  const source = 'behavior.events-top';
  const options = { events: TOP_RATE_EVENTS, users: number('users'), days: 4, seed: values.seed };
  await load(options, join(folder, 'top.ndjson'), { log, topic: source, partitions, replication: BROKERS });
  const job = new Job({ ...common, id: 'top', source });
  try {
    await job.prepare();
    const begun = performance.now();
    job.start();
    await job.untilProcessed();
    const rate = TOP_RATE_EVENTS / ((performance.now() - begun) / 1000);
    process.stderr.write(`top rate: ${Math.round(rate)} events/s\n`);
    await job.stop();
    return rate;
  } finally {
    await job.remove();
  }
}

/** Whether the labels were exact. */
async function soak(rate: number): Promise<boolean> {
  const source = 'behavior.events-soak';
  const job = new Job({
    ...common,
    id: 'soak',
    source,
    config: {
      'behavior.events': { 'retention.ms': String(number('retention') * 1000), 'segment.bytes': String(32 << 20) },
      'user-days': { 'retention.ms': String(number('retention') * 1000), 'segment.bytes': String(32 << 20) },
      // compaction takes only what is not the newest segment
      changelog: { 'segment.bytes': String(8 << 20), 'min.cleanable.dirty.ratio': '0.3' },
    },
  });
  const events = Math.round(rate * minutes * 60);
  const days = Math.max(3, Math.ceil(events / EVENTS_A_DAY));
  const generated = { events, users: number('users'), days, seed: values.seed };
  const serdes = await embeddedSerdes();
  const serde = await serdes.serde<BehaviorEvent>(source, 'BehaviorEvent');
  const labelSerde = await serdes.serde<SerendipityLabel>(job.labelsTopic, 'SerendipityLabel');
  const record = (event: BehaviorEvent) => ({
    topic: source,
    key: Buffer.from(event.user_id),
    value: serde.encode(event),
  });
  const feeding = { log, record, patienceMs: 180_000 };
  try {
    await job.prepare();
    job.start();
    await job.untilRunning();
    process.stdout.write(
      `${workers} workers, ${BROKERS} brokers, ${partitions} partitions, ${rate} events/s for ${minutes} minutes, ` +
        `${generated.users} users, ${days} days\n\n${header(workers)}\n`,
    );
    const state = { sent: 0, fed: false, last: null as GeneratedEvent | null };
    const sampler = new Sampler(kafka, job, source, () => state.sent);
    const samples: Sample[] = [];
    const happened: string[] = [];
    const fed = feed(generate(generated), {
      ...feeding,
      rate,
      record: (event) => record(event as BehaviorEvent),
      sent: (event) => {
        state.sent++;
        state.last = event;
      },
      ended: () => signal.aborted,
    }).finally(() => (state.fed = true));
    const over = () => state.fed;
    const sampling = every(number('sample-every'), over, async () => {
      const sample = await sampler.take(happened.splice(0).join(', '));
      samples.push(sample);
      process.stdout.write(`${lineOf(sample)}\n`);
    });
    const killing = every(number('kill-every'), over, async (n) => {
      const slot = n % workers;
      job.check();
      await job.workers[slot]!.kill();
      happened.push(`worker ${slot + 1} killed`);
      (await job.spawn(slot)).start();
    });
    const bouncing = every(number('bounce-every'), over, async (n) => {
      const broker = n % BROKERS;
      happened.push(`broker ${broker + 1} ${n % 2 === 0 ? 'stopped' : 'killed'}`);
      if (n % 2 === 0) await kafka.terminate(broker);
      else await kafka.kill9(broker);
      await sleep(5000);
      await comesBack(kafka, broker);
      happened.push(`broker ${broker + 1} back`);
    });
    const [sent] = await Promise.all([fed, sampling, killing, bouncing]);

    process.stderr.write('fed; waiting for the last commit ...\n');
    // nobody's click waits for its exposure any longer
    await feed(closing([state.last!], partitions, GRACE_MS).map(eventOf), { ...feeding, rate: 1000 });
    await job.untilProcessed();
    await job.stop();

    process.stdout.write(`\n${table(['of the second half', 'mean', 'change an hour', ''], verdicts(samples))}`);
    return await isExact(job, sent, generated, (value) => labelSerde.decode(value));
  } finally {
    await serdes.close();
    await job.remove().catch((error: unknown) => process.stderr.write(`not removed: ${messageOf(error)}\n`));
  }
}

/** Does it each so many seconds until it is over; what it throws ends the soak. */
async function every(seconds: number, over: () => boolean, what: (n: number) => Promise<void>): Promise<void> {
  const begun = performance.now();
  for (let n = 0; ; n++) {
    while (performance.now() < begun + (n + 1) * seconds * 1000) {
      if (over()) return;
      await sleep(100);
    }
    if (over()) return;
    await what(n);
  }
}

/** On a loaded machine a broker may take longer than one try waits for it. */
async function comesBack(kafka: RunningKafka, broker: number): Promise<void> {
  for (let tries = 5; ; tries--) {
    try {
      return await kafka.restart(broker);
    } catch (error) {
      if (tries === 0) throw error;
    }
  }
}

async function isExact(
  job: Job,
  sent: number,
  generated: Parameters<typeof generate>[0],
  decode: (value: Buffer | null) => SerendipityLabel,
): Promise<boolean> {
  let hanging = 0;
  for (const topic of job.topics) hanging += await openRecords(admin, topic);
  const held = new HeldLabels();
  const { aborted, open } = await eachCommitted(kafka.brokers, job.labelsTopic, ({ value }) => held.add(decode(value)));
  process.stderr.write(`replaying ${sent} events as a file ...\n`);
  const expected = await replayed(generated, sent);
  const exact = held.count === expected.count && held.digest === expected.digest;
  const lines = [
    ['events', String(sent)],
    ['labels on the broker, by another client', `${held.count} ${held.digest} (${held.published} revisions)`],
    ['labels of the file replay', `${expected.count} ${expected.digest}`],
    ['records of aborted transactions', String(aborted)],
    ['open transactions', hanging + open === 0 ? 'none' : `${hanging} offsets, ${open} records`],
    ['', exact && hanging + open === 0 ? 'exact' : 'NOT EXACT'],
  ];
  process.stdout.write(`\n${table(['', ''], lines)}`);
  return exact && hanging + open === 0;
}
