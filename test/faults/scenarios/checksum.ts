import { setTimeout as sleep } from 'node:timers/promises';
import { randomFrom } from '../../oracle/random-logs.ts';
import type { Scenario } from '../scenario.ts';
import { Chain } from '../subject.ts';

const WORKERS = 3;

export const checksum: Scenario = {
  name: 'checksum',
  title:
    'a SHA-256 chain of each of 1,000 keys, while a worker is killed, one is stopped and one stands still for a moment',
  brokers: 1,
  async round(world, seed) {
    const random = randomFrom(seed);
    return world.with(
      (place) => new Chain(place, seed, { keys: 1000 }),
      { commitIntervalMs: 1000 },
      async (job, chain) => {
        await job.startAll(WORKERS);
        const input = job.flow(chain.next(20_000), 10_000);
        const first = Math.floor(random() * WORKERS);
        const [killed, stopped, still] = [first, (first + 1) % WORKERS, (first + 2) % WORKERS];
        await sleep(500 + random() * 1500);
        await job.kill(killed);
        job.start(killed);
        await sleep(random() * 1500);
        job.workers[still]!.freeze();
        await sleep(1000 + random() * 1000);
        job.workers[still]!.thaw();
        await job.stop(stopped);
        job.start(stopped);
        await job.running();
        await input.rest();
        const { seen, aborted } = await job.finish();
        return `${seen}; ${aborted} records aborted`;
      },
    );
  },
};
