import { countsOf } from '../serendipity/differences.ts';
import { metricsKey } from '../serendipity/metrics.ts';
import type { UserDay } from '../serendipity/records.ts';
import type { Bootstrap } from './bootstrap.ts';
import { addTo, nothing, type Sums } from './measures.ts';
import { Moments } from './moments.ts';

/** The last revision of each day and arm of users, of whom nothing comes later: a partition's, or a file's. */
export class LastRevisions {
  readonly #users = new Map<string, Map<string, UserDay>>();

  add(row: UserDay): void {
    let rows = this.#users.get(row.user_id);
    if (rows === undefined) this.#users.set(row.user_id, (rows = new Map()));
    const key = metricsKey(row.day, row.arm);
    // the greatest number, not the latest record: an erased user's rows begin with 0 again, and the metrics pass over those
    if (row.revision >= (rows.get(key)?.revision ?? 0)) rows.set(key, row);
  }

  get users(): number {
    return this.#users.size;
  }

  /** In the order of ids, so that a resampling is the same however the log was written. */
  *[Symbol.iterator](): Generator<UserDay[]> {
    for (const user of [...this.#users.keys()].sort()) yield [...this.#users.get(user)!.values()];
  }
}

/** Users of a period: sums and products of each arm, over the whole period and of each day. No user is kept. */
export class Population {
  readonly arms = new Map<string | null, Moments>();
  readonly days = new Map<string, Map<string | null, Moments>>();
  /** users who were in more than one named arm */
  mixed = 0;
  /** users of a named arm who have events without an arm too */
  alsoWithout = 0;
  /** each user once */
  users = 0;
  readonly #from: string;
  readonly #to: string;
  readonly #bootstrap: Bootstrap | null;

  /** Both days belong to it. */
  constructor(from: string, to: string, bootstrap: Bootstrap | null = null) {
    this.#from = from;
    this.#to = to;
    this.#bootstrap = bootstrap;
  }

  /** All rows of one user, each day and arm once. */
  add(rows: readonly UserDay[]): void {
    const arms = new Map<string | null, Sums>();
    for (const row of rows) {
      if (row.day < this.#from || row.day > this.#to || row.events === 0) continue;
      const day: Sums = { ...countsOf(row), user_days: 1 };
      momentsOf(this.#dayOf(row.day), row.arm).add(day);
      let sums = arms.get(row.arm);
      if (sums === undefined) arms.set(row.arm, (sums = nothing()));
      addTo(sums, day);
    }
    if (arms.size === 0) return;
    this.users++;
    for (const [arm, sums] of arms) {
      sums.users = 1;
      momentsOf(this.arms, arm).add(sums);
    }
    const named = arms.size - (arms.has(null) ? 1 : 0);
    if (named > 1) this.mixed++;
    if (named > 0 && named < arms.size) this.alsoWithout++;
    this.#bootstrap?.add(arms);
  }

  #dayOf(day: string): Map<string | null, Moments> {
    let arms = this.days.get(day);
    if (arms === undefined) this.days.set(day, (arms = new Map()));
    return arms;
  }
}

function momentsOf(arms: Map<string | null, Moments>, arm: string | null): Moments {
  let moments = arms.get(arm);
  if (moments === undefined) arms.set(arm, (moments = new Moments()));
  return moments;
}
