/** A process that opens a transaction, says so, and does nothing more: to be killed. Arguments: brokers, id, time-out, topic. */
import { kafkaLog } from '../../src/log/kafka/index.ts';

const [brokers, transactionalId, timeoutMs, topic] = process.argv.slice(2) as [string, string, string, string];
const log = kafkaLog({ brokers: brokers.split(',') });
const producer = log.transactionalProducer({ transactionalId, timeoutMs: Number(timeoutMs) });
await producer.open();
await producer.send([{ topic, partition: 0, key: Buffer.from('a key'), value: Buffer.from('left open') }]);
process.stdout.write('open\n');
setInterval(() => {}, 60_000);
