import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StateDb, type StateDbOptions } from '../../src/stream/state-db.ts';

describe('the state on disk', () => {
  let folder: string;
  const opened: StateDb[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'seral-db-'));
  });
  afterEach(async () => {
    for (const db of opened.splice(0)) await db.close();
    rmSync(folder, { recursive: true });
  });

  const open = async (options: Partial<StateDbOptions> = {}, path = join(folder, 'db')): Promise<StateDb> => {
    const db = await StateDb.open(path, { writeBufferBytes: 1 << 20, lockRetries: 0, lockRetryMs: 5, ...options });
    opened.push(db);
    return db;
  };
  const key = (n: number) => Buffer.from(`k${String(n).padStart(4, '0')}`);
  const rows = (count: number) =>
    Array.from({ length: count }, (_, n) => ({ key: key(n), value: Buffer.from(`v${n}`) }));

  it('gives back what was written, absent keys as null, empty values as empty', async () => {
    const db = await open();
    await db.write([...rows(3), { key: key(1), value: null }, { key: key(9), value: Buffer.alloc(0) }]);
    expect(await db.getMany([0, 1, 2, 5, 9].map(key))).toEqual([
      Buffer.from('v0'),
      null,
      Buffer.from('v2'),
      null,
      Buffer.alloc(0),
    ]);
    await db.close();
    expect(await (await open()).getMany([key(0)])).toEqual([Buffer.from('v0')]);
  });

  it('scans a range in order, as far as it is asked to', async () => {
    const db = await open();
    await db.write(rows(2500));
    const found = await db.scan(key(10), key(2400), 2000);
    expect(found).toHaveLength(2000);
    expect(found.map((row) => row.key)).toEqual(Array.from({ length: 2000 }, (_, n) => key(10 + n)));
    expect(await db.scan(key(2395), key(2400), 100)).toHaveLength(5);
    expect(await db.scan(key(5), key(5), 100)).toEqual([]);
  });

  it('waits for its lock, and gives up on it after a while', async () => {
    const first = await open();
    await expect(open({ lockRetries: 2 })).rejects.toMatchObject({ code: 'STORE_LOCKED', retriable: true });
    const waiting = open({ lockRetries: 1000 });
    await sleep(20);
    await first.close();
    await waiting;
  });

  it('tells broken files from a folder that cannot be', async () => {
    const db = await open();
    await db.write(rows(20));
    await db.close();
    for (const file of readdirSync(join(folder, 'db')).filter((name) => name.startsWith('MANIFEST'))) {
      truncateSync(join(folder, 'db', file), 20);
    }
    await expect(open()).rejects.toMatchObject({ code: 'STORE_CORRUPTED' });
    await StateDb.wipe(join(folder, 'db'));
    expect(await (await open()).getMany([key(1)])).toEqual([null]);
    writeFileSync(join(folder, 'file'), '');
    await expect(open({}, join(folder, 'file', 'db'))).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  });

  it('knows broken files by every one that a store has, and a lost tail of its log for what it is', async () => {
    const state = join(folder, 'db');
    const breakIts: Record<string, (path: string) => void> = {
      CURRENT: (path) => writeFileSync(path, Buffer.alloc(16)),
      MANIFEST: (path) => writeFileSync(path, Buffer.alloc(16, 0xa5)),
      '.sst': (path) => truncateSync(path, 0),
    };
    for (const [name, spoil] of Object.entries(breakIts)) {
      const db = await open({ writeBufferBytes: 64 * 1024 });
      await db.write(Array.from({ length: 2000 }, (_, n) => ({ key: key(n), value: Buffer.alloc(200, n) })));
      await db.write(rows(1));
      await db.close();
      // what was in memory is on disk as a table after the next start
      if (name === '.sst') await (await open()).close();
      const files = readdirSync(state).filter((file) => file.includes(name));
      expect(files.length, `${name} of ${readdirSync(state).join()}`).toBeGreaterThan(0);
      for (const file of files) spoil(join(state, file));
      await expect(open(), name).rejects.toMatchObject({ code: 'STORE_CORRUPTED' });
      await StateDb.wipe(state);
    }
    const db = await open();
    for (let n = 0; n < 20; n++) await db.write([{ key: key(n), value: Buffer.alloc(200, n) }]);
    await db.close();
    const [log] = readdirSync(state).filter((file) => file.endsWith('.log'));
    truncateSync(join(state, log!), 2000);
    const found = await (await open()).getMany(Array.from({ length: 20 }, (_, n) => key(n)));
    // a beginning without a hole, so the positions in it are true
    const kept = found.findIndex((value) => value === null);
    expect(kept).toBeGreaterThan(0);
    expect(found.slice(kept).every((value) => value === null)).toBe(true);
  });

  it('refuses to be used once it is closed', async () => {
    const db = await open();
    await Promise.all([db.close(), db.close()]);
    await expect(db.write(rows(1))).rejects.toMatchObject({ code: 'STORE_CLOSED' });
    await expect(db.getMany([key(1)])).rejects.toMatchObject({ code: 'STORE_CLOSED' });
  });
});
