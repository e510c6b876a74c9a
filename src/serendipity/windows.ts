import { Calendar } from './calendar.ts';
import { decodeDay, decodeUser, encodeDay, encodeUser, shownOfDay } from './codec.ts';
import { countAction, countMark, countPage, uncountAction, uncountMark, uncountPage } from './counting.ts';
import { decide, windowAt, type Rules, type Verdict, type Window } from './definition-1.ts';
import type { Dictionary, ItemRow } from './dictionary.ts';
import type { ItemFacts } from './records.ts';
import { distinctItems, type BehaviorEvent, type BehaviorItem } from '../shop/behaviour.ts';
import { Past } from './past.ts';
import { rowsOf, shownRows } from './rows.ts';
import { contentOf, rememberedContent, typeNumber } from './same-id.ts';
import { Action, insertByTime, Mark, NOVEL_BRAND, NOVEL_CATEGORY, NOVEL_SELLER, Page, User } from './user.ts';
import type { ProcessorContext, Store, Table, Timer, Want } from '../stream/topology.ts';

const SIX_HOURS = 21_600_000;
const DAY = 86_400_000;

export interface WindowsOptions extends Rules {
  timeZone: string;
  /** ms of event time after which a user without events is forgotten */
  userTtl: number;
}

/**
 * What each user was validly shown on the last N days with visits, and may still be told: the state of Definition 1, of all
 * users of a task. It puts every event in its place by event time, in order or not, knows one that comes again, closes days,
 * forgets what no window can reach, and erases. A job that keeps windows extends it: the labeller says labels of what an
 * event changes, by the methods that do nothing here; who only wants to know how a user stands asks at the end of it.
 *
 * It needs the stores `today` (a User each) and `past` (a closed day each) and the table `catalog`.
 *
 * An erasure leaves a cut-off in the user's own entry, where every event looks anyway: who was never erased costs nothing.
 */
export class Windows {
  protected readonly context: ProcessorContext;
  protected readonly rules: WindowsOptions;
  protected readonly calendar: Calendar;
  protected readonly users: Store<User>;
  readonly #days: Store<Buffer>;
  readonly #catalog: Table<ItemFacts>;
  readonly #dictionary: () => Dictionary;
  readonly #verdict: Verdict = { bits: 0, categoryLastSeen: NaN };

  /** `dictionary` hands out the dictionary in use; the store's codec must decode with the same one. */
  constructor(context: ProcessorContext, rules: WindowsOptions, dictionary: () => Dictionary) {
    this.context = context;
    this.rules = rules;
    this.calendar = new Calendar(rules.timeZone);
    this.users = context.store('today');
    this.#days = context.store('past');
    this.#catalog = context.table('catalog');
    this.#dictionary = dictionary;
  }

  // ---------------------------------------------------------------------------------------------- what a job adds

  /** The user's newest event has moved on to `settled` + grace: what rests on what is about to be dropped is said now. */
  protected moves(_user: User, _settled: number): void {}

  /** An exposure event is in its place. */
  protected shown(user: User, page: Page, _late: boolean): void {
    this.counted(countPage(user, page));
  }

  /** One item of a click or purchase is in its place; `replaced`: those of an event whose place it took. */
  protected acted(user: User, action: Action, _late: boolean, _replaced: readonly Action[]): void {
    this.counted(countAction(user, action, false));
  }

  /** What is not earlier than `from` may have to be decided again. */
  protected changed(_user: User, _from: number): void {}

  /** An action was taken out for another content of its event. */
  protected takenBack(_user: User, _action: Action): void {}

  /** The user was written. */
  protected kept(user: User): void {
    for (const counts of user.counts) counts.changed = false;
  }

  /** All that is known of the user is about to go. */
  protected dropping(_user: User): void {}

  // ---------------------------------------------------------------------------------------------- events, timers, erasures

  /** A user's recent log; and, where the index over the past is not built yet, the closed days that the log names. */
  protected wantUser(key: string, want: Want): void {
    want('today', key);
    const user = this.users.peek(key);
    if (user === undefined || (user.past !== null && user.names === this.#dictionary())) return;
    for (const { slot } of user.segments) want('past', dayKey(key, slot));
  }

  /** Takes an event in. Null where it says nothing new: it came again, or is of before an erasure. */
  protected arrive(event: BehaviorEvent): User | null {
    const user = this.#load(event.user_id, event.event_time);
    const time = event.event_time;
    if (time <= user.erasedUntil) {
      this.context.count('erased_events');
      return null;
    }
    let from = time;
    let replaced: readonly Action[] = NONE;
    const before = user.find(event.event_id);
    if (before !== null) {
      if (!this.#replaces(user, event, before)) return null;
      from = Math.min(from, before.time);
      replaced = this.#remove(user, before);
      if (!user.visitDays.includes(before.day)) from = this.#earlierOfLaterDays(user, before.day, from);
    }
    const day = this.calendar.dayOf(time);
    const late = time < user.newest - this.rules.grace;
    if (late) this.context.count('late');
    if (user.openDay === -Infinity) user.openDay = this.calendar.lowestFrom(time - this.rules.grace);
    if (user.visit(day)) from = this.#earlierOfLaterDays(user, day, from);
    if (time > user.newest) {
      user.newest = time;
      this.moves(user, time - this.rules.grace);
      this.#advance(user);
    }
    this.#insert(user, event, day, late, replaced);
    if (!late) this.changed(user, from);
    if (user.forgetAt === 0) {
      user.forgetAt = user.newest + this.rules.userTtl;
      this.context.timers.set({ kind: 'forget', key: user.id, due: user.forgetAt, clock: 'event' });
    }
    this.keep(user);
    return user;
  }

  protected keep(user: User): void {
    this.users.put(user.id, user);
    this.kept(user);
  }

  /** The timer `forget`. */
  protected outlive(timer: Timer): void {
    const user = this.users.get(timer.key);
    if (user === undefined) return;
    const due = user.newest + this.rules.userTtl;
    if (due <= timer.due) return this.#forget(user);
    user.forgetAt = due;
    this.context.timers.set({ ...timer, due });
    this.users.put(user.id, user);
  }

  // ---------------------------------------------------------------------------------------------- loading a user

  #load(key: string, time: number): User {
    let user = this.users.get(key);
    if (user !== undefined && this.#outlived(user, time)) {
      this.#forget(user);
      user = undefined;
    }
    if (user === undefined) {
      user = new User(key, this.#dictionary());
      user.past = new Past();
      return user;
    }
    return this.#current(user);
  }

  /** The user with names of the dictionary in use, and with the index over the past. */
  #current(user: User): User {
    // a new dictionary has begun: the user's bytes hold names, so they move over through them
    if (user.names !== this.#dictionary()) user = decodeUser(encodeUser(user), this.#dictionary());
    this.ready(user);
    return user;
  }

  /**
   * Whether a user is forgotten before this event. A cut-off is kept until its timer is due by stream time, fired or not:
   * timers fire between batches, and what an event gives must not depend on where those were cut.
   */
  #outlived({ erasedUntil, forgetAt, newest }: User, time: number): boolean {
    const { userTtl } = this.rules;
    if (erasedUntil < 0) return time - newest > userTtl;
    return this.context.streamTime() >= Math.max(forgetAt, newest + userTtl);
  }

  /** Builds the index over the past of a user who has just come from disk. */
  protected ready(user: User): void {
    if (user.past !== null) return;
    user.past = new Past();
    if (user.empty) return;
    for (const { day, slot } of user.segments) {
      decodeDay(this.#days.get(dayKey(user.id, slot))!, day, user.names, user.past);
    }
    const settled = user.newest - this.rules.grace;
    const lowest = this.calendar.lowestFrom(settled);
    for (const page of user.pages) {
      page.odd = page.loose && this.#isOdd(page);
      if (!this.#settles(page, settled, lowest)) user.open.push(page);
      // the exposures of closed days are in their segments
      else if (page.day >= user.openDay || page.loose) user.settle(page);
    }
  }

  /**
   * All of a user goes but the time up to which events are dropped. That stays until none of them can come any more, as
   * long after the request as any user is remembered: stream time may still be far behind it, where a log is read anew.
   * False where that much was erased before.
   */
  protected erase(key: string, until: number): boolean {
    const user = this.users.get(key);
    if (user !== undefined) {
      if (until <= user.erasedUntil) return false;
      this.#drop(user);
    }
    const erased = new User(key, this.#dictionary());
    erased.past = new Past();
    erased.erasedUntil = until;
    erased.forgetAt = Math.max(until, this.context.streamTime(), user?.newest ?? 0) + this.rules.userTtl;
    this.context.timers.set({ kind: 'forget', key, due: erased.forgetAt, clock: 'event' });
    this.users.put(key, erased);
    this.context.count('users_erased');
    return true;
  }

  #forget(user: User): void {
    this.context.count('users_forgotten');
    this.#drop(user);
  }

  #drop(user: User): void {
    this.dropping(user);
    if (user.forgetAt > 0)
      this.context.timers.cancel({ kind: 'forget', key: user.id, due: user.forgetAt, clock: 'event' });
    for (const { slot } of user.segments) this.#days.delete(dayKey(user.id, slot));
    this.users.delete(user.id);
  }

  // ---------------------------------------------------------------------------------------------- time goes on

  /**
   * Whether an exposure can no longer be preceded by anything that counts, so that `Past` answers for it: it is out of
   * grace, and no window to come can end before its day.
   */
  #settles(page: Page, settled: number, lowest: number): boolean {
    return (
      !page.odd && page.time < settled && (this.rules.today === 'included' ? page.day <= lowest : page.day < lowest)
    );
  }

  #isOdd(page: Page): boolean {
    return this.calendar.lowestFrom(page.time) < page.day;
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
    const { grace, attributionWindow, visitDays } = this.rules;
    const settled = user.newest - grace;
    const lowest = this.calendar.lowestFrom(settled);
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
    if (!this.calendar.goesBack(settled)) return settled;
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

  #insert(user: User, event: BehaviorEvent, day: number, late: boolean, replaced: readonly Action[]): void {
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
      this.shown(user, page, late);
      if (late && !page.odd) user.settle(page);
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
        insertByTime(user.actions, action);
        this.acted(user, action, late, replaced);
      }
      return;
    }
    const mark = new Mark(typeNumber(type), time, day, id, request, scene, arm);
    this.counted(countMark(user, mark));
    insertByTime(user.marks, mark);
  }

  protected counted(reached: boolean): void {
    if (!reached) this.context.count('late_uncounted');
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
    if (last - first <= SIX_HOURS && Math.max(last, page.time) - first > SIX_HOURS) this.context.count('long_requests');
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
      this.context.count('repeats');
      return false;
    }
    this.context.count('conflicting_ids');
    const open = user.newest - this.rules.grace;
    return order < 0 && before.time >= open && event.event_time >= open;
  }

  /** Takes an event back; returns its actions. */
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
      this.takenBack(user, action);
    }
    // by the counts: the recent log may no longer hold the day's other events
    if (!user.counts.some((counts) => counts.day === day && counts.events > 0)) {
      user.visitDays = user.visitDays.filter((other) => other !== day);
    }
    return taken;
  }

  // ---------------------------------------------------------------------------------------------- how a user stands

  /** Names what the questions below read: the closed days too, for `shownSince`. */
  protected wantStanding(key: string, want: Want): void {
    want('today', key);
    for (const { slot } of this.users.peek(key)?.segments ?? []) want('past', dayKey(key, slot));
  }

  /** A user as known at `time`; null where nothing is, but perhaps an erasure. */
  protected known(key: string, time: number): User | null {
    const user = this.users.get(key);
    if (user === undefined || user.empty || this.#outlived(user, time)) return null;
    return this.#current(user);
  }

  /** Up to when the user's behaviour was erased; -1: nothing was. */
  protected erasedUntil(key: string): number {
    return this.users.get(key)?.erasedUntil ?? -1;
  }

  /**
   * The window of whatever would be shown at `time` or at the user's newest event, whichever is later. That day counts as
   * one with a visit, whether or not its visit has come yet.
   */
  protected windowOn(user: User | null, time: number, out: Window): Window {
    const day = this.calendar.dayOf(Math.max(time, user?.newest ?? -Infinity));
    return windowAt(user?.visitDays ?? [], day, this.rules, out);
  }

  /**
   * What of an item would be new to the user on that window, were it shown after all that is known, in a request of its
   * own. Good until the next answer.
   */
  protected novelty(user: User | null, window: Window, { category, brand, seller }: ItemFacts): Readonly<Verdict> {
    const verdict = this.#verdict;
    if (user === null) {
      verdict.bits =
        (category === null ? 0 : NOVEL_CATEGORY) |
        (brand === null ? 0 : NOVEL_BRAND) |
        (seller === null ? 0 : NOVEL_SELLER);
      verdict.categoryLastSeen = NaN;
      return verdict;
    }
    const { names } = user;
    const [c, b, s] = [names.known(category), names.known(brand), names.known(seller)];
    return decide(user, Infinity, null, window, c, b, s, verdict);
  }

  /** The items, as dictionary ids, that the user was validly shown on `day` or later. */
  protected shownSince(user: User, day: number): Set<number> {
    const items = new Set<number>();
    const see = (item: number) => void items.add(item);
    for (const page of user.pages) {
      if (page.day < day) continue;
      for (let row = 0; row < page.length; row++) see(page.item(row));
    }
    for (const segment of user.segments) {
      if (segment.day >= day) shownOfDay(this.#days.get(dayKey(user.id, segment.slot))!, user.names, see);
    }
    return items;
  }
}

const NONE: readonly Action[] = [];
const dayKey = (user: string, slot: number): string => `${user}#${slot}`;
/** Ids may hold anything, this sign too: what follows the user's must be a slot and nothing else. */
export const isDayOf = (user: string, key: string): boolean =>
  key.startsWith(`${user}#`) && /^\d+$/.test(key.slice(user.length + 1));
