import { Kafka, logLevel } from 'kafkajs';
import { kafkaLog } from '../../src/log/kafka/index.ts';
import { describeWithKafka, kafkaBrokers } from '../support/broker.ts';
import { logContract } from './contract.ts';

describeWithKafka('Kafka', () => {
  const brokers = kafkaBrokers.split(',');

  logContract('the Kafka adapter', async () => ({
    log: kafkaLog({ brokers, fetchWaitMs: 50 }),
    async trim({ topic, partition }, before) {
      const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin();
      await admin.connect();
      // it does not ask for the metadata that it needs
      await admin.fetchTopicOffsets(topic);
      await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(before) }] });
      await admin.disconnect();
    },
  }));
});
