import { join } from 'node:path';
import { DEFAULTS } from '../../../src/stream/options.ts';
import { decodePosition, endOf, prefixOf, sourcePositionKey, StateDb } from '../../../src/stream/state-db.ts';
import { linkAfter, type Link, type Said } from '../chain.ts';
import type { OutRecord } from '../../../src/log/port.ts';
import type { Job } from '../job.ts';
import type { Scenario } from '../scenario.ts';
import { Chain } from '../subject.ts';

const COMMITTED = 10;
const UNCOMMITTED = 5;
const MORE = 5;

export const crashMidTransaction: Scenario = {
  name: 'crash-mid-transaction',
  title: '10 records committed, 5 in an open transaction, kill -9, 5 more: what was open is nowhere, the store is kept',
  brokers: 1,
  round: (world, seed) =>
    world.with(
      (place) => new Chain(place, seed),
      // a commit at the tenth record, and not before
      { partitions: 1, commitRecords: COMMITTED, commitIntervalMs: 25_000 },
      async (job, chain) => {
        await job.startAll(1);
        const first = chain.next(COMMITTED);
        await job.feed(first);
        await job.processed();

        await job.feed(chain.next(UNCOMMITTED));
        await job.until('an open transaction', async () => (await job.openIn(job.sinks[0]!)).length > 0);
        await job.kill(0);
        const crashed = await job.verify();
        if (crashed.records.length !== COMMITTED || crashed.open === 0) {
          throw new Error(`${crashed.records.length} links are committed and ${crashed.open} open`);
        }
        await expectStore(job, first);

        const next = job.start(0);
        await job.running();
        const [restored] = next.restored.values();
        if (restored !== 0) throw new Error(`${restored} records were restored, though the store had them all`);
        await job.feed(chain.next(MORE));
        await job.processed();
        const { seen, aborted } = await job.finish();
        if (aborted !== crashed.open) throw new Error(`${aborted} records are aborted, ${crashed.open} were open`);
        return `${seen}; ${aborted} aborted, 0 restored`;
      },
    ),
};

/** The state on disk is that of these records, neither more nor less. */
async function expectStore(job: Job, records: readonly OutRecord[]): Promise<void> {
  const path = join(job.folder, 'state-0', job.names.folder(0));
  const { writeBufferBytes, lockRetries, lockRetryMs } = DEFAULTS;
  const db = await StateDb.open(path, { writeBufferBytes, lockRetries, lockRetryMs });
  try {
    const [position] = (await db.getMany([sourcePositionKey(job.source)])).map(decodePosition);
    if (position !== records.length) throw new Error(`the store is at ${position}, not at ${records.length}`);
    const last = new Map<string, Link>();
    for (const { key, value } of records) {
      last.set(String(key), linkAfter(last.get(String(key)), (JSON.parse(String(value)) as Said).text));
    }
    const prefix = prefixOf('last');
    const rows = await db.scan(prefix, endOf(prefix), 1000);
    const kept = rows.filter(({ value }) => [...last.values()].some(({ digest }) => value!.includes(digest)));
    if (kept.length !== last.size || rows.length !== last.size) {
      throw new Error(`the store holds ${rows.length} keys, of which ${kept.length} as committed, not ${last.size}`);
    }
  } finally {
    await db.close();
  }
}
