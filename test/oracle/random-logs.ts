/**
 * Random logs for comparing the job with the oracle: small worlds in which everything collides (days, requests,
 * milliseconds, items) around midnights, changes of the clock and the edges of grace and of the attribution window.
 *
 * A log is built of tokens that shrink well: a moment says "this spot of the log, or that event before me, and a bit",
 * and only `resolve` makes instants of it, when zone, grace and window are known.
 */
import fc from 'fast-check';
import { dayOf } from './oracle.ts';
import type { CatalogEntry, EventType, OracleOptions, RawEvent, RawItem } from './oracle.ts';

const minute = 60_000;
const hour = 3_600_000;
const day = 86_400_000;

/** A log, the options to judge it by, and what an arrival order of it has to obey. */
export interface Case {
  /** each event once, in no order */
  events: RawEvent[];
  options: Required<Omit<OracleOptions, 'catalog'>> & { catalog: Map<string, CatalogEntry> | undefined };
  graceMs: number;
  /** for `shuffleWithinGrace` */
  seed: number;
}

/** Zones, each with an instant at which its calendar or its clock does something. */
const zones: readonly [zone: string, anchor: number][] = [
  ['UTC', Date.UTC(2024, 1, 29)],
  ['UTC', Date.UTC(2024, 0, 1)],
  ['America/New_York', Date.UTC(2024, 2, 10, 7)],
  ['America/New_York', Date.UTC(2024, 10, 3, 6)],
  ['Europe/Berlin', Date.UTC(2024, 2, 31, 1)],
  ['Europe/Berlin', Date.UTC(2024, 9, 27, 1)],
  ['Asia/Kolkata', Date.UTC(2024, 3, 30, 18, 30)],
  ['Asia/Kathmandu', Date.UTC(2024, 3, 30, 18, 15)],
  ['Australia/Lord_Howe', Date.UTC(2024, 3, 6, 15)],
  // midnight does not exist, or comes twice
  ['America/Sao_Paulo', Date.UTC(2017, 9, 15, 3)],
  ['America/Sao_Paulo', Date.UTC(2018, 1, 18, 2)],
  // a day does not exist
  ['Pacific/Apia', Date.UTC(2011, 11, 30, 10)],
  ['Pacific/Kiritimati', Date.UTC(1994, 11, 31, 10)],
  // a minute of Sunday, then an hour of Saturday again
  ['America/St_Johns', Date.UTC(2010, 10, 7, 2, 31)],
];

const changes = new Map<string, number[]>();

/** The instants around the anchor at which a new calendar day begins, the anchor among them. */
export function dayChanges(zone: string, anchor: number): number[] {
  const key = `${zone} ${anchor}`;
  let found = changes.get(key);
  if (!found) {
    found = [anchor];
    for (let from = anchor - 16 * day; from < anchor + 16 * day; from += 30 * minute) {
      let [low, high] = [from, from + 30 * minute];
      if (dayOf(low, zone) === dayOf(high, zone)) continue;
      while (high - low > 1) {
        const middle = Math.floor((low + high) / 2);
        if (dayOf(middle, zone) === dayOf(low, zone)) low = middle;
        else high = middle;
      }
      if (high !== anchor) found.push(high);
    }
    changes.set(
      key,
      found.sort((a, b) => a - b),
    );
  }
  return found;
}

type Unit = 'ms' | 'near' | 'grace' | 'window' | 'day';
interface Delta {
  unit: Unit;
  times: number;
  extra: number;
}
interface Moment {
  /** counted from the spots of the log, or from the events before this one */
  of: 'spot' | 'event';
  index: number;
  delta: Delta;
}
interface ItemToken {
  item: number;
  own: { category_id: string | null; brand_id: string | null; seller_id: string | null } | null;
  position: number | null | undefined;
  viewable: boolean | undefined;
}
interface EventToken {
  kind: 'event';
  type: EventType;
  user: number;
  moment: Moment;
  request: string | null | undefined;
  scene: string | null | undefined;
  arm: string | null | undefined;
  items: ItemToken[];
}
interface VisitsToken {
  kind: 'visits';
  user: number;
  moment: Moment;
  days: number;
  gap: number;
}
interface CrowdToken {
  kind: 'crowd';
  user: number;
  moment: Moment;
  request: string | null | undefined;
  arm: string | null | undefined;
  count: number;
  from: number;
}
/** A click or a purchase of things an exposure before it showed, to the same user. */
interface FollowToken {
  kind: 'follow';
  type: 'click' | 'purchase';
  /** counted among the exposures so far */
  exposure: number;
  delta: Delta;
  /** 'same': that of the exposure */
  request: 'same' | string | null | undefined;
  scene: string | null | undefined;
  arm: string | null | undefined;
  items: ItemToken[];
}
type Token = EventToken | FollowToken | VisitsToken | CrowdToken;

// Ids are opaque: some that a key of joined parts, a number or a UTF-16 order would get wrong.
const users = ['u', 'u\u0000', 'ü\u{1F600}'];
const items = ['i', 'i#1', '01', '1', 'ī', 'i\u0000'];
const categories = ['c', 'c\u0000', '7', '\u{1F600}/x'];
const brands = ['b', 'c', 'b|1'];
const sellers = ['s', 'b', '\uFFFD'];
const requests = ['r', 'r1', '', 'i'];
const scenes = ['home', 'cart'];
const arms = ['A', 'B', '\uFFFD', '\u{1F600}'];
const prefixes = ['a', '9', '10', 'Z', 'é', '\uFFFD', '\u{1F600}'];

const oneOf = <T>(...values: T[]) => fc.constantFrom(...values);
/** mostly one of these, sometimes null, sometimes not there at all */
const optional = <T>(values: T[], nulls = 1) =>
  fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...values) },
    { weight: nulls, arbitrary: fc.constant(null) },
    { weight: nulls, arbitrary: fc.constant(undefined) },
  );
const attributes = fc.record({
  category_id: oneOf<string | null>(...categories, null, ''),
  brand_id: oneOf<string | null>(...brands, null, ''),
  seller_id: oneOf<string | null>(...sellers, null),
});

const delta: fc.Arbitrary<Delta> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ unit: fc.constant('ms' as const), times: fc.constant(0), extra: oneOf(0, 0, 1, -1, 2, 5) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      unit: fc.constant('near' as const),
      times: oneOf(1, -1, 2, -2, 5, -5, 9, -11),
      extra: oneOf(0, 0, 1, -1),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ unit: fc.constant('grace' as const), times: oneOf(1, -1, 2), extra: oneOf(0, 1, -1) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ unit: fc.constant('window' as const), times: oneOf(1, 1, -1), extra: oneOf(0, 1, -1) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ unit: fc.constant('day' as const), times: oneOf(1, 2, -1), extra: oneOf(0, 1, -1) }),
  },
);
const moment: fc.Arbitrary<Moment> = fc.record({ of: oneOf('spot', 'spot', 'event'), index: fc.nat(30), delta });

const itemToken: fc.Arbitrary<ItemToken> = fc.record({
  item: fc.nat(items.length - 1),
  own: fc.option(attributes, { freq: 3 }),
  position: optional([0, 1, 9, 40]),
  viewable: oneOf(undefined, undefined, undefined, true, false),
});
const eventToken: fc.Arbitrary<EventToken> = fc.record({
  kind: fc.constant('event' as const),
  type: oneOf<EventType>(
    'exposure',
    'exposure',
    'exposure',
    'exposure',
    'click',
    'click',
    'click',
    'purchase',
    'search',
    'visit',
  ),
  user: oneOf(0, 0, 0, 1, 2),
  moment,
  request: optional(requests),
  scene: optional(scenes),
  arm: optional(arms, 2),
  items: fc.array(itemToken, { maxLength: 5 }),
});
const visitsToken: fc.Arbitrary<VisitsToken> = fc.record({
  kind: fc.constant('visits' as const),
  user: oneOf(0, 0, 0, 1),
  moment,
  days: fc.integer({ min: 1, max: 11 }),
  gap: oneOf(1, 1, 2),
});
const crowdToken: fc.Arbitrary<CrowdToken> = fc.record({
  kind: fc.constant('crowd' as const),
  user: oneOf(0, 0, 1),
  moment,
  request: optional(requests),
  arm: oneOf(null, 'A'),
  count: oneOf(100, 101, 200, 201),
  from: oneOf(0, 100, 300),
});

const followToken: fc.Arbitrary<FollowToken> = fc.record({
  kind: fc.constant('follow' as const),
  type: oneOf('click', 'click', 'click', 'purchase'),
  exposure: fc.nat(30),
  delta,
  request: fc.oneof({ weight: 3, arbitrary: fc.constant('same') }, { weight: 2, arbitrary: optional(requests) }),
  scene: optional(scenes),
  arm: optional(arms, 2),
  items: fc.array(itemToken, { minLength: 1, maxLength: 3 }),
});

interface Spot {
  change: number;
  after: number;
}
interface Log {
  spots: Spot[];
  table: { category_id: string | null; brand_id: string | null; seller_id: string | null }[];
  tokens: Token[];
  /** may two users have an event of the same id */
  sharedIds: boolean;
}

const spot: fc.Arbitrary<Spot> = fc.record({
  // nearer to the anchor more often: 16 is about its place in the list
  change: fc.oneof(fc.integer({ min: 14, max: 18 }), fc.nat(31)),
  after: fc.oneof(
    { weight: 3, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: oneOf(minute, 31 * minute, hour, 6 * hour, 12 * hour, 23 * hour) },
  ),
});
const token: fc.Arbitrary<Token> = fc.oneof(
  { weight: 60, arbitrary: eventToken },
  { weight: 30, arbitrary: followToken },
  { weight: 2, arbitrary: visitsToken },
  { weight: 1, arbitrary: crowdToken },
);
const log = (spots: number, events: { minLength: number; maxLength: number }): fc.Arbitrary<Log> =>
  fc.record({
    spots: fc.array(spot, { minLength: 1, maxLength: spots }),
    table: fc.array(attributes, { minLength: items.length, maxLength: items.length }),
    tokens: fc.array(token, events),
    sharedIds: fc.boolean(),
  });

const optionsIn = (timeZone: string | undefined) =>
  fc.record({
    zone: fc.constantFrom(...zones.filter(([zone]) => timeZone === undefined || zone === timeZone)),
    visitDays: oneOf(1, 2, 3, 4, 10),
    today: oneOf<'included' | 'excluded'>('included', 'included', 'excluded'),
    attributionWindowMs: oneOf(minute, hour, day, day, 3 * day),
    graceMs: oneOf(0, minute, 10 * minute, 10 * minute, 30 * hour),
    catalog: fc.option(
      fc
        .array(fc.tuple(oneOf(...items), attributes), { maxLength: items.length })
        .map((entries) => new Map<string, CatalogEntry>(entries)),
      { nil: undefined },
    ),
  });

/** Leaves out the keys whose value is undefined, as a log in JSON does. */
function tidy<T extends object>(object: T): T {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T;
}

function resolve(log: Log, zone: readonly [string, number], graceMs: number, windowMs: number): RawEvent[] {
  const midnights = dayChanges(...zone);
  const units: Record<Unit, number> = { ms: 1, near: minute, grace: graceMs, window: windowMs, day };
  const events: RawEvent[] = [];
  const numbers = new Map<number, number>();
  const later = (time: number, { times, unit, extra }: Delta): number => time + times * units[unit] + extra;
  const at = ({ of, index, delta }: Moment): number => {
    const place = log.spots[index % log.spots.length]!;
    const base =
      of === 'event' && events.length > 0
        ? events[index % events.length]!.event_time
        : midnights[place.change % midnights.length]! + place.after;
    return later(base, delta);
  };
  const item = ({ item, own, position, viewable }: ItemToken): RawItem =>
    tidy({ item_id: items[item]!, ...(own ?? log.table[item]!), position, viewable });
  const add = (user: number, fields: Omit<RawEvent, 'event_id' | 'user_id'>) => {
    // ids of clicks differ between users, so that label_ids do
    const shared = log.sharedIds && fields.event_type !== 'click';
    const number = shared ? (numbers.get(user) ?? 0) : events.length;
    if (shared) numbers.set(user, number + 1);
    const event_id = `${prefixes[number % prefixes.length]}${shared ? 's' : ''}${number}`;
    events.push(tidy({ event_id, user_id: users[user]!, ...fields }));
  };
  for (const token of log.tokens) {
    if (token.kind === 'follow') {
      const shown = events.filter((event) => event.event_type === 'exposure' && event.items!.length > 0);
      const exposure = shown[token.exposure % (shown.length || 1)];
      if (!exposure) continue;
      add(users.indexOf(exposure.user_id), {
        event_type: token.type,
        event_time: later(exposure.event_time, token.delta),
        request_id: token.request === 'same' ? exposure.request_id : token.request,
        scene: token.scene,
        arm: token.arm,
        items: token.items.map((each) => ({
          ...item(each),
          item_id: exposure.items![each.item % exposure.items!.length]!.item_id,
        })),
      });
    } else if (token.kind === 'visits') {
      const time = at(token.moment);
      for (let n = 0; n < token.days; n++)
        add(token.user, { event_type: 'visit', event_time: time + n * token.gap * day });
    } else if (token.kind === 'crowd') {
      add(token.user, {
        event_type: 'exposure',
        event_time: at(token.moment),
        request_id: token.request,
        arm: token.arm,
        items: Array.from({ length: token.count }, (_, n) => ({
          item_id: `crowd ${token.from + n}`,
          category_id: categories[n % 50] ?? null,
        })),
      });
    } else {
      add(token.user, {
        event_type: token.type,
        event_time: at(token.moment),
        request_id: token.request,
        scene: token.scene,
        arm: token.arm,
        items: token.items.map(item),
        ...(token.type === 'search' ? { query: 'tea' } : {}),
      });
    }
  }
  return events;
}

/**
 * Logs with their options. Those of three spots are dense: many events lie within minutes of each other; those of fourteen
 * are long, so that windows fill and move on. `maxEvents` counts tokens, of which few are several events; `timeZone` keeps
 * to one of the zones.
 */
export function caseArb({
  maxEvents = 60,
  timeZone,
}: { maxEvents?: number; timeZone?: string | undefined } = {}): fc.Arbitrary<Case> {
  const few = { minLength: 1, maxLength: Math.min(8, maxEvents) };
  // by itself an array of random length is a short one most of the time
  const many = { minLength: Math.ceil(maxEvents / 3), maxLength: maxEvents };
  const logs = [log(3, few), log(3, many), log(3, many), log(14, many)];
  return fc
    .tuple(optionsIn(timeZone), fc.oneof(...logs), fc.integer({ min: 0, max: 0x7fffffff }))
    .map(([{ zone, graceMs, ...options }, made, seed]) => ({
      events: resolve(made, zone, graceMs, options.attributionWindowMs),
      options: { ...options, timeZone: zone[0] },
      graceMs,
      seed,
    }));
}

/** A small generator of numbers in [0, 1), the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/** Is no event later than grace behind the newest event of the same user that arrived before it? */
export function obeysGrace(arrivals: readonly RawEvent[], graceMs: number): boolean {
  const newest = new Map<string, number>();
  return arrivals.every(({ user_id, event_time }) => {
    const before = newest.get(user_id) ?? -Infinity;
    newest.set(user_id, Math.max(before, event_time));
    return before - event_time <= graceMs;
  });
}

type Style = 'sorted' | 'random' | 'newest first' | 'oldest last';

/** One user's events: at each step one of those that may come next without making the oldest one left too late. */
function arrivalsOf(own: readonly RawEvent[], graceMs: number, repeats: number, random: () => number): RawEvent[] {
  const styles: Style[] = ['sorted', 'random', 'newest first', 'newest first', 'oldest last'];
  const any = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  let style = any(styles);
  const fickle = random() < 0.3;
  // shuffled before it is sorted by time, so that events of one millisecond come in any order
  const left = own
    .map((event) => ({ event, tie: random() }))
    .sort((a, b) => a.event.event_time - b.event.event_time || a.tie - b.tie)
    .map(({ event }) => event);
  const arrived: RawEvent[] = [];
  let newest = -Infinity;
  const arrive = (event: RawEvent) => {
    arrived.push(event);
    newest = Math.max(newest, event.event_time);
  };
  while (left.length > 0) {
    if (fickle && random() < 0.2) style = any(styles);
    // whatever comes next, the oldest of those that then remain must not be later than grace
    const until = left[0]!.event_time + graceMs;
    let may = 0;
    while (may < left.length && left[may]!.event_time <= until) may++;
    let next = 0;
    if (style === 'random') next = Math.floor(random() * may);
    else if (style === 'newest first') next = may - 1;
    // holds the oldest one back for as long as it goes; the rest stay in order
    else if (style === 'oldest last') next = may > 1 ? 1 : 0;
    arrive(left.splice(next, 1)[0]!);
    while (random() < repeats) {
      const again = any(arrived);
      if (newest - again.event_time <= graceMs) arrive(again);
    }
  }
  return arrived;
}

/**
 * An order of arrival in which no event, and no repeat of one, is later than grace: a user's events in order, at
 * random, or as far out of order as grace allows; some of them again; the users one by one, by time or mixed.
 * `repeats`: how likely a repeat follows an arrival; by default none, a few or many.
 */
export function shuffleWithinGrace(
  events: readonly RawEvent[],
  graceMs: number,
  seed: number,
  { repeats }: { repeats?: number } = {},
): RawEvent[] {
  const random = randomFrom(seed);
  const again = repeats ?? [0, 0.1, 0.5][Math.floor(random() * 3)]!;
  const byUser = new Map<string, RawEvent[]>();
  for (const event of events) {
    const own = byUser.get(event.user_id);
    if (own) own.push(event);
    else byUser.set(event.user_id, [event]);
  }
  const queues = [...byUser.values()].map((own) => arrivalsOf(own, graceMs, again, random));
  const merged: RawEvent[] = [];
  const style = ['one by one', 'by time', 'mixed'][Math.floor(random() * 3)]!;
  const heads = queues.map(() => 0);
  for (;;) {
    const open = queues.map((_, n) => n).filter((n) => heads[n]! < queues[n]!.length);
    if (open.length === 0) return merged;
    let next = open[0]!;
    const timeOf = (n: number) => queues[n]![heads[n]!]!.event_time;
    if (style === 'by time') for (const n of open) next = timeOf(n) < timeOf(next) ? n : next;
    if (style === 'mixed') next = open[Math.floor(random() * open.length)]!;
    merged.push(queues[next]![heads[next]!++]!);
  }
}
