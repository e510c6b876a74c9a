import { BRAND, CATEGORY, SELLER } from './past.ts';
import { NOVEL_BRAND, NOVEL_CATEGORY, NOVEL_SELLER, ROW, type Action, type Page, type User } from './user.ts';
import { compareIds } from '../shop/behaviour.ts';

/**
 * Definition 1 of the paper (Section 3): a serendipitous item is clicked, and its leaf category was not among the user's
 * valid exposures of the last N days with visits. And its online variant (Section 5.1.3), which asks the same of the
 * brand and of the seller. Pure functions over one user's state; contracts/definition-1.md closes the edges.
 */
export interface Rules {
  /** N: days with visits that a window holds */
  visitDays: number;
  /** whether the day of the exposure is one of the N, or the window ends the day before */
  today: 'included' | 'excluded';
  /** ms between an exposure and a click or purchase that may still be its */
  attributionWindow: number;
  /** ms of event time that an event may come behind the user's newest and still count in its place */
  grace: number;
}

/** The window of an exposure on `day`: calendar days [from, to], of which `count` are visit days. */
export interface Window {
  from: number;
  to: number;
  count: number;
}

/** `day` is a visit day of the user. With nothing in the window, from > to. */
export function windowOf(visitDays: readonly number[], day: number, rules: Rules, out: Window): Window {
  let i = visitDays.length - 1;
  while (i >= 0 && visitDays[i] > day) i--;
  if (i >= 0 && visitDays[i] === day && rules.today === 'excluded') i--;
  // i: the window's last visit day
  out.count = Math.min(rules.visitDays, i + 1);
  out.to = rules.today === 'excluded' ? day - 1 : day;
  out.from = out.count === 0 ? out.to + 1 : visitDays[i + 1 - out.count];
  return out;
}

/** The same for a day that becomes a visit day only by what is asked about, where it is none yet. */
export function windowAt(visitDays: readonly number[], day: number, rules: Rules, out: Window): Window {
  windowOf(visitDays, day, rules, out);
  if (rules.today === 'excluded') return out;
  let i = visitDays.length - 1;
  while (i >= 0 && visitDays[i] > day) i--;
  if (i >= 0 && visitDays[i] === day) return out;
  // the day itself, and so many before it
  const before = Math.min(rules.visitDays - 1, i + 1);
  out.count = before + 1;
  out.from = before === 0 ? day : visitDays[i + 1 - before];
  return out;
}

/** The answer to "was it seen?": the bits of what was not, and when the category was seen last (NaN: it was not). */
export interface Verdict {
  bits: number;
  categoryLastSeen: number;
}

/**
 * Decides an exposure at `time` in `request` (null: a request of its own) of a category, brand and seller (dictionary ids,
 * -1: null, which is never novel). What counts against it is earlier, of another request, and on a day in the window.
 */
export function decide(
  user: User,
  time: number,
  request: string | null,
  window: Window,
  category: number,
  brand: number,
  seller: number,
  out: Verdict,
): Verdict {
  const lastCategory = category < 0 ? NaN : lastSeen(user, time, request, window, category, CATEGORY);
  let bits = 0;
  if (category >= 0 && Number.isNaN(lastCategory)) bits |= NOVEL_CATEGORY;
  if (brand >= 0 && Number.isNaN(lastSeen(user, time, request, window, brand, BRAND))) bits |= NOVEL_BRAND;
  if (seller >= 0 && Number.isNaN(lastSeen(user, time, request, window, seller, SELLER))) bits |= NOVEL_SELLER;
  out.bits = bits;
  out.categoryLastSeen = lastCategory;
  return out;
}

/** Time of the newest valid exposure of the value before `time`, by another request, in the window; NaN: none. */
function lastSeen(user: User, time: number, request: string | null, window: Window, id: number, kind: number): number {
  // first what may still change, newest first; all that has settled is older than any of it
  const { open } = user;
  let odd = NaN;
  for (let i = open.length - 1; i >= 0; i--) {
    const page = open[i];
    if (page.time >= time || (request !== null && page.request === request)) continue;
    if (page.day > window.to || page.day < window.from) continue;
    const { rows } = page;
    for (let r = kind; r < rows.length; r += ROW) {
      if (rows[r] !== id) continue;
      if (!page.odd) return odd >= page.time ? odd : page.time;
      if (!(odd >= page.time)) odd = page.time;
      break;
    }
  }
  const past = user.past!.lastSeen(id * 4 + kind, time, request, window.from, window.to);
  return past >= odd || Number.isNaN(odd) ? past : odd;
}

/**
 * The valid exposure that a click or purchase belongs to: the latest within the attribution window, of its own request if
 * there is one, else of any; of two at the same millisecond the one with the greater event id. Sets action.page and .row;
 * returns how it was found.
 */
export function attribute(user: User, action: Action, rules: Rules): 'request' | 'item' | 'none' {
  const { pages } = user;
  const oldest = action.time - rules.attributionWindow;
  const wanted = action.purchase ? null : action.request;
  const item = user.names.id(action.item);
  let any: Page | null = null;
  let anyRow = 0;
  let own: Page | null = null;
  let ownRow = 0;
  for (let i = pages.length - 1; i >= 0; i--) {
    const page = pages[i];
    if (page.time > action.time) continue;
    if (page.time < oldest) break;
    if (own !== null && page.time < own.time) break;
    if (wanted === null && any !== null && page.time < any.time) break;
    const ofRequest = wanted !== null && page.request === wanted;
    if (!ofRequest && any !== null && page.time < any.time) continue;
    const row = page.rowOf(item);
    if (row < 0) continue;
    if (ofRequest && (own === null || compareIds(page.id, own.id) > 0)) {
      own = page;
      ownRow = row;
    }
    if (any === null || (page.time === any.time && compareIds(page.id, any.id) > 0)) {
      any = page;
      anyRow = row;
    }
  }
  action.page = own ?? any;
  action.row = own !== null ? ownRow : anyRow;
  return own !== null ? 'request' : any !== null ? 'item' : 'none';
}
