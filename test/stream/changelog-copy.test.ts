import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { RecordBatch } from '../../src/log/port.ts';
import { ChangelogCopy } from '../../src/stream/changelog-copy.ts';
import { SplitKeys } from '../../src/stream/changelog.ts';
import type { StateDb } from '../../src/stream/state-db.ts';

const batch = (offset: number, records: number): RecordBatch => ({
  topic: 'changelog',
  partition: 0,
  records: Array.from({ length: records }, (_, i) => ({
    offset: offset + i,
    timestamp: 0,
    key: Buffer.from(`key-${offset + i}`),
    value: Buffer.from('value'),
  })),
  position: offset + records,
  end: 1000,
});

it('counts as restored what is on the disk, and not what is on its way there', async () => {
  const disk: (() => void)[] = [];
  const written: [number, number][] = [];
  const db = { write: () => new Promise<void>((done) => disk.push(done)) } as unknown as StateDb;
  const copy = new ChangelogCopy(db, {
    store: 'users',
    split: new SplitKeys(),
    batchBytes: 1,
    position: 0,
    onWritten: (records, position) => written.push([records, position]),
  });
  await copy.take(batch(0, 10));
  const second = copy.take(batch(10, 5));
  await turn();
  expect(written).toEqual([]);
  disk.shift()!();
  await second;
  expect(written).toEqual([[10, 10]]);
  const end = copy.finish(20, []);
  await turn();
  disk.shift()!();
  await turn();
  disk.shift()!();
  await end;
  expect(written).toEqual([
    [10, 10],
    [15, 15],
    [15, 20],
  ]);
});
