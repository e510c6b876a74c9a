/**
 * Timers that survive crashes and moves: each is an entry of the `timers` store, so it is committed, put into the
 * changelog and restored like any state. Its key sorts by due time:
 *   e|w  due, 16 digits  processor 00 kind 00 key
 * Millions lie on disk; in memory is a heap of the earliest of each clock, up to a horizon, and what was set or
 * cancelled since the last commit. The store also keeps the newest stream time, under the key `t`.
 *
 * An id is that key as a binary string (one char a byte), so that the order of strings is the order of the disk.
 */
import { BadRecordError } from '../errors.ts';
import { TIMERS } from './compile.ts';
import type { Change } from './state.ts';
import { prefixOf, type Row, type StateBackend } from './state-db.ts';
import { awaited, type Steps } from './steps.ts';
import type { Timer, Timers } from './topology.ts';

export interface DueTimer {
  id: string;
  processor: string;
  timer: Timer;
}

const PREFIX = prefixOf(TIMERS);
const STREAM_TIME_KEY = Buffer.from('t');
const DUE_DIGITS = 16;
/** after every id of either clock */
const END = '\uffff';
const LIVE = Buffer.of(1);
const LIVE_AT_END = Buffer.of(2);
// eslint-disable-next-line no-control-regex
const ASCII = /^[\x00-\x7f]*$/;

const dbKey = (id: string): Buffer => Buffer.concat([PREFIX, Buffer.from(id, 'latin1')]);
const idOf = (row: Row): string => row.key.toString('latin1', PREFIX.length);
const dueOf = (id: string): number => (id.length <= 1 ? -Infinity : Number(id.slice(1, 1 + DUE_DIGITS)));

function encodeId(processor: string, timer: Timer): string {
  if (!Number.isFinite(timer.due) || timer.due > Number.MAX_SAFE_INTEGER || timer.kind.includes('\0')) {
    throw new BadRecordError('INVALID_TIMER', `timer "${timer.kind}" of "${processor}" is due at ${timer.due}`);
  }
  const due = String(Math.max(Math.ceil(timer.due), 0)).padStart(DUE_DIGITS, '0');
  const id = `${timer.clock === 'event' ? 'e' : 'w'}${due}${processor}\0${timer.kind}\0${timer.key}`;
  return ASCII.test(id) ? id : Buffer.from(id).toString('latin1');
}

function decodeId(id: string, atEnd: boolean): DueTimer {
  const text = ASCII.test(id) ? id : Buffer.from(id, 'latin1').toString();
  const processorEnd = text.indexOf('\0');
  const kindEnd = text.indexOf('\0', processorEnd + 1);
  const timer: Timer = {
    kind: text.slice(processorEnd + 1, kindEnd),
    key: text.slice(kindEnd + 1),
    due: dueOf(text),
    clock: text[0] === 'e' ? 'event' : 'wall',
  };
  if (atEnd) timer.atEnd = true;
  return { id, processor: text.slice(1 + DUE_DIGITS, processorEnd), timer };
}

/** The timer that an entry of the store stands for; null for the stream time, which lies there too. */
export const timerOf = (key: Buffer): Timer | null =>
  key.equals(STREAM_TIME_KEY) ? null : decodeId(key.toString('latin1'), false).timer;

/** The earliest timers of one clock. */
class TimerQueue {
  readonly prefix: string;
  /** Every live timer below is in `live`; those at or above are on disk or among the uncommitted changes. */
  horizon: string;
  /** id -> atEnd. The heap may still hold ids that are live no more. */
  live = new Map<string, boolean>();
  #heap: string[] = [];

  constructor(prefix: string) {
    this.prefix = prefix;
    this.horizon = prefix;
  }

  set(id: string, atEnd: boolean): void {
    if (id >= this.horizon) return;
    if (!this.live.has(id)) push(this.#heap, id);
    this.live.set(id, atEnd);
  }

  nextDue(): number {
    const top = this.#top();
    return top !== undefined ? dueOf(top) : this.horizon === END ? Infinity : dueOf(this.horizon);
  }

  /** Due, but not in memory yet. */
  hungry(until: number): boolean {
    return this.#top() === undefined && this.horizon !== END && dueOf(this.horizon) <= until;
  }

  take(until: number, limit: number, into: DueTimer[]): void {
    for (let top = this.#top(); top !== undefined && dueOf(top) <= until && into.length < limit; top = this.#top()) {
      into.push(decodeId(top, this.live.get(top)!));
      this.live.delete(top);
    }
  }

  /** Back to the earliest `size` once everything is on disk. */
  shrink(size: number): void {
    if (this.live.size <= size * 2) return;
    const ids = [...this.live.keys()].sort();
    this.horizon = ids[size]!;
    ids.length = size;
    this.live = new Map(ids.map((id) => [id, this.live.get(id)!]));
    this.#heap = ids;
  }

  #top(): string | undefined {
    while (this.#heap.length > 0 && !this.live.has(this.#heap[0]!)) pop(this.#heap);
    return this.#heap[0];
  }
}

export class TimerService {
  readonly #backend: StateBackend;
  /** how many of each clock are held in memory */
  readonly #size: number;
  #event = new TimerQueue('e');
  #wall = new TimerQueue('w');
  /** set or cancelled since the last commit */
  #changes = new Map<string, Buffer | null>();
  #committedStreamTime = -Infinity;

  constructor(backend: StateBackend, size: number) {
    this.#backend = backend;
    this.#size = size;
  }

  /** The stream time of the last commit. */
  *open(): Steps<number> {
    const [bytes] = yield* awaited(this.#backend.getMany([Buffer.concat([PREFIX, STREAM_TIME_KEY])]));
    if (bytes != null) this.#committedStreamTime = bytes.readDoubleBE(0);
    return this.#committedStreamTime;
  }

  of(processor: string): Timers {
    return {
      set: (timer) => {
        const id = encodeId(processor, timer);
        const atEnd = timer.atEnd === true;
        this.#changes.set(id, atEnd ? LIVE_AT_END : LIVE);
        this.#queue(id).set(id, atEnd);
      },
      cancel: (timer) => this.#remove(encodeId(processor, timer)),
    };
  }

  /** True where `due` may have something. Cheap: asked after every micro-batch. */
  isDue(streamTime: number, now: number): boolean {
    return this.#event.nextDue() <= streamTime || this.#wall.nextDue() <= now;
  }

  /** When by the clock something may be due next; Infinity: nothing is set. */
  get nextWall(): number {
    return this.#wall.nextDue();
  }

  /** The next due timers, stream time's first, in order. Each is still to be asked for by `fire` when its turn comes. */
  *due(streamTime: number, now: number, limit: number): Steps<DueTimer[]> {
    const due: DueTimer[] = [];
    for (const [queue, until] of [
      [this.#event, streamTime],
      [this.#wall, now],
    ] as const) {
      do {
        if (queue.hungry(until)) yield* this.#refill(queue);
        queue.take(until, limit, due);
      } while (due.length < limit && queue.hungry(until));
    }
    return due;
  }

  /** The timers that fire when a bounded input ends: all of them that are there now, by due time. */
  *atEnd(): Steps<DueTimer[]> {
    const found = new Map<string, true>();
    for (const queue of [this.#event, this.#wall]) {
      let from = dbKey(queue.prefix);
      for (;;) {
        const rows = yield* awaited(this.#backend.scan(from, dbKey(queue.prefix + END), 1000));
        for (const row of rows) {
          const id = idOf(row);
          if (row.value[0] === LIVE_AT_END[0] && !this.#changes.has(id)) found.set(id, true);
        }
        if (rows.length < 1000) break;
        from = Buffer.concat([rows.at(-1)!.key, Buffer.of(0)]);
      }
    }
    for (const [id, value] of this.#changes) if (value === LIVE_AT_END) found.set(id, true);
    const byDue = (id: string) => id.slice(1) + id[0]!;
    const ids = [...found.keys()].sort((a, b) => (byDue(a) < byDue(b) ? -1 : 1));
    return ids.map((id) => decodeId(id, true));
  }

  /** False where an earlier timer of the same round cancelled this one. Then, or fired, it is gone. */
  fire({ id }: DueTimer): boolean {
    const cancelled = this.#changes.get(id) === null;
    this.#remove(id);
    return !cancelled;
  }

  collect(streamTime: number): Change[] {
    const changes: Change[] = [];
    for (const [id, value] of this.#changes) changes.push({ store: TIMERS, key: Buffer.from(id, 'latin1'), value });
    if (streamTime !== this.#committedStreamTime) {
      const value = Buffer.alloc(8);
      value.writeDoubleBE(streamTime);
      changes.push({ store: TIMERS, key: STREAM_TIME_KEY, value });
    }
    return changes;
  }

  committed(streamTime: number): void {
    this.#committedStreamTime = streamTime;
    if (this.#changes.size > 0) this.#changes = new Map();
    this.#event.shrink(this.#size);
    this.#wall.shrink(this.#size);
  }

  /** Back to the last commit, whose stream time is returned. */
  reset(): number {
    this.#event = new TimerQueue('e');
    this.#wall = new TimerQueue('w');
    this.#changes = new Map();
    return this.#committedStreamTime;
  }

  #queue(id: string): TimerQueue {
    return id.charCodeAt(0) === 101 ? this.#event : this.#wall;
  }

  #remove(id: string): void {
    this.#changes.set(id, null);
    this.#queue(id).live.delete(id);
  }

  *#refill(queue: TimerQueue): Steps {
    const from = queue.horizon;
    const rows = yield* awaited(this.#backend.scan(dbKey(from), dbKey(queue.prefix + END), this.#size));
    queue.horizon = rows.length < this.#size ? END : `${idOf(rows.at(-1)!)}\0`;
    for (const row of rows) {
      const id = idOf(row);
      if (!this.#changes.has(id)) queue.set(id, row.value[0] === LIVE_AT_END[0]);
    }
    for (const [id, value] of this.#changes) {
      if (value !== null && id >= from && id.startsWith(queue.prefix)) queue.set(id, value === LIVE_AT_END);
    }
  }
}

function push(heap: string[], id: string): void {
  let i = heap.push(id) - 1;
  while (i > 0) {
    const parent = (i - 1) >> 1;
    if (heap[parent]! <= id) break;
    heap[i] = heap[parent]!;
    i = parent;
  }
  heap[i] = id;
}

function pop(heap: string[]): void {
  const last = heap.pop()!;
  const size = heap.length;
  if (size === 0) return;
  let i = 0;
  for (;;) {
    let child = 2 * i + 1;
    if (child >= size) break;
    if (child + 1 < size && heap[child + 1]! < heap[child]!) child++;
    if (heap[child]! >= last) break;
    heap[i] = heap[child]!;
    i = child;
  }
  heap[i] = last;
}
