import { setTimeout as sleep } from 'node:timers/promises';
import { randomFrom } from '../../oracle/random-logs.ts';
import { partitionLeaders, untilInSync } from '../leaders.ts';
import type { Scenario } from '../scenario.ts';
import { Labels } from '../subject.ts';

const WORKERS = 3;
const WHAT = ['group coordinator', 'transaction coordinator', 'leader of the source', 'leader of the labels'] as const;

export const brokerBounce: Scenario = {
  name: 'broker-bounce',
  title:
    '3 brokers; a coordinator or a leader goes, in turn in peace and by kill -9, and comes back while events come in',
  brokers: 3,
  async round(world, seed) {
    const random = randomFrom(seed);
    return world.with(
      (place) => new Labels(place, seed),
      { commitIntervalMs: 1000 },
      async (job, labels) => {
        const { kafka } = world;
        await job.startAll(WORKERS);
        const input = job.flow(labels.next(3000), 120_000);
        await job.until('commits', async () => (await job.positions()).every((position) => position > 0));

        const what = WHAT[Math.floor(seed / 2) % WHAT.length]!;
        const partition = Math.floor(random() * job.place.partitions);
        const leaders = await partitionLeaders(kafka.brokers);
        const broker = {
          'group coordinator': leaders.coordinator('__consumer_offsets', job.names.group),
          'transaction coordinator': leaders.coordinator('__transaction_state', job.names.transactionalId(partition)),
          'leader of the source': leaders.leader(job.source, partition),
          'leader of the labels': leaders.leader(job.sinks[0]!, partition),
        }[what];
        await sleep(random() * 1000);
        const hard = seed % 2 === 0;
        await (hard ? kafka.kill9(broker) : kafka.terminate(broker));
        try {
          await sleep(1000 + random() * 3000);
        } finally {
          await kafka.restart(broker);
        }
        await job.running();
        await input.rest();
        const { seen, aborted } = await job.finish();
        // a second one that goes while this one catches up would only be an outage
        await untilInSync(kafka.brokers);
        return `${seen}; ${what} ${hard ? 'killed' : 'stopped'}, ${aborted} records aborted`;
      },
    );
  },
};
