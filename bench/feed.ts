import { setTimeout as sleep } from 'node:timers/promises';
import type { Log, OutRecord, Producer } from '../src/log/port.ts';

const TICK_MS = 10;

export interface Feed<T> {
  log: Log;
  /** events a second */
  rate: number;
  record: (event: T) => OutRecord;
  /** told of each event when it was due, in ms of `performance.now()`, and when it went out */
  sent?: (event: T, due: number, now: number) => void;
  /** no more is sent once it says so */
  ended?: () => boolean;
  /** a send that fails is tried again for so long, as a whole: some of it may come twice */
  patienceMs?: number;
}

/**
 * Sends events at an even rate, whatever else is slow: each is due at its own moment, and what was held up goes out
 * together as soon as it can. Returns how many were sent.
 */
export async function feed<T>(events: AsyncIterable<T> | Iterable<T>, options: Feed<T>): Promise<number> {
  const { log, rate, record, sent, ended, patienceMs = 0 } = options;
  let producer: Producer | null = null;
  const send = async (records: OutRecord[]): Promise<void> => {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      try {
        if (producer === null) await (producer = log.producer()).open();
        return await producer.send(records);
      } catch (error) {
        await producer?.close().catch(() => {});
        producer = null;
        if (performance.now() > deadline) throw error;
        await sleep(200);
      }
    }
  };
  const begun = performance.now();
  const dueAt = (n: number) => begun + (n / rate) * 1000;
  let count = 0;
  let batch: T[] = [];
  const flush = async () => {
    const now = performance.now();
    batch.forEach((event, i) => sent?.(event, dueAt(count + i), now));
    await send(batch.map(record));
    count += batch.length;
    batch = [];
  };
  for await (const event of events) {
    if (ended?.() === true) break;
    while (performance.now() < dueAt(count + batch.length)) {
      if (batch.length > 0) await flush();
      else await sleep(TICK_MS);
    }
    batch.push(event);
    if (batch.length === 2000) await flush();
  }
  if (batch.length > 0) await flush();
  await (producer as Producer | null)?.close();
  return count;
}
