import type { Past } from './past.ts';
import { compareIds, hashId } from '../shop/behaviour.ts';
import type { Dictionary } from './dictionary.ts';

/** Bits of a verdict on an exposure. */
export const NOVEL_CATEGORY = 1;
export const NOVEL_BRAND = 2;
export const NOVEL_SELLER = 4;

/** A row of a page: [category, brand, seller, position, verdict, category last seen, item]; names are dictionary ids. */
export const ROW = 7;
export const POSITION = 3;
export const VERDICT = 4;
const LAST_SEEN = 5;
export const ITEM = 6;

/** One exposure event: its valid exposures and the verdict on each. */
export class Page {
  readonly time: number;
  readonly day: number;
  readonly id: string;
  readonly hash: number;
  readonly request: string | null;
  readonly scene: string | null;
  readonly arm: string | null;
  readonly rows: number[];
  /** visit days in its window */
  visitDays = 0;
  /** came after its day was closed: no day segment holds it, so the recent log keeps it while its day is in reach */
  loose = false;
  /** an earlier day comes after it (clocks went back over midnight): it never joins `Past`, whose order is that of time */
  odd = false;
  counted: DayCounts | null = null;
  countedRelated = 0;
  /** its place among the user's pages when they were last encoded */
  number = 0;

  constructor(
    time: number,
    day: number,
    id: string,
    request: string | null,
    scene: string | null,
    arm: string | null,
    rows: number[],
  ) {
    this.time = time;
    this.day = day;
    this.id = id;
    this.hash = hashId(id);
    this.request = request;
    this.scene = scene;
    this.arm = arm;
    this.rows = rows;
  }

  /** Valid exposures. */
  get length(): number {
    return this.rows.length / ROW;
  }

  item(row: number): number {
    return this.rows[row * ROW + ITEM];
  }

  /** The row of an item (a dictionary id); -1 where it was not shown. */
  rowOf(item: number): number {
    const { rows } = this;
    for (let r = ITEM; r < rows.length; r += ROW) if (rows[r] === item) return (r - ITEM) / ROW;
    return -1;
  }

  /** Dictionary ids of a row's category, brand and seller. */
  ids(row: number): [number, number, number] {
    const at = row * ROW;
    return [this.rows[at], this.rows[at + 1], this.rows[at + 2]];
  }

  position(row: number): number | null {
    const position = this.rows[row * ROW + POSITION];
    return Number.isNaN(position) ? null : position;
  }

  verdict(row: number): number {
    return this.rows[row * ROW + VERDICT];
  }

  /** NaN where it was not seen */
  lastSeen(row: number): number {
    return this.rows[row * ROW + LAST_SEEN];
  }

  decide(row: number, verdict: number, lastSeen: number): void {
    this.rows[row * ROW + VERDICT] = verdict;
    this.rows[row * ROW + LAST_SEEN] = lastSeen;
  }
}

/** One item of a click or of a purchase. */
export class Action {
  readonly purchase: boolean;
  readonly time: number;
  readonly day: number;
  readonly id: string;
  readonly hash: number;
  readonly item: string;
  readonly request: string | null;
  readonly scene: string | null;
  readonly arm: string | null;
  readonly category: number;
  readonly brand: number;
  readonly seller: number;
  readonly position: number | null;
  /** came later than grace: it changes nothing that was said */
  late = false;
  /** wall-clock time until which it waits for its exposure; 0: it does not wait (any more) */
  waitsUntil = 0;
  /** timers are set for the end of its waiting */
  timed = false;
  /** attributed exposure, if any */
  page: Page | null = null;
  row = 0;
  /** the decision by its own fields, where there is no exposure */
  verdict = 0;
  lastSeen = NaN;
  visitDays = 0;
  /** the label as it was last said: -1 never */
  revision = -1;
  withdrawn = false;
  said: Said | null = null;
  counted: DayCounts | null = null;
  countedRelated = false;

  constructor(
    purchase: boolean,
    time: number,
    day: number,
    id: string,
    item: string,
    request: string | null,
    scene: string | null,
    arm: string | null,
    category: number,
    brand: number,
    seller: number,
    position: number | null,
  ) {
    this.purchase = purchase;
    this.time = time;
    this.day = day;
    this.id = id;
    this.hash = hashId(id);
    this.item = item;
    this.request = request;
    this.scene = scene;
    this.arm = arm;
    this.category = category;
    this.brand = brand;
    this.seller = seller;
    this.position = position;
  }

  /** Contract: the first click is the one of least time, then of least event id. */
  before(other: Action): boolean {
    return this.time !== other.time ? this.time < other.time : compareIds(this.id, other.id) < 0;
  }
}

/** What a label was said from: enough to see whether it would be said differently now, and to say it again. */
export interface Said {
  page: Page | null;
  row: number;
  verdict: number;
  lastSeen: number;
  visitDays: number;
}

/** A visit, a search, or an event without items: remembered so that it counts once. */
export class Mark {
  readonly time: number;
  readonly day: number;
  readonly id: string;
  readonly hash: number;
  readonly type: number;
  readonly request: string | null;
  readonly scene: string | null;
  readonly arm: string | null;
  counted: DayCounts | null = null;

  constructor(
    type: number,
    time: number,
    day: number,
    id: string,
    request: string | null,
    scene: string | null,
    arm: string | null,
  ) {
    this.type = type;
    this.time = time;
    this.day = day;
    this.id = id;
    this.hash = hashId(id);
    this.request = request;
    this.scene = scene;
    this.arm = arm;
  }
}

/** A user's counts of one day and arm. */
export interface DayCounts {
  day: number;
  arm: string | null;
  revision: number;
  events: number;
  exposures: number;
  sExposures: number;
  clicks: number;
  sClicks: number;
  purchases: number;
  sPurchases: number;
  changed: boolean;
}

/** A closed day whose exposures are kept in the store `past` under `<user>#<slot>`. */
export interface Segment {
  day: number;
  slot: number;
}

/**
 * All that is kept of one user. `pages`, `actions` and `marks` are the recent log in order of time: everything within
 * attribution window + grace of the newest event, and every exposure of a day that is not closed. Older exposures are in
 * day segments; `past` is the index over those and over what has settled of the recent ones, built when the user is loaded.
 */
export class User {
  readonly id: string;
  newest = -Infinity;
  /** days before it are closed: their exposures are in segments */
  openDay = -Infinity;
  /** no day before it is in reach of any window */
  floor = -Infinity;
  /** ascending */
  visitDays: number[] = [];
  segments: Segment[] = [];
  pages: Page[] = [];
  /** those of the pages that are not in `past`: something earlier may still come */
  open: Page[] = [];
  actions: Action[] = [];
  marks: Mark[] = [];
  counts: DayCounts[] = [];
  /** actions that wait for their exposure */
  waiting = 0;
  /** time of the timer that forgets the user; 0 when none is set */
  forgetAt = 0;
  /** what the user did up to here was erased and does not come back; -1: nothing was */
  erasedUntil = -1;
  past: Past | null = null;
  readonly names: Dictionary;

  constructor(id: string, names: Dictionary) {
    this.id = id;
    this.names = names;
  }

  /** Nothing has come, or nothing since an erasure. */
  get empty(): boolean {
    return this.newest === -Infinity;
  }

  /** Bytes in memory, roughly: bounds the cache. */
  get bytes(): number {
    let rows = 0;
    for (const page of this.pages) rows += page.length;
    return (
      600 +
      this.pages.length * 450 +
      rows * 8 * ROW +
      this.actions.length * 260 +
      this.marks.length * 130 +
      this.counts.length * 120 +
      this.visitDays.length * 40 +
      (this.past?.bytes ?? 0)
    );
  }

  /** The row of counts of a day and an arm; null for a day that is out of reach. */
  count(day: number, arm: string | null): DayCounts | null {
    for (let i = this.counts.length - 1; i >= 0; i--) {
      const row = this.counts[i];
      if (row.day === day && row.arm === arm) return row;
    }
    if (day < this.floor) return null;
    const row: DayCounts = {
      day,
      arm,
      revision: -1,
      events: 0,
      exposures: 0,
      sExposures: 0,
      clicks: 0,
      sClicks: 0,
      purchases: 0,
      sPurchases: 0,
      changed: true,
    };
    this.counts.push(row);
    return row;
  }

  /** A remembered event of this id, if there is one. */
  find(id: string): Page | Action | Mark | null {
    const hash = hashId(id);
    for (let i = this.pages.length - 1; i >= 0; i--) {
      const page = this.pages[i];
      if (page.hash === hash && page.id === id) return page;
    }
    for (let i = this.actions.length - 1; i >= 0; i--) {
      const action = this.actions[i];
      if (action.hash === hash && action.id === id) return action;
    }
    for (let i = this.marks.length - 1; i >= 0; i--) {
      const mark = this.marks[i];
      if (mark.hash === hash && mark.id === id) return mark;
    }
    return null;
  }

  /** Adds the day to the visit days; false where it was there or is out of reach. */
  visit(day: number): boolean {
    const { visitDays } = this;
    let i = visitDays.length;
    while (i > 0 && visitDays[i - 1] > day) i--;
    if ((i > 0 && visitDays[i - 1] === day) || day < this.floor) return false;
    visitDays.splice(i, 0, day);
    return true;
  }

  /** The rows of a page join the index of what no later question can change. */
  settle(page: Page): void {
    const past = this.past!;
    const { rows } = page;
    if (rows.length === 0) return;
    const at = past.addPage(page.time, page.day, page.request);
    for (let r = 0; r < rows.length; r += ROW) past.seeItem(rows[r], rows[r + 1], rows[r + 2], at);
  }
}

export const cutOffOf = ({ erasedUntil, empty }: User): { until: number; since: boolean } | null =>
  erasedUntil < 0 ? null : { until: erasedUntil, since: !empty };

/** Puts an element into a list in order of time, after its equals; nearly always at the end. */
export function insertByTime<T extends { time: number }>(list: T[], element: T): void {
  let i = list.length;
  while (i > 0 && list[i - 1].time > element.time) i--;
  if (i === list.length) list.push(element);
  else list.splice(i, 0, element);
}
