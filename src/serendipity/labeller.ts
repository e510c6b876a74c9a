import { countAction, countPage, countRelated } from './counting.ts';
import { attribute, decide, windowOf, type Verdict, type Window } from './definition-1.ts';
import type { BehaviorEvent } from '../shop/behaviour.ts';
import type { ErasureRequest } from '../shop/users.ts';
import { labelOf, userDayOf } from './outcome.ts';
import { ROW, type Action, type Page, type Said, type User } from './user.ts';
import { Windows, type WindowsOptions } from './windows.ts';
import type { Processor, StreamRecord, Timer, Want } from '../stream/topology.ts';

export type LabellerOptions = WindowsOptions;

/**
 * Labels serendipity over a user's events. One way through for every event, in order or not: put it in its place by event
 * time (`Windows`), then decide again all that is not earlier than it - which, for an event in order, is the event alone -
 * and say what has changed. An event later than grace is put in its place too, but only it is decided.
 */
export class Labeller extends Windows implements Processor<BehaviorEvent | ErasureRequest> {
  #unsaid = new Map<string, User>();
  readonly #window: Window = { from: 0, to: 0, count: 0 };
  readonly #verdict: Verdict = { bits: 0, categoryLastSeen: NaN };

  keys({ key }: StreamRecord<BehaviorEvent | ErasureRequest>, want: Want): void {
    this.wantUser(key, want);
  }

  timerKeys(timer: Timer, want: Want): void {
    this.wantUser(timer.key, want);
  }

  process({ value }: StreamRecord<BehaviorEvent | ErasureRequest>): void {
    if ('event_type' in value) this.arrive(value);
    else this.erase(value.user_id, value.requested_at);
  }

  timer(timer: Timer): void {
    if (timer.kind === 'forget') return this.outlive(timer);
    const user = this.users.get(timer.key);
    if (user === undefined || user.waiting === 0) return;
    this.ready(user);
    const { grace } = this.rules;
    const streamTime = this.context.streamTime();
    // a timer of event time that fires before its due says that the input has ended
    if (timer.clock === 'event' && streamTime < timer.due) this.#stopWaiting(user, Infinity, Infinity);
    else if (timer.clock === 'event') this.#stopWaiting(user, streamTime - grace, -Infinity);
    else this.#stopWaiting(user, -Infinity, this.context.now());
    this.keep(user);
  }

  /** One row for each user, day and arm that changed since the last commit. */
  flush(): void {
    for (const user of this.#unsaid.values()) this.#sayCounts(user);
    if (this.#unsaid.size > 0) this.#unsaid = new Map();
  }

  #sayCounts(user: User): void {
    for (const counts of user.counts) {
      if (!counts.changed) continue;
      counts.changed = false;
      counts.revision++;
      this.context.forward('user-days', user.id, userDayOf(user, counts), user.newest);
    }
  }

  // ---------------------------------------------------------------------------------------------- what a window's change means

  protected override kept(user: User): void {
    this.#unsaid.set(user.id, user);
  }

  protected override dropping(user: User): void {
    this.#unsaid.delete(user.id);
  }

  protected override erase(key: string, until: number): boolean {
    const user = this.users.get(key);
    if (user !== undefined && until > user.erasedUntil) {
      // what was counted since the last commit stays counted, as it does where a commit came in between
      this.#sayCounts(user);
      for (const action of user.actions) {
        if (action.timed) for (const timer of this.#waitTimers(user, action)) this.context.timers.cancel(timer);
      }
    }
    return super.erase(key, until);
  }

  protected override moves(user: User, settled: number): void {
    // before anything is dropped that a waiting click's label rests on
    if (user.waiting > 0) this.#stopWaiting(user, settled, -Infinity);
  }

  protected override shown(user: User, page: Page, late: boolean): void {
    this.counted(countPage(user, page));
    if (late) this.#decidePage(user, page);
  }

  protected override acted(user: User, action: Action, late: boolean, replaced: readonly Action[]): void {
    const before = replaced.find((other) => !other.purchase && other.item === action.item);
    if (before !== undefined) {
      // the same label under a new content: its revisions go on
      action.revision = before.revision;
      action.withdrawn = before.withdrawn;
      action.said = before.said;
    }
    if (late) {
      action.late = true;
      this.#decideAction(user, action);
      this.#say(user, action);
    } else if (!action.purchase) {
      // until it is decided: it may wait
      action.waitsUntil = this.context.now() + this.rules.grace;
      user.waiting++;
    }
  }

  protected override takenBack(user: User, action: Action): void {
    if (action.waitsUntil > 0) this.#endWait(user, action);
    if (action.revision >= 0 && !action.withdrawn) this.#emit(user, action, action.said!, true);
  }

  // ---------------------------------------------------------------------------------------------- decisions

  /** Decides again what is not earlier than `from`, in an order in which each rests on what is decided, and says it. */
  protected override changed(user: User, from: number): void {
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
    const window = windowOf(user.visitDays, page.day, this.rules, this.#window);
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
    const how = attribute(user, action, this.rules);
    let related = false;
    if (how !== 'none') related = action.page!.verdict(action.row) !== 0;
    else if (!action.purchase) {
      const window = windowOf(user.visitDays, action.day, this.rules, this.#window);
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
    this.counted(countAction(user, action, related));
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
      else if (action.revision < 0) this.context.count('further_clicks');
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
    if (action.revision > 0) this.context.count(withdrawn ? 'labels_withdrawn' : 'labels_revised');
    else
      this.context.count('labels', 1, {
        outcome: label.unlabelled ?? (label.serendipitous ? 'serendipitous' : 'seen'),
      });
    this.context.forward('labels', user.id, label, action.time);
  }

  #wait(user: User, action: Action): void {
    if (action.timed) return;
    action.timed = true;
    for (const timer of this.#waitTimers(user, action)) this.context.timers.set(timer);
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
    for (const timer of timers) this.context.timers.cancel(timer);
  }

  /** Waiting ends when event time passes the click's + grace, or the clock its arrival + grace, or a replay ends. */
  #waitTimers({ id: key }: User, action: Action): Timer[] {
    const timers: Timer[] = [
      { kind: 'wait', key, due: action.time + this.rules.grace + 1, clock: 'event', atEnd: true },
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
}
