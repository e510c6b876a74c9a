import { readTopic } from '../log/read-topic.ts';
import type { Log } from '../log/port.ts';
import type { Serdes } from '../log/serde.ts';

/** Every record of a topic that is known to be readable; null is a tombstone. Throws SeralError where one is not. */
export async function readAll<T>(
  log: Log,
  serdes: Serdes,
  { topic, schema }: { topic: string; schema: string },
  each: (key: string, value: T | null) => void,
): Promise<void> {
  const serde = await serdes.serde<T>(topic, schema);
  await readTopic(log, topic, ({ key, value }) => each(key!.toString(), value === null ? null : serde.decode(value)));
}

/** What each key holds: of a compacted topic. */
export async function lastOfEach<T>(
  log: Log,
  serdes: Serdes,
  from: { topic: string; schema: string },
): Promise<Map<string, T>> {
  const last = new Map<string, T>();
  await readAll<T>(log, serdes, from, (key, value) => {
    if (value === null) last.delete(key);
    else last.set(key, value);
  });
  return last;
}
