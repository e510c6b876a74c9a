/**
 * Records that cannot be processed, kept with all that is needed to look at them and to send them again: the raw key and
 * value, and where they came from in the headers. They are written in the transaction that passes over them.
 */
import { SeralError, messageOf } from '../errors.ts';
import type { LogRecord, OutRecord } from '../log/port.ts';
import type { DueTimer } from './timers.ts';

export interface Failure {
  code: string;
  error: string;
}

export function failureOf(error: unknown): Failure {
  return { code: error instanceof SeralError ? error.code : 'PROCESSOR_FAILED', error: messageOf(error) };
}

/** Names of the headers; `seral dlq` reads them. */
export const DEAD_LETTER_HEADERS = {
  topic: 'seral.topic',
  partition: 'seral.partition',
  offset: 'seral.offset',
  code: 'seral.code',
  error: 'seral.error',
  time: 'seral.time',
  /** bytes of the value before it, or the key, was cut to fit */
  truncated: 'seral.truncated',
  /** set on a timer: the value is the timer as JSON */
  timer: 'seral.timer',
} as const;

const MAX_ERROR_CHARS = 2000;

interface Place {
  /** of the dead-letter topic */
  to: string;
  partition: number;
  now: number;
  maxBytes: number;
}

export function deadRecord(topic: string, record: LogRecord, failure: Failure, place: Place): OutRecord {
  const headers: Record<string, string> = {
    [DEAD_LETTER_HEADERS.topic]: topic,
    [DEAD_LETTER_HEADERS.partition]: String(place.partition),
    [DEAD_LETTER_HEADERS.offset]: String(record.offset),
  };
  return letter(record.key, record.value, headers, failure, place);
}

export function deadTimer({ processor, timer }: DueTimer, failure: Failure, place: Place): OutRecord {
  const headers: Record<string, string> = {
    [DEAD_LETTER_HEADERS.timer]: timer.kind,
    [DEAD_LETTER_HEADERS.partition]: String(place.partition),
  };
  return letter(Buffer.from(timer.key), Buffer.from(JSON.stringify({ processor, ...timer })), headers, failure, place);
}

function letter(
  key: Buffer | null,
  value: Buffer | null,
  headers: Record<string, string>,
  failure: Failure,
  { to, now, maxBytes }: Place,
): OutRecord {
  headers[DEAD_LETTER_HEADERS.code] = failure.code;
  headers[DEAD_LETTER_HEADERS.error] = failure.error.slice(0, MAX_ERROR_CHARS);
  headers[DEAD_LETTER_HEADERS.time] = String(now);
  // the key first, which says whose it was: both together must fit into one record
  const keptKey = key?.subarray(0, maxBytes / 2) ?? null;
  const kept = value?.subarray(0, maxBytes - (keptKey?.length ?? 0)) ?? null;
  if (kept?.length !== value?.length || keptKey?.length !== key?.length) {
    headers[DEAD_LETTER_HEADERS.truncated] = String(value?.length ?? 0);
  }
  return {
    topic: to,
    key: keptKey,
    value: kept,
    timestamp: now,
    headers: Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)])),
  };
}

/**
 * The share of dead letters among the last records. A topic whose every record is refused is a fault of ours or of its
 * producer, and better waited out than drained. Both counts are halved when they reach twice the window.
 */
export class DeadLetterRate {
  readonly #share: number;
  readonly #window: number;
  #records = 0;
  #letters = 0;

  constructor(share: number, window: number) {
    this.#share = share;
    this.#window = window;
  }

  /** Whether it would be too much, were these committed. */
  over(records: number, letters: number): boolean {
    const all = this.#records + records;
    return all >= this.#window && this.#letters + letters > all * this.#share;
  }

  add(records: number, letters: number): void {
    this.#records += records;
    this.#letters += letters;
    if (this.#records < this.#window * 2) return;
    this.#records /= 2;
    this.#letters /= 2;
  }
}
