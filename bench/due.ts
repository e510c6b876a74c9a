/**
 * node bench/due.ts [options]: so many users come due on one day. Their requests are to be spread over the buckets and stay
 * under the budget of a minute; and while the job is killed with SIGKILL again and again, none may be lost and none doubled.
 * The requests are read by another client. Exit code 1 where one of this does not hold.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { progress } from '../src/cli/progress.ts';
import { table } from '../src/cli/table.ts';
import { encodeKey } from '../src/log/keys.ts';
import { kafkaLog } from '../src/log/kafka/index.ts';
import type { OutRecord } from '../src/log/port.ts';
import { embeddedSerdes } from '../src/log/registry/embedded.ts';
import type { ProfileRequest } from '../src/profile/records.ts';
import { bucketOf } from '../src/shop/buckets.ts';
import type { BehaviorEvent, EventType } from '../src/shop/behaviour.ts';
import { requiredTopics } from '../src/stream/names.ts';
import { profilesTopology } from '../topologies/profiles.ts';
import { committedRecords } from '../test/support/committed-records.ts';
import { startKafka } from '../test/support/kafka-harness.ts';
import { WorkerProcess } from './worker-process.ts';

const text = { type: 'string' } as const;
const { values } = parseArgs({
  options: {
    users: { ...text, default: '100000' },
    budget: { ...text, default: '30000' },
    kills: { ...text, default: '6' },
    'kill-every': { ...text, default: '25' },
    workers: { ...text, default: '1' },
    partitions: { ...text, default: '6' },
    seed: { ...text, default: '1' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(
    `node bench/due.ts [--users 100000] [--budget 30000 requests a minute] [--kills 6] [--kill-every 25 seconds, about]
                  [--workers 1] [--partitions 6] [--seed 1]
Needs Java 17 and Maven.\n`,
  );
  process.exit(0);
}
const users = Number(values.users);
const budget = Number(values.budget);
const partitions = Number(values.partitions);

const DAY = 86_400_000;
const MINUTE = 60_000;
/** the day on which they are due; any */
const DUE = 20_000 * DAY;
const BUCKETS = 100;
const APP = 'due';
/** half seconds without a request after which none is thought to come: a restart under load takes its time */
const QUIET = 120;

let random = Number(values.seed);
/** Which moment a kill takes does not matter, only that they differ. */
const next = (): number => ((random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0) % 1000) / 1000;

const item = (item_id: string) => ({
  item_id,
  category_id: 'a category',
  brand_id: null,
  seller_id: null,
  position: null,
  viewable: true,
  price: null,
  quantity: 1,
});
const event = (user_id: string, n: number, event_type: EventType, event_time: number): BehaviorEvent => ({
  event_id: `${user_id}-${n}`,
  event_type,
  event_time,
  user_id,
  request_id: null,
  scene: null,
  arm: null,
  items: event_type === 'purchase' ? [item('a'), item('b'), item('c')] : [],
  query: null,
});

const root = await mkdtemp(join(tmpdir(), 'seral-due-'));
const kafka = await startKafka({ jvm: 'full' });
const log = kafkaLog({ brokers: kafka.brokers.split(',') });
const serdes = await embeddedSerdes();
const workers: WorkerProcess[] = [];
const wrong: string[] = [];
try {
  const topology = profilesTopology();
  const admin = log.admin();
  await admin.create(requiredTopics(topology, { app: APP, partitions, replication: 1 }));
  const events = await serdes.serde<BehaviorEvent>('behavior.events', 'BehaviorEvent');
  const requests = await serdes.serde<ProfileRequest>('profile.refresh-requests', 'ProfileRequest');
  const record = (one: BehaviorEvent): OutRecord => ({
    topic: 'behavior.events',
    key: encodeKey(one.user_id),
    value: events.encode(one),
  });
  const producer = log.producer();
  await producer.open();
  const bar = progress('loading', users, 'users');
  for (let from = 0; from < users; from += 5000) {
    const names = Array.from({ length: Math.min(5000, users - from) }, (_, i) => `user-${from + i}`);
    // bought the day before, visit as the day begins: all of them are due now
    await producer.send(names.map((name) => record(event(name, 0, 'purchase', DUE - DAY + MINUTE))));
    bar.update(from + names.length);
  }
  for (let from = 0; from < users; from += 5000) {
    const names = Array.from({ length: Math.min(5000, users - from) }, (_, i) => `user-${from + i}`);
    await producer.send(names.map((name) => record(event(name, 1, 'visit', DUE))));
  }
  bar.stop(`${users} users bought something, and came again on the day that they are due`);

  const spawn = async (slot: number): Promise<void> => {
    workers[slot] = new WorkerProcess(
      {
        brokers: kafka.brokers,
        source: 'behavior.events',
        // the rest as in production; a deadline passes only where an answer is missing, and here none comes
        profiles: { partitions, requestsPerMinute: budget, fewestBehaviours: 3, deadline: 3_600_000 },
        runtime: { app: APP, stateDir: join(root, String(slot)), sessionTimeoutMs: 6000 },
      },
      join(root, `worker-${slot}.log`),
    );
    await workers[slot].loaded();
    workers[slot].start();
  };
  for (let slot = 0; slot < Number(values.workers); slot++) await spawn(slot);

  const count = async (): Promise<number> => {
    const ends = await admin.offsets('profile.refresh-requests');
    return ends.reduce((sum, { start, end }) => sum + end - start, 0);
  };
  const shop = progress('asked for', users, 'requests, markers of transactions included');
  let killed = 0;
  let hour = 0;
  let quiet = 0;
  let before = 0;
  let nextKill = Date.now() + Number(values['kill-every']) * 500;
  // the day goes by in a minute, and the log of the next night, so that every bucket has its turn
  for (let tick = 0; quiet < QUIET; tick++) {
    if (hour < 30 * 4) {
      hour++;
      const time = DUE + (hour * DAY) / 96;
      const clocks = Array.from({ length: partitions }, (_, partition) => ({
        ...record(event('clock', tick, 'visit', time)),
        partition,
      }));
      await producer.send(clocks);
    }
    await sleep(500);
    const done = await count();
    shop.update(done);
    quiet = hour === 30 * 4 && killed >= Number(values.kills) && done === before ? quiet + 1 : 0;
    before = done;
    if (killed < Number(values.kills) && Date.now() > nextKill) {
      const slot = killed % workers.length;
      await workers[slot]!.kill();
      killed++;
      await spawn(slot);
      nextKill = Date.now() + Number(values['kill-every']) * (500 + 1000 * next());
    }
    for (const worker of workers) worker.check();
  }
  shop.stop(`${killed} kills`);
  await producer.close();
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));

  const { records, hanging } = await committedRecords(kafka.brokers, 'profile.refresh-requests');
  const asked = records.map(({ value }) => requests.decode(value!));
  const perUser = new Map<string, number>();
  const perBucket = new Map<number, { all: number; turn: number }>();
  for (const request of asked) {
    perUser.set(request.user_id, (perUser.get(request.user_id) ?? 0) + 1);
    const bucket = bucketOf(request.user_id, BUCKETS);
    const row = perBucket.get(bucket) ?? { all: 0, turn: 0 };
    row.all++;
    if (request.asked_at % DAY === Math.floor((bucket * DAY) / BUCKETS)) row.turn++;
    perBucket.set(bucket, row);
  }
  const lost = Array.from({ length: users }, (_, n) => `user-${n}`).filter((user) => !perUser.has(user)).length;
  const doubled = [...perUser.values()].filter((n) => n > 1).length;
  const offTurn = [...perBucket.values()].reduce((sum, { all, turn }) => sum + all - turn, 0);
  const sizes = [...perBucket.values()].map(({ all }) => all);
  // what a request's own clock said when it was sent: its deadline less the hour that it has
  const perMinute = new Map<number, number>();
  for (const { expires_at } of asked) {
    const minute = Math.floor((expires_at - 3_600_000) / MINUTE);
    perMinute.set(minute, (perMinute.get(minute) ?? 0) + 1);
  }
  const most = Math.max(...perMinute.values());
  if (lost > 0) wrong.push(`${lost} users were lost`);
  if (doubled > 0) wrong.push(`${doubled} users were asked for twice`);
  if (offTurn > 0) wrong.push(`${offTurn} requests came outside of their bucket's turn`);
  if (most > budget) wrong.push(`${most} requests in one minute, of ${budget}`);
  if (hanging.length > 0) wrong.push(`transactions hang on ${hanging.join(', ')}`);
  process.stdout.write(
    `${table(
      [`${users} users due on one day`, ''],
      [
        ['kills (SIGKILL)', String(killed)],
        ['requests', String(asked.length)],
        ['users lost, asked for twice', `${lost}, ${doubled}`],
        [
          'buckets, users in the smallest and the largest',
          `${sizes.length}, ${Math.min(...sizes)} to ${Math.max(...sizes)}`,
        ],
        ["requests outside of their bucket's turn", String(offTurn)],
        ['requests a minute, the most', `${most} of ${budget}`],
        ['minutes', String(perMinute.size)],
      ],
    )}\n`,
  );
  for (const one of wrong) process.stdout.write(`NOT AS PROMISED: ${one}\n`);
  const letters = await admin.offsets('profiles.dlq');
  const dead = letters.reduce((sum, { start, end }) => sum + end - start, 0);
  if (dead > 0) process.stdout.write(`${dead} offsets of dead letters\n`);
  await admin.close();
} finally {
  await Promise.all(workers.map((worker) => worker.kill()));
  await serdes.close();
  await log.close();
  await kafka.stop();
  // what the workers said is wanted where something went wrong
  if (wrong.length === 0) await rm(root, { recursive: true, force: true });
  else process.stdout.write(`the workers' logs are in ${root}\n`);
}
process.exitCode = wrong.length > 0 ? 1 : 0;
