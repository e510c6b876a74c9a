import { strict as assert } from 'node:assert';
import { setTimeout as sleep } from 'node:timers/promises';
import { TIMERS } from '../../../src/stream/compile.ts';
import { committedRecords } from '../../support/committed-records.ts';
import type { Job } from '../job.ts';
import type { Scenario } from '../scenario.ts';
import { Chain } from '../subject.ts';
import type { WorkerProcess } from '../worker-process.ts';

const KEYS = 30_000;

const restoredBy = (worker: WorkerProcess): number =>
  worker.lines().findLast(({ msg }) => msg === 'restoring')?.done ?? 0;

/** Until it has restored some; it must not have restored all. */
async function inTheMiddle(job: Job, worker: WorkerProcess): Promise<void> {
  while (restoredBy(worker) < KEYS / 10) {
    worker.check();
    await sleep(5);
  }
  if (worker.running) throw new Error(`too late: the restore is over\n${worker.tail()}`);
  if (job.alive.length !== 1) throw new Error('one worker restores at a time');
}

export const closeDuringRestore: Scenario = {
  name: 'close-during-restore',
  title: '30,000 keys and an empty disk: a worker is stopped in the middle of its restore, the next one killed',
  brokers: 1,
  faults: 2,
  round: (world, seed) =>
    world.with(
      (place) => new Chain(place, seed, { keys: KEYS }),
      // small writes, each said
      { partitions: 1, commitIntervalMs: 200, restoreBatchBytes: 5000, restoreLogMs: 1 },
      async (job, chain) => {
        job.start(0);
        await job.feed(chain.next(KEYS));
        await job.settled();
        await job.stop(0);
        let total = 0;
        for (const store of ['last', TIMERS]) {
          total += (await committedRecords(world.kafka.brokers, job.names.changelog(store))).records.length;
        }
        assert.ok(total >= KEYS, `${total} records in the changelogs`);

        const stopped = job.start(1);
        await inTheMiddle(job, stopped);
        await job.stop(1);
        const killed = job.start(1);
        await inTheMiddle(job, killed);
        await job.kill(1);
        const last = job.start(1);
        await job.running();
        const parts = [stopped, killed, last].map(restoredBy);
        // what one had restored and not written yet comes again: no more than a batch, which it had not counted either
        const all = parts.reduce((sum, one) => sum + one, 0);
        assert.ok(all <= total, `restored ${parts.join(' + ')} of ${total}`);
        assert.ok(restoredBy(last) < total - restoredBy(stopped), `restored ${parts.join(' + ')} of ${total}`);

        await job.feed(chain.next(3000));
        const { seen } = await job.finish();
        return `${seen}; restored ${parts.join(' + ')} of ${total} records`;
      },
    ),
};
