import { distinctItems, type BehaviorEvent } from '../shop/behaviour.ts';
import { bucketOf, turnOf } from '../shop/buckets.ts';
import { visit, visitDays } from '../shop/visit-days.ts';
import type { Processor, ProcessorContext, Store, StreamRecord, Table, Timer, Want } from '../stream/topology.ts';
import { ACTIVE, OTHERS, Waiting, type Budget } from '../stream/waiting.ts';
import { freshnessOf, idOf, newAsking, type Asking } from './asking.ts';
import { History } from './history.ts';
import { isAnswer, isEvent, isGone, isProfile, isTrigger, kindOf, type Incoming, type Profile } from './incoming.ts';
import type { RegenerationOptions } from './options.ts';
import type { ProfileKind } from '../profile/records.ts';
import type { RegenerationReason, RetrievedItems } from './records.ts';
import { requestOf } from './request.ts';
import { reasonToAsk } from './staleness.ts';
import { hasTags, noTags, take, type UserTags } from './user-tags.ts';

const MINUTE_S = 60;
const DAY = 86_400_000;

/** What the catalog says of a product, as far as a model is told of it. */
export interface Named {
  title: string;
  category: string | null;
  brand: string | null;
}

/**
 * When SerenGPT is asked about a user (paper, 4.4): at a visit that finds nothing valid, and at one after the profile has
 * changed. One request of a user is open at a time; the first answer to it before its deadline ends it. Who is asked about
 * and what is told goes by event time, so that the same log and the same answers give the same requests, wherever a batch
 * is cut; budget, deadlines and retries go by the clock.
 */
export class Regenerator implements Processor<Incoming> {
  readonly #context: ProcessorContext;
  readonly #options: RegenerationOptions;
  readonly #asking: Store<Asking>;
  readonly #history: Store<History>;
  readonly #tags: Store<UserTags>;
  readonly #waiting: Waiting;
  readonly #catalog: Table<Named>;
  readonly #users: Table<string>;

  constructor(context: ProcessorContext, options: RegenerationOptions) {
    this.#context = context;
    this.#options = options;
    this.#asking = context.store('asking');
    this.#history = context.store('history');
    this.#tags = context.store('tags');
    this.#catalog = context.table('catalog');
    this.#users = context.table('users');
    const { requestsPerSecond, partitions } = options;
    this.#waiting = new Waiting(
      context.store<Budget>('budget'),
      context.store('waiting'),
      requestsPerSecond === null ? null : (requestsPerSecond * MINUTE_S) / partitions,
    );
  }

  keys({ key, value }: StreamRecord<Incoming>, want: Want): void {
    if (!isEvent(value)) return this.#wantWithLine(key, want);
    want('asking', key);
    const behaved = isBehaviour(value);
    if (behaved) want('history', key);
    if (this.#mayAsk(this.#asking.peek(key), value.event_time, behaved)) {
      this.#wantAll(key, want);
      this.#waiting.wantToJoin(want);
    }
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
    want('history', user);
    want('tags', user);
  }

  /** Whether an event reads more than where its user stands: most do not. */
  #mayAsk(asking: Asking | undefined, time: number, behaved: boolean): boolean {
    if (asking === undefined) return behaved;
    if (asking.dueAt !== 0) return true;
    if (this.#isBeforeAll(time)) return false;
    if (asking.pending !== null || !(behaved || this.#knows(asking))) return false;
    return reasonToAsk(freshnessOf(asking), time, this.#options.minAge) !== null;
  }

  process({ key, value }: StreamRecord<Incoming>): void {
    if (isEvent(value)) this.#event(key, value);
    else if (isAnswer(value)) this.#answer(key, value);
    else if (isProfile(value)) this.#profile(key, value);
    else if (isGone(value)) this.#profileGone(key, value.gone);
    else if (isTrigger(value)) this.#trigger(key, value.requested_at);
    else this.#erase(key, value.requested_at);
  }

  timer({ kind, key, due }: Timer): void {
    if (kind === 'tick') return this.#tick();
    const asking = this.#asking.get(key);
    if (asking === undefined) return;
    if (kind === 'due' && asking.dueAt === due) this.#due(key, asking);
    else if (kind === 'deadline' && asking.pending?.expiresAt === due) this.#missed(key, asking, 'deadline');
    else if (kind === 'retry' && asking.pending?.retryAt === due) this.#again(key, asking);
    else if (kind === 'forget' && asking.forgetAt === due) this.#outlive(key, asking);
  }

  flush(): void {
    const { length } = this.#waiting;
    if (length !== undefined) this.#context.level('regeneration_waiting', length);
  }

  #event(user: string, event: BehaviorEvent): void {
    const asking = this.#asking.get(user) ?? newAsking();
    const time = event.event_time;
    if (time <= asking.erasedUntil) return this.#context.count('erased_events');
    this.#overdue(user, asking);
    let changed = visit(asking, time);
    if (isBehaviour(event) && this.#keep(user, event, asking)) changed = true;
    if (this.#rememberUntil(user, asking, time)) changed = true;
    if (changed) this.#asking.put(user, asking);
    if (this.#options.visits.includes(event.event_type)) this.#visited(user, asking, time);
  }

  /** True where the event said something new. */
  #keep(user: string, event: BehaviorEvent, asking: Asking): boolean {
    const { event_type: type, event_time: time } = event;
    const history = this.#history.get(user) ?? new History();
    let changed = false;
    if (type === 'search') {
      const text = event.query ?? '';
      changed = history.add({ time, kind: 'search', text, item_id: null, category_id: null, brand_id: null });
    } else {
      const kind = type === 'purchase' ? 'purchase' : 'click';
      for (const { item_id, category_id, brand_id } of distinctItems(event)) {
        const named = this.#catalog.get(item_id);
        // what has no name can be told to no model
        if (named === undefined) this.#context.count('regeneration_untitled');
        else if (
          history.add({
            time,
            kind,
            text: named.title,
            item_id,
            category_id: category_id || named.category,
            brand_id: brand_id || named.brand,
          })
        )
          changed = true;
      }
    }
    if (!changed) return false;
    // what an open request is about is needed whenever it goes out, which may be much later in the log
    const held = asking.pending === null ? [] : [asking.pending.askedAt, asking.visitAt];
    history.trim(this.#options.history, held);
    asking.behaviours = history.upTo(Infinity, this.#options.history).length;
    this.#history.put(user, history);
    return true;
  }

  /** True where a timer was set. */
  #rememberUntil(user: string, asking: Asking, time: number): boolean {
    if (asking.forgetAt !== 0) return false;
    asking.forgetAt = this.#forgetAfter(time);
    this.#context.timers.set({ kind: 'forget', key: user, due: asking.forgetAt, clock: 'event' });
    return true;
  }

  #visited(user: string, asking: Asking, time: number): void {
    const { minAge, spread, buckets } = this.#options;
    if (asking.pending !== null) return this.#wasBack(user, asking, time);
    if (asking.dueAt !== 0 || this.#isBeforeAll(time)) return;
    const reason = reasonToAsk(freshnessOf(asking), time, minAge);
    if (reason === null) return;
    if (!this.#knows(asking)) return this.#notAsked('nothing_known');
    if (this.#isOver(time)) return this.#notAsked('outdated');
    if (spread === 0) return this.#ask(user, asking, time, reason);
    asking.dueAt = turnOf(bucketOf(user, buckets), time, spread, buckets);
    this.#context.timers.set({ kind: 'due', key: user, due: asking.dueAt, clock: 'event' });
    this.#asking.put(user, asking);
  }

  /** A visit that what is asked for will be too old for: it is asked about in its place, or after it. */
  #wasBack(user: string, asking: Asking, time: number): void {
    if (time < asking.pending!.validUntil || time <= asking.visitAt) return;
    asking.visitAt = time;
    this.#asking.put(user, asking);
  }

  #knows({ hasTags, behaviours }: Asking): boolean {
    return hasTags || behaviours >= this.#options.fewestBehaviours;
  }

  /**
   * The due timer fires after the micro-batch: whatever comes of the user when the log is past the turn comes after it, so
   * that what is asked does not hang on how much of the log the batch holds.
   */
  #overdue(user: string, asking: Asking): void {
    if (asking.dueAt === 0 || asking.dueAt > this.#context.streamTime()) return;
    this.#context.timers.cancel({ kind: 'due', key: user, due: asking.dueAt, clock: 'event' });
    this.#due(user, asking);
  }

  #due(user: string, asking: Asking): void {
    const time = asking.dueAt;
    asking.dueAt = 0;
    const reason = reasonToAsk(freshnessOf(asking), time, this.#options.minAge);
    if (reason === null) this.#asking.put(user, asking);
    else this.#ask(user, asking, time, reason);
  }

  #ask(user: string, asking: Asking, askedAt: number, reason: RegenerationReason): void {
    this.#begin(asking, askedAt, reason);
    this.#sendOrWait(user, asking);
  }

  #begin(asking: Asking, askedAt: number, reason: RegenerationReason): void {
    asking.pending = {
      round: ++asking.round,
      askedAt,
      validUntil: askedAt + this.#options.maxAge,
      reason,
      attempt: 1,
      profile: asking.profile,
      place: null,
      expiresAt: 0,
      retryAt: 0,
    };
    asking.visitAt = 0;
  }

  #again(user: string, asking: Asking): void {
    asking.pending!.retryAt = 0;
    if (!this.#outdated(user, asking)) this.#sendOrWait(user, asking);
  }

  /** Sends the request where the budget has one, else puts the user into line. */
  #sendOrWait(user: string, asking: Asking): void {
    const pending = asking.pending!;
    if (this.#waiting.spend(this.#context.now())) return this.#send(user, asking);
    const first = pending.reason === 'triggered' || visitDays(asking) >= this.#options.activeDays;
    pending.place = this.#waiting.join(user, first ? ACTIVE : OTHERS);
    this.#asking.put(user, asking);
    this.#context.count('regeneration_waited');
    // whoever joins: were a tick ever to break, the next one would not hang on it
    this.#setTick();
  }

  #send(user: string, asking: Asking): void {
    const pending = asking.pending!;
    pending.place = null;
    pending.profile = asking.profile;
    pending.expiresAt = Math.ceil(this.#context.now() + this.#options.deadline);
    this.#asking.put(user, asking);
    this.#context.timers.set({ kind: 'deadline', key: user, due: pending.expiresAt, clock: 'wall' });
    const about = {
      profile: this.#users.get(user) ?? null,
      tags: this.#tags.get(user) ?? noTags(),
      history: this.#history.get(user) ?? new History(),
    };
    this.#context.forward('requests', user, requestOf(user, pending, about, this.#options), pending.askedAt);
    this.#context.count('regeneration_requests', 1, { reason: pending.reason });
  }

  /**
   * What waited so long that its candidates would never be used is not asked for: the newest visit takes its place, in a
   * round of its own, or nobody came since.
   */
  #outdated(user: string, asking: Asking): boolean {
    const { reason, place } = asking.pending!;
    // a round that nobody would be asked in takes no number
    if (asking.visitAt !== 0 && !this.#isOver(asking.visitAt)) {
      this.#begin(asking, asking.visitAt, reason);
      asking.pending!.place = place;
    }
    if (!this.#isOver(asking.pending!.askedAt)) return false;
    asking.pending = null;
    asking.visitAt = 0;
    this.#asking.put(user, asking);
    this.#notAsked('outdated');
    return true;
  }

  #isBeforeAll(time: number): boolean {
    return this.#options.since !== null && time < this.#options.since;
  }

  /** By the log's time, what a visit at `time` asked for would not be used any more. */
  #isOver(time: number): boolean {
    return time + this.#options.maxAge <= this.#context.streamTime();
  }

  #notAsked(why: 'nothing_known' | 'outdated'): void {
    this.#context.count('regeneration_not_asked', 1, { why });
  }

  #setTick(): void {
    this.#context.timers.set(this.#waiting.nextTick(this.#context.now()));
  }

  #tick(): void {
    for (const user of this.#waiting.call(this.#context.now())) {
      const asking = this.#asking.get(user);
      // the user may have been forgotten, or the place be of an older line
      if (asking?.pending?.place == null) continue;
      if (!this.#outdated(user, asking)) this.#send(user, asking);
    }
    if (this.#waiting.waits) this.#setTick();
  }

  #trigger(user: string, time: number): void {
    const asking = this.#asking.get(user);
    // whoever calls the server may name any user: that alone is nothing to be kept
    const cameOf = asking === undefined ? 'nothing_known' : this.#triggered(user, asking, time);
    this.#context.count('regeneration_triggers', 1, { came_of: cameOf });
  }

  #triggered(user: string, asking: Asking, time: number): string {
    if (time <= asking.erasedUntil) return 'erased';
    this.#overdue(user, asking);
    if (visit(asking, time)) this.#asking.put(user, asking);
    const { pending } = asking;
    if (pending !== null) {
      this.#wasBack(user, asking, time);
      if (pending.place?.lane === OTHERS) {
        this.#waiting.leave(user, pending.place);
        pending.place = this.#waiting.join(user, ACTIVE);
        this.#asking.put(user, asking);
      }
      return 'open';
    }
    const reason = reasonToAsk(freshnessOf(asking), time, this.#options.minAge);
    if (reason === null || reason === 'profile') return time < asking.notBefore ? 'resting' : 'fresh';
    if (!this.#knows(asking)) return 'nothing_known';
    if (this.#isBeforeAll(time) || this.#isOver(time)) return 'outdated';
    if (asking.dueAt !== 0) {
      this.#context.timers.cancel({ kind: 'due', key: user, due: asking.dueAt, clock: 'event' });
      asking.dueAt = 0;
    }
    this.#ask(user, asking, time, 'triggered');
    return 'asked';
  }

  #profile(user: string, profile: Profile): void {
    const asking = this.#asking.get(user) ?? newAsking();
    if (profile.refreshed_at <= asking.erasedUntil) return this.#context.count('erased_events');
    this.#overdue(user, asking);
    const tags = this.#tags.get(user) ?? noTags();
    if (take(tags, kindOf(profile), profile.tags)) asking.profile++;
    asking.hasTags = hasTags(tags);
    this.#tags.put(user, tags);
    this.#rememberUntil(user, asking, profile.refreshed_at);
    this.#asking.put(user, asking);
  }

  #profileGone(user: string, kind: ProfileKind): void {
    const asking = this.#asking.get(user);
    const tags = this.#tags.get(user);
    if (asking === undefined || tags === undefined) return;
    this.#overdue(user, asking);
    tags[kind] = [];
    asking.hasTags = hasTags(tags);
    if (asking.hasTags) this.#tags.put(user, tags);
    else this.#tags.delete(user);
    this.#asking.put(user, asking);
  }

  #answer(user: string, answer: RetrievedItems): void {
    const asking = this.#asking.get(user);
    if (asking !== undefined) this.#overdue(user, asking);
    const pending = asking?.pending;
    const { outcome } = answer;
    if (
      asking === undefined ||
      pending == null ||
      pending.expiresAt === 0 ||
      idOf(user, pending) !== answer.request_id ||
      // that an earlier attempt failed says nothing of this one
      (outcome === 'failed' && answer.attempt !== pending.attempt)
    ) {
      return this.#context.count('regeneration_answers_dropped');
    }
    this.#context.count('regeneration_answers', 1, { outcome });
    if (outcome === 'failed') return this.#missed(user, asking, 'failed');
    this.#context.timers.cancel({ kind: 'deadline', key: user, due: pending.expiresAt, clock: 'wall' });
    asking.generatedAt = pending.askedAt;
    asking.validUntil = pending.validUntil;
    asking.generatedFrom = pending.profile;
    this.#settle(user, asking);
  }

  /** No answer came, or none that could be used: again after a pause, and at last not before a while. */
  #missed(user: string, asking: Asking, why: 'deadline' | 'failed'): void {
    const pending = asking.pending!;
    const { attempts, retryPause, retryAfter } = this.#options;
    this.#context.count('regeneration_missed', 1, { why });
    if (why === 'failed') {
      this.#context.timers.cancel({ kind: 'deadline', key: user, due: pending.expiresAt, clock: 'wall' });
    }
    pending.expiresAt = 0;
    if (pending.attempt >= attempts) {
      asking.notBefore = pending.askedAt + retryAfter;
      this.#context.count('regeneration_given_up');
      return this.#settle(user, asking);
    }
    pending.retryAt = Math.ceil(this.#context.now() + retryPause * 2 ** (pending.attempt - 1));
    pending.attempt++;
    this.#context.timers.set({ kind: 'retry', key: user, due: pending.retryAt, clock: 'wall' });
    this.#asking.put(user, asking);
  }

  /** The request is over; who was back when it was too old already is asked about now. */
  #settle(user: string, asking: Asking): void {
    const { visitAt } = asking;
    asking.pending = null;
    asking.visitAt = 0;
    this.#asking.put(user, asking);
    if (visitAt !== 0) this.#visited(user, asking, visitAt);
  }

  /** The forget timer: the user is gone, or was here since. */
  #outlive(user: string, asking: Asking): void {
    const due = this.#forgetAfter(Math.max(asking.newest, asking.erasedUntil));
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
    // only the cut-off stays, until events from before it cannot come any more; and the number of rounds, since others
    // take no round twice
    const streamTime = Math.max(this.#context.streamTime(), 0);
    const forgetAt = this.#forgetAfter(Math.max(until, streamTime, asking.newest));
    this.#context.timers.set({ kind: 'forget', key: user, due: forgetAt, clock: 'event' });
    this.#asking.put(user, { ...newAsking(), round: asking.round, erasedUntil: until, forgetAt });
    this.#context.count('users_erased');
  }

  /**
   * Whoever was there last at `time` is forgotten then. `newest` is exact to the day alone: within one it is kept only
   * together with something else. And not before the candidates are, with the number of their round: of two that begin to
   * count anew the later one would be refused.
   */
  #forgetAfter(time: number): number {
    const { spread, maxAge, userTtl } = this.#options;
    return (Math.floor(time / DAY) + 1) * DAY + spread + maxAge + userTtl;
  }

  #forget(user: string, asking: Asking): void {
    const { timers } = this.#context;
    const { dueAt, forgetAt, pending } = asking;
    if (dueAt !== 0) timers.cancel({ kind: 'due', key: user, due: dueAt, clock: 'event' });
    if (forgetAt !== 0) timers.cancel({ kind: 'forget', key: user, due: forgetAt, clock: 'event' });
    if (pending !== null) {
      const { place, expiresAt, retryAt } = pending;
      if (place !== null) this.#waiting.leave(user, place);
      if (expiresAt !== 0) timers.cancel({ kind: 'deadline', key: user, due: expiresAt, clock: 'wall' });
      if (retryAt !== 0) timers.cancel({ kind: 'retry', key: user, due: retryAt, clock: 'wall' });
    }
    this.#history.delete(user);
    this.#tags.delete(user);
  }
}

const isBehaviour = ({ event_type: type }: BehaviorEvent): boolean =>
  type === 'search' || type === 'click' || type === 'purchase';
