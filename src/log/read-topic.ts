import type { Log, LogRecord } from './port.ts';

/** Every committed record of a topic from its first kept one to its end, partition after partition. */
export async function readTopic(log: Log, topic: string, each: (record: LogRecord) => void): Promise<void> {
  const admin = log.admin();
  const reader = log.reader();
  try {
    for (const { partition, start } of await admin.offsets(topic)) {
      for await (const { records } of reader.read({ topic, partition }, start)) records.forEach(each);
    }
  } finally {
    await reader.close();
    await admin.close();
  }
}
