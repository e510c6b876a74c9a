import type { ErasureRequest } from '../shop/users.ts';
import { Reader, Writer } from '../stream/bytes.ts';
import type { Codec, Processor, ProcessorContext, Store, StreamRecord, Timer, Want } from '../stream/topology.ts';
import { Calendar, dayName } from './calendar.ts';
import { countsCodec, FIELDS, metricsKey, NOTHING, type Counts, type MetricsDay } from './metrics.ts';
import type { UserDay } from './records.ts';

/** An index entry is written again after so long: its TTL is to be that much longer than its rows'. */
export const REFRESH = 31 * 86_400_000;
/** UV3's bound: a user counts who has seen more than this many items. */
const UV3 = 200;

export interface DifferencesOptions {
  /** ms after which a user's day can no longer be revised */
  userTtl: number;
  /** in which an erasure's moment is on a day */
  timeZone: string;
}

/** The last revision seen of a user, day and arm: store `seen`, key `<user>|<day>[|<arm>]`. */
interface Seen extends Counts {
  revision: number;
}

interface Index {
  /** stream time at which it was written */
  at: number;
  entries: string[];
}

/** What is left of an erased user: store `erased`, key the user. */
export interface CutOff {
  /** user-days of its day and before are dropped; milliseconds since the epoch */
  until: number;
  /** event time of the timer that ends it */
  forgetAt: number;
}

/**
 * What a revision of a user's day adds to what was counted of it before: revisions and withdrawn labels so count once.
 *
 * A store is read by whole keys, so that an erasure could not find a user's rows: `days` names them. Under the user are
 * the months that have rows, under `<user>|<month>` its days and arms. It is written when a row is first seen, and once a
 * month while rows are written, so that it outlives them. Rows from before there was this index enter it with their next
 * revision; the others end by their TTL.
 */
export class Differences implements Processor<UserDay | ErasureRequest> {
  readonly #context: ProcessorContext;
  readonly #options: DifferencesOptions;
  readonly #calendar: Calendar;
  readonly #seen: Store<Seen>;
  readonly #days: Store<Index>;
  readonly #erased: Store<CutOff>;

  constructor(context: ProcessorContext, options: DifferencesOptions) {
    this.#context = context;
    this.#options = options;
    this.#calendar = new Calendar(options.timeZone);
    this.#seen = context.store('seen');
    this.#days = context.store('days');
    this.#erased = context.store('erased');
  }

  keys({ key, value }: StreamRecord<UserDay | ErasureRequest>, want: Want): void {
    want('erased', key);
    want('days', key);
    if ('requested_at' in value) {
      for (const month of this.#days.peek(key)?.entries ?? []) want('days', `${key}|${month}`);
    } else {
      want('seen', seenKey(value));
      want('days', `${key}|${monthOf(value)}`);
    }
  }

  timerKeys({ key }: Timer, want: Want): void {
    want('erased', key);
  }

  process({ key, value, time }: StreamRecord<UserDay | ErasureRequest>): void {
    if ('requested_at' in value) this.#erase(key, value.requested_at);
    else this.#add(key, value, time);
  }

  timer({ key, due }: Timer): void {
    if (this.#erased.get(key)?.forgetAt === due) this.#erased.delete(key);
  }

  #add(user: string, row: UserDay, time: number): void {
    const cutOff = this.#erased.get(user);
    if (cutOff !== undefined && row.day <= dayName(this.#calendar.dayOf(cutOff.until))) {
      // its counts are in the day's sum, and nothing says any more which: a revision would count all of it again
      return this.#context.count('erased_user_days');
    }
    const key = seenKey(row);
    const before = this.#seen.get(key);
    if (before !== undefined && before.revision >= row.revision) return;
    const now = countsOf(row);
    const delta: MetricsDay = { day: row.day, arm: row.arm, ...NOTHING };
    let changed = false;
    for (const field of FIELDS) {
      delta[field] = now[field] - (before?.[field] ?? 0);
      if (delta[field] !== 0) changed = true;
    }
    this.#seen.put(key, { revision: row.revision, ...now });
    this.#index(user, row);
    if (changed) this.#context.forward('deltas', metricsKey(row.day, row.arm), delta, time);
  }

  #index(user: string, row: UserDay): void {
    const month = monthOf(row);
    this.#note(user, month);
    this.#note(`${user}|${month}`, metricsKey(row.day, row.arm).slice(month.length));
  }

  #note(key: string, entry: string): void {
    const at = Math.max(this.#context.streamTime(), 0);
    const index = this.#days.get(key);
    const known = index?.entries.includes(entry) === true;
    if (known && at - index!.at <= REFRESH) return;
    const entries = index?.entries ?? [];
    this.#days.put(key, { at, entries: known ? entries : [...entries, entry] });
  }

  #erase(user: string, until: number): void {
    const before = this.#erased.get(user);
    if (before !== undefined) {
      if (until <= before.until) return;
      this.#context.timers.cancel(forgetTimer(user, before));
    }
    for (const month of this.#days.get(user)?.entries ?? []) {
      const key = `${user}|${month}`;
      for (const entry of this.#days.get(key)?.entries ?? []) this.#seen.delete(`${key}${entry}`);
      this.#days.delete(key);
    }
    this.#days.delete(user);
    const cutOff = { until, forgetAt: Math.max(until, this.#context.streamTime()) + this.#options.userTtl };
    this.#erased.put(user, cutOff);
    this.#context.timers.set(forgetTimer(user, cutOff));
    this.#context.count('users_erased');
  }
}

const monthOf = ({ day }: UserDay): string => day.slice(0, 'YYYY-MM'.length);
const seenKey = (row: UserDay): string => `${row.user_id}|${metricsKey(row.day, row.arm)}`;
/** Whose entries they are. An id may hold the sign between too: what follows the user's must be a day or a month. */
export const isRowOf = (user: string, key: string): boolean =>
  key.startsWith(`${user}|`) && /^\d{4}-\d\d-\d\d($|\|)/.test(key.slice(user.length + 1));
export const isIndexOf = (user: string, key: string): boolean =>
  key === user || (key.startsWith(`${user}|`) && /^\d{4}-\d\d$/.test(key.slice(user.length + 1)));
export const cutOffOf = ({ until }: CutOff): { until: number; since: boolean } => ({ until, since: false });
const forgetTimer = (user: string, { forgetAt }: CutOff): Timer => ({
  kind: 'forget',
  key: user,
  due: forgetAt,
  clock: 'event',
});

/** What a user's day adds to the metrics of its day and arm. */
export function countsOf(row: UserDay): Counts {
  const { exposures, s_exposures, clicks, s_clicks, purchases, s_purchases } = row;
  return {
    exposures,
    s_exposures,
    clicks,
    s_clicks,
    purchases,
    s_purchases,
    users: row.events > 0 ? 1 : 0,
    uv3: exposures > UV3 ? 1 : 0,
  };
}

export const seenCodec = countsCodec<Seen>(['revision', ...FIELDS]);

const writer = new Writer();
const VERSION = 1;

export const daysCodec: Codec<Index> = {
  encode({ at, entries }) {
    writer.byte(VERSION);
    writer.uint(at);
    writer.uint(entries.length);
    for (const entry of entries) writer.text(entry);
    return writer.take();
  },
  decode(bytes) {
    const reader = new Reader(bytes);
    reader.byte();
    const at = reader.uint();
    return { at, entries: Array.from({ length: reader.uint() }, () => reader.text()) };
  },
  size: ({ entries }) => 100 + entries.length * 50,
};

export const cutOffCodec: Codec<CutOff> = {
  encode({ until, forgetAt }) {
    writer.byte(VERSION);
    writer.uint(until);
    writer.uint(forgetAt);
    return writer.take();
  },
  decode(bytes) {
    const reader = new Reader(bytes);
    reader.byte();
    return { until: reader.uint(), forgetAt: reader.uint() };
  },
  size: () => 100,
};
