import { setTimeout as sleep } from 'node:timers/promises';
import { randomFrom } from '../../oracle/random-logs.ts';
import type { Job } from '../job.ts';
import type { Scenario } from '../scenario.ts';
import { Labels } from '../subject.ts';
import type { WorkerProcess } from '../worker-process.ts';

const WORKERS = 3;
const EVENTS = 1000;

export const kill9: Scenario = {
  name: 'kill-9',
  title: '3 workers, 5 partitions, 20,000 keys; each worker in turn is killed inside an open transaction',
  brokers: 1,
  faults: WORKERS,
  async round(world, seed) {
    const random = randomFrom(seed);
    return world.with(
      (place) => new Labels(place, seed, { users: 20_000 }),
      { commitIntervalMs: 5000 },
      async (job, labels) => {
        await job.startAll(WORKERS);
        await job.feed(labels.next(EVENTS));
        await job.settled();
        // partitions that a slot's folder holds the state of
        const known = job.alive.map((worker) => new Set(worker.partitions));
        let leftOpen = 0;
        let tails = 0;
        const first = Math.floor(random() * WORKERS);
        for (let n = 0; n < WORKERS; n++) {
          const slot = (first + n) % WORKERS;
          const own = job.workers[slot]!.partitions;
          const input = job.flow(labels.next(EVENTS), 2000);
          await job.until('an open transaction', async () => (await job.openIn(job.sinks[0]!, own)).length > 0);
          await sleep(random() * 1500);
          await job.kill(slot);
          leftOpen += (await job.openIn(job.sinks[0]!, own)).length;
          const next = job.start(slot);
          await input.rest();
          await job.running();
          await job.settled();
          tails += await restoredTails(job, next, known[slot]!);
          for (const [at, worker] of job.workers.entries())
            for (const partition of worker!.partitions) known[at]!.add(partition);
        }
        const { seen, aborted } = await job.finish();
        if (leftOpen === 0) throw new Error('no kill fell inside a transaction');
        await restoresAll(job);
        return `${seen}; ${leftOpen} transactions left open, ${aborted} records aborted, ${tails} tails restored`;
      },
    );
  },
};

/** Where its folder had the state of a commit, a worker restores what came after it and no more. */
async function restoredTails(job: Job, worker: WorkerProcess, known: ReadonlySet<number>): Promise<number> {
  const whole = await job.changelogEnds();
  const restored = [...worker.restored].filter(([partition]) => known.has(partition));
  for (const [partition, records] of restored) {
    if (records < whole[partition]! / 2) continue;
    throw new Error(`${records} records of partition ${partition} were restored, of ${whole[partition]} at most`);
  }
  return restored.length;
}

/** One that has nothing restores all of it: so what the others restored was counted rightly. */
async function restoresAll(job: Job): Promise<void> {
  const fresh = job.start(0, 'state-none');
  await job.running();
  await job.stop(0);
  const whole = await job.changelogEnds();
  for (const [partition, records] of fresh.restored) {
    if (records > whole[partition]! / 2) continue;
    throw new Error(`a worker without state restored ${records} records of partition ${partition}`);
  }
}
