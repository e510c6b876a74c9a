/** Where `seral report` reads: rows of users' days, from the log or a file, and the sums of metrics.daily. */
import { SeralError } from '../errors.ts';
import { readLines } from '../log/ndjson.ts';
import type { Log, OffsetReader } from '../log/port.ts';
import type { Serde, Serdes } from '../log/serde.ts';
import { metricsKey, type MetricsDay } from '../serendipity/metrics.ts';
import type { UserDay } from '../serendipity/records.ts';
import { boundsFrom, type Bound } from './bounds-from.ts';
import { decodedRecords } from './decoded-records.ts';
import { isDay } from './options.ts';

export const USER_DAYS_TOPIC = 'serendipity.user-days';
export const METRICS_TOPIC = 'metrics.daily';

export interface RowsFrom {
  /**
   * Parts, each with all rows of its users, as batches. `from`: days before it are not wanted, and are left out where that
   * saves reading.
   */
  parts(from: string | null): AsyncIterable<AsyncIterable<UserDay[]>>;
  /** of metrics.daily, the last row of each day and arm; null where there is no such topic */
  daily(): Promise<MetricsDay[] | null>;
  /** records that could not be read, in the last reading */
  readonly unreadable: number;
}

export async function rowsOfLog(log: Log, serdes: Serdes, onProgress: (records: number) => void): Promise<RowsFrom> {
  const admin = log.admin();
  const [userDays, metrics] = await admin.describe([USER_DAYS_TOPIC, METRICS_TOPIC]).finally(() => admin.close());
  if (userDays === null && metrics === null) {
    const text = `neither ${USER_DAYS_TOPIC} nor ${METRICS_TOPIC} is there: \`seral topics apply\` and \`seral run labels metrics\` make and fill them`;
    throw new SeralError('MISSING_TOPICS', text);
  }
  const unreadable = { userDays: 0, daily: 0 };
  let records = 0;

  async function* rowsOf<T>(
    reader: OffsetReader,
    serde: Serde<T>,
    [topic, counted]: [string, keyof typeof unreadable],
    bound: Bound,
  ): AsyncGenerator<T[]> {
    for await (const batch of decodedRecords(reader, serde, topic, bound)) {
      unreadable[counted] += batch.unreadable;
      onProgress((records += batch.values.length + batch.unreadable));
      yield batch.values;
    }
  }

  return {
    async *parts(from) {
      if (userDays === null) return;
      unreadable.userDays = 0;
      const serde = await serdes.serde<UserDay>(USER_DAYS_TOPIC, 'UserDay');
      const bounds = await boundsFrom(log, USER_DAYS_TOPIC, from);
      const reader = log.reader();
      try {
        for (const bound of bounds) yield rowsOf(reader, serde, [USER_DAYS_TOPIC, 'userDays'], bound);
      } finally {
        await reader.close();
      }
    },
    async daily() {
      if (metrics === null) return null;
      const serde = await serdes.serde<MetricsDay>(METRICS_TOPIC, 'MetricsDay');
      const last = new Map<string, MetricsDay>();
      const reader = log.reader();
      try {
        for (const bound of await boundsFrom(log, METRICS_TOPIC, null)) {
          for await (const rows of rowsOf(reader, serde, [METRICS_TOPIC, 'daily'], bound)) {
            for (const row of rows) last.set(metricsKey(row.day, row.arm), row);
          }
        }
      } finally {
        await reader.close();
      }
      return [...last.values()];
    },
    get unreadable() {
      return unreadable.userDays + unreadable.daily;
    },
  };
}

const COUNTS = [
  'revision',
  'events',
  'exposures',
  's_exposures',
  'clicks',
  's_clicks',
  'purchases',
  's_purchases',
] as const;

/** Rows of a file, `.gz` allowed; `-` is standard input, which can be read once only. */
export function rowsOfFile(path: string, onProgress: (bytes: number) => void): RowsFrom {
  let unreadable = 0;
  async function* rows(): AsyncGenerator<UserDay[]> {
    for await (const lines of readLines(path, { onProgress })) {
      const right = lines.flatMap(({ value }) => (isUserDay(value) ? [{ ...value, arm: value.arm ?? null }] : []));
      unreadable += lines.length - right.length;
      yield right;
    }
  }
  return {
    async *parts() {
      unreadable = 0;
      yield rows();
    },
    daily: () => Promise.resolve(null),
    get unreadable() {
      return unreadable;
    },
  };
}

function isUserDay(value: unknown): value is UserDay {
  const row = value as UserDay | null | undefined;
  return (
    typeof row?.user_id === 'string' &&
    typeof row.day === 'string' &&
    isDay(row.day) &&
    (row.arm == null || typeof row.arm === 'string') &&
    COUNTS.every((count) => Number.isSafeInteger(row[count]) && row[count] >= 0)
  );
}
