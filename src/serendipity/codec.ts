import { Reader, versionOf, Writer } from '../stream/bytes.ts';
import type { Dictionary, ItemRow } from './dictionary.ts';
import { BRAND, CATEGORY, SELLER, type Past } from './past.ts';
import { newRows } from './rows.ts';
import { Action, ITEM, Mark, Page, ROW, User, type DayCounts, type Said } from './user.ts';

/**
 * The bytes of a user's recent log (store `today`) and of a closed day (store `past`). Each begins with its version; a
 * reader of every older version stays. Names are written as they are: dictionary ids live in memory only.
 */
const USER_VERSION = 2;
/** Of a user of whom nothing was erased, which is nearly everybody: the bytes are what they were before there were cut-offs. */
const NEVER_ERASED = 1;
const DAY_VERSION = 2;
const writer = new Writer();
const itemRow: ItemRow = { item: -1, category: -1, brand: -1, seller: -1 };

// flags of a page
const SAME_REQUEST = 1; // as the page before: a request's pages follow each other
const SAME_SCENE = 2;
const SAME_ARM = 4;
const LOOSE = 8;
// flags of an action
const PURCHASE = 1;
const LATE = 2;
const WAITS = 4;
const WITHDRAWN = 8;
const SAID = 16;
// flags of an item, beside those of ItemTable: in a page, and in a closed day
const HAS_POSITION = 8;
const HAS_OTHER = 8;

export function encodeUser(user: User): Buffer {
  const w = writer;
  const { names } = user;
  if (user.erasedUntil < 0) {
    w.byte(NEVER_ERASED);
    w.text(user.id);
  } else {
    w.byte(USER_VERSION);
    w.text(user.id);
    w.uint(user.erasedUntil);
    w.byte(user.empty ? 0 : 1);
    if (user.empty) {
      w.uint(user.forgetAt);
      return w.take();
    }
  }
  w.uint(user.newest);
  w.int(user.openDay);
  w.byte(user.floor === -Infinity ? 0 : 1);
  if (user.floor !== -Infinity) w.int(user.floor);
  w.uint(user.forgetAt);
  w.uint(user.visitDays.length);
  let before = 0;
  for (const day of user.visitDays) {
    w.int(day - before);
    before = day;
  }
  w.uint(user.segments.length);
  for (const { day, slot } of user.segments) {
    w.int(user.openDay - day);
    w.uint(slot);
  }
  w.uint(user.counts.length);
  for (const c of user.counts) {
    w.int(user.openDay - c.day);
    w.optional(c.arm);
    for (const n of [
      c.revision + 1,
      c.events,
      c.exposures,
      c.sExposures,
      c.clicks,
      c.sClicks,
      c.purchases,
      c.sPurchases,
    ])
      w.uint(n);
  }
  const { pages } = user;
  w.uint(pages.length);
  for (let number = 0; number < pages.length; number++) {
    pages[number].number = number;
    encodePage(w, pages[number], number > 0 ? pages[number - 1] : null, names);
  }
  w.uint(user.actions.length);
  for (const a of user.actions) {
    const said = a.said;
    w.byte(
      (a.purchase ? PURCHASE : 0) |
        (a.late ? LATE : 0) |
        (a.waitsUntil > 0 ? WAITS : 0) |
        (a.withdrawn ? WITHDRAWN : 0) |
        (said !== null ? SAID : 0),
    );
    w.uint(a.time);
    w.int(user.openDay - a.day);
    w.text(a.id);
    w.text(a.item);
    w.optional(a.request);
    w.optional(a.scene);
    w.optional(a.arm);
    w.optional(names.name(a.category));
    w.optional(names.name(a.brand));
    w.optional(names.name(a.seller));
    w.byte(a.position === null ? 0 : 1);
    if (a.position !== null) w.int(a.position);
    if (a.waitsUntil > 0) w.double(a.waitsUntil);
    reference(w, pages, a.page, a.row);
    verdict(w, a.verdict, a.lastSeen, a.visitDays);
    w.uint(a.revision + 1);
    if (said !== null) {
      reference(w, pages, said.page, said.row);
      verdict(w, said.verdict, said.lastSeen, said.visitDays);
    }
    w.uint(a.counted === null ? 0 : user.counts.indexOf(a.counted) + 1);
    w.byte(a.countedRelated ? 1 : 0);
  }
  w.uint(user.marks.length);
  for (const m of user.marks) {
    w.byte(m.type);
    w.uint(m.time);
    w.int(user.openDay - m.day);
    w.text(m.id);
    w.optional(m.request);
    w.optional(m.scene);
    w.optional(m.arm);
  }
  return w.take();
}

function encodePage(w: Writer, page: Page, last: Page | null, names: Dictionary): void {
  const flags =
    (last !== null && last.request === page.request ? SAME_REQUEST : 0) |
    (last !== null && last.scene === page.scene ? SAME_SCENE : 0) |
    (last !== null && last.arm === page.arm ? SAME_ARM : 0) |
    (page.loose ? LOOSE : 0);
  w.byte(flags);
  if ((flags & SAME_REQUEST) === 0) w.optional(page.request);
  if ((flags & SAME_SCENE) === 0) w.optional(page.scene);
  if ((flags & SAME_ARM) === 0) w.optional(page.arm);
  w.uint(page.time);
  w.int(page.day);
  w.text(page.id);
  w.uint(page.length);
  const { rows } = page;
  for (let r = 0; r < rows.length; r += ROW) {
    const position = rows[r + 3];
    const has = Number.isNaN(position) ? 0 : HAS_POSITION;
    names.writeItem(w, rows[r + ITEM], rows[r], rows[r + 1], rows[r + 2], has);
    if (has) w.int(position);
  }
  w.uint(page.visitDays);
  for (let r = 0; r < rows.length; r += ROW) {
    // the verdict, and how long ago the category was seen
    const seen = rows[r + 5];
    if (Number.isNaN(seen)) w.byte(rows[r + 4]);
    else {
      w.byte(rows[r + 4] | 8);
      w.uint(page.time - seen);
    }
  }
}

/** 0: none; 1: an exposure that is no longer kept; else its number and row. */
function reference(w: Writer, pages: readonly Page[], page: Page | null, row: number): void {
  if (page === null) w.byte(0);
  else if (pages[page.number] !== page) w.byte(1);
  else {
    w.uint(page.number + 2);
    w.uint(row);
  }
}

function verdict(w: Writer, bits: number, lastSeen: number, visitDays: number): void {
  w.byte(bits | (Number.isNaN(lastSeen) ? 0 : 8));
  if (!Number.isNaN(lastSeen)) w.uint(lastSeen);
  w.uint(visitDays);
}

/** Stands for an exposure that was dropped because its window is over: the action on it is settled for good. */
const GONE = new Page(-Infinity, -Infinity, '', null, null, null, newRows(1));

export function decodeUser(bytes: Buffer, names: Dictionary): User {
  const r = new Reader(bytes);
  const found = versionOf(r, "a user's recent log", USER_VERSION);
  const user = new User(r.text(), names);
  if (found > NEVER_ERASED) {
    user.erasedUntil = r.uint();
    if (r.byte() === 0) {
      user.forgetAt = r.uint();
      return user;
    }
  }
  user.newest = r.uint();
  user.openDay = r.int();
  if (r.byte() === 1) user.floor = r.int();
  user.forgetAt = r.uint();
  let day = 0;
  for (let n = r.uint(); n > 0; n--) user.visitDays.push((day += r.int()));
  for (let n = r.uint(); n > 0; n--) user.segments.push({ day: user.openDay - r.int(), slot: r.uint() });
  for (let n = r.uint(); n > 0; n--) {
    const counts: DayCounts = {
      day: user.openDay - r.int(),
      arm: r.optional(),
      revision: r.uint() - 1,
      events: r.uint(),
      exposures: r.uint(),
      sExposures: r.uint(),
      clicks: r.uint(),
      sClicks: r.uint(),
      purchases: r.uint(),
      sPurchases: r.uint(),
      changed: false,
    };
    user.counts.push(counts);
  }
  let last: Page | null = null;
  for (let n = r.uint(); n > 0; n--) {
    const flags = r.byte();
    const request: string | null = flags & SAME_REQUEST ? last!.request : r.optional();
    const scene: string | null = flags & SAME_SCENE ? last!.scene : r.optional();
    const arm: string | null = flags & SAME_ARM ? last!.arm : r.optional();
    const page = decodePage(r, names, request, scene, arm);
    page.loose = (flags & LOOSE) !== 0;
    page.visitDays = r.uint();
    let related = 0;
    for (let row = 0; row < page.length; row++) {
      const bits = r.byte();
      page.decide(row, bits & 7, bits & 8 ? page.time - r.uint() : NaN);
      if (bits & 7) related++;
    }
    page.counted = user.counts.find((c) => c.day === page.day && c.arm === page.arm) ?? null;
    page.countedRelated = related;
    user.pages.push(page);
    last = page;
  }
  for (let n = r.uint(); n > 0; n--) {
    const flags = r.byte();
    const time = r.uint();
    const at = user.openDay - r.int();
    const action = new Action(
      (flags & PURCHASE) !== 0,
      time,
      at,
      r.text(),
      r.text(),
      r.optional(),
      r.optional(),
      r.optional(),
      names.id(r.optional()),
      names.id(r.optional()),
      names.id(r.optional()),
      r.byte() === 0 ? null : r.int(),
    );
    action.late = (flags & LATE) !== 0;
    if (flags & WAITS) {
      action.waitsUntil = r.double();
      action.timed = true;
      user.waiting++;
    }
    const of = decodeReference(r, user);
    action.page = of.page;
    action.row = of.row;
    const own = decodeVerdict(r);
    action.verdict = own.verdict;
    action.lastSeen = own.lastSeen;
    action.visitDays = own.visitDays;
    action.revision = r.uint() - 1;
    action.withdrawn = (flags & WITHDRAWN) !== 0;
    if (flags & SAID) action.said = { ...decodeReference(r, user), ...decodeVerdict(r) };
    const counted = r.uint();
    action.counted = counted === 0 ? null : user.counts[counted - 1];
    action.countedRelated = r.byte() === 1;
    user.actions.push(action);
  }
  for (let n = r.uint(); n > 0; n--) {
    const type = r.byte();
    const mark = new Mark(type, r.uint(), user.openDay - r.int(), r.text(), r.optional(), r.optional(), r.optional());
    mark.counted = user.counts.find((c) => c.day === mark.day && c.arm === mark.arm) ?? null;
    user.marks.push(mark);
  }
  return user;
}

function decodePage(
  r: Reader,
  names: Dictionary,
  request: string | null,
  scene: string | null,
  arm: string | null,
): Page {
  const time = r.uint();
  const day = r.int();
  const id = r.text();
  const n = r.uint();
  const rows = newRows(n);
  for (let i = 0, at = 0; i < n; i++, at += ROW) {
    const has = names.readItem(r, itemRow);
    rows[at] = itemRow.category;
    rows[at + 1] = itemRow.brand;
    rows[at + 2] = itemRow.seller;
    rows[at + ITEM] = itemRow.item;
    if (has) rows[at + 3] = r.int();
  }
  return new Page(time, day, id, request, scene, arm, rows);
}

function decodeReference(r: Reader, user: User): { page: Page | null; row: number } {
  const number = r.uint();
  if (number === 0) return { page: null, row: 0 };
  if (number === 1) return { page: GONE, row: 0 };
  return { page: user.pages[number - 2], row: r.uint() };
}

function decodeVerdict(r: Reader): Pick<Said, 'verdict' | 'lastSeen' | 'visitDays'> {
  const bits = r.byte();
  return { verdict: bits & 7, lastSeen: bits & 8 ? r.uint() : NaN, visitDays: r.uint() };
}

/**
 * A closed day of a user: for each item that was shown, with the names it was shown with, the newest exposure of that day
 * and the newest by another request, as references into the day's exposure events. Of a category, brand or seller the same
 * follows from its items'.
 */
export function encodeDay(pages: readonly Page[], names: Dictionary): Buffer {
  const shown = newestOfDay(pages);
  const w = writer;
  w.byte(DAY_VERSION);
  w.uint(pages.length);
  let time = 0;
  let request: string | null = null;
  for (const page of pages) {
    w.uint(page.time - time);
    time = page.time;
    if (page.request !== null && page.request === request) w.byte(2);
    else w.optional(page.request);
    request = page.request;
  }
  w.uint(shown.length);
  for (const { rows, at, newest, other } of shown) {
    names.writeItem(w, rows[at + ITEM], rows[at], rows[at + 1], rows[at + 2], other < 0 ? 0 : HAS_OTHER);
    w.uint(newest);
    if (other >= 0) w.uint(other);
  }
  return w.take();
}

/** An item of a day: a row that shows it, and the numbers of the pages that showed it last (-1: none). */
interface Shown {
  rows: readonly number[];
  at: number;
  newest: number;
  /** by another request than the newest */
  other: number;
}

let table = new Int32Array(256);

function newestOfDay(pages: readonly Page[]): Shown[] {
  let rows = 0;
  for (const page of pages) rows += page.length;
  let bits = 6;
  while (1 << bits < rows * 2) bits++;
  if (table.length < 1 << bits) table = new Int32Array(1 << bits);
  const mask = (1 << bits) - 1;
  table.fill(0, 0, 1 << bits);
  const all: Shown[] = [];
  for (let p = pages.length - 1; p >= 0; p--) {
    const page = pages[p];
    for (let r = 0; r < page.rows.length; r += ROW) {
      let at = Math.imul(page.rows[r + ITEM], 0x9e3779b1) >>> (32 - bits);
      while (table[at] !== 0 && !sameNames(all[table[at] - 1], page.rows, r)) at = (at + 1) & mask;
      if (table[at] === 0) {
        table[at] = all.push({ rows: page.rows, at: r, newest: p, other: -1 });
        continue;
      }
      const shown = all[table[at] - 1];
      if (shown.other >= 0 || shown.newest === p) continue;
      if (page.request === null || pages[shown.newest].request !== page.request) shown.other = p;
    }
  }
  return all;
}

const sameNames = ({ rows, at }: Shown, others: readonly number[], r: number): boolean =>
  rows[at + ITEM] === others[r + ITEM] &&
  rows[at] === others[r] &&
  rows[at + 1] === others[r + 1] &&
  rows[at + 2] === others[r + 2];

export function decodeDay(bytes: Buffer, day: number, names: Dictionary, into: Past): void {
  const r = new Reader(bytes);
  const found = versionOf(r, 'a closed day', DAY_VERSION);
  const pages: number[] = [];
  let time = 0;
  let request: string | null = null;
  for (let n = r.uint(); n > 0; n--) {
    time += r.uint();
    const mark = r.byte();
    if (mark !== 2) request = mark === 0 ? null : r.text();
    pages.push(into.addPage(time, day, request));
  }
  if (found === 1) return decodeValues(r, pages, names, into);
  for (let n = r.uint(); n > 0; n--) {
    const hasOther = names.readItem(r, itemRow) !== 0;
    const { category, brand, seller } = itemRow;
    const newest = pages[r.uint()];
    if (hasOther) into.seeItem(category, brand, seller, pages[r.uint()]);
    into.seeItem(category, brand, seller, newest);
  }
}

/** The items of a closed day, as dictionary ids. Of a day as version 1 wrote it, which did not say, there are none. */
export function shownOfDay(bytes: Buffer, names: Dictionary, see: (item: number) => void): void {
  const r = new Reader(bytes);
  if (versionOf(r, 'a closed day', DAY_VERSION) === 1) return;
  for (let n = r.uint(); n > 0; n--) {
    r.uint();
    if (r.byte() === 1) r.skipText();
  }
  for (let n = r.uint(); n > 0; n--) {
    const hasOther = names.readItem(r, itemRow) !== 0;
    see(itemRow.item);
    r.uint();
    if (hasOther) r.uint();
  }
}

/** Version 1 of a closed day had its values one by one, without the items. */
function decodeValues(r: Reader, pages: readonly number[], names: Dictionary, into: Past): void {
  for (const kind of [CATEGORY, BRAND, SELLER]) {
    for (let n = r.uint(); n > 0; n--) {
      const key = names.id(r.text()) * 4 + kind;
      const newest = r.uint();
      if (newest % 2 === 1) into.see(key, pages[r.uint()]);
      into.see(key, pages[Math.floor(newest / 2)]);
    }
  }
}
