import { BadRecordError } from '../errors.ts';
import { LazyRecords } from '../log/avro-types.ts';

/** contracts: the behaviour log. Times are milliseconds since the epoch; ids are opaque strings. */
export type EventType = 'exposure' | 'click' | 'purchase' | 'search' | 'visit';

export interface BehaviorItem {
  item_id: string;
  category_id: string | null;
  brand_id: string | null;
  seller_id: string | null;
  position: number | null;
  viewable: boolean;
  price: number | null;
  quantity: number;
}

export interface BehaviorEvent {
  event_id: string;
  event_type: EventType;
  event_time: number;
  user_id: string;
  request_id: string | null;
  scene: string | null;
  arm: string | null;
  items: BehaviorItem[] | LazyRecords<BehaviorItem>;
  query: string | null;
}

const LAST_TIME = 8.64e15; // the last moment that a date can name
/** Of an id or a name that is kept: keys of the log, labels and counts are made of them and must fit into a record. */
const LONGEST = 4096;
const TYPES = new Set<string>(['exposure', 'click', 'purchase', 'search', 'visit']);

/**
 * Refuses what no reading of Definition 1 can use. Throws BadRecordError: EMPTY_ID, TOO_LONG, KEY_MISMATCH, BAD_TIME,
 * FUTURE_EVENT.
 * `toleranceMs` ahead of `now` is still the present; a replay passes now = Infinity.
 */
export function checkEvent(event: BehaviorEvent, key: string, now: number, toleranceMs: number): void {
  if (event.user_id === '') throw new BadRecordError('EMPTY_ID', 'user_id is empty');
  if (event.event_id === '') throw new BadRecordError('EMPTY_ID', 'event_id is empty');
  checkLength(event.user_id, 'user_id');
  checkLength(event.event_id, 'event_id');
  checkLength(event.request_id, 'request_id');
  checkLength(event.scene, 'scene');
  checkLength(event.arm, 'arm');
  if (key !== event.user_id) throw new BadRecordError('KEY_MISMATCH', 'the record key is not the event user_id');
  const time = event.event_time;
  if (!Number.isInteger(time) || time < 0 || time > LAST_TIME) {
    throw new BadRecordError('BAD_TIME', `event_time ${time} is not a time`);
  }
  if (time > now + toleranceMs) {
    throw new BadRecordError('FUTURE_EVENT', `event_time is ${time - now} ms ahead of the clock`);
  }
  const items = event.items instanceof LazyRecords ? suspects(event.items) : event.items;
  for (let i = 0; i < items.length; i++) {
    const item = items[i];
    if (item.item_id === '') throw new BadRecordError('EMPTY_ID', `item_id of item ${i} is empty`);
    checkLength(item.item_id, 'item_id');
    checkLength(item.category_id, 'category_id');
    checkLength(item.brand_id, 'brand_id');
    checkLength(item.seller_id, 'seller_id');
  }
}

/** What is still to be checked of items that came in bytes: nothing, nearly always. */
const suspects = (items: LazyRecords<BehaviorItem>): readonly BehaviorItem[] =>
  items.empty || items.longest > LONGEST ? items.records : [];

function checkLength(text: string | null, field: string): void {
  if (text !== null && text.length > LONGEST) {
    throw new BadRecordError('TOO_LONG', `${field} has ${text.length} characters, more than ${LONGEST}`);
  }
}

/**
 * Makes a BehaviorEvent of parsed JSON, in place: what is missing gets its default, what is unknown stays unread. Throws
 * BadRecordError MALFORMED that names the field.
 */
export function eventFromJson(json: unknown): BehaviorEvent {
  if (typeof json !== 'object' || json === null) return bad('not an object');
  const e = json as Record<keyof BehaviorEvent, unknown>;
  if (typeof e.event_id !== 'string') bad('event_id is not a string');
  if (typeof e.user_id !== 'string') bad('user_id is not a string');
  if (typeof e.event_time !== 'number') bad('event_time is not a number');
  if (!TYPES.has(e.event_type as string)) bad('event_type is not one of exposure, click, purchase, search, visit');
  e.request_id = optionalText(e.request_id, 'request_id');
  e.scene = optionalText(e.scene, 'scene');
  e.arm = optionalText(e.arm, 'arm');
  e.query = optionalText(e.query, 'query');
  e.items ??= [];
  if (!Array.isArray(e.items)) return bad('items is not an array');
  for (const item of e.items) itemFromJson(item);
  return json as BehaviorEvent;
}

function itemFromJson(json: unknown): void {
  if (typeof json !== 'object' || json === null) return bad('an item is not an object');
  const i = json as Record<keyof BehaviorItem, unknown>;
  if (typeof i.item_id !== 'string') bad('item_id of an item is not a string');
  i.category_id = optionalText(i.category_id, 'category_id');
  i.brand_id = optionalText(i.brand_id, 'brand_id');
  i.seller_id = optionalText(i.seller_id, 'seller_id');
  i.position ??= null;
  if (i.position !== null && i.position !== ((i.position as number) | 0)) bad('position is not a 32-bit integer');
  i.viewable ??= true;
  if (typeof i.viewable !== 'boolean') bad('viewable is not a boolean');
  i.price ??= null;
  if (i.price !== null && typeof i.price !== 'number') bad('price is not a number');
  i.quantity ??= 1;
  if (i.quantity !== ((i.quantity as number) | 0)) bad('quantity is not a 32-bit integer');
}

function optionalText(value: unknown, field: string): string | null {
  if (typeof value === 'string') return value;
  return value === undefined || value === null ? null : bad(`${field} is neither a string nor null`);
}

function bad(what: string): never {
  throw new BadRecordError('MALFORMED', what);
}

/**
 * One copy of each item: copies that were not seen are dropped first, then the first in the list stays. Of an exposure,
 * what was not seen is no exposure at all; a click on it is a click all the same.
 */
export function distinctItems(event: BehaviorEvent): readonly BehaviorItem[] {
  const items = event.items instanceof LazyRecords ? event.items.records : event.items;
  const exposure = event.event_type === 'exposure';
  let plain = true;
  for (let i = 0; i < items.length && plain; i++) {
    if (!items[i].viewable) plain = false;
    else if (items.length <= 16) {
      for (let j = 0; j < i; j++) if (items[j].item_id === items[i].item_id) plain = false;
    } else plain = false;
  }
  if (plain) return items;
  const kept = new Map<string, BehaviorItem>();
  for (const item of items) {
    const before = kept.get(item.item_id);
    if (before === undefined) {
      if (item.viewable || !exposure) kept.set(item.item_id, item);
    } else if (item.viewable && !before.viewable) kept.set(item.item_id, item);
  }
  return [...kept.values()];
}

/** Order of ids as UTF-8 bytes. UTF-16 differs from it only where surrogates meet the characters above them. */
export function compareIds(a: string, b: string): number {
  if (a === b) return 0;
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) {
    let x = a.charCodeAt(i);
    let y = b.charCodeAt(i);
    if (x === y) continue;
    if (x >= 0xd800 && y >= 0xd800) {
      // a surrogate stands for a character above U+FFFF
      if (x >= 0xe000) x -= 0x2000;
      else x += 0x2000;
      if (y >= 0xe000) y -= 0x2000;
      else y += 0x2000;
    }
    return x - y;
  }
  return a.length - b.length;
}

/** A 32-bit hash of an id: only ever a filter before the whole id is compared. */
export function hashId(id: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) h = Math.imul(h ^ id.charCodeAt(i), 0x01000193);
  return h | 0;
}
