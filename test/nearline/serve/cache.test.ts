import { Registry } from 'prom-client';
import { beforeEach, describe, expect, it } from 'vitest';
import { StoreError } from '../../../src/errors.ts';
import { readSchema } from '../../../src/log/schemas.ts';
import { CandidateCache, userKey, type Lookup } from '../../../src/nearline/serve/cache.ts';
import { EntryCodec } from '../../../src/nearline/serve/entry.ts';
import { ServeMetrics } from '../../../src/nearline/serve/metrics.ts';
import { MemoryDb } from '../../../src/stream/memory-db.ts';
import type { DbChange, StateBackend } from '../../../src/stream/state-db.ts';
import { HOUR, listOf, NOW } from './given.ts';

const codec = new EntryCodec(await readSchema('UserCandidates'));
const figures = { lag: 0, behindSeconds: 0, memoryBytes: 0, stale: false, waitingTriggers: 0 };

/** A disk whose reads and writes end when the test says so. */
class SlowDb implements StateBackend {
  readonly db = new MemoryDb();
  reads: { keys: Buffer[]; give: () => void; fail: (error: Error) => void }[] = [];
  writes: (() => void)[] | null = null;

  getMany(keys: Buffer[]): Promise<(Buffer | null)[]> {
    const rows = this.db.getMany(keys);
    return new Promise((resolve, fail) => this.reads.push({ keys, give: () => resolve(rows), fail }));
  }

  scan(from: Buffer, until: Buffer, limit: number) {
    return this.db.scan(from, until, limit);
  }

  async write(changes: readonly DbChange[]): Promise<void> {
    if (this.writes !== null) await new Promise<void>((resolve) => this.writes!.push(resolve));
    this.db.write(changes);
  }
}

let now: number;
let broken: StoreError[];
let db: MemoryDb;
let registry: Registry;
const make = (memoryBytes = 1_000_000, lookupMs = 60_000) =>
  new CandidateCache({
    codec,
    memoryBytes,
    lookupMs,
    now: () => now,
    metrics: new ServeMetrics((registry = new Registry()), () => figures),
    onBroken: (error) => broken.push(error),
  });
const row = (user: string, given = {}) => ({ user, row: codec.encode(listOf(user, given)) });
const found = async (lookup: Lookup | Promise<Lookup>) => {
  const { entry, ...rest } = await lookup;
  return entry === null ? rest : entry.user.request_id;
};
const turn = () => new Promise((resolve) => setImmediate(resolve));
const reads = async (from: string) =>
  (await registry.getSingleMetric('seral_serve_cache_reads_total')!.get()).values.find(
    ({ labels }) => labels['from'] === from,
  )?.value ?? 0;

beforeEach(() => {
  now = NOW;
  broken = [];
  db = new MemoryDb();
});

describe('the cache', () => {
  it('finds a user on the disk, and the next time in memory', async () => {
    const cache = make();
    cache.attach(db);
    await cache.write([row('ada')]);
    expect(await found(cache.get('ada'))).toBe('ada-r1');
    expect(cache.get('ada')).not.toBeInstanceOf(Promise);
    expect([await reads('disk'), await reads('memory')]).toEqual([1, 1]);
  });

  it('keeps what it was given, whatever of it is in memory', async () => {
    const cache = make(10_000);
    cache.attach(db);
    const users = Array.from({ length: 50 }, (_, i) => `user-${i}`);
    await cache.write(users.map((user) => row(user)));
    for (const user of [...users, ...users]) expect(await found(cache.get(user))).toBe(`${user}-r1`);
    expect(cache.memoryBytes).toBeLessThanOrEqual(10_000);
    expect(await reads('disk')).toBeGreaterThan(50);
  });

  it('says whether somebody is not there, or not yet', async () => {
    const cache = make();
    expect(await found(cache.get('ada'))).toEqual({ why: 'unavailable' });
    cache.attach(db);
    expect(await found(cache.get('ada'))).toEqual({ why: 'loading' });
    cache.complete = true;
    expect(await found(cache.get('ada'))).toEqual({ why: 'missing' });
  });

  it('does not use a list past its time, and removes it well after', async () => {
    const cache = make();
    cache.attach(db);
    await cache.write([row('ada'), row('bob'), row('eve', { expires_at: NOW + 48 * HOUR })]);
    await cache.get('ada');
    now = NOW + 23 * HOUR;
    expect(await found(cache.get('ada'))).toEqual({ why: 'expired' });
    expect(await found(cache.get('ada'))).toEqual({ why: 'expired' });
    await cache.settled();
    expect(db.getMany([userKey('ada')])[0]).not.toBeNull();
    now = NOW + 24 * HOUR;
    expect(await found(cache.get('ada'))).toEqual({ why: 'expired' });
    await cache.settled();
    expect(db.getMany([userKey('ada'), userKey('bob')]).map((one) => one === null)).toEqual([true, false]);
    await cache.sweep();
    expect(db.getMany([userKey('bob'), userKey('eve')]).map((one) => one === null)).toEqual([true, false]);
  });

  it('goes through all users in several sweeps', async () => {
    const cache = make();
    cache.attach(db);
    const users = Array.from({ length: 25 }, (_, i) => `user-${i}`);
    await cache.write(users.map((user) => row(user)));
    now = NOW + 100 * HOUR;
    for (let i = 0; i < 3; i++) await cache.sweep(10);
    expect(db.getMany(users.map(userKey)).filter(Boolean)).toEqual([]);
  });

  it('forgets a user who was removed', async () => {
    const cache = make();
    cache.attach(db);
    cache.complete = true;
    await cache.write([row('ada')]);
    await cache.get('ada');
    await cache.write([{ user: 'ada', row: null }]);
    expect(await found(cache.get('ada'))).toEqual({ why: 'missing' });
  });

  it('reads what is asked for at once together, each user once', async () => {
    const slow = new SlowDb();
    const cache = make();
    cache.attach(slow);
    await cache.write([row('ada'), row('bob')]);
    const lookups = ['ada', 'bob', 'ada'].map((user) => cache.get(user));
    await turn();
    expect(slow.reads.map(({ keys }) => keys.length)).toEqual([2]);
    slow.reads[0]!.give();
    expect(await Promise.all(lookups.map(found))).toEqual(['ada-r1', 'bob-r1', 'ada-r1']);
  });

  it('keeps nothing in memory that was written anew while it was read', async () => {
    const slow = new SlowDb();
    const cache = make();
    cache.attach(slow);
    await cache.write([row('ada')]);
    const first = cache.get('ada');
    await turn();
    await cache.write([row('ada', { request_id: 'ada-r2' })]);
    slow.reads[0]!.give();
    expect(await found(first)).toBe('ada-r1');
    const second = cache.get('ada');
    await turn();
    slow.reads[1]!.give();
    expect(await found(second)).toBe('ada-r2');
  });

  it('does not remove what was written anew after it had expired', async () => {
    const slow = new SlowDb();
    const cache = make();
    cache.attach(slow);
    await cache.write([row('ada', { expires_at: NOW - 2 * HOUR })]);
    const first = cache.get('ada');
    await turn();
    slow.writes = [];
    const written = cache.write([row('ada', { request_id: 'ada-r2' })]);
    slow.reads[0]!.give();
    expect(await found(first)).toEqual({ why: 'expired' });
    await turn();
    slow.writes.splice(0).forEach((go) => go());
    slow.writes = null;
    await written;
    await turn();
    slow.reads[1]!.give();
    await cache.settled();
    expect(slow.db.getMany([userKey('ada')])[0]).not.toBeNull();
  });

  it('waits no longer for the disk than it may', async () => {
    const cache = make(1_000_000, 1);
    cache.attach(new SlowDb());
    expect(await found(cache.get('ada'))).toEqual({ why: 'unavailable' });
  });

  it('takes on no more reads than a slow disk can bear', async () => {
    const cache = make();
    cache.attach(new SlowDb());
    for (let i = 0; i < 1000; i++) void cache.get(`user-${i}`);
    expect(cache.get('one more')).toEqual({ entry: null, why: 'unavailable' });
  });

  it('says so where the disk fails, or holds what cannot be', async () => {
    const slow = new SlowDb();
    const cache = make();
    cache.attach(slow);
    const failing = cache.get('ada');
    await turn();
    slow.reads[0]!.fail(new StoreError('STORE_UNAVAILABLE', 'the disk is gone'));
    expect(await found(failing)).toEqual({ why: 'unavailable' });
    cache.attach(db);
    const whole = codec.encode(listOf('ada'));
    await cache.write([{ user: 'ada', row: whole.subarray(0, whole.length - 10) }]);
    expect(await found(cache.get('ada'))).toEqual({ why: 'unavailable' });
    expect(broken.map(({ code }) => code)).toEqual(['STORE_UNAVAILABLE', 'STORE_CORRUPTED']);
  });
});
