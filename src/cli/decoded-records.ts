import { SeralError } from '../errors.ts';
import type { OffsetReader } from '../log/port.ts';
import type { Serde } from '../log/serde.ts';

export interface Decoded<T> {
  /** without tombstones */
  values: T[];
  /** records that could not be read */
  unreadable: number;
}

/** A stretch of a partition, batch by batch. */
export async function* decodedRecords<T>(
  reader: OffsetReader,
  serde: Serde<T>,
  topic: string,
  { partition, start, end }: { partition: number; start: number; end: number },
): AsyncGenerator<Decoded<T>> {
  for await (const { records } of reader.read({ topic, partition }, start, end)) {
    const decoded: Decoded<T> = { values: [], unreadable: 0 };
    await serde.prepare(records.map(({ value }) => value));
    for (const { value } of records) {
      if (value === null) continue;
      try {
        decoded.values.push(serde.decode(value));
      } catch (error) {
        if (!(error instanceof SeralError)) throw error;
        decoded.unreadable++;
      }
    }
    yield decoded;
  }
}
