/**
 * The process that test/log/embedded.test.ts kills: commits as fast as it can, each transaction on both partitions and
 * with a source position, and says on stdout what was committed. Now and then one is aborted.
 */
import { embeddedLog } from '../../src/log/embedded/index.ts';

const log = await embeddedLog({ path: process.argv[2]! });
const admin = log.admin();
if (!(await admin.topics()).includes('killed')) {
  await admin.create([{ topic: 'killed', partitions: 2, config: { 'cleanup.policy': 'compact' } }]);
}
const producer = log.transactionalProducer({ transactionalId: 'writer' });
await producer.open();
const [from] = await admin.committed('writer', [{ topic: 'source', partition: 0 }]);
for (let n = from ?? 0; ; n++) {
  const value = Buffer.from(String(n));
  const pad = { topic: 'killed', key: Buffer.from('same'), value: Buffer.alloc(3_000) };
  await producer.send([
    { topic: 'killed', partition: 0, key: value, value },
    { topic: 'killed', partition: 1, key: value, value },
    { ...pad, partition: 0 },
  ]);
  if (n % 7 === 3) {
    await producer.abort();
    await producer.send([
      { topic: 'killed', partition: 0, key: value, value },
      { topic: 'killed', partition: 1, key: value, value },
    ]);
  }
  await producer.commit({ group: 'writer', positions: [{ topic: 'source', partition: 0, position: n + 1 }] });
  process.stdout.write(`${n}\n`);
  if (n % 50 === 0) void log.compact();
}
