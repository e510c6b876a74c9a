import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LogError } from '../../../src/errors.ts';
import { embeddedLog } from '../../../src/log/embedded/index.ts';
import type { Log } from '../../../src/log/port.ts';
import { embeddedSerdes } from '../../../src/log/registry/embedded.ts';
import { readSchema } from '../../../src/log/schemas.ts';
import type { Serdes } from '../../../src/log/serde.ts';
import { CANDIDATES } from '../../../src/nearline/records.ts';
import { CandidateCache } from '../../../src/nearline/serve/cache.ts';
import { EntryCodec } from '../../../src/nearline/serve/entry.ts';
import { CandidateFollower, type FollowerOptions } from '../../../src/nearline/serve/follower.ts';
import { ServeMetrics } from '../../../src/nearline/serve/metrics.ts';
import { silent } from '../../../src/stream/logger.ts';
import { compileOptions } from '../../../src/stream/options.ts';
import { listOf, makeTopics, NOW, publish, UnsteadyLog, until } from './given.ts';

const codec = new EntryCodec(await readSchema('UserCandidates'));
const figures = { lag: 0, behindSeconds: 0, memoryBytes: 0, stale: false, waitingTriggers: 0 };
const runtime = compileOptions({
  app: 'test',
  stateDir: 'unused',
  rebuildBackoffMs: 5,
  rebuildBackoffMaxMs: 20,
}).options;

let folder: string;
let path: string;
let log: Log;
let serdes: Serdes;
let wall: number;
let open: CandidateFollower[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seral-serve-'));
  path = join(folder, 'cache');
  log = await embeddedLog({ path: join(folder, 'log') });
  serdes = await embeddedSerdes();
  wall = NOW;
  open = [];
  await makeTopics(log);
});
afterEach(async () => {
  for (const follower of open) await follower.stop();
  await serdes.close();
  await log.close();
  await rm(folder, { recursive: true });
});

async function follow(given: Partial<FollowerOptions> = {}) {
  const registry = new Registry();
  const metrics = new ServeMetrics(registry, () => figures);
  const fatal: Error[] = [];
  const cache: CandidateCache = new CandidateCache({
    codec,
    memoryBytes: 1_000_000,
    lookupMs: 60_000,
    now: () => NOW,
    metrics,
    onBroken: (error) => follower.broken(error),
  });
  const follower = new CandidateFollower({
    ...{ log, serdes, cache, codec, path, staleAfterMs: 86_400_000, runtime, logger: silent, metrics },
    clock: { now: () => wall, checkNow: () => wall, elapsed: () => performance.now(), random: () => 0.5 },
    check: async () => {},
    onFatal: (error) => fatal.push(error),
    ...given,
  });
  open.push(follower);
  await follower.open();
  follower.run();
  return {
    follower,
    cache,
    fatal,
    ready: () => until(() => follower.status().ready),
    roundOf: async (user: string) => {
      const { entry, ...rest } = await cache.get(user);
      return entry === null ? (rest as { why: string }).why : entry.user.round;
    },
    count: async (name: string) => {
      const { values } = await registry.getSingleMetric(`seral_serve_cache_${name}_total`)!.get();
      return values.reduce((sum, { value }) => sum + value, 0);
    },
  };
}

describe.each([
  ['on the disk', () => ({})],
  ['in memory', () => ({ path: null })],
])('a cache %s', (_, given) => {
  it('has what is in the topic and what comes, and forgets what is removed', async () => {
    await publish(log, serdes, listOf('ada'), listOf('bob'), listOf('ada', { round: 2 }));
    const { ready, roundOf } = await follow(given());
    await ready();
    expect(await roundOf('ada')).toBe(2);
    expect(await roundOf('eve')).toBe('missing');
    await publish(log, serdes, listOf('eve'), { key: 'bob', value: null });
    await until(async () => (await roundOf('eve')) === 1 && (await roundOf('bob')) === 'missing');
  });

  it('leaves out and counts what cannot be read', async () => {
    await publish(log, serdes, { key: 'ada', value: Buffer.from('garbage') }, listOf('bob'), {
      key: 'eve',
      value: Buffer.from([0, 9, 9, 9, 9, 1]),
    });
    const serde = await serdes.serde(CANDIDATES.topic, CANDIDATES.schema);
    await publish(log, serdes, { key: 'zoe', value: serde.encode(listOf('somebody else')) });
    const { ready, roundOf, count } = await follow(given());
    await ready();
    expect([await roundOf('ada'), await roundOf('bob'), await roundOf('zoe')]).toEqual(['missing', 1, 'missing']);
    expect(await count('unreadable')).toBe(3);
  });
});

describe('a restart', () => {
  it('goes on from where the cache was', async () => {
    await publish(log, serdes, listOf('ada'), listOf('bob'));
    const first = await follow();
    await first.ready();
    await first.follower.stop();
    await publish(log, serdes, listOf('bob', { round: 2 }), { key: 'ada', value: null });
    const second = await follow();
    await second.ready();
    expect([await second.roundOf('ada'), await second.roundOf('bob')]).toEqual(['missing', 2]);
    expect(await second.count('records')).toBe(2);
  });

  it('reads everything anew where the disk was lost', async () => {
    await publish(log, serdes, listOf('ada'));
    const first = await follow();
    await first.ready();
    await first.follower.stop();
    await rm(path, { recursive: true });
    const second = await follow();
    await second.ready();
    expect(await second.roundOf('ada')).toBe(1);
  });

  it.each(['CURRENT', 'MANIFEST'])('and where its %s is broken', async (name) => {
    await publish(log, serdes, listOf('ada'));
    const first = await follow();
    await first.ready();
    await first.follower.stop();
    const file = readdirSync(path).find((one) => one.startsWith(name))!;
    writeFileSync(join(path, file), 'no such thing\n');
    const second = await follow();
    await second.ready();
    expect(await second.roundOf('ada')).toBe(1);
    expect(await second.count('rebuilds')).toBe(1);
  });

  it('and where it was current so long ago that the topic may have forgotten a removal', async () => {
    await publish(log, serdes, listOf('ada'));
    const first = await follow();
    await first.ready();
    await first.follower.stop();
    wall += 86_400_000;
    const second = await follow();
    await second.ready();
    expect([await second.count('rebuilds'), await second.count('records')]).toEqual([1, 1]);
  });

  it('and where its rows are of another schema', async () => {
    await publish(log, serdes, listOf('ada'));
    const first = await follow({
      codec: new EntryCodec((await readSchema('UserCandidates')).replace('asked', 'asking')),
    });
    await first.follower.stop();
    const second = await follow();
    await second.ready();
    expect([await second.roundOf('ada'), await second.count('rebuilds')]).toEqual([1, 1]);
  });

  it('and where the topic was made anew', async () => {
    await publish(log, serdes, listOf('ada'), listOf('bob'), listOf('eve'), listOf('zoe'));
    const first = await follow();
    await first.ready();
    await first.follower.stop();
    const admin = log.admin();
    await admin.remove([CANDIDATES.topic]);
    await admin.create([{ topic: CANDIDATES.topic, partitions: 2, config: { 'cleanup.policy': 'compact' } }]);
    await admin.close();
    const second = await follow();
    await second.ready();
    expect([await second.roundOf('ada'), await second.count('rebuilds')]).toEqual(['missing', 1]);
  });

  it('ends where another process has the cache open', async () => {
    await follow();
    await expect(follow({ runtime: { ...runtime, lockRetries: 1, lockRetryMs: 1 } })).rejects.toMatchObject({
      code: 'STORE_LOCKED',
    });
    open.pop();
  });
});

describe('without the log', () => {
  const unavailable = () => new LogError('LOG_UNAVAILABLE', 'no broker answers', { retriable: true });

  it('is not ready where the disk has nothing, and becomes so once the log is there', async () => {
    await publish(log, serdes, listOf('ada'));
    const unsteady = new UnsteadyLog(log, unavailable);
    unsteady.leave();
    const { follower, roundOf, ready } = await follow({ log: unsteady.log });
    await until(() => follower.status().state === 'waiting');
    expect(follower.status()).toMatchObject({ ready: false, stale: false, lastError: 'no broker answers' });
    expect(await roundOf('ada')).toBe('loading');
    unsteady.comeBack();
    await ready();
    expect(await roundOf('ada')).toBe(1);
  });

  it('serves what the disk has, and says that it is stale', async () => {
    await publish(log, serdes, listOf('ada'));
    const first = await follow();
    await first.ready();
    await first.follower.stop();
    const unsteady = new UnsteadyLog(log, unavailable);
    unsteady.leave();
    const second = await follow({ log: unsteady.log });
    expect(await second.roundOf('ada')).toBe(1);
    await second.ready();
    expect(second.follower.status()).toMatchObject({ stale: true });
    expect(await second.roundOf('eve')).toBe('missing');
    await publish(log, serdes, listOf('eve'));
    unsteady.comeBack();
    await until(() => !second.follower.status().stale);
    expect(await second.roundOf('eve')).toBe(1);
  });

  it('goes on with what it has, and catches up afterwards', async () => {
    await publish(log, serdes, listOf('ada'));
    const unsteady = new UnsteadyLog(log, unavailable);
    const { follower, ready, roundOf, fatal } = await follow({ log: unsteady.log });
    await ready();
    unsteady.leave();
    await until(() => follower.status().state === 'waiting');
    await publish(log, serdes, listOf('ada', { round: 2 }));
    expect(follower.status()).toMatchObject({ ready: true });
    expect(await roundOf('ada')).toBe(1);
    unsteady.comeBack();
    await until(async () => (await roundOf('ada')) === 2);
    expect(fatal).toEqual([]);
  });
});

it('says where it can never go on', async () => {
  const missing = new LogError('UNKNOWN_TOPIC', 'no such topic');
  const { fatal } = await follow({ check: () => Promise.reject(missing) });
  await until(() => fatal.length > 0);
  expect(fatal).toEqual([missing]);
});

it('reads anew what turns out to be broken while it is served', async () => {
  await publish(log, serdes, listOf('ada'));
  const { cache, ready, roundOf, count } = await follow();
  await ready();
  await cache.write([{ user: 'ada', row: Buffer.alloc(20, 0x7f) }]);
  expect(await roundOf('ada')).toBe('unavailable');
  await until(async () => (await roundOf('ada')) === 1);
  expect(await count('rebuilds')).toBe(1);
  expect(existsSync(path)).toBe(true);
});
