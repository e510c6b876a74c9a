/** Where partitions begin and end, and where a time lies in them: ListOffsets, sent to each partition's leader. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { TopicPartition } from '../port.ts';
import type { Cluster } from './cluster.ts';
import { asLogError, isConnectionError, isPassing, refused, refusedByCode } from './errors.ts';
import { errorName } from './kafkajs.ts';
import { byTopic } from './wire.ts';

/** Kafka's names for "the first kept" and "the end"; any other number is a time. */
export const EARLIEST = -2;
export const LATEST = -1;

const WITHIN_MS = 30_000;

interface Listed {
  responses: { topic: string; partitions: { partition: number; errorCode: number; offset: string }[] }[];
}

/**
 * The offset of each partition, in the order asked; -1 where a time lies behind the last record. The end is where
 * read_committed ends, unless `uncommitted`.
 */
export async function listOffsets(
  cluster: Cluster,
  partitions: readonly TopicPartition[],
  timestamp: number,
  uncommitted = false,
): Promise<number[]> {
  const doing = 'asking for offsets';
  const found = new Map<string, number>();
  const keyOf = ({ topic, partition }: TopicPartition): string => `${partition} ${topic}`;
  const deadline = Date.now() + WITHIN_MS;
  let left = [...partitions];
  await cluster.know(left.map((p) => p.topic));
  for (const { topic, partition } of left) {
    if (partition >= cluster.partitionsOf(topic)!)
      throw refused('UNKNOWN_TOPIC_OR_PARTITION', `${doing} of ${topic}/${partition}`);
  }
  for (let wait = 20; ; wait = Math.min(wait * 2, 500)) {
    const byLeader = new Map<number, TopicPartition[]>();
    for (const partition of left) {
      const leader = cluster.leader(partition.topic, partition.partition);
      if (leader === null) continue;
      const list = byLeader.get(leader);
      if (list === undefined) byLeader.set(leader, [partition]);
      else list.push(partition);
    }
    let last: unknown = refused('LEADER_NOT_AVAILABLE', doing);
    await Promise.all(
      [...byLeader].map(async ([node, list]) => {
        try {
          const topics = byTopic(list).map(([topic, of]) => ({
            topic,
            partitions: of.map(({ partition }) => ({ partition, timestamp })),
          }));
          const args = { isolationLevel: uncommitted ? 0 : 1, topics };
          const listed: Listed = await cluster.call(await cluster.node(node), 'ListOffsets', args, true);
          for (const { topic, partitions: of } of listed.responses) {
            for (const { partition, errorCode, offset } of of) {
              if (errorCode === 0) found.set(keyOf({ topic, partition }), Number(offset));
              else if (isPassing(errorName(errorCode))) last = refusedByCode(errorCode, doing);
              // a moved or a removed topic: the metadata will tell
              else if (errorCode === 3) last = refusedByCode(errorCode, doing);
              else throw refusedByCode(errorCode, doing);
            }
          }
        } catch (error) {
          if (!isConnectionError(error)) throw error;
          last = error;
        }
      }),
    );
    left = left.filter((partition) => !found.has(keyOf(partition)));
    if (left.length === 0) return partitions.map((partition) => found.get(keyOf(partition))!);
    if (Date.now() + wait > deadline || cluster.closed) throw asLogError(last, doing);
    await sleep(wait);
    await cluster.refresh();
    await cluster.know(left.map((p) => p.topic));
  }
}
