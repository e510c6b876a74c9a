/** Where `seral report` reads: rows of users' days, from the log or a file, and the sums of metrics.daily. */
import { SeralError } from '../errors.ts';
import { readLines } from '../log/ndjson.ts';
import type { Log, OffsetReader } from '../log/port.ts';
import type { Serde, Serdes } from '../log/serde.ts';
import { metricsKey, type MetricsDay } from '../serendipity/metrics.ts';
import type { UserDay } from '../serendipity/records.ts';

export const USER_DAYS_TOPIC = 'serendipity.user-days';
export const METRICS_TOPIC = 'metrics.daily';
const DAY = 86_400_000;

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

  async function* decoded<T>(
    reader: OffsetReader,
    serde: Serde<T>,
    [topic, counted]: [string, keyof typeof unreadable],
    { partition, start, end }: { partition: number; start: number; end: number },
  ): AsyncGenerator<T[]> {
    for await (const batch of reader.read({ topic, partition }, start, end)) {
      const values = batch.records.map(({ value }) => value);
      await serde.prepare(values);
      const rows: T[] = [];
      for (const value of values) {
        if (value === null) continue;
        try {
          rows.push(serde.decode(value));
        } catch (error) {
          if (!(error instanceof SeralError)) throw error;
          unreadable[counted]++;
        }
      }
      onProgress((records += batch.records.length));
      yield rows;
    }
  }

  return {
    async *parts(from) {
      if (userDays === null) return;
      unreadable.userDays = 0;
      const serde = await serdes.serde<UserDay>(USER_DAYS_TOPIC, 'UserDay');
      const bounds = await boundsOf(log, USER_DAYS_TOPIC, from);
      const reader = log.reader();
      try {
        for (const bound of bounds) yield decoded(reader, serde, [USER_DAYS_TOPIC, 'userDays'], bound);
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
        for (const bound of await boundsOf(log, METRICS_TOPIC, null)) {
          for await (const rows of decoded(reader, serde, [METRICS_TOPIC, 'daily'], bound)) {
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

/** A row of a day is written after that day began: what was written two days before, in any time zone, is passed over. */
async function boundsOf(
  log: Log,
  topic: string,
  from: string | null,
): Promise<{ partition: number; start: number; end: number }[]> {
  const admin = log.admin();
  try {
    const bounds = await admin.offsets(topic);
    if (from === null) return bounds;
    const at = await admin.offsetsAt(topic, Math.max(Date.parse(from) - 2 * DAY, 0));
    const first = new Map(at.map(({ partition, position }) => [partition, position]));
    return bounds.map(({ partition, start, end }) => ({
      partition,
      start: Math.min(Math.max(start, first.get(partition) ?? start), end),
      end,
    }));
  } finally {
    await admin.close();
  }
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

/** A day as it is written: YYYY-MM-DD, and in the calendar. */
export function isDay(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return false;
  const time = Date.parse(text);
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text);
}
