/**
 * Definition 1 by brute force: what a batch job over the whole log computes, written from the contract alone.
 *
 * Every decision scans the whole history of its user again. Nothing here is clever, so that it can be read beside the
 * contract, sentence by sentence; it shares no code with `src/`. Where the contract leaves an edge open, a comment that
 * begins with READING says which way it is read here.
 */

export type EventType = 'exposure' | 'click' | 'purchase' | 'search' | 'visit';

/** An item as it stands in a JSON log: everything but the id may be missing. */
export interface RawItem {
  item_id: string;
  category_id?: string | null;
  brand_id?: string | null;
  seller_id?: string | null;
  position?: number | null;
  viewable?: boolean | null;
  price?: number | null;
  quantity?: number | null;
}

/** An event as it stands in a JSON log. */
export interface RawEvent {
  event_id: string;
  event_type: EventType;
  event_time: number;
  user_id: string;
  request_id?: string | null;
  scene?: string | null;
  arm?: string | null;
  items?: RawItem[] | null;
  query?: string | null;
}

export interface CatalogEntry {
  category_id?: string | null;
  brand_id?: string | null;
  seller_id?: string | null;
}

export interface OracleOptions {
  visitDays?: number;
  today?: 'included' | 'excluded';
  timeZone?: string;
  attributionWindowMs?: number;
  catalog?: ReadonlyMap<string, CatalogEntry> | undefined;
}

export type Attribution = 'request' | 'item' | 'none';

export interface Label {
  label_id: string;
  user_id: string;
  item_id: string;
  request_id: string | null;
  scene: string | null;
  arm: string | null;
  category_id: string | null;
  brand_id: string | null;
  seller_id: string | null;
  position: number | null;
  click_time: number;
  exposure_time: number | null;
  attribution: Attribution;
  serendipitous: boolean;
  novel_category: boolean;
  novel_brand: boolean;
  novel_seller: boolean;
  serendipity_related: boolean;
  category_last_seen: number | null;
  visit_days: number;
  unlabelled: 'no_category' | null;
}

export interface MetricsRow {
  day: string;
  arm: string | null;
  exposures: number;
  s_exposures: number;
  clicks: number;
  s_clicks: number;
  purchases: number;
  s_purchases: number;
  users: number;
  uv3: number;
}

interface Item {
  itemId: string;
  category: string | null;
  brand: string | null;
  seller: string | null;
  position: number | null;
  viewable: boolean;
  price: number | null;
  quantity: number;
}

interface Event {
  eventId: string;
  type: EventType;
  time: number;
  day: string;
  userId: string;
  requestId: string | null;
  scene: string | null;
  arm: string | null;
  items: Item[];
  query: string | null;
}

/** What a decision is about: a valid exposure, or a click treated as one. */
interface Shown {
  time: number;
  day: string;
  requestId: string | null;
  category: string | null;
  brand: string | null;
  seller: string | null;
}

interface Exposure extends Shown {
  eventId: string;
  itemId: string;
  position: number | null;
  scene: string | null;
  arm: string | null;
}

interface Decision {
  novelCategory: boolean;
  novelBrand: boolean;
  novelSeller: boolean;
  related: boolean;
  categoryLastSeen: number | null;
  visitDays: number;
}

interface History {
  /** each event once, by time and then event_id */
  events: Event[];
  exposures: Exposure[];
  visitDays: string[];
}

const eventTypes: readonly string[] = ['exposure', 'click', 'purchase', 'search', 'visit'];
const day24h = 86_400_000;
const uv3Threshold = 200;

/** Ids are compared as bytes: UTF-16 order, which `<` has, is another one beyond the basic plane. */
export function compareBytes(a: string, b: string): number {
  return a === b ? 0 : Buffer.compare(Buffer.from(a, 'utf8'), Buffer.from(b, 'utf8'));
}

const formats = new Map<string, { format: Intl.DateTimeFormat; days: Map<number, string> }>();

/** The calendar day of an instant, as YYYY-MM-DD. Only whole instants are cached: an offset may change at any of them. */
export function dayOf(time: number, timeZone: string): string {
  let zone = formats.get(timeZone);
  if (!zone) {
    const format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      calendar: 'gregory',
      numberingSystem: 'latn',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
    });
    formats.set(timeZone, (zone = { format, days: new Map() }));
  }
  let day = zone.days.get(time);
  if (day === undefined) {
    const part: Record<string, string> = {};
    for (const { type, value } of zone.format.formatToParts(time)) part[type] = value;
    day = `${part.year!.padStart(4, '0')}-${part.month}-${part.day}`;
    if (zone.days.size > 1_000_000) zone.days.clear();
    zone.days.set(time, day);
  }
  return day;
}

/** An empty optional id is null. READING: `scene`, `arm` and `query` are no ids and stay as they are. */
const optionalId = (id: string | null | undefined): string | null => (id == null || id === '' ? null : id);

const isId = (id: unknown): id is string => typeof id === 'string' && id !== '';

/**
 * The event with its defaults and what the catalog knows, or null where it is bad input.
 * READING: one empty item_id makes the whole event bad input, which leaves no trace, not even a visit day.
 */
function read(raw: RawEvent, timeZone: string, catalog: OracleOptions['catalog']): Event | null {
  if (!isId(raw.user_id) || !isId(raw.event_id)) return null;
  if (!Number.isSafeInteger(raw.event_time) || !eventTypes.includes(raw.event_type)) return null;
  const items: Item[] = [];
  for (const item of raw.items ?? []) {
    if (!isId(item?.item_id)) return null;
    const known = catalog?.get(item.item_id);
    items.push({
      itemId: item.item_id,
      category: optionalId(item.category_id) ?? optionalId(known?.category_id),
      brand: optionalId(item.brand_id) ?? optionalId(known?.brand_id),
      seller: optionalId(item.seller_id) ?? optionalId(known?.seller_id),
      position: item.position ?? null,
      viewable: item.viewable ?? true,
      price: item.price ?? null,
      quantity: item.quantity ?? 1,
    });
  }
  return {
    eventId: raw.event_id,
    type: raw.event_type,
    time: raw.event_time,
    day: dayOf(raw.event_time, timeZone),
    userId: raw.user_id,
    requestId: optionalId(raw.request_id),
    scene: raw.scene ?? null,
    arm: raw.arm ?? null,
    items,
    query: raw.query ?? null,
  };
}

/**
 * Within one event the same item counts once: copies that are not viewable go first, then the first in the list stays.
 * READING: viewable copies are preferred, and an item of which no copy is viewable is still there once. For an exposure
 * that is no valid one; for a click or a purchase, where `viewable` means nothing, it counts like any other.
 */
function eachItemOnce(items: Item[]): Item[] {
  const once: Item[] = [];
  for (const item of items) {
    if (once.some((other) => other.itemId === item.itemId)) continue;
    const copies = items.filter((other) => other.itemId === item.itemId);
    once.push(copies.find((copy) => copy.viewable) ?? item);
  }
  return once;
}

/**
 * The same event_id of one user twice counts once.
 * READING: with different contents the least encoding wins; which encoding is for the implementation to say, so logs
 * that are compared with it repeat an event_id only with the same contents. Here it is the JSON of the filled event.
 */
function eachEventOnce(events: Event[]): Event[] {
  const byId = new Map<string, Event>();
  for (const event of events) {
    const other = byId.get(event.eventId);
    if (!other || compareBytes(JSON.stringify(event), JSON.stringify(other)) < 0) byId.set(event.eventId, event);
  }
  return [...byId.values()];
}

function historyOf(all: Event[]): History {
  const events = eachEventOnce(all)
    .map((event) => ({ ...event, items: eachItemOnce(event.items) }))
    .sort((a, b) => a.time - b.time || compareBytes(a.eventId, b.eventId));
  const exposures: Exposure[] = [];
  for (const event of events) {
    if (event.type !== 'exposure') continue;
    for (const item of event.items) {
      if (!item.viewable) continue;
      exposures.push({
        eventId: event.eventId,
        itemId: item.itemId,
        time: event.time,
        day: event.day,
        requestId: event.requestId,
        scene: event.scene,
        arm: event.arm,
        category: item.category,
        brand: item.brand,
        seller: item.seller,
        position: item.position,
      });
    }
  }
  return { events, exposures, visitDays: [...new Set(events.map((event) => event.day))].sort() };
}

/**
 * The user's N most recent visit days up to and including that day, or strictly before it.
 * READING: days are compared by the calendar. Where a clock set back makes a day come twice (St. John's at 00:01), an
 * instant of the second coming has no later day in its window, though such an exposure may be earlier in time.
 */
function windowOf(history: History, day: string, visitDays: number, today: 'included' | 'excluded'): string[] {
  return history.visitDays.filter((other) => (today === 'included' ? other <= day : other < day)).slice(-visitDays);
}

function decide(history: History, shown: Shown, window: string[]): Decision {
  const days = new Set(window);
  let category = false;
  let brand = false;
  let seller = false;
  let categoryLastSeen: number | null = null;
  for (const other of history.exposures) {
    if (other.time >= shown.time) continue;
    // an exposure without a request is a request of its own, so null differs from every request and from null
    if (other.requestId !== null && other.requestId === shown.requestId) continue;
    if (!days.has(other.day)) continue;
    if (shown.category !== null && other.category === shown.category) {
      category = true;
      if (categoryLastSeen === null || other.time > categoryLastSeen) categoryLastSeen = other.time;
    }
    if (shown.brand !== null && other.brand === shown.brand) brand = true;
    if (shown.seller !== null && other.seller === shown.seller) seller = true;
  }
  const novelCategory = shown.category !== null && !category;
  const novelBrand = shown.brand !== null && !brand;
  const novelSeller = shown.seller !== null && !seller;
  return {
    novelCategory,
    novelBrand,
    novelSeller,
    related: novelCategory || novelBrand || novelSeller,
    categoryLastSeen,
    visitDays: window.length,
  };
}

/** The valid exposure a click or a purchase goes back to. A click without a request_id matches no request. */
function attribute(
  history: History,
  itemId: string,
  time: number,
  requestId: string | null,
  attributionWindowMs: number,
): { exposure: Exposure | null; attribution: Attribution } {
  let ofRequest: Exposure | null = null;
  let ofItem: Exposure | null = null;
  const later = (a: Exposure, b: Exposure | null): boolean =>
    b === null || a.time > b.time || (a.time === b.time && compareBytes(a.eventId, b.eventId) > 0);
  for (const exposure of history.exposures) {
    if (exposure.itemId !== itemId || exposure.time > time || time - exposure.time > attributionWindowMs) continue;
    if (requestId !== null && exposure.requestId === requestId && later(exposure, ofRequest)) ofRequest = exposure;
    if (later(exposure, ofItem)) ofItem = exposure;
  }
  if (ofRequest) return { exposure: ofRequest, attribution: 'request' };
  if (ofItem) return { exposure: ofItem, attribution: 'item' };
  return { exposure: null, attribution: 'none' };
}

interface Cell {
  row: MetricsRow;
  users: Set<string>;
  exposuresOf: Map<string, number>;
}

export function oracle(
  events: Iterable<RawEvent>,
  options: OracleOptions = {},
): { labels: Label[]; metrics: MetricsRow[] } {
  const { visitDays = 10, today = 'included', timeZone = 'UTC', attributionWindowMs = day24h, catalog } = options;
  if (!(Number.isInteger(visitDays) && visitDays >= 1)) throw new RangeError('visitDays must be a whole number from 1');

  const users = new Map<string, Event[]>();
  for (const raw of events) {
    const event = read(raw, timeZone, catalog);
    if (!event) continue;
    const own = users.get(event.userId);
    if (own) own.push(event);
    else users.set(event.userId, [event]);
  }

  const labels: Label[] = [];
  const cells = new Map<string, Cell>();
  const cell = (day: string, arm: string | null, userId: string): Cell => {
    const key = JSON.stringify([day, arm]);
    let found = cells.get(key);
    if (!found) {
      const row: MetricsRow = {
        day,
        arm,
        exposures: 0,
        s_exposures: 0,
        clicks: 0,
        s_clicks: 0,
        purchases: 0,
        s_purchases: 0,
        users: 0,
        uv3: 0,
      };
      cells.set(key, (found = { row, users: new Set(), exposuresOf: new Map() }));
    }
    // READING: `users` of a day and an arm are those with any observation in it. An item of a click or a purchase is
    // observed in the arm of its exposure, and only there; everything else in the event's own arm.
    found.users.add(userId);
    return found;
  };

  for (const [userId, all] of users) {
    const history = historyOf(all);
    const windows = new Map<string, string[]>();
    const decisionOf = (shown: Shown): Decision => {
      let window = windows.get(shown.day);
      if (!window) windows.set(shown.day, (window = windowOf(history, shown.day, visitDays, today)));
      return decide(history, shown, window);
    };
    const decisions = new Map<Exposure, Decision>(
      history.exposures.map((exposure) => [exposure, decisionOf(exposure)]),
    );
    const clicked = new Set<Exposure>();

    for (const exposure of history.exposures) {
      const { row, exposuresOf } = cell(exposure.day, exposure.arm, userId);
      row.exposures++;
      if (decisions.get(exposure)!.related) row.s_exposures++;
      exposuresOf.set(userId, (exposuresOf.get(userId) ?? 0) + 1);
    }

    // in the order of clicks: by time, then by event_id
    for (const event of history.events) {
      const attributed = event.type === 'click' || event.type === 'purchase';
      if (!attributed || event.items.length === 0) {
        // READING: an exposure event of which nothing was seen, and a click or a purchase of nothing, is an event too
        cell(event.day, event.arm, userId);
        continue;
      }
      for (const item of event.items) {
        const isClick = event.type === 'click';
        const requestId = isClick ? event.requestId : null;
        const { exposure, attribution } = attribute(history, item.itemId, event.time, requestId, attributionWindowMs);
        const arm = exposure ? exposure.arm : event.arm;
        const { row } = cell(event.day, arm, userId);
        if (!isClick) {
          row.purchases++;
          if (exposure && decisions.get(exposure)!.related) row.s_purchases++;
          continue;
        }
        const { category, brand, seller, position } = exposure ?? item;
        const decision = exposure
          ? decisions.get(exposure)!
          : decisionOf({ time: event.time, day: event.day, requestId, category, brand, seller });
        row.clicks++;
        if (decision.related) row.s_clicks++;
        if (exposure) {
          if (clicked.has(exposure)) continue;
          clicked.add(exposure);
        }
        labels.push({
          label_id: `${event.eventId}#${item.itemId}`,
          user_id: userId,
          item_id: item.itemId,
          // READING: request_id stays the click's, also where the exposure found by its item has another
          request_id: event.requestId,
          scene: exposure ? exposure.scene : event.scene,
          arm,
          category_id: category,
          brand_id: brand,
          seller_id: seller,
          position,
          click_time: event.time,
          exposure_time: exposure ? exposure.time : null,
          attribution,
          serendipitous: decision.novelCategory,
          novel_category: decision.novelCategory,
          novel_brand: decision.novelBrand,
          novel_seller: decision.novelSeller,
          serendipity_related: decision.related,
          category_last_seen: decision.categoryLastSeen,
          // READING: for an attributed click this is the window of the exposure, not of the click
          visit_days: decision.visitDays,
          unlabelled: category === null ? 'no_category' : null,
        });
      }
    }
  }

  const metrics = [...cells.values()].map(({ row, users: present, exposuresOf }) => ({
    ...row,
    users: present.size,
    // READING: more than 200 valid exposures in this day and this arm
    uv3: [...exposuresOf.values()].filter((count) => count > uv3Threshold).length,
  }));
  metrics.sort((a, b) => (a.day < b.day ? -1 : a.day > b.day ? 1 : compareArms(a.arm, b.arm)));
  // READING: two users may share an event_id, and so a label_id; then the user_id decides
  const keyed = labels.map((label) => ({ label, key: Buffer.from(label.label_id) }));
  keyed.sort((a, b) => Buffer.compare(a.key, b.key) || compareBytes(a.label.user_id, b.label.user_id));
  return { labels: keyed.map(({ label }) => label), metrics };
}

function compareArms(a: string | null, b: string | null): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? -1 : 1;
  return compareBytes(a, b);
}

/** How a user stands after all of some events: what may be asked about an item that is yet to be shown. */
export interface Standing {
  /** -Infinity where there is no event */
  newest: number;
  /** as if the item were shown after everything else, in a request of its own; nulls are filled from the catalog */
  novelty(item: RawItem): { category: boolean; brand: boolean; seller: boolean; categoryLastSeen: number | null };
  /** validly shown on a day of the window, or since */
  shown(itemId: string): boolean;
  /** null: never */
  boughtAt(itemId: string): number | null;
}

/**
 * READING: the item would be shown at `askedAt`, or at the user's newest event where that is later; that day is then one
 * with a visit.
 */
export function standing(
  events: Iterable<RawEvent>,
  userId: string,
  askedAt: number,
  options: OracleOptions = {},
): Standing {
  const { visitDays = 10, today = 'included', timeZone = 'UTC', catalog } = options;
  const own: Event[] = [];
  for (const raw of events) {
    const event = raw.user_id === userId ? read(raw, timeZone, catalog) : null;
    if (event) own.push(event);
  }
  const history = historyOf(own);
  const newest = Math.max(-Infinity, ...history.events.map((event) => event.time));
  const day = dayOf(Math.max(newest, askedAt), timeZone);
  history.visitDays = [...new Set([...history.visitDays, day])].sort();
  const window = windowOf(history, day, visitDays, today);
  const first = window[0] ?? day;
  return {
    newest,
    novelty: (raw) => {
      const [item] = read(
        { event_id: '-', event_type: 'exposure', event_time: 0, user_id: userId, items: [raw] },
        timeZone,
        catalog,
      )!.items;
      const shown = { ...item!, time: Infinity, day, requestId: null };
      const { novelCategory, novelBrand, novelSeller, categoryLastSeen } = decide(history, shown, window);
      return { category: novelCategory, brand: novelBrand, seller: novelSeller, categoryLastSeen };
    },
    shown: (itemId) => history.exposures.some((exposure) => exposure.itemId === itemId && exposure.day >= first),
    boughtAt: (itemId) => {
      const times = history.events
        .filter((event) => event.type === 'purchase' && event.items.some((item) => item.itemId === itemId))
        .map((event) => event.time);
      return times.length === 0 ? null : Math.max(...times);
    },
  };
}
