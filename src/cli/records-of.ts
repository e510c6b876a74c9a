import { SeralError } from '../errors.ts';
import { encodeKey } from '../log/keys.ts';
import { partitionOf } from '../log/murmur2.ts';
import type { Log } from '../log/port.ts';
import type { Serdes } from '../log/serde.ts';

export interface RecordsOf<T> {
  /** in the order of the log; null is a tombstone */
  values: (T | null)[];
  /** records of the key that could not be read */
  unreadable: number;
}

/** The records of one key, from the one partition that holds it. A topic that is not there holds none. */
export async function recordsOf<T>(
  log: Log,
  serdes: Serdes,
  topic: string,
  schema: string,
  name: string,
): Promise<RecordsOf<T>> {
  const found: RecordsOf<T> = { values: [], unreadable: 0 };
  const key = encodeKey(name);
  const admin = log.admin();
  let bounds: { partition: number; start: number; end: number }[];
  try {
    if ((await admin.describe([topic]))[0] === null) return found;
    bounds = await admin.offsets(topic);
  } finally {
    await admin.close();
  }
  const partition = partitionOf(key, bounds.length);
  const { start, end } = bounds.find((one) => one.partition === partition)!;

  const serde = await serdes.serde<T>(topic, schema);
  const reader = log.reader();
  try {
    for await (const { records } of reader.read({ topic, partition }, start, end)) {
      const own = records.filter((record) => record.key !== null && record.key.equals(key));
      await serde.prepare(own.map((record) => record.value));
      for (const { value } of own) {
        try {
          found.values.push(value === null ? null : serde.decode(value));
        } catch (error) {
          if (!(error instanceof SeralError)) throw error;
          found.unreadable++;
        }
      }
    }
  } finally {
    await reader.close();
  }
  return found;
}
