import type { Window } from '../../serendipity/definition-1.ts';
import type { Dictionary } from '../../serendipity/dictionary.ts';
import { NOVEL_BRAND, NOVEL_CATEGORY, NOVEL_SELLER, type Page, type User } from '../../serendipity/user.ts';
import { Windows } from '../../serendipity/windows.ts';
import type { RetrievedItems } from '../../serengpt/records.ts';
import { distinctItems, type BehaviorEvent } from '../../shop/behaviour.ts';
import type { ErasureRequest } from '../../shop/users.ts';
import type { Processor, ProcessorContext, Store, StreamRecord, Table, Timer, Want } from '../../stream/topology.ts';
import type { Candidate, UserCandidates } from '../records.ts';
import { Bought } from './bought.ts';
import { Kept } from './kept.ts';
import type { CandidatesOptions } from './options.ts';
import { countsOf, sift, type Rule, type SoldItem } from './rules.ts';

type Incoming = BehaviorEvent | RetrievedItems | ErasureRequest;

const NOBODY: ReadonlySet<number> = new Set();

/**
 * The window filter of the channel (paper, 4.4.1): turns what was retrieved for a user into the one list of candidates, by
 * the user's Definition 1 window as this topology itself knows it.
 *
 * An answer is judged as of the user's newest event, or of the visit that asked where that has not come in yet. From then on
 * what is new of a candidate can only be lost: the list shrinks by what the user sees and buys, until it expires or the next
 * answer takes its place. All of that is decided at the event, so that it does not hang on where batches were cut; only the
 * saying waits for the end of the micro-batch.
 */
export class CandidateFilter extends Windows implements Processor<Incoming> {
  readonly #options: CandidatesOptions;
  readonly #lists: Store<Kept>;
  readonly #bought: Store<Bought>;
  readonly #sold: Table<SoldItem>;
  /** lists that something has left since they were said, as the last event that took something left them */
  #unsaid = new Map<string, { kept: Kept; list: UserCandidates; time: number }>();
  /** the exposures of the event that is being taken in */
  #page: Page | null = null;
  readonly #window: Window = { from: 0, to: 0, count: 0 };
  readonly #before: Window = { from: 0, to: 0, count: 0 };

  constructor(context: ProcessorContext, options: CandidatesOptions, dictionary: () => Dictionary) {
    super(context, options, dictionary);
    this.#options = options;
    this.#lists = context.store('lists');
    this.#bought = context.store('bought');
    this.#sold = context.table('catalog');
  }

  keys({ key, value }: StreamRecord<Incoming>, want: Want): void {
    this.wantUser(key, want);
    want('lists', key);
    if ('event_type' in value) {
      if (value.event_type === 'purchase') want('bought', key);
    } else if ('outcome' in value) {
      this.wantStanding(key, want);
      want('bought', key);
    }
  }

  timerKeys({ kind, key }: Timer, want: Want): void {
    want('lists', key);
    if (kind === 'forget') this.wantUser(key, want);
  }

  process({ key, value }: StreamRecord<Incoming>): void {
    if ('event_type' in value) this.#event(value);
    else if ('outcome' in value) this.#answer(key, value);
    else this.erase(key, value.requested_at);
  }

  timer(timer: Timer): void {
    if (timer.kind === 'forget') return this.outlive(timer);
    const { key, due } = timer;
    const kept = this.#lists.get(key);
    if (kept === undefined || endOf(kept) !== due) return;
    if (kept.list === null) return this.#lists.delete(key);
    kept.list = null;
    this.#lists.put(key, kept);
    this.context.timers.set(ending(key, kept));
    this.#unsaid.delete(key);
    this.context.forward('candidates', key, null, due);
    this.context.count('candidate_lists_expired');
  }

  /** One record for each list that something has left. */
  flush(): void {
    for (const [user, { kept, list, time }] of this.#unsaid) {
      list.revision = ++kept.list!.revision;
      this.#lists.put(user, kept);
      this.context.forward('candidates', user, list, time);
    }
    if (this.#unsaid.size > 0) this.#unsaid = new Map();
  }

  // ---------------------------------------------------------------------------------------------- an answer

  #answer(user: string, answer: RetrievedItems): void {
    const kept = this.#lists.get(user);
    const refused = this.#refusal(user, kept, answer);
    if (refused !== null) return this.context.count('candidate_answers', 1, { outcome: refused });
    const list = this.#listOf(user, answer);
    if (kept !== undefined) this.context.timers.cancel(ending(user, kept));
    this.#unsaid.delete(user);
    const accepted = new Kept(answer.round, list.expires_at + this.#options.userTtl, list);
    this.#lists.put(user, accepted);
    this.context.timers.set(ending(user, accepted));
    this.context.forward('candidates', user, copyOf(list), answer.asked_at);
    this.context.count('candidate_answers', 1, { outcome: list.candidates.length === 0 ? 'empty' : 'accepted' });
    this.context.count('candidates', list.candidates.length);
    for (const { rule, count } of list.left_out) this.context.count('candidates_left_out', count, { rule });
  }

  /** Why an answer does not count; null where it does. A worker that repeats itself or comes late changes nothing. */
  #refusal(user: string, kept: Kept | undefined, answer: RetrievedItems): string | null {
    if (answer.outcome === 'failed') return 'failed';
    if (answer.asked_at <= this.erasedUntil(user)) return 'erased';
    const streamTime = this.context.streamTime();
    if (answer.valid_until <= streamTime) return 'expired';
    if (kept !== undefined && kept.until > streamTime && answer.round <= kept.round) return 'old_round';
    return null;
  }

  #listOf(id: string, answer: RetrievedItems): UserCandidates {
    const user = this.known(id, answer.asked_at);
    const window = this.windowOn(user, answer.asked_at, this.#window);
    const shown = user === null ? NOBODY : this.shownSince(user, window.from);
    const bought = this.#bought.get(id);
    const boughtSince = this.#boughtSince(user, answer.asked_at);
    const { candidates, leftOut } = sift(
      answer.items,
      {
        sold: (item) => this.#sold.get(item),
        bought: (item) => bought?.since(item, boughtSince) === true,
        shown: (item) => user !== null && shown.has(user.names.known(item)),
        novelty: (facts) => this.novelty(user, window, facts),
      },
      this.#options,
    );
    return {
      user_id: id,
      request_id: answer.request_id,
      round: answer.round,
      revision: 0,
      asked_at: answer.asked_at,
      generated_at: answer.generated_at,
      expires_at: answer.valid_until,
      model: answer.model,
      prompt_version: answer.prompt_version,
      retriever: answer.retriever,
      ranker: answer.ranker,
      candidates,
      left_out: leftOut,
    };
  }

  // ---------------------------------------------------------------------------------------------- an event

  #event(event: BehaviorEvent): void {
    const { user_id: id, event_type: type } = event;
    const live = this.#live(id);
    if (live !== null) this.windowOn(this.users.get(id) ?? null, live.asked_at, this.#before);
    this.#page = null;
    const user = this.arrive(event);
    if (user === null) return;
    const bought = type === 'purchase' ? this.#buy(user, event) : [];
    // the event may have said that the user was forgotten, and the list with it
    const list = live === null ? null : this.#live(id);
    if (list === null || list.candidates.length === 0) return;
    const kept = this.#lists.get(id)!;
    const window = this.windowOn(user, list.asked_at, this.#window);
    const page = this.#page as Page | null;
    const shown = page !== null && page.day >= window.from && kept.touchedBy(page.rows, user.names) ? page : null;
    // days that were not in the window before: what was shown on them begins to count
    const wider = window.to > this.#before.to || window.from < this.#before.from;
    const since = this.#boughtSince(user, list.asked_at);
    const left = bought.length > 0 && event.event_time > since ? new Set(bought) : null;
    if (shown !== null || wider || left !== null) this.#look(user, kept, window, shown, left);
  }

  protected override shown(user: User, page: Page, late: boolean): void {
    super.shown(user, page, late);
    this.#page = page;
  }

  /** The list that is to be followed, if there is one. */
  #live(user: string): UserCandidates | null {
    if (!this.#options.follow) return null;
    const list = this.#lists.get(user)?.list ?? null;
    return list !== null && list.expires_at > this.context.streamTime() ? list : null;
  }

  /** Remembers what was bought; returns the items. */
  #buy(user: User, event: BehaviorEvent): string[] {
    const bought = this.#bought.get(user.id) ?? new Bought();
    const items = distinctItems(event).map(({ item_id }) => item_id);
    let changed = false;
    for (const item of items) if (bought.add(item, event.event_time)) changed = true;
    if (changed) {
      bought.trim(user.newest - this.#options.boughtFor, this.#options);
      this.#bought.put(user.id, bought);
    }
    return items;
  }

  #boughtSince(user: User | null, askedAt: number): number {
    return Math.max(askedAt, user?.newest ?? -Infinity) - this.#options.boughtFor;
  }

  /** Looks through a list again: takes out what was bought or shown just now, and what nothing is new of any more. */
  #look(user: User, kept: Kept, window: Window, page: Page | null, bought: ReadonlySet<string> | null): void {
    const list = kept.list!;
    const left = new Map<string, number>();
    let changed = false;
    const stay = list.candidates.filter((candidate) => {
      const rule = ruleOf(candidate, bought, page, user);
      if (rule === null) {
        const { bits, categoryLastSeen } = this.novelty(user, window, {
          category: candidate.category_id,
          brand: candidate.brand_id,
          seller: candidate.seller_id,
        });
        if (lose(candidate, bits, categoryLastSeen)) changed = true;
        if (candidate.novel_category || candidate.novel_brand || candidate.novel_seller) return true;
      }
      const by = rule ?? 'not_related';
      left.set(by, (left.get(by) ?? 0) + 1);
      return false;
    });
    if (!changed && left.size === 0) return;
    list.candidates = stay;
    kept.forgetWatched();
    this.#lists.put(user.id, kept);
    if (left.size === 0) return;
    for (const [rule, count] of left) this.context.count('candidates_taken_out', count, { rule });
    for (const { rule, count } of list.left_out) left.set(rule, (left.get(rule) ?? 0) + count);
    list.left_out = countsOf(left);
    this.#unsaid.set(user.id, { kept, list: copyOf(list), time: user.newest });
  }

  // ---------------------------------------------------------------------------------------------- the end of a list

  protected override erase(user: string, until: number): boolean {
    if (until <= this.erasedUntil(user)) return false;
    this.#clear(user);
    // what compaction keeps is to go too, whether or not there was any
    this.context.forward('candidates', user, null, until);
    return super.erase(user, until);
  }

  /** The user was not here for so long that nothing is remembered. */
  protected override dropping({ id, newest }: User): void {
    if (this.#clear(id)) this.context.forward('candidates', id, null, newest);
  }

  /** True where there was a list. */
  #clear(user: string): boolean {
    const kept = this.#lists.get(user);
    if (kept !== undefined) this.context.timers.cancel(ending(user, kept));
    this.#unsaid.delete(user);
    this.#lists.delete(user);
    this.#bought.delete(user);
    return kept?.list != null;
  }
}

/** A list ends at its time; what is remembered of it, later. */
const endOf = ({ list, until }: Kept): number => list?.expires_at ?? until;
const ending = (key: string, kept: Kept): Timer => ({ kind: 'expire', key, due: endOf(kept), clock: 'event' });

/** Candidates go on to lose what is new of them before the record is written. */
const copyOf = (list: UserCandidates): UserCandidates => ({
  ...list,
  candidates: list.candidates.map((one) => ({ ...one })),
});

function ruleOf({ item_id }: Candidate, bought: ReadonlySet<string> | null, page: Page | null, { names }: User) {
  if (bought?.has(item_id) === true) return 'bought' satisfies Rule;
  return page !== null && page.rowOf(names.known(item_id)) >= 0 ? ('shown' satisfies Rule) : null;
}

/** What is new of a candidate is only ever lost. True where something has changed. */
function lose(candidate: Candidate, bits: number, lastSeen: number): boolean {
  const category = candidate.novel_category && (bits & NOVEL_CATEGORY) !== 0;
  const brand = candidate.novel_brand && (bits & NOVEL_BRAND) !== 0;
  const seller = candidate.novel_seller && (bits & NOVEL_SELLER) !== 0;
  const seen = Number.isNaN(lastSeen) ? candidate.category_last_seen : lastSeen;
  const changed =
    category !== candidate.novel_category ||
    brand !== candidate.novel_brand ||
    seller !== candidate.novel_seller ||
    seen !== candidate.category_last_seen;
  candidate.novel_category = category;
  candidate.novel_brand = brand;
  candidate.novel_seller = seller;
  candidate.category_last_seen = seen;
  return changed;
}
