import { strict as assert } from 'node:assert';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeKey } from '../../../src/log/keys.ts';
import { partitionOf } from '../../../src/log/murmur2.ts';
import type { OutRecord } from '../../../src/log/port.ts';
import { namesOf } from '../../../src/stream/names.ts';
import { committedRecords } from '../../support/committed-records.ts';
import { trim } from '../../support/trim.ts';
import type { Scenario } from '../scenario.ts';
import { Chain } from '../subject.ts';
import type { World } from '../world.ts';

/** The partitions' changelogs, and how each one ends. */
const TAILS = ['abort marker', 'commit marker', 'compacted hole', 'empty', 'starts past 0'] as const;
const [ABORTED, COMMITTED, HOLE, EMPTY, LATE] = TAILS.map((_, partition) => partition) as [0, 1, 2, 3, 4];
const HOLE_SIZE = 300;
const SEGMENT_MS = 200;

/** Writes to a changelog in a transaction that has nothing to do with the job. */
async function transaction(world: World, records: OutRecord[], end: 'commit' | 'abort'): Promise<void> {
  const producer = world.log.transactionalProducer({ transactionalId: `${records[0]!.topic}-tail` });
  await producer.open();
  await producer.send(records);
  await (end === 'commit' ? producer.commit(null) : producer.abort());
  await producer.close();
}

const nothing = (topic: string, partition: number, count = 1): OutRecord[] =>
  Array.from({ length: count }, (_, n) => ({ topic, partition, key: encodeKey(`none-${n}`), value: null }));

/** Records of an aborted transaction are no longer there once the cleaner was there, and nothing is in their place. */
async function compactedHole(world: World, topic: string): Promise<void> {
  await transaction(world, nothing(topic, HOLE, HOLE_SIZE), 'abort');
  for (let tries = 0; ; tries++) {
    // a segment is rolled by the next record, and only then cleaned
    await sleep(2 * SEGMENT_MS);
    await transaction(world, nothing(topic, HOLE), 'abort');
    const { aborted } = await committedRecords(world.kafka.brokers, topic);
    if (aborted < HOLE_SIZE) return;
    if (tries > 200) throw new Error(`${topic} is not compacted: ${aborted} aborted records are still there`);
  }
}

export const restoreTails: Scenario = {
  name: 'restore-tails',
  title: `changelogs that end in an ${TAILS[ABORTED]}, a ${TAILS[COMMITTED]}, a ${TAILS[HOLE]}, are ${TAILS[EMPTY]}, start past offset 0`,
  brokers: 1,
  faults: TAILS.length,
  round: (world, seed) =>
    world.with(
      (place) => new Chain(place, seed, { keys: 200 }),
      {
        partitions: TAILS.length,
        commitIntervalMs: 200,
        topics: (place) => ({
          [namesOf('chain', place).changelog('last')]: {
            // with delete its beginning can be cut off; nothing is old enough to go by itself
            'cleanup.policy': 'compact,delete',
            'retention.ms': '-1',
            'segment.ms': String(SEGMENT_MS),
            'min.cleanable.dirty.ratio': '0',
            'delete.retention.ms': '0',
          },
        }),
      },
      async (job, chain) => {
        const changelog = job.names.changelog('last');
        const { length: partitions } = TAILS;
        const next = (count: number) =>
          chain.next(count).filter(({ key }) => partitionOf(key!, partitions) !== (EMPTY as number));
        job.start(0);
        const first = next(200);
        await job.feed(first);
        await job.settled();
        const bounds = await world.admin.offsets(changelog);
        assert.equal(bounds[EMPTY].end, 0);
        // every key once more: its older value is not needed
        await job.feed(first);
        await job.settled();
        await job.stop(0);

        await trim(world.kafka.brokers, { topic: changelog, partition: LATE }, bounds[LATE].end);
        await transaction(world, nothing(changelog, ABORTED), 'abort');
        await transaction(world, nothing(changelog, COMMITTED), 'commit');
        await compactedHole(world, changelog);
        assert.ok((await world.admin.offsets(changelog))[LATE].start > 0);

        const fresh = job.start(1);
        await job.running();
        await job.feed(next(500));
        await job.settled();
        const restored = [...fresh.restored].sort(([a], [b]) => a - b);
        for (const [partition, records] of restored) {
          assert.ok(partition === EMPTY ? records === 0 : records > 0, `${TAILS[partition]}: ${records} restored`);
        }
        await job.stop(1);
        // and the disk that stands before those tails
        job.start(0);
        await job.running();
        await job.feed(next(500));
        const { seen } = await job.finish();
        return `${seen}; restored ${restored.map(([partition, n]) => `${TAILS[partition]}: ${n}`).join(', ')}`;
      },
    ),
};
