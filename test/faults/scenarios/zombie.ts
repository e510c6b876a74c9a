import { randomFrom } from '../../oracle/random-logs.ts';
import type { Scenario } from '../scenario.ts';
import { Chain } from '../subject.ts';

const WORKERS = 3;

export const zombie: Scenario = {
  name: 'zombie',
  title:
    'a worker stands still (SIGSTOP) inside a transaction until others own its partitions, then goes on: it writes nothing',
  brokers: 1,
  async round(world, seed) {
    const random = randomFrom(seed);
    return world.with(
      (place) => new Chain(place, seed, { keys: 200 }),
      { commitIntervalMs: 1000, sessionTimeoutMs: 6000 },
      async (job, chain) => {
        await job.startAll(WORKERS);
        const input = job.flow(chain.next(4000), 40_000);
        const slot = Math.floor(random() * WORKERS);
        const victim = job.workers[slot]!;
        const own = victim.partitions;
        await job.until('commits', async () => (await job.positions()).every((position) => position > 0));
        await job.until('an open transaction', async () => (await job.openIn(job.sinks[0]!, own)).length > 0);
        victim.freeze();
        const stalled = await job.positions();
        await job.running(job.alive.filter((worker) => worker !== victim));
        await job.until('the others commit its partitions', async () => {
          const now = await job.positions();
          return own.every((partition) => now[partition]! > stalled[partition]!);
        });
        const [fenced, lines] = [job.times(FENCED) + job.times(LATE), victim.lines().length];
        victim.thaw();
        await job.until('it has noticed', () =>
          victim
            .lines()
            .slice(lines)
            .some(({ msg }) => msg === 'assigned'),
        );
        await job.running();
        await input.rest();
        const { seen, aborted } = await job.finish();
        const refused = job.times(FENCED) + job.times(LATE) - fenced;
        return `${seen}; ${own.length} partitions were taken over, ${refused} commits refused, ${aborted} records aborted`;
      },
    );
  },
};

const FENCED = 'fenced: another owner has the partition now';
const LATE = 'the last commit failed; it is done again by the next owner';
