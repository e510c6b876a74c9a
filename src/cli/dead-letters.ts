/**
 * Dead letters: read, and sent back to the topic they came from. What was sent back is remembered in the compacted topic
 * `<dead-letter topic>.replayed`, key `partition:offset` of the dead letter, in the transaction that sends it: a replay
 * that is killed and run again sends nothing twice.
 */
import { SeralError, UsageError } from '../errors.ts';
import { encodeKey } from '../log/keys.ts';
import type { Log, LogRecord, OutRecord } from '../log/port.ts';
import type { Serdes } from '../log/serde.ts';
import { DEAD_LETTER_HEADERS as NAMES } from '../stream/dead-letters.ts';

export interface DeadLetter {
  /** in the dead-letter topic */
  partition: number;
  offset: number;
  code: string;
  error: string;
  time: number;
  /** where the record stood; null for a timer, which stood nowhere */
  source: { topic: string; partition: number; offset: number } | null;
  /** kind of the timer that broke, else null */
  timer: string | null;
  /** bytes of the value before it was cut to fit, else null */
  truncated: number | null;
  key: Buffer | null;
  value: Buffer | null;
}

export interface Selection {
  code?: string;
  /** `partition:offset` in the dead-letter topic */
  places?: readonly string[];
}

export const placeOf = ({ partition, offset }: { partition: number; offset: number }): string =>
  `${partition}:${offset}`;

export const replayedTopic = (deadLetterTopic: string): string => `${deadLetterTopic}.replayed`;

/** All that the topic holds when the call begins, partition by partition. */
export async function* readDeadLetters(
  log: Log,
  topic: string,
  { code, places }: Selection = {},
): AsyncGenerator<DeadLetter> {
  const wanted = places === undefined ? null : new Set(places.map(checkPlace));
  const admin = log.admin();
  let bounds: { partition: number; start: number; end: number }[];
  try {
    if ((await admin.describe([topic]))[0] === null) return;
    bounds = await admin.offsets(topic);
  } finally {
    await admin.close();
  }
  const reader = log.reader();
  try {
    for (const { partition, start, end } of bounds) {
      const [from, to] = wanted === null ? [start, end] : rangeOf(wanted, partition, start, end);
      if (from >= to) continue;
      for await (const { records } of reader.read({ topic, partition }, from, to)) {
        for (const record of records) {
          if (record.offset < from || record.offset >= to) continue;
          const letter = letterOf(partition, record);
          if (wanted !== null && !wanted.has(placeOf(letter))) continue;
          if (code === undefined || letter.code === code) yield letter;
        }
      }
    }
  } finally {
    await reader.close();
  }
}

function checkPlace(place: string): string {
  const match = /^(\d{1,9}):(\d{1,15})$/.exec(place);
  if (match === null) throw new UsageError(`"${place}" is not a partition and offset such as 3:120`);
  return placeOf({ partition: Number(match[1]), offset: Number(match[2]) });
}

function rangeOf(places: ReadonlySet<string>, partition: number, start: number, end: number): [number, number] {
  const offsets = [...places].map((place) => place.split(':').map(Number)).filter(([p]) => p === partition);
  if (offsets.length === 0) return [end, end];
  const named = offsets.map(([, offset]) => offset!);
  return [Math.max(start, Math.min(...named)), Math.min(end, Math.max(...named) + 1)];
}

function letterOf(partition: number, { offset, timestamp, key, value, headers = {} }: LogRecord): DeadLetter {
  const text = (name: string): string | null => headers[name]?.toString() ?? null;
  const number = (name: string): number | null => (headers[name] === undefined ? null : Number(text(name)));
  const topic = text(NAMES.topic);
  return {
    partition,
    offset,
    code: text(NAMES.code) ?? 'UNKNOWN',
    error: text(NAMES.error) ?? '',
    time: number(NAMES.time) ?? timestamp,
    source: topic === null ? null : { topic, partition: number(NAMES.partition)!, offset: number(NAMES.offset)! },
    timer: text(NAMES.timer),
    truncated: number(NAMES.truncated),
    key,
    value,
  };
}

/** Places that were sent back already. */
export async function replayedPlaces(log: Log, deadLetterTopic: string): Promise<Set<string>> {
  const places = new Set<string>();
  const topic = replayedTopic(deadLetterTopic);
  const admin = log.admin();
  let bounds: { partition: number; start: number; end: number }[];
  try {
    if ((await admin.describe([topic]))[0] === null) return places;
    bounds = await admin.offsets(topic);
  } finally {
    await admin.close();
  }
  const reader = log.reader();
  try {
    for (const { partition, start, end } of bounds) {
      for await (const { records } of reader.read({ topic, partition }, start, end)) {
        for (const { key } of records) if (key !== null) places.add(key.toString());
      }
    }
  } finally {
    await reader.close();
  }
  return places;
}

export interface Mended {
  /** encoded with the schema of the letter's source topic */
  value: unknown;
  schemaOf: (topic: string) => string | undefined;
  serdes: Serdes;
}

export interface ReplayOptions extends Selection {
  /** takes the place of the one selected record's value */
  mended?: Mended;
  /** takes the place of the one selected record's key, and picks the partition */
  key?: string;
  /** sends what was sent back before, too */
  again?: boolean;
  now?: () => number;
}

export interface ReplayReport {
  sent: { letter: DeadLetter; to: string }[];
  skipped: { letter: DeadLetter; why: string }[];
}

const RECORDS_PER_TRANSACTION = 500;

/** Sends dead letters back to the partition they came from, with key and value as they were, or mended. */
export async function replayDeadLetters(log: Log, topic: string, options: ReplayOptions = {}): Promise<ReplayReport> {
  const { mended, key, again = false, now = Date.now } = options;
  const report: ReplayReport = { sent: [], skipped: [] };
  const producer = log.transactionalProducer({ transactionalId: replayedTopic(topic) });
  // a second replay of the topic is fenced off by the transactional id before it reads what was sent
  await producer.open();
  try {
    const done = await replayedPlaces(log, topic);
    const letters: DeadLetter[] = [];
    for await (const letter of readDeadLetters(log, topic, options)) {
      const why = reasonNotTo(letter, again ? null : done, mended !== undefined);
      if (why === null) letters.push(letter);
      else report.skipped.push({ letter, why });
    }
    if (letters.length === 0) return report;
    if ((mended !== undefined || key !== undefined) && letters.length > 1) {
      throw new UsageError(`what is mended is one record, but ${letters.length} are selected: name one by --offset`);
    }
    const changes: Partial<OutRecord> = {};
    if (mended !== undefined) changes.value = await encodeMended(letters[0]!, mended);
    if (key !== undefined) changes.key = encodeKey(key);
    await createReplayedTopic(log, topic);
    for (let at = 0; at < letters.length; at += RECORDS_PER_TRANSACTION) {
      const some = letters.slice(at, at + RECORDS_PER_TRANSACTION);
      await producer.send(some.flatMap((letter) => recordsOf(letter, topic, changes, now())));
      await producer.commit(null);
      report.sent.push(...some.map((letter) => ({ letter, to: letter.source!.topic })));
    }
    return report;
  } finally {
    await producer.close();
  }
}

function reasonNotTo(letter: DeadLetter, done: ReadonlySet<string> | null, mended: boolean): string | null {
  if (letter.source === null) return letter.timer === null ? 'it does not say where it came from' : 'it is a timer';
  if (done?.has(placeOf(letter)) === true) return 'it was replayed before';
  if (letter.truncated !== null && !mended) return `its value was cut: it had ${letter.truncated} bytes`;
  return null;
}

async function encodeMended(letter: DeadLetter, { value, schemaOf, serdes }: Mended): Promise<Buffer> {
  const { topic } = letter.source!;
  const schema = schemaOf(topic);
  if (schema === undefined) throw new UsageError(`${topic} is no source of this topology`);
  const serde = await serdes.serde<unknown>(topic, schema);
  try {
    return serde.encode(value);
  } catch (error) {
    if (!(error instanceof SeralError)) throw error;
    throw new UsageError(`the mended value does not fit the schema ${schema}: ${error.message}`);
  }
}

async function createReplayedTopic(log: Log, deadLetterTopic: string): Promise<void> {
  const topic = replayedTopic(deadLetterTopic);
  const admin = log.admin();
  try {
    const [there] = await admin.describe([topic]);
    if (there === null) await admin.create([{ topic, partitions: 1, config: { 'cleanup.policy': 'compact' } }]);
  } finally {
    await admin.close();
  }
}

function recordsOf(letter: DeadLetter, topic: string, changes: Partial<OutRecord>, now: number): OutRecord[] {
  const { topic: to, partition } = letter.source!;
  const back: OutRecord = { topic: to, key: letter.key, value: letter.value, ...changes };
  // a new key may belong elsewhere; the old one stays where its producer had put it
  if (changes.key === undefined) back.partition = partition;
  return [
    back,
    {
      topic: replayedTopic(topic),
      partition: 0,
      key: Buffer.from(placeOf(letter)),
      value: Buffer.from(JSON.stringify({ to, time: now })),
    },
  ];
}
