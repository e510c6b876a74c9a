/** The whole of an erasure on the embedded log: asked for, done by running topologies, proven, and gone for good. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { checkForgotten, ERASURES, forget, type ForgetReport } from '../../src/cli/forget.ts';
import { asJson, page } from '../../src/cli/forget-page.ts';
import { main } from '../../src/cli/main.ts';
import { embeddedLog, type EmbeddedLog } from '../../src/log/embedded/index.ts';
import { encodeKey } from '../../src/log/keys.ts';
import { partitionOf } from '../../src/log/murmur2.ts';
import { embeddedSerdes } from '../../src/log/registry/embedded.ts';
import type { Serdes } from '../../src/log/serde.ts';
import type { RetrievedItems } from '../../src/serengpt/records.ts';
import type { UserAttributes } from '../../src/shop/users.ts';
import { silent } from '../../src/stream/logger.ts';
import { Metrics } from '../../src/stream/metrics.ts';
import { namesOf } from '../../src/stream/names.ts';
import { Worker } from '../../src/stream/worker.ts';
import { candidatesTopology } from '../../topologies/candidates.ts';
import { labelsTopology } from '../../topologies/labels.ts';
import { metricsTopology } from '../../topologies/metrics.ts';
import { profilesTopology } from '../../topologies/profiles.ts';
import { createTopics, produce, untilProcessed } from '../support/apart.ts';
import { answerOf, itemOf } from '../nearline/candidates/given.ts';
import { eventOf, sample } from '../support/sample.ts';

const DAY = 86_400_000;
const place = { app: 'forgets', suffix: '', partitions: 3 };
const all = () => [labelsTopology(), metricsTopology(), profilesTopology(), candidatesTopology()];

let folder: string;
let log: EmbeddedLog;
let serdes: Serdes;

async function open(): Promise<void> {
  folder = await mkdtemp(join(tmpdir(), 'seral-forget-'));
  log = await embeddedLog({ path: join(folder, 'log') });
  serdes = await embeddedSerdes();
}

async function close(): Promise<void> {
  await serdes.close();
  await log.close();
  await rm(folder, { recursive: true, force: true });
}

async function start(): Promise<{ stop(): Promise<void> }> {
  const metrics = new Metrics(new Registry());
  const workers = all().map(
    (topology) =>
      new Worker({
        topology,
        log,
        serdes,
        options: { app: place.app, stateDir: join(folder, 'state'), cacheBytes: 16 << 20, commitIntervalMs: 50 },
        metrics,
        logger: silent,
        now: Date.now,
        random: Math.random,
        onFatal: (error) => expect.fail(error.message),
      }),
  );
  await Promise.all(workers.map((worker) => worker.start()));
  return { stop: async () => void (await Promise.all(workers.map((worker) => worker.stop()))) };
}

const options = (user: string) => ({
  log,
  serdes,
  topologies: all(),
  app: place.app,
  user,
  timeoutMs: 30_000,
  pollMs: 20,
});
const leftOf = ({ compacted }: ForgetReport) =>
  Object.fromEntries(
    compacted.filter(({ left }) => left.length > 0).map(({ topic, left }) => [topic, [...left].sort()]),
  );
const sum = (report: ForgetReport, what: 'deleted' | 'superseded') =>
  report.compacted.reduce((all, row) => all + row[what], 0);

describe('a household of real baskets', () => {
  let running: { stop(): Promise<void> };
  /** a user, and one whose id the user's begins */
  let user: string;
  let other: string;
  let before: ForgetReport;
  let otherBefore: ForgetReport;
  let report: ForgetReport;

  beforeAll(async () => {
    await open();
    const topologies = all();
    await createTopics(log, topologies, place, { 'serendipity.labels': { 'retention.ms': String(30 * DAY) } });
    const { events, catalog } = await sample(3000, 3);
    const users = [...new Set(events.map(({ user_id }) => user_id))];
    const [first, second] = users
      .filter((one) => events.filter(({ user_id, event_type }) => user_id === one && event_type === 'click').length > 3)
      .slice(0, 2);
    // the second one's id begins with the first one's, and has what keys are made of
    [user, other] = [first!, `${first}#1|2017-01-02`];
    for (const event of events) if (event.user_id === second) event.user_id = other;
    const serde = await serdes.serde('behavior.events', 'BehaviorEvent');
    const items = await serdes.serde('catalog.items', 'CatalogItem');
    const rows = await serdes.serde<UserAttributes>('users', 'UserAttributes');
    const retrieved = await serdes.serde<RetrievedItems>('serengpt.retrieved', 'RetrievedItems');
    await produce(log, [
      ...catalog.map((item) => ({ topic: 'catalog.items', key: encodeKey(item.item_id), value: items.encode(item) })),
      ...[user, other].map((id) => ({
        topic: 'users',
        key: encodeKey(id),
        value: rows.encode({ user_id: id, attributes: { age: '45-54' } }),
      })),
      ...events.map((raw) => ({
        topic: 'behavior.events',
        key: encodeKey(raw.user_id),
        value: serde.encode(eventOf(raw)),
      })),
      ...[user, other].map((id) => ({
        topic: 'serengpt.retrieved',
        key: encodeKey(id),
        value: retrieved.encode(
          answerOf({
            user_id: id,
            asked_at: events.at(-1)!.event_time,
            valid_until: events.at(-1)!.event_time + 300 * DAY,
            items: [itemOf({ item_id: catalog[0]!.item_id, category_id: 'a new one' })],
          }),
        ),
      })),
      // as the topology gives it
      ...[user, other].map((id) => ({
        topic: 'profile.short-term',
        key: encodeKey(id),
        value: Buffer.from('profile'),
      })),
    ]);
    running = await start();
    await untilProcessed(log, topologies, place);
    before = await checkForgotten(options(user));
    otherBefore = await checkForgotten(options(other));
    report = await forget(options(user));
  });
  afterAll(async () => {
    await running.stop();
    await close();
  });

  it('is found wherever it is kept, and nobody else with it', () => {
    const topics = Object.keys(leftOf(before));
    for (const part of [
      'labels-today',
      'labels-past',
      'labels-timers',
      'metrics-seen',
      'metrics-days',
      'profiles-recent',
      'candidates-today',
      'candidates-past',
      'candidates-lists',
      'candidates-timers',
    ]) {
      expect(topics).toContain(`forgets-${part}-changelog`);
    }
    expect(topics).toContain('users');
    expect(topics).toContain('profile.short-term');
    expect(topics).toContain('serengpt.candidates');
    expect(before).toMatchObject({ erased: false, request: null, erasedUntil: null });
    const keys = Object.entries(leftOf(before)).filter(([topic]) => !topic.includes('timers'));
    expect(keys.flatMap(([, left]) => left).filter((key) => key.startsWith(other))).toEqual([]);
    expect(leftOf(otherBefore)['forgets-labels-today-changelog']).toEqual([other]);
  });

  it('is erased everywhere, but for the cut-offs', () => {
    expect(leftOf(report)).toEqual({});
    // no worker was ever deployed here
    const missing = ['profile-worker.dlq'];
    expect(report).toMatchObject({ erased: true, missing, erasedUntil: report.request!.requestedAt });
    expect(report.topologies.map(({ topology, state }) => [topology, state])).toEqual([
      ['labels', 'passed'],
      ['metrics', 'passed'],
      ['profiles', 'passed'],
      ['candidates', 'passed'],
    ]);
    const cutOffs = report.compacted
      .filter((row) => row.cutOffs.length > 0)
      .map(({ topology, store, cutOffs }) => [topology, store, cutOffs.length]);
    expect(cutOffs).toEqual([
      ['labels', 'timers', 1],
      ['labels', 'today', 1],
      ['metrics', 'timers', 1],
      ['metrics', 'erased', 1],
      ['profiles', 'timers', 1],
      ['profiles', 'asking', 1],
      ['candidates', 'timers', 1],
      ['candidates', 'today', 1],
    ]);
    expect(report.compacted.flatMap(({ since }) => since)).toEqual([]);
    expect(sum(report, 'deleted')).toBeGreaterThan(10);
  });

  it('says of topics that keep by time when the last copy is gone', () => {
    const of = (topic: string) => report.retained.find((one) => one.topic === topic)!;
    expect(of('behavior.events')).toMatchObject({ goneBy: Infinity });
    // of 2017 by its own time, and still there: the log counts from when it was written
    expect(of('serendipity.labels').goneBy! - Date.now()).toBeGreaterThan(29 * DAY);
    expect(of('labels.dlq')).toMatchObject({ newest: null, goneBy: null });
    expect(report.retained.map(({ topic }) => topic)).not.toContain('metrics.daily');
  });

  it('leaves every other user as they were', async () => {
    expect(leftOf(await checkForgotten(options(other)))).toEqual(leftOf(otherBefore));
  });

  it('reads well, as text and as JSON', () => {
    const text = page(report);
    expect(text).toContain(`nothing of ${user} is left`);
    expect(text).toContain(`users is written by others: what feeds it must stop sending ${user}`);
    expect(text).toMatch(/^labels +forgets-labels +has erased the user$/m);
    expect(text).toMatch(/^labels today +forgets-labels-today-changelog\/\d +the cut-off: /m);
    expect(text).toMatch(/^behavior\.events\/\d +never \(newest 20/m);
    expect(page(before)).toMatch(/^metrics seen +.* LEFT: .*\|2017-01-/m);
    expect(JSON.parse(JSON.stringify(asJson(report)))).toMatchObject({
      user,
      erased: true,
      request: { topic: ERASURES, partition: report.request!.partition },
    });
  });

  it('is not there again by another request, nor by events of before it', async () => {
    const serde = await serdes.serde('behavior.events', 'BehaviorEvent');
    const { events } = await sample(3000, 3);
    const again = events.filter(({ user_id }) => user_id === user);
    await produce(
      log,
      again.map((raw) => ({ topic: 'behavior.events', key: encodeKey(user), value: serde.encode(eventOf(raw)) })),
    );
    await untilProcessed(log, all(), place);
    expect(await forget(options(user))).toMatchObject({ erased: true });
  });

  it('is gone from the log itself once it is compacted', async () => {
    expect(sum(await checkForgotten(options(user)), 'superseded')).toBeGreaterThan(0);
    await log.compact();
    const compacted = await checkForgotten(options(user));
    expect(compacted).toMatchObject({ erased: true });
    expect(sum(compacted, 'superseded')).toBe(0);
    expect(leftOf(await checkForgotten(options(other)))).toEqual(leftOf(otherBefore));
  });

  it('who comes back is kept anew, which is told from what was to go', async () => {
    const serde = await serdes.serde('behavior.events', 'BehaviorEvent');
    const time = Date.now() + 1000;
    const visit = eventOf({ event_id: 'back', event_type: 'visit', event_time: time, user_id: user });
    await produce(log, [{ topic: 'behavior.events', key: encodeKey(user), value: serde.encode(visit) }]);
    await untilProcessed(log, all(), place);
    const back = await checkForgotten(options(user));
    expect(leftOf(back)).toEqual({});
    expect(back.erased).toBe(true);
    expect(await forget({ ...options(user), now: () => time + 1 })).toMatchObject({ erased: true });
  });

  it('is found where an erasure has missed something, and a topology that does not run is named', async () => {
    await running.stop();
    const partition = partitionOf(encodeKey(user), place.partitions);
    const left = (topic: string, key: string | Buffer) => ({
      topic,
      partition,
      key: Buffer.from(key),
      value: Buffer.from([0, 1, 0]),
      timestamp: 1000,
    });
    const piece = Buffer.concat([
      Buffer.from([0]),
      profilesTopology()
        .stores.find(({ name }) => name === 'waiting')!
        .codec.encode([other, user]),
    ]);
    await produce(log, [
      left('forgets-labels-past-changelog', `${user}#3`),
      left(
        'forgets-labels-past-changelog',
        Buffer.concat([Buffer.of(0xff), Buffer.from(user), Buffer.of(0x23, 0x37, 0xff, 0, 0)]),
      ),
      left('forgets-metrics-seen-changelog', `${user}|2017-01-05|b|c`),
      left('forgets-labels-timers-changelog', `e0001709164860000label\0wait\0${user}`),
      { ...left('forgets-profiles-waiting-changelog', '0/7'), value: piece },
      left('profile.long-term', user),
      left('users', user),
      // of others
      left('forgets-labels-past-changelog', `${other}#3`),
      left('forgets-labels-past-changelog', `${user}#`),
      left('forgets-metrics-seen-changelog', `${user}|x`),
    ]);
    const found = await forget({ ...options(user), timeoutMs: 100 });
    expect(leftOf(found)).toEqual({
      'forgets-labels-past-changelog': [`${user}#3`, `part of ${user}#7`],
      'forgets-metrics-seen-changelog': [`${user}|2017-01-05|b|c`],
      'forgets-labels-timers-changelog': ['timer wait, 2024-02-29T00:01:00.000Z'],
      'forgets-profiles-waiting-changelog': ['0/7'],
      'profile.long-term': [user],
    });
    expect(found.erased).toBe(false);
    expect(found.topologies.map(({ state, members }) => [state, members])).toEqual([
      ['behind', 0],
      ['behind', 0],
      ['behind', 0],
      ['behind', 0],
    ]);
    expect(page(found)).toContain('not there yet: labels, metrics, profiles, candidates');
    expect(page(found)).toContain('has not got there: it is not running');
  });
});

describe('an application', () => {
  beforeEach(open);
  afterEach(async () => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
    await rm(folder, { recursive: true, force: true });
  });

  it('that never ran has nothing to erase, and is not waited for; without topics it says what to do', async () => {
    await expect(forget(options('u'))).rejects.toMatchObject({ code: 'MISSING_TOPICS' });
    await createTopics(log, [labelsTopology()], place);
    const report = await forget(options('u'));
    expect(report).toMatchObject({ erased: true, request: { offset: 0 } });
    expect(report.topologies.map(({ state }) => state)).toEqual(all().map(() => 'never ran'));
    expect(report.missing).toContain(namesOf('metrics', place).changelog('seen'));
    await serdes.close();
    await log.close();
  });

  it('is asked by the command: --yes where there is no terminal, exit code 1 where a topology is not there', async () => {
    await createTopics(log, [labelsTopology(), metricsTopology()], { ...place, app: 'seral' });
    const admin = log.admin();
    await admin.close();
    // it ran once
    const producer = log.transactionalProducer({ transactionalId: 'seral-labels-0' });
    await producer.open();
    await producer.commit({
      group: 'seral-labels',
      positions: [{ topic: 'behavior.events', partition: 0, position: 0 }],
    });
    await producer.close();
    await serdes.close();
    await log.close();
    vi.stubEnv('SERAL_LOG_KIND', 'embedded');
    vi.stubEnv('SERAL_EMBEDDED_PATH', join(folder, 'log'));
    let [out, err] = ['', ''];
    vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => ((out += String(chunk)), true));
    vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => ((err += String(chunk)), true));
    expect(await main(['forget', 'u1'])).toBe(2);
    expect(err).toContain('--yes');
    expect(await main(['forget', 'u1', '--yes', '--timeout', 'soon'])).toBe(2);
    expect(await main(['forget', 'u1', '--check', '--format', 'json'])).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ erased: true, request: null });
    out = '';
    expect(await main(['forget', 'u1', '--yes', '--timeout', '0'])).toBe(1);
    expect(out).toMatch(/^labels +seral-labels +has not got there: it is not running$/m);
    process.exitCode = 0;
  });
});
