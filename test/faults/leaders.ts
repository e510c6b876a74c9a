/** Who leads what in a cluster, so that a test can take away the broker that matters. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Kafka, logLevel, type Admin } from 'kafkajs';

export interface Leaders {
  /** Which broker of the harness, counted from 0. */
  leader(topic: string, partition: number): number;
  /** `topic` is the internal one in which the coordinator of this id keeps its books. */
  coordinator(topic: '__consumer_offsets' | '__transaction_state', id: string): number;
}

async function asAdmin<T>(brokers: string, use: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    return await use(admin);
  } finally {
    await admin.disconnect();
  }
}

export const partitionLeaders = (brokers: string): Promise<Leaders> =>
  asAdmin(brokers, async (admin) => {
    const { topics } = await admin.fetchTopicMetadata();
    const partitionsOf = (topic: string) => topics.find(({ name }) => name === topic)!.partitions;
    // the harness counts its brokers from 0, Kafka from 1
    const leader = (topic: string, partition: number): number =>
      partitionsOf(topic).find(({ partitionId }) => partitionId === partition)!.leader - 1;
    return { leader, coordinator: (topic, id) => leader(topic, javaHash(id) % partitionsOf(topic).length) };
  });

/** Until every replica of every partition has caught up. */
export const untilInSync = (brokers: string, withinMs = 120_000): Promise<void> =>
  asAdmin(brokers, async (admin) => {
    for (const deadline = Date.now() + withinMs; ; await sleep(200)) {
      const { topics } = await admin.fetchTopicMetadata();
      const behind = topics.filter(({ partitions }) =>
        partitions.some(({ isr, replicas }) => isr.length < replicas.length),
      );
      if (behind.length === 0) return;
      if (Date.now() > deadline) throw new Error(`replicas behind: ${behind.map(({ name }) => name).join(', ')}`);
    }
  });

/** Kafka's `Utils.abs(id.hashCode())`. */
function javaHash(text: string): number {
  let hash = 0;
  for (let n = 0; n < text.length; n++) hash = (Math.imul(31, hash) + text.charCodeAt(n)) | 0;
  return hash & 0x7fffffff;
}
