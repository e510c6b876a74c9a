import { setTimeout as sleep } from 'node:timers/promises';
import { randomFrom } from '../../oracle/random-logs.ts';
import type { Scenario } from '../scenario.ts';
import { Chain } from '../subject.ts';

const ALIVE = 3;
const NEWCOMERS = 10;
const KEYS = 10;

export const churn: Scenario = {
  name: 'churn',
  title:
    'a new worker each second, 10 times, at most 3 alive (the oldest is stopped, one in four killed); 10 keys × 1,000',
  brokers: 1,
  async round(world, seed) {
    const random = randomFrom(seed);
    return world.with(
      (place) => new Chain(place, seed, { keys: KEYS }),
      { commitIntervalMs: 1000 },
      async (job, chain) => {
        const input = job.flow(chain.next(KEYS * 1000), NEWCOMERS * 1000);
        let killed = 0;
        for (let slot = 0; slot < NEWCOMERS; slot++) {
          const tick = sleep(1000);
          if (slot >= ALIVE) {
            const kill = random() < 0.25;
            if (kill) killed++;
            await (kill ? job.kill(slot - ALIVE) : job.stop(slot - ALIVE));
          }
          job.start(slot, `state-${slot % ALIVE}`);
          await tick;
        }
        await input.rest();
        const { seen } = await job.finish();
        return `${seen}; ${NEWCOMERS - ALIVE - killed} workers stopped, ${killed} killed`;
      },
    );
  },
};
