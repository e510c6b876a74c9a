/** A behaviour log in memory, as small as the question when to regenerate needs it, and shown as often as wanted. */
import { BadRecordError, SeralError } from '../errors.ts';
import { readLines } from '../log/ndjson.ts';
import type { Log } from '../log/port.ts';
import type { Serdes } from '../log/serde.ts';
import { checkEvent, eventFromJson, type BehaviorEvent } from '../shop/behaviour.ts';
import { Calendar, dayName } from '../serendipity/calendar.ts';
import { boundsFrom } from './bounds-from.ts';
import { decodedRecords } from './decoded-records.ts';

export interface SimulatedLog {
  /** in the order of time */
  events: BehaviorEvent[];
  /** records that could not be read, and events that no topology would take */
  refused: number;
}

export interface Days {
  /** both belong to it; null: open */
  from: string | null;
  to: string | null;
  timeZone: string;
}

const TOPIC = 'behavior.events';

export async function eventsOfFile(
  path: string,
  days: Days,
  onProgress: (bytes: number) => void,
): Promise<SimulatedLog> {
  const kept = keeper(days);
  for await (const lines of readLines(path, { onProgress })) {
    for (const { value } of lines) kept.add(() => eventFromJson(value));
  }
  return kept.log();
}

/** Of the topic behavior.events, from where its records may be of the days asked for. */
export async function eventsOfLog(
  log: Log,
  serdes: Serdes,
  days: Days,
  onProgress: (records: number) => void,
): Promise<SimulatedLog> {
  const admin = log.admin();
  const [found] = await admin.describe([TOPIC]).finally(() => admin.close());
  if (found === null) throw new SeralError('MISSING_TOPICS', `${TOPIC} is not there`);
  const kept = keeper(days);
  const serde = await serdes.serde<BehaviorEvent>(TOPIC, 'BehaviorEvent');
  const reader = log.reader();
  let records = 0;
  try {
    for (const bound of await boundsFrom(log, TOPIC, days.from)) {
      for await (const batch of decodedRecords(reader, serde, TOPIC, bound)) {
        for (const event of batch.values) kept.add(() => event);
        kept.refuse(batch.unreadable);
        onProgress((records += batch.values.length + batch.unreadable));
      }
    }
  } finally {
    await reader.close();
  }
  return kept.log();
}

function keeper({ from, to, timeZone }: Days) {
  const calendar = new Calendar(timeZone);
  const events: BehaviorEvent[] = [];
  let refused = 0;
  return {
    refuse: (count: number) => void (refused += count),
    add(read: () => BehaviorEvent) {
      try {
        const event = read();
        checkEvent(event, event.user_id, Infinity, 0);
        const day = dayName(calendar.dayOf(event.event_time));
        if ((from !== null && day < from) || (to !== null && day > to)) return;
        // what was shown says nothing of when to ask; that it was shown does
        events.push(event.event_type === 'exposure' ? { ...event, items: [] } : event);
      } catch (error) {
        if (!(error instanceof BadRecordError)) throw error;
        refused++;
      }
    },
    log: (): SimulatedLog => ({ events: events.sort((a, b) => a.event_time - b.event_time), refused }),
  };
}

/**
 * The log with `scale` times its users: copy k has ids of its own and comes k/scale of `shiftMs` later, so that what comes
 * at one moment in the log does not come `scale` times at one moment. In the order of time; events may be in use once only.
 */
export function* scaled(events: readonly BehaviorEvent[], scale: number, shiftMs: number): Generator<BehaviorEvent> {
  const shifts = Array.from({ length: scale }, (_, k) => Math.floor((k * shiftMs) / scale));
  const at = shifts.map(() => 0);
  const heap = shifts.map((_, k) => k);
  const timeOf = (k: number) => events[at[k]!]!.event_time + shifts[k]!;
  if (events.length === 0) return;
  while (heap.length > 0) {
    const k = heap[0]!;
    const event = events[at[k]!]!;
    yield k === 0 ? event : { ...event, user_id: `${event.user_id}~${k}`, event_time: event.event_time + shifts[k]! };
    if (++at[k]! === events.length) {
      heap[0] = heap.at(-1)!;
      heap.pop();
    }
    sink(heap, (a, b) => timeOf(a) - timeOf(b) || a - b);
  }
}

/** The first goes down to its place. */
function sink(heap: number[], compare: (a: number, b: number) => number): void {
  for (let i = 0; ;) {
    const left = 2 * i + 1;
    if (left >= heap.length) return;
    const child = left + 1 < heap.length && compare(heap[left + 1]!, heap[left]!) < 0 ? left + 1 : left;
    if (compare(heap[i]!, heap[child]!) <= 0) return;
    [heap[i], heap[child]] = [heap[child]!, heap[i]!];
    i = child;
  }
}
