import { cosine } from '../inference/embedder.ts';
import { distinctItems, type BehaviorEvent } from '../shop/behaviour.ts';
import type { ErasureRequest } from '../shop/users.ts';
import type { Processor, ProcessorContext, Store, StreamRecord, Table, Timer, Want } from '../stream/topology.ts';
import { approve, refusalOfBelowTop, remember, type Approval, type ApprovalInput } from './approval.ts';
import { idOf, newAsking, newPending, type Asking, type Pending } from './asking.ts';
import { Behaviour } from './evidence.ts';
import { mine, type Mined } from './long-term.ts';
import type { ProfilesOptions } from './options.ts';
import { Pool, REMEMBERED } from './pool.ts';
import type { Product, ProductReader } from './products.ts';
import { Recent, type Bounds } from './recent.ts';
import type { LongTermProfile, ProfileKind, ProfileProposals, RefusedTag, ShortTermProfile } from './records.ts';
import { requestOf } from './request.ts';
import { bucketOf, turnOf } from '../shop/buckets.ts';
import { visit, visitDays } from '../shop/visit-days.ts';
import { ACTIVE, OTHERS, Waiting, type Budget } from '../stream/waiting.ts';

type Incoming = BehaviorEvent | ProfileProposals | ErasureRequest;

/**
 * Stage one of the paper (4.2): keeps what a user did lately, asks for tags when they are due, approves what comes back,
 * and mines the long-term profile from the short-term ones. One request of a user is open at a time; the first answer to
 * it before its deadline counts. When a user is due and what counts as evidence go by event time, so that the same log and
 * the same answers give the same profiles; budget, deadlines and retries go by the clock.
 */
export class Profiler implements Processor<Incoming> {
  readonly #context: ProcessorContext;
  readonly #options: ProfilesOptions;
  readonly #reader: ProductReader;
  readonly #asking: Store<Asking>;
  readonly #recent: Store<Recent>;
  readonly #pools: Store<Pool>;
  readonly #waiting: Waiting;
  readonly #catalog: Table<Product>;
  readonly #users: Table<string | null>;

  constructor(context: ProcessorContext, options: ProfilesOptions, reader: ProductReader) {
    this.#context = context;
    this.#options = options;
    this.#reader = reader;
    this.#asking = context.store('asking');
    this.#recent = context.store('recent');
    this.#pools = context.store('pool');
    this.#catalog = context.table('catalog');
    this.#users = context.table('users');
    const { requestsPerMinute, partitions } = options;
    const budget = context.store<Budget>('budget');
    this.#waiting = new Waiting(
      budget,
      context.store('waiting'),
      requestsPerMinute === null ? null : requestsPerMinute / partitions,
    );
  }

  keys({ key, value }: StreamRecord<Incoming>, want: Want): void {
    if ('event_type' in value) {
      want('asking', key);
      const late = isDue(this.#asking.peek(key), value.event_time);
      if (late || isBehaviour(value)) want('recent', key);
      if (late) this.#waiting.wantToJoin(want);
      return;
    }
    this.#wantWithLine(key, want);
  }

  timerKeys(timer: Timer, want: Want): void {
    if (timer.kind === 'tick') {
      for (const user of this.#waiting.wantToCall(timer.due, this.#context.now(), want)) this.#wantAll(user, want);
      return;
    }
    this.#wantWithLine(timer.key, want);
  }

  /** All of a user, and what it takes to join the line or to leave it. */
  #wantWithLine(user: string, want: Want): void {
    this.#wantAll(user, want);
    this.#waiting.wantToJoin(want);
    const place = this.#asking.peek(user)?.pending?.place;
    if (place != null) this.#waiting.wantPlace(place, want);
  }

  #wantAll(user: string, want: Want): void {
    want('asking', user);
    want('recent', user);
    want('pool', user);
  }

  process({ key, value }: StreamRecord<Incoming>): void {
    if ('event_type' in value) this.#event(key, value);
    else if ('outcome' in value) this.#answer(key, value);
    else this.#erase(key, value.requested_at);
  }

  timer(timer: Timer): void {
    const { kind, key, due } = timer;
    if (kind === 'tick') return this.#tick();
    const asking = this.#asking.get(key);
    if (asking === undefined) return;
    if (kind === 'due' && asking.dueAt === due) this.#overdue(key, asking);
    else if (kind === 'deadline' && asking.pending?.expiresAt === due) this.#missed(key, asking, 'deadline');
    else if (kind === 'retry' && asking.pending?.retryAt === due) this.#ask(key, asking, asking.pending);
    else if (kind === 'forget' && asking.forgetAt === due) this.#outlive(key, asking);
  }

  flush(): void {
    const { length } = this.#waiting;
    if (length !== undefined) this.#context.level('profile_requests_waiting', length);
  }

  #event(user: string, event: BehaviorEvent): void {
    const asking = this.#asking.get(user) ?? newAsking();
    const time = event.event_time;
    if (time <= asking.erasedUntil) return this.#context.count('erased_events');
    if (isDue(asking, time) && asking.pending === null) {
      // the timer fires after the micro-batch: what is asked must not hang on how much of the log that holds
      this.#context.timers.cancel({ kind: 'due', key: user, due: asking.dueAt, clock: 'event' });
      this.#due(user, asking);
    }
    let changed = visit(asking, time);
    if (isBehaviour(event) && this.#keep(user, event, asking)) changed = true;
    if (asking.forgetAt === 0) {
      asking.forgetAt = time + this.#options.userTtl;
      this.#context.timers.set({ kind: 'forget', key: user, due: asking.forgetAt, clock: 'event' });
      changed = true;
    }
    if (asking.dueAt === 0 && time >= this.#notBefore(asking)) {
      const { buckets, spread } = this.#options;
      asking.dueAt = turnOf(bucketOf(user, buckets), time, spread, buckets);
      this.#context.timers.set({ kind: 'due', key: user, due: asking.dueAt, clock: 'event' });
      changed = true;
    }
    if (changed) this.#asking.put(user, asking);
  }

  /** True where the event said something new. */
  #keep(user: string, event: BehaviorEvent, asking: Asking): boolean {
    const time = event.event_time;
    const recent = this.#recent.get(user) ?? new Recent();
    let changed = false;
    if (event.event_type === 'search') changed = recent.search(time, event.query ?? '');
    else {
      const kind = event.event_type === 'purchase' ? 'purchase' : 'click';
      for (const { item_id: item, category_id, brand_id, seller_id } of distinctItems(event)) {
        const product = this.#catalog.get(item);
        const facts = {
          item,
          title: product?.title ?? null,
          category: category_id || (product?.category.id ?? null),
          brand: brand_id || (product?.brandId ?? null),
          seller: seller_id || (product?.seller ?? null),
        };
        if (recent.touch(kind, time, facts)) changed = true;
      }
    }
    if (!changed) return false;
    // what a request is asked about is needed when the due timer fires, which may be later in the log, and when its answer
    // comes: else the profile would hang on where a batch was cut and on how long a model takes
    const held = [asking.pending?.askedAt ?? 0, asking.dueAt].filter((at) => at > 0);
    const floor = Math.min(asking.newest, ...held) - this.#options.window;
    const lost = recent.trim(floor, this.#options, held);
    if (lost > 0) this.#context.count('behaviours_dropped', lost);
    this.#recent.put(user, recent);
    return true;
  }

  /** A request that is out counts as if it were answered: when the next is due must not hang on when that comes. */
  #notBefore({ refreshedAt, notBefore, pending }: Asking): number {
    const last = pending?.askedAt ?? refreshedAt;
    return Math.max(last === 0 ? 0 : last + this.#options.refreshAfter, notBefore);
  }

  /** Asks about a user whose turn has come, unless a request is out still: then its end comes back here. */
  #overdue(user: string, asking: Asking): void {
    const streamTime = Math.max(this.#context.streamTime(), asking.newest);
    if (asking.pending === null && asking.dueAt !== 0 && asking.dueAt <= streamTime) this.#due(user, asking);
  }

  #due(user: string, asking: Asking): void {
    const { fewestBehaviours, window, retryAfter } = this.#options;
    const askedAt = asking.dueAt;
    asking.dueAt = 0;
    const recent = this.#recent.get(user);
    if (recent === undefined || behaviours(recent, askedAt - window, askedAt, this.#options) < fewestBehaviours) {
      // asked about again on a visit of a later day, not on each
      asking.notBefore = askedAt + retryAfter;
      this.#asking.put(user, asking);
      return;
    }
    this.#ask(user, asking, newPending('short_term', askedAt));
  }

  /** Sends a request where the budget has one, else puts the user into line. */
  #ask(user: string, asking: Asking, pending: Pending): void {
    asking.pending = { ...pending, retryAt: 0 };
    if (this.#waiting.spend(this.#context.now())) return this.#send(user, asking, asking.pending);
    const lane = visitDays(asking) >= this.#options.activeDays ? ACTIVE : OTHERS;
    asking.pending.place = this.#waiting.join(user, lane);
    this.#asking.put(user, asking);
    this.#context.count('profile_requests_waited');
    // whoever joins: were a tick ever to break, the next one would not hang on it
    this.#setTick();
  }

  #send(user: string, asking: Asking, pending: Pending): void {
    pending.place = null;
    pending.expiresAt = Math.ceil(this.#context.now() + this.#options.deadline);
    this.#asking.put(user, asking);
    this.#context.timers.set({ kind: 'deadline', key: user, due: pending.expiresAt, clock: 'wall' });
    const candidates = pending.kind === 'short_term' ? [] : this.#mined(user).filter(({ misses }) => misses === null);
    const about = { recent: this.#recent.get(user) ?? new Recent(), candidates };
    const request = requestOf(user, pending, this.#users.get(user) ?? null, about, this.#catalog, this.#options);
    this.#context.forward('requests', user, request, pending.askedAt);
    this.#context.count('profile_requests', 1, { kind: pending.kind });
  }

  #setTick(): void {
    this.#context.timers.set(this.#waiting.nextTick(this.#context.now()));
  }

  #tick(): void {
    for (const user of this.#waiting.call(this.#context.now())) {
      const asking = this.#asking.get(user);
      // the user may have been forgotten, or the place be of an older line
      if (asking?.pending?.place == null) continue;
      this.#send(user, asking, asking.pending);
    }
    if (this.#waiting.waits) this.#setTick();
  }

  #answer(user: string, answer: ProfileProposals): void {
    const asking = this.#asking.get(user);
    const pending = asking?.pending;
    if (
      asking === undefined ||
      pending == null ||
      pending.expiresAt === 0 ||
      idOf(user, pending) !== answer.request_id
    ) {
      return this.#context.count('profile_answers_dropped');
    }
    const { kind } = pending;
    this.#context.count('profile_answers', 1, { kind, outcome: answer.outcome });
    if (answer.outcome === 'failed') return this.#missed(user, asking, 'failed');
    this.#context.timers.cancel({ kind: 'deadline', key: user, due: pending.expiresAt, clock: 'wall' });
    asking.pending = null;
    const pool = this.#pools.get(user) ?? new Pool();
    if (kind === 'short_term') this.#shortTerm(user, asking, pool, pending.askedAt, answer);
    else this.#longTerm(user, pool, pending.askedAt, answer);
    this.#pools.put(user, pool);
    this.#asking.put(user, asking);
    if (kind === 'short_term') this.#askLongTerm(user, asking, pool, pending.askedAt);
    this.#overdue(user, asking);
  }

  #shortTerm(user: string, asking: Asking, pool: Pool, at: number, answer: ProfileProposals): void {
    const { approval: options, window } = this.#options;
    this.#bearOut(user, pool, at);
    asking.refreshedAt = at;
    pool.shortTerms++;
    const given: { meaning: string; borneOut: boolean }[] = [];
    if (answer.outcome === 'proposed') {
      const input = this.#approvalInput(user, pool, at - window, at, answer);
      const approval = approve(input);
      this.#countDropped(remember(input, approval));
      this.#countVerdicts('short_term', approval);
      const profile: ShortTermProfile = {
        user_id: user,
        refreshed_at: at,
        refresh: pool.shortTerms,
        request_id: answer.request_id,
        profiler: answer.profiler,
        prompt_version: answer.prompt_version,
        static_profile: this.#users.get(user) ?? null,
        tags: approval.tags.map(({ meaning, vector: _vector, ...judged }) => {
          const { firstGiven, timesGiven, timesProposed, givenAt } = pool.tags.get(meaning)!;
          return {
            ...judged,
            first_given: firstGiven,
            times_given: timesGiven,
            times_proposed: timesProposed,
            given_at: [...givenAt],
          };
        }),
        refused: refusedOf(approval, options.profileTags),
      };
      for (const { meaning } of approval.tags) given.push({ meaning, borneOut: false });
      this.#context.forward('short-term', user, profile, at);
    }
    pool.refreshes.push({ at, given });
    if (pool.refreshes.length > REMEMBERED) pool.refreshes.shift();
  }

  /** What was touched since the last refresh says whether its tags were any good. */
  #bearOut(user: string, pool: Pool, at: number): void {
    const last = pool.refreshes.at(-1);
    if (last === undefined) return;
    // no further back than behaviour is kept for certain
    const since = this.#behaviour(user, Math.max(last.at, at - this.#options.window), at, pool.embedder);
    for (const one of last.given) {
      const tag = pool.tags.get(one.meaning);
      if (tag !== undefined) one.borneOut = since.touches(tag.tag, tag.vector);
    }
  }

  #mined(user: string): Mined[] {
    const pool = this.#pools.get(user);
    return pool === undefined ? [] : mine(pool, this.#options.longTerm);
  }

  #askLongTerm(user: string, asking: Asking, pool: Pool, askedAt: number): void {
    if (pool.longTermAt !== 0 && askedAt - pool.longTermAt < this.#options.longTerm.every) return;
    const mined = this.#mined(user);
    if (mined.length === 0) return;
    if (mined.some(({ misses }) => misses === null)) {
      return this.#ask(user, asking, newPending('long_term', askedAt));
    }
    pool.longTermAt = askedAt;
    pool.longTerms++;
    this.#pools.put(user, pool);
    const refused = mined.map(notAdmitted);
    const none = { request_id: '', profiler: 'none', prompt_version: '' };
    this.#sayLongTerm({ user_id: user, refreshed_at: askedAt, refresh: pool.longTerms, ...none, tags: [], refused });
  }

  #longTerm(user: string, pool: Pool, at: number, answer: ProfileProposals): void {
    const { window, approval: options } = this.#options;
    pool.longTermAt = at;
    if (answer.outcome === 'not_enough') return;
    pool.longTerms++;
    const mined = this.#mined(user);
    const input = this.#approvalInput(user, pool, at - window, at, answer);
    const approval = approve(input);
    this.#countVerdicts('long_term', approval);
    this.#sayLongTerm({
      user_id: user,
      refreshed_at: at,
      refresh: pool.longTerms,
      request_id: answer.request_id,
      profiler: answer.profiler,
      prompt_version: answer.prompt_version,
      tags: approval.tags.map(({ meaning, vector, ...judged }) => {
        const from = originOf(meaning, vector, mined, options.same);
        return {
          ...judged,
          frequency: from?.frequency ?? 0,
          regularity: from?.regularity ?? 0,
          effectiveness: from?.effectiveness ?? 0,
          first_given: from?.tag.firstGiven ?? at,
        };
      }),
      refused: [
        ...refusedOf(approval, options.profileTags),
        ...mined.filter(({ misses }) => misses !== null).map(notAdmitted),
      ],
    });
  }

  #sayLongTerm(profile: LongTermProfile): void {
    this.#context.forward('long-term', profile.user_id, profile, profile.refreshed_at);
  }

  #approvalInput(user: string, pool: Pool, from: number, at: number, answer: ProfileProposals): ApprovalInput {
    const { proposals, embedder } = answer;
    const { approval: options, tagLength } = this.#options;
    return { proposals, embedder, pool, behaviour: this.#behaviour(user, from, at, embedder), at, tagLength, options };
  }

  #behaviour(user: string, from: number, until: number, embedder: string | null): Behaviour {
    const recent = this.#recent.get(user) ?? new Recent();
    const done = recent.within(from, until, this.#options);
    return new Behaviour(done, from, until, this.#catalog, this.#reader, embedder, this.#options.approval);
  }

  /** No answer came, or none that could be read: again after a pause, and at last not before a later day. */
  #missed(user: string, asking: Asking, why: 'deadline' | 'failed'): void {
    const pending = asking.pending!;
    const { attempts, retryPause, retryAfter } = this.#options;
    this.#context.count('profile_requests_missed', 1, { kind: pending.kind, why });
    if (why === 'failed') {
      this.#context.timers.cancel({ kind: 'deadline', key: user, due: pending.expiresAt, clock: 'wall' });
    }
    pending.expiresAt = 0;
    if (pending.attempt < attempts) {
      pending.retryAt = Math.ceil(this.#context.now() + retryPause * 2 ** (pending.attempt - 1));
      pending.attempt++;
      this.#context.timers.set({ kind: 'retry', key: user, due: pending.retryAt, clock: 'wall' });
    } else {
      asking.notBefore = pending.askedAt + retryAfter;
      asking.pending = null;
      this.#context.count('profile_requests_given_up', 1, { kind: pending.kind });
    }
    this.#asking.put(user, asking);
    this.#overdue(user, asking);
  }

  /** The forget timer: the user is gone, or was here since. */
  #outlive(user: string, asking: Asking): void {
    const due = Math.max(asking.newest, asking.erasedUntil) + this.#options.userTtl;
    if (due > asking.forgetAt && asking.newest > 0) {
      asking.forgetAt = due;
      this.#context.timers.set({ kind: 'forget', key: user, due, clock: 'event' });
      this.#asking.put(user, asking);
      return;
    }
    this.#forget(user, asking);
    this.#asking.delete(user);
    this.#context.count('users_forgotten');
  }

  #erase(user: string, until: number): void {
    const asking = this.#asking.get(user) ?? newAsking();
    if (until <= asking.erasedUntil) return;
    this.#forget(user, asking);
    // only the cut-off stays, until events from before it cannot come any more
    const streamTime = Math.max(this.#context.streamTime(), 0);
    const forgetAt = Math.max(until, streamTime, asking.newest) + this.#options.userTtl;
    this.#context.timers.set({ kind: 'forget', key: user, due: forgetAt, clock: 'event' });
    this.#asking.put(user, { ...newAsking(), erasedUntil: until, forgetAt });
    this.#context.count('users_erased');
  }

  #forget(user: string, asking: Asking): void {
    const { timers } = this.#context;
    if (asking.dueAt !== 0) timers.cancel({ kind: 'due', key: user, due: asking.dueAt, clock: 'event' });
    if (asking.forgetAt !== 0) timers.cancel({ kind: 'forget', key: user, due: asking.forgetAt, clock: 'event' });
    const { pending } = asking;
    if (pending !== null) {
      if (pending.place !== null) this.#waiting.leave(user, pending.place);
      if (pending.expiresAt !== 0)
        timers.cancel({ kind: 'deadline', key: user, due: pending.expiresAt, clock: 'wall' });
      if (pending.retryAt !== 0) timers.cancel({ kind: 'retry', key: user, due: pending.retryAt, clock: 'wall' });
    }
    this.#recent.delete(user);
    this.#pools.delete(user);
    // what compaction keeps is to go too, whether or not there was any
    this.#context.forward('short-term', user, null);
    this.#context.forward('long-term', user, null);
  }

  #countVerdicts(kind: ProfileKind, { tags, belowTop, refused }: Approval): void {
    const count = (verdict: string, by: number) => by > 0 && this.#context.count('profile_tags', by, { kind, verdict });
    count('accepted', tags.length);
    count('BELOW_TOP', belowTop.length);
    for (const { code } of refused) count(code, 1);
  }

  #countDropped(dropped: Record<string, number>): void {
    for (const [why, by] of Object.entries(dropped)) if (by > 0) this.#context.count('pool_tags_dropped', by, { why });
  }
}

/** An event of the user that is later than the turn says that the turn has come. */
const isDue = (asking: Asking | undefined, time: number): boolean =>
  asking !== undefined && asking.dueAt !== 0 && asking.dueAt < time;

const isBehaviour = ({ event_type: type }: BehaviorEvent): boolean =>
  type === 'search' || type === 'click' || type === 'purchase';

/** Searches and bought products of a window: what a profile is asked about. */
function behaviours(recent: Recent, from: number, until: number, bounds: Bounds): number {
  const { searches, products } = recent.within(from, until, bounds);
  const bought = products.filter(({ purchases }) => purchases.some((time) => time > from && time <= until));
  return searches.length + bought.length;
}

const refusedOf = ({ belowTop, refused }: Approval, k: number): RefusedTag[] => [
  ...belowTop.map((accepted) => refusalOfBelowTop(accepted, k)),
  ...refused,
];

const notAdmitted = ({ tag, misses }: Mined): RefusedTag => ({
  tag: tag.tag,
  group: tag.group,
  score: 0,
  prior: tag.strength,
  posterior: 0,
  support: 0,
  recency: 0,
  reason: null,
  evidence: [],
  code: 'NOT_ADMITTED',
  why: `not stable enough for the long term: ${misses}`,
});

/** The admitted tag that a refined one stands for. */
const originOf = (
  meaning: string,
  vector: Int8Array | null,
  mined: readonly Mined[],
  same: number,
): Mined | undefined =>
  mined.find(({ tag }) => tag.meaning === meaning) ??
  mined.find(({ tag }) => vector !== null && tag.vector !== null && cosine(vector, tag.vector) >= same);
