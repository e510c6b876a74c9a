import { randomFrom } from '../../oracle/random-logs.ts';
import { KafkaProxy, type API, type Loss } from '../../support/kafka-proxy.ts';
import type { Scenario } from '../scenario.ts';
import type { StoreFault } from '../store-fault.ts';
import { Chain } from '../subject.ts';

type Fault = { api: keyof typeof API; loss: Loss } | { does: StoreFault['does'] };

const FAULTS: readonly Fault[] = [
  ...(['Produce', 'AddPartitionsToTxn', 'AddOffsetsToTxn', 'TxnOffsetCommit', 'EndTxn'] as const).flatMap((api) =>
    (['request lost', 'answer lost', 'late'] as const).map((loss) => ({ api, loss })),
  ),
  // committed in the log, and killed before it knows
  { api: 'EndTxn', loss: 'answer held' },
  { does: 'throw' },
  { does: 'kill before' },
  { does: 'kill after' },
];

const RECORDS = 100;

export const commitFaults: Scenario = {
  name: 'commit-faults',
  title:
    'each step of a commit fails: Produce, AddPartitions, AddOffsets, TxnOffsetCommit and EndTxn never arrive, arrive and are ' +
    'not answered, or arrive late; the write to RocksDB fails, or the worker is killed before or after it',
  brokers: 1,
  faults: FAULTS.length,
  async round(world, seed) {
    const proxy = await KafkaProxy.to(world.kafka.brokers);
    try {
      return await world.with(
        (place) => new Chain(place, seed),
        { partitions: 2, commitIntervalMs: 100, rebuildBudget: 100, rebuildBackoffMs: 20, rebuildBackoffMaxMs: 200 },
        async (job, chain) => {
          const start = (storeFault?: StoreFault) => job.start(0, 'state', {}, { brokers: proxy.address, storeFault });
          start();
          await job.feed(chain.next(RECORDS));
          await job.settled();
          const random = randomFrom(seed);
          const order = FAULTS.map((fault) => ({ fault, at: random() })).sort((a, b) => a.at - b.at);
          for (const { fault } of order) {
            if ('does' in fault) {
              await job.stop(0);
              const worker = start({ does: fault.does, write: 1 });
              await job.running();
              await job.feed(chain.next(RECORDS));
              if (fault.does !== 'throw') {
                // by itself
                job.workers[0] = undefined;
                await worker.ended();
                start();
              }
            } else {
              const struck = proxy.next(fault.api, fault.loss);
              await job.feed(chain.next(RECORDS));
              let done = false;
              void struck.then(() => (done = true));
              await job.until(`${fault.api}: ${fault.loss}`, () => done);
              if (fault.loss === 'answer held') {
                await job.kill(0);
                start();
              }
            }
            await job.settled().catch((error: unknown) => {
              throw new Error(`after ${JSON.stringify(fault)}`, { cause: error });
            });
          }
          const { seen, aborted } = await job.finish();
          const rebuilds = job.times('the task is rebuilt from its last commit');
          return `${seen}; ${rebuilds} rebuilds, ${aborted} records aborted`;
        },
      );
    } finally {
      await proxy.close();
    }
  },
};
