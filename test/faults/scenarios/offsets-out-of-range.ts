import { strict as assert } from 'node:assert';
import { setTimeout as sleep } from 'node:timers/promises';
import { committedRecords, type CommittedRecord } from '../../support/committed-records.ts';
import { trim } from '../../support/trim.ts';
import type { Scenario } from '../scenario.ts';
import { Chain } from '../subject.ts';
import type { Line } from '../worker-process.ts';

const RECORDS = 200;
const SAID = 'no usable committed position: reset';

interface Reset extends Line {
  policy: string;
  committed: number;
  position: number;
}

export const offsetsOutOfRange: Scenario = {
  name: 'offsets-out-of-range',
  title:
    'retention passes the committed position: earliest, latest and error, at a start and under a worker that stands still',
  brokers: 1,
  faults: 4,
  round: (world, seed) =>
    world.with(
      (place) => new Chain(place, seed),
      { partitions: 1, commitIntervalMs: 200, rebuildBackoffMs: 20 },
      async (job, chain) => {
        const { brokers } = world.kafka;
        const at = { topic: job.source, partition: 0 };
        /** all that was ever there */
        const input = new Map<number, CommittedRecord>();
        const feedAndLose = async (): Promise<number> => {
          await job.feed(chain.next(RECORDS));
          const { records } = await committedRecords(brokers, job.source);
          for (const record of records) input.set(record.offset, record);
          const lost = records.at(-1)!.offset + 1 - RECORDS / 2;
          await trim(brokers, at, lost);
          return lost;
        };
        const resets = (): Reset[] =>
          job.started.flatMap((worker) => worker.lines().filter(({ msg }) => msg === SAID) as Reset[]);
        /** What was not processed is what the log says was skipped, to the record. */
        const exact = async (): Promise<string> => {
          await job.processed();
          const skipped = (offset: number) =>
            resets().some(({ committed, position }) => offset >= committed && offset < position);
          const { records } = await committedRecords(brokers, job.source);
          for (const record of records) input.set(record.offset, record);
          const processed = [...input.values()].filter(({ offset }) => !skipped(offset));
          return chain.verify(processed, [(await committedRecords(brokers, job.sinks[0]!)).records]);
        };

        job.start(0);
        await job.feed(chain.next(RECORDS));
        await exact();
        assert.deepEqual(resets(), []);
        await job.stop(0);

        const kept = await feedAndLose();
        job.start(0, undefined, { offsetReset: 'earliest' });
        await exact();
        assert.deepEqual(
          resets().map(({ policy, position }) => [policy, position]),
          [['earliest', kept]],
        );
        await job.stop(0);

        await feedAndLose();
        job.start(0, undefined, { offsetReset: 'latest' });
        await job.running();
        await job.until('a reset', () => resets().length === 2);
        await job.feed(chain.next(RECORDS));
        await exact();
        assert.equal(resets()[1]!.policy, 'latest');
        await job.stop(0);

        await feedAndLose();
        const before = await job.positions();
        const refusing = job.start(0, undefined, { offsetReset: 'error' });
        job.workers[0] = undefined;
        await refusing.ended();
        assert.ok(
          refusing.lines().some(({ level, code }) => level === 'error' && code === 'NO_POSITION'),
          refusing.tail(),
        );
        assert.deepEqual(await job.positions(), before);
        const worker = job.start(0);
        await exact();

        worker.freeze();
        // the fetch that it had sent is answered with nothing
        await sleep(1000);
        await feedAndLose();
        worker.thaw();
        const seen = await exact();
        assert.equal(resets().length, 4, worker.tail());
        await job.stop(0);
        const skipped = resets().map(({ policy, committed, position }) => `${policy}: ${position - committed}`);
        return `${seen}; skipped, each said: ${skipped.join(', ')}`;
      },
    ),
};
