import { setTimeout as sleep } from 'node:timers/promises';
import { randomFrom } from '../../oracle/random-logs.ts';
import type { Scenario } from '../scenario.ts';
import { Labels } from '../subject.ts';

const SIZES = [2, 3, 1];

export const rescale: Scenario = {
  name: 'rescale',
  title:
    'stopped 3 times in the middle, 2 workers, then 3, then 1, then 2 to the end: the output of a job that never was',
  brokers: 1,
  async round(world, seed) {
    const random = randomFrom(seed);
    return world.with(
      (place) => new Labels(place, seed),
      { commitIntervalMs: 1000 },
      async (job, labels) => {
        const input = job.flow(labels.next(3000), 120_000);
        const reached: number[] = [];
        for (const size of SIZES) {
          const before = total(await job.positions());
          await job.startAll(size);
          await job.until('a commit', async () => total(await job.positions()) > before);
          await sleep(random() * 1500);
          await Promise.all(job.workers.map((_, slot) => job.stop(slot)));
          job.workers.length = 0;
          reached.push(total(await job.positions()));
        }
        await job.startAll(2);
        await input.rest();
        const { seen } = await job.finish();
        return `${seen}; stopped after ${reached.join(', ')}`;
      },
    );
  },
};

const total = (positions: readonly number[]): number => positions.reduce((sum, position) => sum + position, 0);
