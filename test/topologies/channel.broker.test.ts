/** Regeneration and SerenGPT's worker on a real Kafka with a real registry. */
import { it } from 'vitest';
import { kafkaLog } from '../../src/log/kafka/index.ts';
import { confluentSerdes } from '../../src/log/registry/confluent.ts';
import { describeWithKafkaAndRegistry, kafkaBrokers, registryUrl } from '../support/broker.ts';
import { regenerateOnALog } from './channel-on-a-log.ts';

describeWithKafkaAndRegistry('the channel up to its generations', () => {
  it('generates for every user once a round on Kafka, whoever comes, goes or is cut off meanwhile', async () => {
    const log = kafkaLog({ brokers: kafkaBrokers.split(',') });
    const serdes = confluentSerdes({ url: registryUrl });
    try {
      await regenerateOnALog(log, serdes, registryUrl);
    } finally {
      await serdes.close();
      await log.close();
    }
  });
});
