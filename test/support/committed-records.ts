/**
 * What transactions have committed, by another client than ours: @platformatic/kafka brings the batches as they lie in
 * the log, markers among them, and here a record counts once the marker that follows it says so. (The filter of its own
 * read_committed knows one aborted transaction of a producer a fetch, and there may be more where workers are killed.)
 */
import { randomUUID } from 'node:crypto';
import { Consumer, FetchIsolationLevels, ListOffsetTimestamps, type RecordsBatch } from '@platformatic/kafka';

export interface CommittedRecord {
  partition: number;
  offset: number;
  key: Buffer | null;
  value: Buffer | null;
}

export interface Committed {
  records: CommittedRecord[];
  /** records of transactions that were aborted, and of those that have no end yet */
  aborted: number;
  open: number;
  /** partitions in which read_committed ends before the log does */
  hanging: number[];
  /** batches of an owner that stand behind one of a newer owner of the same id */
  stale: number;
}

const TRANSACTIONAL = 16;
const CONTROL = 32;

export async function committedRecords(brokers: string, topic: string): Promise<Committed> {
  const records: CommittedRecord[] = [];
  const found = await eachCommitted(brokers, topic, (record) => void records.push(record));
  return { records, ...found };
}

/** The same, one by one, of a topic that is too large to be held. */
export async function eachCommitted(
  brokers: string,
  topic: string,
  each: (record: CommittedRecord) => void,
): Promise<Omit<Committed, 'records'>> {
  const consumer = new Consumer({
    clientId: 'another-client',
    groupId: `another-client-${randomUUID()}`,
    bootstrapBrokers: brokers.split(','),
  });
  const found: Omit<Committed, 'records'> = { aborted: 0, open: 0, hanging: [], stale: 0 };
  try {
    consumer.topics.track(topic);
    const metadata = await consumer.metadata({ topics: [topic] });
    const { id, partitions } = metadata.topics.get(topic)!;
    const starts = await consumer.listOffsets({ topics: [topic], timestamp: ListOffsetTimestamps.EARLIEST });
    for (const [partition, { leader }] of partitions.entries()) {
      const pending = new Map<bigint, CommittedRecord[]>();
      const epochs = new Map<bigint, number>();
      let unanswered = 0;
      const start = starts.get(topic)![partition]!;
      let [end, stable] = [start + 1n, 0n];
      for (let offset = start; offset < end;) {
        const answer = await consumer.fetch({
          node: leader,
          isolationLevel: FetchIsolationLevels.READ_UNCOMMITTED,
          maxBytes: 4 << 20,
          maxWaitTime: 100,
          topics: [
            {
              topicId: id,
              partitions: [
                {
                  partition,
                  currentLeaderEpoch: -1,
                  fetchOffset: offset,
                  lastFetchedEpoch: -1,
                  partitionMaxBytes: 4 << 20,
                },
              ],
            },
          ],
        });
        // it may hold what an earlier request of the session asked for, too
        const one = answer.responses
          .flatMap(({ partitions }) => partitions)
          .find((p) => p.partitionIndex === partition);
        if (one === undefined) {
          if (++unanswered > 50) throw new Error(`${topic} ${partition}: no answer at ${offset} of ${end}`);
          continue;
        }
        end = one.highWatermark;
        stable = one.lastStableOffset;
        for (const batch of one.records ?? []) {
          // a fetch begins with the whole batch that holds its offset
          if (batch.firstOffset >= offset) {
            take(batch, partition, pending, found, each);
            const newest = epochs.get(batch.producerId) ?? -1;
            if (batch.producerEpoch < newest) found.stale++;
            else epochs.set(batch.producerId, batch.producerEpoch);
          }
          const next = batch.firstOffset + BigInt(batch.lastOffsetDelta) + 1n;
          if (next > offset) offset = next;
        }
      }
      for (const records of pending.values()) found.open += records.length;
      if (stable < end) found.hanging.push(partition);
    }
  } finally {
    await consumer.close(true);
  }
  return found;
}

function take(
  batch: RecordsBatch,
  partition: number,
  pending: Map<bigint, CommittedRecord[]>,
  found: { aborted: number },
  each: (record: CommittedRecord) => void,
): void {
  if ((batch.attributes & CONTROL) !== 0) {
    const records = pending.get(batch.producerId) ?? [];
    pending.delete(batch.producerId);
    // its key: a version and then 0 for an abort, 1 for a commit
    if (batch.records[0]!.key!.readInt16BE(2) === 1) records.forEach(each);
    else found.aborted += records.length;
    return;
  }
  const records = batch.records.map(({ offsetDelta, key, value }) => ({
    partition,
    offset: Number(batch.firstOffset) + offsetDelta,
    key,
    value,
  }));
  if ((batch.attributes & TRANSACTIONAL) === 0) records.forEach(each);
  else pending.set(batch.producerId, [...(pending.get(batch.producerId) ?? []), ...records]);
}
