import { Kafka, logLevel } from 'kafkajs';
import type { TopicPartition } from '../../src/log/port.ts';

/** Deletes a partition's records before an offset, as retention would. */
export async function trim(brokers: string, { topic, partition }: TopicPartition, before: number): Promise<void> {
  const admin = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    // it does not ask for the metadata that it needs
    await admin.fetchTopicOffsets(topic);
    await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(before) }] });
  } finally {
    await admin.disconnect();
  }
}
