import { Calendar } from './calendar.ts';
import {
  countAction,
  countMark,
  countPage,
  countRelated,
  uncountAction,
  uncountMark,
  uncountPage,
} from './counting.ts';
import { decodeDay, decodeUser, encodeDay, encodeUser } from './codec.ts';
import { attribute, decide, windowOf, type Rules, type Verdict, type Window } from './definition-1.ts';
import type { Dictionary, ItemRow } from './dictionary.ts';
import type { ItemFacts } from './records.ts';
import { distinctItems, type BehaviorEvent, type BehaviorItem } from '../shop/behaviour.ts';
import type { ErasureRequest } from '../shop/users.ts';
import { labelOf, userDayOf } from './outcome.ts';
import { Past } from './past.ts';
import { contentOf, rememberedContent, typeNumber } from './same-id.ts';
import { rowsOf, shownRows } from './rows.ts';
import { Action, insertByTime, Mark, Page, ROW, User, type Said } from './user.ts';
import type { Processor, ProcessorContext, Store, StreamRecord, Table, Timer, Want } from '../stream/topology.ts';

const SIX_HOURS = 21_600_000;
const DAY = 86_400_000;

export interface LabellerOptions extends Rules {
  timeZone: string;
  /** ms of event time after which a user without events is forgotten */
  userTtl: number;
}

/**
 * Labels serendipity over a user's events. One way through for every event, in order or not: put it in its place by event
 * time, then decide again all that is not earlier than it - which, for an event in order, is the event alone - and say what
 * has changed. An event later than grace is put in its place too, but only it is decided.
 *
 * An erasure leaves a cut-off in the user's own entry, where every event looks anyway: who was never erased costs nothing.
 */
export class Labeller implements Processor<BehaviorEvent | ErasureRequest> {
  readonly #context: ProcessorContext;
  readonly #rules: LabellerOptions;
  readonly #calendar: Calendar;
  readonly #users: Store<User>;
  readonly #days: Store<Buffer>;
  readonly #catalog: Table<ItemFacts>;
  readonly #dictionary: () => Dictionary;
  #changed = new Map<string, User>();
  readonly #window: Window = { from: 0, to: 0, count: 0 };
  readonly #verdict: Verdict = { bits: 0, categoryLastSeen: NaN };

  /** `dictionary` hands out the dictionary in use; the store's codec must decode with the same one. */
  constructor(context: ProcessorContext, rules: LabellerOptions, dictionary: () => Dictionary) {
    this.#context = context;
    this.#rules = rules;
    this.#calendar = new Calendar(rules.timeZone);
    this.#users = context.store('today');
    this.#days = context.store('past');
    this.#catalog = context.table('catalog');
    this.#dictionary = dictionary;
  }

  keys({ key }: StreamRecord<BehaviorEvent | ErasureRequest>, want: Want): void {
    this.#want(key, want);
  }

  timerKeys(timer: Timer, want: Want): void {
    this.#want(timer.key, want);
  }

  /** A user's recent log; and, where the index over the past is not built yet, the closed days that the log names. */
  #want(key: string, want: Want): void {
    want('today', key);
    const user = this.#users.peek(key);
    if (user === undefined || (user.past !== null && user.names === this.#dictionary())) return;
    for (const { slot } of user.segments) want('past', dayKey(key, slot));
  }

  process({ value }: StreamRecord<BehaviorEvent | ErasureRequest>): void {
    if ('event_type' in value) this.#event(value);
    else this.#erase(value.user_id, value.requested_at);
  }

  #event(event: BehaviorEvent): void {
    const user = this.#load(event.user_id, event.event_time);
    const time = event.event_time;
    if (time <= user.erasedUntil) return this.#context.count('erased_events');
    let from = time;
    let replaced: Action[] = [];
    const before = user.find(event.event_id);
    if (before !== null) {
      if (!this.#replaces(user, event, before)) return;
      from = Math.min(from, before.time);
      replaced = this.#remove(user, before);
      if (!user.visitDays.includes(before.day)) from = this.#earlierOfLaterDays(user, before.day, from);
    }
    const day = this.#calendar.dayOf(time);
    const late = time < user.newest - this.#rules.grace;
    if (late) this.#context.count('late');
    if (user.openDay === -Infinity) user.openDay = this.#calendar.lowestFrom(time - this.#rules.grace);
    if (user.visit(day)) from = this.#earlierOfLaterDays(user, day, from);
    if (time > user.newest) {
      user.newest = time;
      // before anything is dropped that a waiting click's label rests on
      if (user.waiting > 0) this.#stopWaiting(user, time - this.#rules.grace, -Infinity);
      this.#advance(user);
    }
    this.#insert(user, event, day, late, replaced);
    if (!late) this.#redo(user, from);
    if (user.forgetAt === 0) {
      user.forgetAt = user.newest + this.#rules.userTtl;
      this.#context.timers.set({ kind: 'forget', key: user.id, due: user.forgetAt, clock: 'event' });
    }
    this.#keep(user);
  }

  timer(timer: Timer): void {
    const user = this.#users.get(timer.key);
    if (user === undefined) return;
    if (timer.kind === 'forget') {
      const due = user.newest + this.#rules.userTtl;
      if (due <= timer.due) return this.#forget(user);
      user.forgetAt = due;
      this.#context.timers.set({ ...timer, due });
      this.#users.put(user.id, user);
      return;
    }
    if (user.waiting === 0) return;
    this.#ready(user);
    const { grace } = this.#rules;
    const streamTime = this.#context.streamTime();
    // a timer of event time that fires before its due says that the input has ended
    if (timer.clock === 'event' && streamTime < timer.due) this.#stopWaiting(user, Infinity, Infinity);
    else if (timer.clock === 'event') this.#stopWaiting(user, streamTime - grace, -Infinity);
    else this.#stopWaiting(user, -Infinity, this.#context.now());
    this.#keep(user);
  }

  /** One row for each user, day and arm that changed since the last commit. */
  flush(): void {
    for (const user of this.#changed.values()) this.#sayCounts(user);
    if (this.#changed.size > 0) this.#changed = new Map();
  }

  #sayCounts(user: User): void {
    for (const counts of user.counts) {
      if (!counts.changed) continue;
      counts.changed = false;
      counts.revision++;
      this.#context.forward('user-days', user.id, userDayOf(user, counts), user.newest);
    }
  }

  // ---------------------------------------------------------------------------------------------- loading a user

  #load(key: string, time: number): User {
    let user = this.#users.get(key);
    if (user !== undefined && this.#outlived(user, time)) {
      this.#forget(user);
      user = undefined;
    }
    if (user === undefined) {
      user = new User(key, this.#dictionary());
      user.past = new Past();
      return user;
    }
    // a new dictionary has begun: the user's bytes hold names, so they move over through them
    if (user.names !== this.#dictionary()) user = decodeUser(encodeUser(user), this.#dictionary());
    this.#ready(user);
    return user;
  }

  /**
   * Whether a user is forgotten before this event. A cut-off is kept until its timer is due by stream time, fired or not:
   * timers fire between batches, and what an event gives must not depend on where those were cut.
   */
  #outlived({ erasedUntil, forgetAt, newest }: User, time: number): boolean {
    const { userTtl } = this.#rules;
    if (erasedUntil < 0) return time - newest > userTtl;
    return this.#context.streamTime() >= Math.max(forgetAt, newest + userTtl);
  }

  /** Builds the index over the past of a user who has just come from disk. */
  #ready(user: User): void {
    if (user.past !== null) return;
    user.past = new Past();
    if (user.empty) return;
    for (const { day, slot } of user.segments) {
      decodeDay(this.#days.get(dayKey(user.id, slot))!, day, user.names, user.past);
    }
    const settled = user.newest - this.#rules.grace;
    const lowest = this.#calendar.lowestFrom(settled);
    for (const page of user.pages) {
      page.odd = page.loose && this.#isOdd(page);
      if (!this.#settles(page, settled, lowest)) user.open.push(page);
      // the exposures of closed days are in their segments
      else if (page.day >= user.openDay || page.loose) user.settle(page);
    }
  }

  #keep(user: User): void {
    this.#users.put(user.id, user);
    this.#changed.set(user.id, user);
  }

  /**
   * All of a user goes but the time up to which events are dropped. That stays until none of them can come any more, as
   * long after the request as any user is remembered: stream time may still be far behind it, where a log is read anew.
   */
  #erase(key: string, until: number): void {
    const user = this.#users.get(key);
    if (user !== undefined) {
      if (until <= user.erasedUntil) return;
      // what was counted since the last commit stays counted, as it does where a commit came in between
      this.#sayCounts(user);
      for (const action of user.actions) {
        if (action.timed) for (const timer of this.#waitTimers(user, action)) this.#context.timers.cancel(timer);
      }
      this.#drop(user);
    }
    const erased = new User(key, this.#dictionary());
    erased.past = new Past();
    erased.erasedUntil = until;
    erased.forgetAt = Math.max(until, this.#context.streamTime(), user?.newest ?? 0) + this.#rules.userTtl;
    this.#context.timers.set({ kind: 'forget', key, due: erased.forgetAt, clock: 'event' });
    this.#users.put(key, erased);
    this.#context.count('users_erased');
  }

  #forget(user: User): void {
    this.#context.count('users_forgotten');
    this.#drop(user);
  }

  #drop(user: User): void {
    if (user.forgetAt > 0)
      this.#context.timers.cancel({ kind: 'forget', key: user.id, due: user.forgetAt, clock: 'event' });
    for (const { slot } of user.segments) this.#days.delete(dayKey(user.id, slot));
    this.#users.delete(user.id);
    this.#changed.delete(user.id);
  }

  // ---------------------------------------------------------------------------------------------- time goes on

  /**
   * Whether an exposure can no longer be preceded by anything that counts, so that `Past` answers for it: it is out of
   * grace, and no window to come can end before its day.
   */
  #settles(page: Page, settled: number, lowest: number): boolean {
    return (
      !page.odd && page.time < settled && (this.#rules.today === 'included' ? page.day <= lowest : page.day < lowest)
    );
  }

  #isOdd(page: Page): boolean {
    return this.#calendar.lowestFrom(page.time) < page.day;
  }

  /** Where clocks go back over midnight, a day that turns out to be visited or not is in windows of earlier exposures too. */
  #earlierOfLaterDays(user: User, day: number, from: number): number {
    for (const list of [user.pages, user.actions]) {
      for (let i = list.length - 1; i >= 0 && list[i].time > from - DAY; i--)
        if (list[i].day > day) from = Math.min(from, list[i].time);
    }
    return from;
  }

  /** The user's newest event has moved on: settle, close days, drop what is out of reach. */
  #advance(user: User): void {
    const { grace, attributionWindow, visitDays } = this.#rules;
    const settled = user.newest - grace;
    const lowest = this.#calendar.lowestFrom(settled);
    const { pages } = user;
    if (user.open.length > 0 && user.open[0].time < settled) {
      user.open = user.open.filter((page) => {
        if (!this.#settles(page, settled, lowest)) return !page.odd || page.day >= user.floor;
        user.settle(page);
        return false;
      });
    }

    const horizon = this.#decidedBefore(user, settled, lowest) - attributionWindow;
    if (lowest > user.openDay) this.#closeDays(user, lowest, visitDays);
    if (pages.length > 0 && pages[0].time < horizon) {
      user.pages = pages.filter(
        (page) => page.time >= horizon || page.day >= user.openDay || (page.loose && page.day >= user.floor),
      );
    }
    if (user.actions.length > 0 && user.actions[0].time < horizon) {
      user.actions = user.actions.filter((action) => action.time >= horizon);
    }
    if (user.marks.length > 0 && user.marks[0].time < horizon)
      user.marks = user.marks.filter((mark) => mark.time >= horizon);
  }

  /**
   * What is earlier is decided for good: all that is out of grace, but where clocks go back over midnight. There the day
   * that comes again may yet turn out to be visited, and it is in the windows of what came before its second coming.
   */
  #decidedBefore(user: User, settled: number, lowest: number): number {
    if (!this.#calendar.goesBack(settled)) return settled;
    let from = settled;
    for (const list of [user.pages, user.actions]) {
      const later = list.find(({ day }) => day > lowest);
      if (later !== undefined && later.time < from) from = later.time;
    }
    return from;
  }

  #closeDays(user: User, today: number, n: number): void {
    // windows of days from `today` on reach back over n visit days before it
    const { visitDays } = user;
    let at = visitDays.length;
    while (at > 0 && visitDays[at - 1] >= today) at--;
    const spare = at - n - 1;
    if (spare > 0) {
      visitDays.splice(0, spare);
      user.floor = visitDays[0];
      user.counts = user.counts.filter((counts) => counts.day >= user.floor || counts.changed);
    }
    for (const segment of user.segments) if (segment.day < user.floor) this.#days.delete(dayKey(user.id, segment.slot));
    user.segments = user.segments.filter((segment) => segment.day >= user.floor);

    let slot = 0;
    for (const day of visitDays) {
      if (day < user.openDay || day >= today) continue;
      const shown = user.pages.filter((page) => page.day === day && !page.loose && page.length > 0);
      if (shown.length === 0) continue;
      while (user.segments.some((segment) => segment.slot === slot)) slot++;
      this.#days.put(dayKey(user.id, slot), encodeDay(shown, user.names));
      user.segments.push({ day, slot });
    }
    user.openDay = today;
    user.past!.purge(user.floor);
  }

  // ---------------------------------------------------------------------------------------------- one event

  /** The items as they count: nulls filled from the catalog, empty optional ids null. */
  #fill(items: readonly BehaviorItem[]): readonly BehaviorItem[] {
    let whole = true;
    for (const item of items) if (!item.category_id || !item.brand_id || !item.seller_id) whole = false;
    return whole ? items : items.map((item) => this.#filled(item));
  }

  #filled(item: BehaviorItem): BehaviorItem {
    const known = this.#catalog.get(item.item_id);
    const { category_id, brand_id, seller_id } = item;
    // not known there: nulls stay nulls, and nothing is copied
    if (known === undefined && category_id !== '' && brand_id !== '' && seller_id !== '') return item;
    return {
      ...item,
      category_id: category_id || known?.category || null,
      brand_id: brand_id || known?.brand || null,
      seller_id: seller_id || known?.seller || null,
    };
  }

  /** The same of a row. */
  readonly #fillRow = (row: ItemRow, names: Dictionary): void => {
    const known = this.#catalog.get(names.name(row.item)!);
    if (known === undefined) return;
    if (row.category < 0) row.category = names.id(known.category);
    if (row.brand < 0) row.brand = names.id(known.brand);
    if (row.seller < 0) row.seller = names.id(known.seller);
  };

  #insert(user: User, event: BehaviorEvent, day: number, late: boolean, replaced: Action[]): void {
    const { event_time: time, event_id: id, scene, arm, event_type: type } = event;
    const request = event.request_id || null;
    if (type === 'exposure') {
      const rows =
        shownRows(event.items, user.names, this.#fillRow) ?? rowsOf(this.#fill(distinctItems(event)), user.names);
      const page = new Page(time, day, id, request, scene, arm, rows);
      page.odd = this.#isOdd(page);
      page.loose = page.odd || day < user.openDay;
      if (request !== null) this.#watchLength(user, page);
      insertByTime(user.pages, page);
      this.#counted(countPage(user, page));
      if (late) {
        this.#decidePage(user, page);
        if (!page.odd) user.settle(page);
      }
      if (!late || page.odd) insertByTime(user.open, page);
      return;
    }
    if ((type === 'click' || type === 'purchase') && event.items.length > 0) {
      for (const item of this.#fill(distinctItems(event))) {
        const { names } = user;
        const action = new Action(
          type === 'purchase',
          time,
          day,
          id,
          item.item_id,
          request,
          scene,
          arm,
          names.id(item.category_id),
          names.id(item.brand_id),
          names.id(item.seller_id),
          item.position,
        );
        const before = replaced.find((other) => !other.purchase && other.item === action.item);
        if (before !== undefined) {
          // the same label under a new content: its revisions go on
          action.revision = before.revision;
          action.withdrawn = before.withdrawn;
          action.said = before.said;
        }
        insertByTime(user.actions, action);
        if (late) {
          action.late = true;
          this.#decideAction(user, action);
          this.#say(user, action);
        } else if (!action.purchase) {
          // until it is decided: it may wait
          action.waitsUntil = this.#context.now() + this.#rules.grace;
          user.waiting++;
        }
      }
      return;
    }
    const mark = new Mark(typeNumber(type), time, day, id, request, scene, arm);
    this.#counted(countMark(user, mark));
    insertByTime(user.marks, mark);
  }

  #counted(reached: boolean): void {
    if (!reached) this.#context.count('late_uncounted');
  }

  /** Counts a request once when its exposures come to span over six hours: a constant request_id makes everything novel. */
  #watchLength(user: User, page: Page): void {
    let first = page.time;
    let last = -Infinity;
    for (const other of user.pages) {
      if (other.request !== page.request) continue;
      if (other.time < first) first = other.time;
      if (other.time > last) last = other.time;
    }
    if (last - first <= SIX_HOURS && Math.max(last, page.time) - first > SIX_HOURS)
      this.#context.count('long_requests');
  }

  /** Decides again what is not earlier than `from`, in an order in which each rests on what is decided, and says it. */
  #redo(user: User, from: number): void {
    const { pages, actions } = user;
    let p = pages.length;
    while (p > 0 && pages[p - 1].time >= from) p--;
    for (; p < pages.length; p++) this.#decidePage(user, pages[p]);
    let a = actions.length;
    while (a > 0 && actions[a - 1].time >= from) a--;
    for (let i = a; i < actions.length; i++) this.#decideAction(user, actions[i]);
    for (let i = a; i < actions.length; i++) this.#say(user, actions[i]);
  }

  #decidePage(user: User, page: Page): void {
    const { rows, time, request } = page;
    const window = windowOf(user.visitDays, page.day, this.#rules, this.#window);
    page.visitDays = window.count;
    let related = 0;
    for (let r = 0, row = 0; r < rows.length; r += ROW, row++) {
      const verdict = decide(user, time, request, window, rows[r], rows[r + 1], rows[r + 2], this.#verdict);
      page.decide(row, verdict.bits, verdict.categoryLastSeen);
      if (verdict.bits !== 0) related++;
    }
    countRelated(page, related);
  }

  #decideAction(user: User, action: Action): void {
    if (action.page !== null && action.page.time === -Infinity) return; // its exposure's window is over: it stands
    const how = attribute(user, action, this.#rules);
    let related = false;
    if (how !== 'none') related = action.page!.verdict(action.row) !== 0;
    else if (!action.purchase) {
      const window = windowOf(user.visitDays, action.day, this.#rules, this.#window);
      const { bits, categoryLastSeen } = decide(
        user,
        action.time,
        action.request,
        window,
        action.category,
        action.brand,
        action.seller,
        this.#verdict,
      );
      action.verdict = bits;
      action.lastSeen = categoryLastSeen;
      action.visitDays = window.count;
      related = bits !== 0;
    }
    this.#counted(countAction(user, action, related));
    if (action.waitsUntil > 0 && (how === 'request' || (how === 'item' && action.request === null))) {
      this.#endWait(user, action);
    }
  }

  // ---------------------------------------------------------------------------------------------- what is said

  /** Says an action's label if it has one that was not said so; takes back one that no longer holds. */
  #say(user: User, action: Action): void {
    if (action.purchase) return;
    if (action.waitsUntil > 0) {
      this.#wait(user, action);
      return;
    }
    const stands = action.revision >= 0 && !action.withdrawn;
    if (action.page !== null && !this.#isFirst(user, action)) {
      if (stands) this.#emit(user, action, action.said!, true);
      else if (action.revision < 0) this.#context.count('further_clicks');
      return;
    }
    const { page, row } = action;
    const verdict = page === null ? action.verdict : page.verdict(row);
    const lastSeen = page === null ? action.lastSeen : page.lastSeen(row);
    const visitDays = page === null ? action.visitDays : page.visitDays;
    const { said } = action;
    if (
      stands &&
      said!.page === page &&
      (page === null || said!.row === row) &&
      said!.verdict === verdict &&
      Object.is(said!.lastSeen, lastSeen) &&
      said!.visitDays === visitDays
    ) {
      return;
    }
    this.#emit(user, action, { page, row, verdict, lastSeen, visitDays }, false);
  }

  /** The first click on an exposure makes the label; a late one only where none was made. */
  #isFirst(user: User, action: Action): boolean {
    for (const other of user.actions) {
      if (other === action || other.purchase || other.page !== action.page || other.row !== action.row) continue;
      const labelled = other.revision >= 0 && !other.withdrawn;
      if (action.late ? labelled : other.late ? labelled : other.before(action)) return false;
    }
    return true;
  }

  #emit(user: User, action: Action, said: Said, withdrawn: boolean): void {
    action.said = said;
    action.revision++;
    action.withdrawn = withdrawn;
    const label = labelOf(user, action, said);
    if (action.revision > 0) this.#context.count(withdrawn ? 'labels_withdrawn' : 'labels_revised');
    else
      this.#context.count('labels', 1, {
        outcome: label.unlabelled ?? (label.serendipitous ? 'serendipitous' : 'seen'),
      });
    this.#context.forward('labels', user.id, label, action.time);
  }

  #wait(user: User, action: Action): void {
    if (action.timed) return;
    action.timed = true;
    for (const timer of this.#waitTimers(user, action)) this.#context.timers.set(timer);
  }

  #endWait(user: User, action: Action): void {
    const { time, waitsUntil } = action;
    const timers = action.timed ? this.#waitTimers(user, action) : [];
    action.timed = false;
    action.waitsUntil = 0;
    user.waiting--;
    // items of one click share their timers
    if (timers.length === 0 || user.actions.some((a) => a.timed && a.time === time && a.waitsUntil === waitsUntil))
      return;
    for (const timer of timers) this.#context.timers.cancel(timer);
  }

  /** Waiting ends when event time passes the click's + grace, or the clock its arrival + grace, or a replay ends. */
  #waitTimers({ id: key }: User, action: Action): Timer[] {
    const timers: Timer[] = [
      { kind: 'wait', key, due: action.time + this.#rules.grace + 1, clock: 'event', atEnd: true },
    ];
    if (Number.isFinite(action.waitsUntil)) timers.push({ kind: 'wait', key, due: action.waitsUntil, clock: 'wall' });
    return timers;
  }

  /** Labels by the fallbacks what has waited long enough: clicks before `time`, or whose waiting ended by `now`. */
  #stopWaiting(user: User, time: number, now: number): void {
    for (const action of user.actions) {
      if (action.waitsUntil === 0 || !(action.time < time || action.waitsUntil <= now)) continue;
      this.#endWait(user, action);
      this.#say(user, action);
    }
  }

  // ---------------------------------------------------------------------------------------------- one id, two contents

  /**
   * Whether the event takes the place of an earlier one of its id: only where the contents differ, within grace, and by an
   * order of contents that does not depend on which came first.
   */
  #replaces(user: User, event: BehaviorEvent, before: Page | Action | Mark): boolean {
    const items = event.event_type === 'exposure' || event.event_type === 'click' || event.event_type === 'purchase';
    const arrived = contentOf({
      ...event,
      request_id: event.request_id || null,
      items: items ? this.#fill(distinctItems(event)) : [],
    });
    const known = contentOf(rememberedContent(user, before));
    const order = Buffer.compare(arrived, known);
    if (order === 0) {
      this.#context.count('repeats');
      return false;
    }
    this.#context.count('conflicting_ids');
    const open = user.newest - this.#rules.grace;
    return order < 0 && before.time >= open && event.event_time >= open;
  }

  /** Takes an event back; returns its actions, whose labels are withdrawn. */
  #remove(user: User, before: Page | Action | Mark): Action[] {
    const { id, day } = before;
    const taken: Action[] = [];
    user.pages = user.pages.filter((page) => {
      if (page.id !== id) return true;
      uncountPage(page);
      return false;
    });
    user.open = user.open.filter((page) => page.id !== id);
    user.marks = user.marks.filter((mark) => {
      if (mark.id !== id) return true;
      uncountMark(mark);
      return false;
    });
    user.actions = user.actions.filter((action) => {
      if (action.id !== id) return true;
      taken.push(action);
      return false;
    });
    for (const action of taken) {
      uncountAction(action);
      if (action.waitsUntil > 0) this.#endWait(user, action);
      if (action.revision >= 0 && !action.withdrawn) this.#emit(user, action, action.said!, true);
    }
    // by the counts: the recent log may no longer hold the day's other events
    if (!user.counts.some((counts) => counts.day === day && counts.events > 0)) {
      user.visitDays = user.visitDays.filter((other) => other !== day);
    }
    return taken;
  }
}

const dayKey = (user: string, slot: number): string => `${user}#${slot}`;
/** Ids may hold anything, this sign too: what follows the user's must be a slot and nothing else. */
export const isDayOf = (user: string, key: string): boolean =>
  key.startsWith(`${user}#`) && /^\d+$/.test(key.slice(user.length + 1));
