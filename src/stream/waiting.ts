/**
 * Users whose request waits for its turn in the budget of a minute: a line of active users and one of the others, each in
 * pieces of a hundred, so that coming and going rewrites little. A partition's own; the budget is its share.
 */
import { Reader, Writer } from './bytes.ts';
import type { Codec, Store, Timer, Want } from './topology.ts';

export const ACTIVE = 0;
export const OTHERS = 1;
const LANES = [ACTIVE, OTHERS];
const PIECE = 100;
/** users that are read into memory for one turn */
const MOST_AT_ONCE = 1000;
const MINUTE = 60_000;
const SECOND = 1000;
/** Where both lines wait, each so-manieth request is of the others: they are later, not never. */
const TURN_OF_OTHERS = 5;
const KEY = 'budget';

interface Lane {
  /** pieces in use: first <= piece < end */
  first: number;
  end: number;
  count: number;
}

export interface Budget {
  /** which one it is about */
  period: number;
  /** requests of that period */
  used: number;
  lanes: Lane[];
}

export interface Place {
  lane: number;
  piece: number;
}

const nobody = (): Budget => ({ period: 0, used: 0, lanes: LANES.map(() => ({ first: 0, end: 0, count: 0 })) });

export class Waiting {
  readonly #budgets: Store<Budget>;
  readonly #pieces: Store<string[]>;
  /** requests a period of this partition; null: no limit */
  readonly #rate: number | null;
  /** ms: a minute, or so many that there is a request in each */
  readonly #period: number;
  /** The tick that `wantToCall` was asked about last, and the clock then. */
  #tick = 0;
  #now = 0;
  /** What it has named, for `call`: so many requests, pieces up to these. */
  #limit = 0;
  #named: number[] = [];

  /** `perMinute`: requests a minute of this partition; null: no limit. */
  constructor(budgets: Store<Budget>, pieces: Store<string[]>, perMinute: number | null) {
    this.#budgets = budgets;
    this.#pieces = pieces;
    const minutes = perMinute === null ? 1 : Math.max(Math.ceil(1 / perMinute), 1);
    this.#period = minutes * MINUTE;
    this.#rate = perMinute === null ? null : perMinute * minutes;
  }

  /** Names what `spend` and `join` read. */
  wantToJoin(want: Want): void {
    if (this.#rate === null) return;
    want('budget', KEY);
    const budget = this.#budgets.peek(KEY);
    if (budget === undefined) return;
    for (const lane of LANES) {
      const { first, end } = budget.lanes[lane]!;
      if (end > first) want('waiting', nameOf(lane, end - 1));
    }
  }

  wantPlace({ lane, piece }: Place, want: Want): void {
    want('budget', KEY);
    want('waiting', nameOf(lane, piece));
  }

  /**
   * Names what `call` reads, and returns the users whose turn may come as far as they are known. However often it is asked
   * about one tick, the clock stands at the first time: with each second that a read takes it would name more users.
   */
  wantToCall(tick: number, clock: number, want: Want): string[] {
    if (this.#tick !== tick) {
      this.#tick = tick;
      this.#now = clock;
    }
    const now = this.#now;
    want('budget', KEY);
    const budget = this.#budgets.peek(KEY);
    this.#named = [];
    if (budget === undefined) return [];
    this.#limit = Math.min(this.#free(budget, now), MOST_AT_ONCE);
    const users: string[] = [];
    for (const lane of LANES) {
      const { first, end } = budget.lanes[lane]!;
      // all at once, whatever is in them: a round for each would be too many
      const until = Math.min(end, first + Math.ceil(this.#limit / PIECE) + 1);
      for (let piece = first; piece < until; piece++) {
        want('waiting', nameOf(lane, piece));
        users.push(...(this.#pieces.peek(nameOf(lane, piece)) ?? []));
      }
      this.#named[lane] = until;
    }
    return users;
  }

  /** Takes one request from the budget. False where there is none to take, or others wait. */
  spend(now: number): boolean {
    if (this.#rate === null) return true;
    const budget = this.#budgets.get(KEY) ?? nobody();
    if (budget.lanes.some(({ count }) => count > 0) || this.#free(budget, now) < 1) return false;
    this.#take(budget, now);
    this.#budgets.put(KEY, budget);
    return true;
  }

  /** Goes to the end of a line. Returns the place. */
  join(user: string, lane: number): Place {
    const budget = this.#budgets.get(KEY) ?? nobody();
    const line = budget.lanes[lane]!;
    let waiting = line.end > line.first ? (this.#pieces.get(nameOf(lane, line.end - 1)) ?? []) : [];
    if (line.end === line.first || waiting.length >= PIECE) {
      line.end++;
      waiting = [];
    }
    waiting.push(user);
    line.count++;
    this.#pieces.put(nameOf(lane, line.end - 1), waiting);
    this.#budgets.put(KEY, budget);
    return { lane, piece: line.end - 1 };
  }

  leave(user: string, { lane, piece }: Place): void {
    const budget = this.#budgets.get(KEY);
    const waiting = this.#pieces.get(nameOf(lane, piece));
    const at = waiting?.indexOf(user) ?? -1;
    if (budget === undefined || waiting === undefined || at < 0) return;
    waiting.splice(at, 1);
    this.#pieces.put(nameOf(lane, piece), waiting);
    budget.lanes[lane]!.count--;
    this.#budgets.put(KEY, budget);
  }

  /** Whose turn has come: of those that `wantToCall` has named, as many as the budget has by now. */
  call(now: number): string[] {
    this.#tick = 0;
    const budget = this.#budgets.get(KEY);
    if (budget === undefined) return [];
    const called: string[] = [];
    while (called.length < this.#limit && this.#free(budget, now) >= 1) {
      const turn = budget.used % TURN_OF_OTHERS === TURN_OF_OTHERS - 1 ? [OTHERS, ACTIVE] : LANES;
      let user: string | undefined;
      for (const lane of turn) user ??= this.#first(budget.lanes[lane]!, lane);
      if (user === undefined) break;
      called.push(user);
      this.#take(budget, now);
    }
    this.#budgets.put(KEY, budget);
    return called;
  }

  /** How many wait, where that is at hand. */
  get length(): number | undefined {
    return this.#budgets.peek(KEY)?.lanes.reduce((sum, { count }) => sum + count, 0);
  }

  /** The timer at which `wantToCall` and `call` are due next. One for all who wait: a second of the same time is the same timer. */
  nextTick(now: number): Timer {
    return { kind: 'tick', key: '', due: (Math.floor(now / SECOND) + 1) * SECOND, clock: 'wall' };
  }

  get waits(): boolean {
    return this.#budgets.get(KEY)?.lanes.some(({ count }) => count > 0) === true;
  }

  #first(line: Lane, lane: number): string | undefined {
    while (line.first < (this.#named[lane] ?? 0)) {
      const name = nameOf(lane, line.first);
      const waiting = this.#pieces.get(name) ?? [];
      const user = waiting.shift();
      if (waiting.length === 0) {
        this.#pieces.delete(name);
        line.first++;
      } else this.#pieces.put(name, waiting);
      if (user === undefined) continue;
      line.count--;
      return user;
    }
    return undefined;
  }

  /** Even over the period: by its n-th second so many of the budget may be gone. */
  #free({ period, used }: Budget, now: number): number {
    if (this.#rate === null) return Infinity;
    const second = Math.floor((now % this.#period) / SECOND);
    const allowed = Math.min(
      Math.ceil((this.#rate * (second + 1) * SECOND) / this.#period),
      Math.floor(this.#rate + 1e-9),
    );
    const current = Math.floor(now / this.#period);
    // a tick may stand before the end of a period in which others have spent of the next already
    return current < period ? 0 : Math.max(current === period ? allowed - used : allowed, 0);
  }

  #take(budget: Budget, now: number): void {
    const period = Math.floor(now / this.#period);
    if (budget.period !== period) {
      budget.period = period;
      budget.used = 0;
    }
    budget.used++;
  }
}

const nameOf = (lane: number, piece: number): string => `${lane}/${piece}`;

const writer = new Writer();
const VERSION = 1;

export const budgetCodec: Codec<Budget> = {
  encode({ period, used, lanes }) {
    writer.byte(VERSION);
    writer.uint(period);
    writer.uint(used);
    for (const { first, end, count } of lanes) {
      writer.uint(first);
      writer.uint(end);
      writer.uint(count);
    }
    return writer.take();
  },
  decode(bytes) {
    const reader = new Reader(bytes);
    reader.byte();
    const [period, used] = [reader.uint(), reader.uint()];
    const lanes = LANES.map(() => ({ first: reader.uint(), end: reader.uint(), count: reader.uint() }));
    return { period, used, lanes };
  },
  size: () => 300,
};

export const pieceCodec: Codec<string[]> = {
  encode(users) {
    writer.byte(VERSION);
    writer.uint(users.length);
    for (const user of users) writer.text(user);
    return writer.take();
  },
  decode(bytes) {
    const reader = new Reader(bytes);
    reader.byte();
    return Array.from({ length: reader.uint() }, () => reader.text());
  },
  size: (users) => 100 + users.length * 60,
};
