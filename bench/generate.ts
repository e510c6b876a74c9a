/**
 * Behaviour logs that look like a shop's, as large as wanted, the same for the same seed.
 *
 * A day is a list of session starts; each start draws a user. A session is a visit, some requests of one to four pages
 * of ten items, and what follows from them: clicks after seconds, second clicks after minutes, purchases after up to
 * two hours, a click the day after. A session's events are made when its start is reached and wait in a heap for their
 * time, so memory holds the world, the users' interests and what is going on, never the log.
 *
 * The edges are in it on purpose: sessions over midnight, two surfaces at one millisecond, missing request ids, items
 * without category, pages left before their end, clicks on what was never shown.
 */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { parseArgs } from 'node:util';
import { constants, createGzip } from 'node:zlib';
import { catalogItems, makeWorld, nameOf, randomOf, skewed } from './world.ts';
import type { CatalogItem, World } from './world.ts';

export interface GeneratedItem {
  item_id: string;
  category_id: string | null;
  brand_id: string | null;
  seller_id: string | null;
  position: number | null;
  viewable: boolean;
  price: number | null;
  quantity: number;
}

/** A BehaviorEvent with every field there. A repeat is the same object again: do not change it. */
export interface GeneratedEvent {
  event_id: string;
  event_type: 'exposure' | 'click' | 'purchase' | 'search' | 'visit';
  event_time: number;
  user_id: string;
  request_id: string | null;
  scene: string | null;
  arm: string | null;
  items: GeneratedItem[];
  query: string | null;
}

export interface GeneratorOptions {
  /** so many different events; repeats come on top */
  events: number;
  users?: number;
  days?: number;
  seed?: string | number;
  /** an event arrives up to so much after its time */
  disorderMs?: number;
  /** the share of events that arrive once more */
  duplicates?: number;
  /** a repeat comes up to so much after the first */
  duplicateDelayMs?: number;
  /** the first midnight, UTC */
  startMs?: number;
  categories?: number;
  items?: number;
}

const second = 1_000;
const minute = 60_000;
const hour = 3_600_000;
const day = 86_400_000;

const pageSize = 10;
const interestsPerUser = 20;
const zipf = 0.75;
/** a guess of the events in a session, corrected by what is seen */
const eventsPerSession = 10;

const chance = {
  search: 0.15,
  click: 0.058,
  secondClick: 0.06,
  purchase: 0.05,
  secondThing: 0.15,
  dayAfter: 0.0006,
  nowhereShown: 0.004,
  secondSurface: 0.003,
  leftEarly: 0.1,
  noRequest: 0.02,
  drift: 0.35,
  discovery: 0.1,
};

/** What comes first by a number; of two at the same, what was put in first. */
class Agenda<T> {
  #keys: number[] = [];
  #orders: number[] = [];
  #values: T[] = [];
  #count = 0;

  get first(): number {
    return this.#keys.length > 0 ? this.#keys[0]! : Infinity;
  }

  add(key: number, value: T): void {
    const order = this.#count++;
    let at = this.#keys.length;
    this.#keys.push(key);
    this.#orders.push(order);
    this.#values.push(value);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#keys[parent]! < key || (this.#keys[parent] === key && this.#orders[parent]! < order)) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#put(at, key, order, value);
  }

  take(): T {
    const top = this.#values[0]!;
    const key = this.#keys.pop()!;
    const order = this.#orders.pop()!;
    const value = this.#values.pop()!;
    const size = this.#keys.length;
    if (size === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#before(child + 1, child)) child++;
      if (key < this.#keys[child]! || (key === this.#keys[child] && order < this.#orders[child]!)) break;
      this.#move(child, at);
      at = child;
    }
    this.#put(at, key, order, value);
    return top;
  }

  #before(one: number, other: number): boolean {
    const [a, b] = [this.#keys[one]!, this.#keys[other]!];
    return a < b || (a === b && this.#orders[one]! < this.#orders[other]!);
  }

  #move(from: number, to: number): void {
    this.#put(to, this.#keys[from]!, this.#orders[from]!, this.#values[from]!);
  }

  #put(at: number, key: number, order: number, value: T): void {
    this.#keys[at] = key;
    this.#orders[at] = order;
    this.#values[at] = value;
  }
}

/** Who comes, how often, and what they like: activity is Zipf's, interests drift with every session. */
class Users {
  readonly #cumulated: Float64Array;
  readonly #interests: Int32Array;
  readonly #random: () => number;
  readonly #categories: number;
  readonly #salt: number;

  constructor(seed: string, users: number, categories: number) {
    this.#random = randomOf(seed, 'users');
    this.#categories = categories;
    this.#salt = Math.floor(this.#random() * 0x7fffffff);
    this.#cumulated = new Float64Array(users);
    let sum = 0;
    for (let user = 0; user < users; user++) this.#cumulated[user] = sum += (user + 8) ** -zipf;
    this.#interests = new Int32Array(users * interestsPerUser);
    for (let n = 0; n < this.#interests.length; n++) this.#interests[n] = this.#someInterest();
  }

  #someInterest(): number {
    // a prime step spreads the popular interests over the names
    return (skewed(this.#random, this.#categories, 1.6) * 7919) % this.#categories;
  }

  /** A user who is about on that day. */
  draw(dayNumber: number): number {
    for (let tries = 0; ; tries++) {
      const at = this.#random() * this.#cumulated.at(-1)!;
      let [low, high] = [0, this.#cumulated.length - 1];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (this.#cumulated[middle]! > at) high = middle;
        else low = middle + 1;
      }
      if (tries === 8 || this.#isAbout(low, dayNumber)) return low;
    }
  }

  /** Each user has days on which nothing is heard of them: some few, some most. */
  #isAbout(user: number, dayNumber: number): boolean {
    const hash = (n: number): number => {
      let mixed = Math.imul(n ^ this.#salt, 0x9e3779b1);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b);
      return ((mixed ^ (mixed >>> 13)) >>> 0) / 0x1_0000_0000;
    };
    return hash(user * 4099 + dayNumber + 1) < 0.15 + 0.8 * hash(-user - 1);
  }

  arm = (user: number): string => (Math.imul(user + this.#salt, 0x9e3779b1) < 0 ? 'control' : 'treatment');

  /** One of the user's interests, the first ones most. */
  interest(user: number, at: number): number {
    return this.#interests[user * interestsPerUser + Math.floor(interestsPerUser * at * at)]!;
  }

  drift(user: number): void {
    while (this.#random() < chance.drift) this.adopt(user, this.#someInterest());
  }

  adopt(user: number, category: number): void {
    this.#interests[user * interestsPerUser + Math.floor(this.#random() * interestsPerUser)] = category;
  }
}

/** Makes the events of sessions and puts them on the agenda. */
class Traffic {
  readonly agenda = new Agenda<GeneratedEvent>();
  readonly #world: World;
  readonly #users: Users;
  readonly #random: () => number;
  #events = 0;
  #requests = 0;

  constructor(seed: string, world: World, users: Users) {
    this.#world = world;
    this.#users = users;
    this.#random = randomOf(seed, 'traffic');
  }

  /** An exponential span of time. */
  #span(mean: number): number {
    return Math.floor(-Math.log(1 - this.#random()) * mean);
  }

  #add(
    event_type: GeneratedEvent['event_type'],
    user: number,
    event_time: number,
    request_id: string | null,
    scene: string | null,
    items: GeneratedItem[] = [],
    query: string | null = null,
  ): void {
    this.agenda.add(event_time, {
      event_id: `e${(this.#events++).toString(36)}`,
      event_type,
      event_time,
      user_id: `u${user}`,
      request_id,
      scene,
      arm: this.#users.arm(user),
      items,
      query,
    });
  }

  #item(
    item: number,
    position: number | null,
    viewable = true,
    price: number | null = null,
    quantity = 1,
  ): GeneratedItem {
    const world = this.#world;
    return {
      item_id: world.itemIds[item]!,
      category_id: world.noCategory[item] === 0 ? world.categoryIds[world.categoryOf[item]!]! : null,
      brand_id: world.brandIds[item]!,
      seller_id: world.sellerIds[item]!,
      position,
      viewable,
      price,
      quantity,
    };
  }

  /** What a recommender shows: interests, what is popular, something else. */
  #pick(user: number): number {
    const world = this.#world;
    const random = this.#random;
    const kind = random();
    if (kind >= 0.8 && kind < 0.93) return world.popular[skewed(random, world.popular.length, 3)]!;
    const categories = world.categoryIds.length;
    const category = kind < 0.8 ? this.#users.interest(user, random()) : Math.floor(random() * categories);
    const from = world.shelfStart[category]!;
    return world.shelf[from + skewed(random, world.shelfStart[category + 1]! - from, kind < 0.8 ? 2 : 1)]!;
  }

  session(user: number, start: number): void {
    const random = this.#random;
    this.#users.drift(user);
    this.#add('visit', user, start, null, null);
    const scene = random() < 0.8 ? 'home_feed' : 'cart';
    let time = start;
    let pages = 1 + Math.floor(-Math.log(1 - random()) * 4.6);
    while (pages > 0) {
      time += 400 + this.#span(second);
      if (random() < chance.search) {
        this.#add('search', user, time, null, null, [], nameOf(this.#users.interest(user, random())));
        time += 300 + this.#span(second);
      }
      const request = random() < chance.noRequest ? null : this.#newRequest();
      const inRequest = Math.min(pages, 1 + Math.floor(random() * 4));
      for (let page = 0; page < inRequest; page++) {
        if (random() < chance.secondSurface) this.#page(user, time, this.#newRequest(), 'banner', 0, 3);
        time = this.#page(user, time, request, scene, page * pageSize, pageSize);
      }
      pages -= inRequest;
    }
  }

  #newRequest(): string {
    return `r${(this.#requests++).toString(36)}`;
  }

  /** One page and what comes of it; returns when the user has done with it. */
  #page(user: number, time: number, request: string | null, scene: string, first: number, size: number): number {
    const random = this.#random;
    const seen = random() < chance.leftEarly ? Math.floor(random() * size) : size;
    const shown: number[] = [];
    const items: GeneratedItem[] = [];
    for (let n = 0; n < size; n++) {
      const item = this.#pick(user);
      items.push(this.#item(item, first + n, n < seen));
      shown.push(item);
    }
    this.#add('exposure', user, time, request, scene, items);
    let now = time + 600 + this.#span(2 * second);
    for (let n = 0; n < seen; n++) {
      const draw = random();
      if (draw < chance.click) {
        now += 500 + this.#span(4 * second);
        this.#clicked(user, now, shown[n]!, request, scene, first + n);
      } else if (draw < chance.click + chance.dayAfter) {
        this.#add('click', user, now + Math.floor(random() * day), null, 'cart', [this.#item(shown[n]!, null)]);
      }
    }
    if (random() < chance.nowhereShown) {
      now += second;
      this.#add('click', user, now, null, 'search', [this.#item(this.#pick(user), 0)]);
    }
    return now + this.#span(6 * second);
  }

  #clicked(user: number, time: number, item: number, request: string | null, scene: string, position: number): void {
    const random = this.#random;
    const named = random() < chance.noRequest ? null : request;
    const click = (at: number) => this.#add('click', user, at, named, scene, [this.#item(item, position)]);
    click(time);
    if (random() < chance.secondClick) click(time + second + Math.floor(random() * 10 * minute));
    if (random() < chance.purchase) {
      const bought = [item];
      if (random() < chance.secondThing) bought.push(this.#pick(user));
      const at = time + 20 * second + Math.floor(random() * 2 * hour);
      const sold = (each: number) => this.#item(each, null, true, this.#world.prices[each]!, random() < 0.9 ? 1 : 2);
      this.#add('purchase', user, at, null, null, bought.map(sold));
    }
    // what was found by chance may be liked from now on
    if (random() < chance.discovery) this.#users.adopt(user, this.#world.categoryOf[item]!);
  }
}

/** The starts of a day's sessions, in order: a morning, a noon, and an evening that runs into the night. */
function startsOf(random: () => number, midnight: number, sessions: number): Float64Array {
  const peaks = [8.5, 12.5, 20.5, 22.5];
  return Float64Array.from({ length: sessions }, () => {
    // the sum of three is near enough to a bell
    const bell = (random() + random() + random() - 1.5) * 3.2;
    const hours = peaks[Math.floor(random() * peaks.length)]! + bell;
    return midnight + Math.floor(Math.min(Math.max(hours, 0), 23.9999) * hour);
  }).sort();
}

const defaults = {
  users: 5_000,
  days: 30,
  seed: '1',
  disorderMs: 0,
  duplicates: 0,
  duplicateDelayMs: minute,
  startMs: Date.UTC(2025, 5, 15),
  categories: 8_000,
  items: 200_000,
};

/** The items that a log of these options is about. */
export function* itemsOf(given: Pick<GeneratorOptions, 'seed' | 'categories' | 'items'>): Generator<CatalogItem> {
  const { seed, categories, items } = { ...defaults, ...given };
  yield* catalogItems(makeWorld(String(seed), categories, items));
}

/** Different events in the order of their time. */
function* inOrder(options: Required<GeneratorOptions>): Generator<GeneratedEvent> {
  const { events, days, startMs } = options;
  const seed = String(options.seed);
  const world = makeWorld(seed, options.categories, options.items);
  const users = new Users(seed, options.users, options.categories);
  const traffic = new Traffic(seed, world, users);
  const random = randomOf(seed, 'starts');
  let made = 0;
  let sessions = 0;
  // a day more only where the last one fell short
  for (let number = 0; made < events; number++) {
    const left = Math.max(1, days - number);
    const perSession = (made + 100 * eventsPerSession) / (sessions + 100);
    // the last day has some to spare, and ends when the log is full
    const wanted = (events - made) / left / perSession;
    const starts = startsOf(
      random,
      startMs + number * day,
      left > 1 ? Math.round(wanted) : Math.ceil(wanted * 1.1) + 4,
    );
    sessions += starts.length;
    for (const start of starts) {
      while (traffic.agenda.first < start) {
        yield traffic.agenda.take();
        if (++made === events) return;
      }
      traffic.session(users.draw(number), start);
    }
    while (left === 1 && traffic.agenda.first < Infinity) {
      yield traffic.agenda.take();
      if (++made === events) return;
    }
  }
}

/**
 * The log, in the order of arrival. The same seed has the same events, whatever the disorder and the repeats: no event
 * comes later than `disorderMs` behind the newest one, and a repeat up to `duplicateDelayMs` after that.
 */
export function* generateSync(given: GeneratorOptions): Generator<GeneratedEvent> {
  const options = { ...defaults, ...given };
  const { disorderMs, duplicates, duplicateDelayMs } = options;
  if (disorderMs === 0 && duplicates === 0) return yield* inOrder(options);
  const random = randomOf(options.seed, 'arrival');
  const arriving = new Agenda<GeneratedEvent>();
  for (const event of inOrder(options)) {
    while (arriving.first < event.event_time) yield arriving.take();
    const arrival = event.event_time + Math.floor(random() * disorderMs);
    arriving.add(arrival, event);
    if (random() < duplicates) arriving.add(arrival + Math.floor(random() * duplicateDelayMs), event);
  }
  while (arriving.first < Infinity) yield arriving.take();
}

/** The same, giving way to everything else in the process from time to time. */
export async function* generate(options: GeneratorOptions): AsyncGenerator<GeneratedEvent> {
  let since = 0;
  for (const event of generateSync(options)) {
    yield event;
    if (++since === 5_000) {
      since = 0;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

const quoted = (id: string | null): string => (id === null ? 'null' : `"${id}"`);

/** An event as a line of a log, fields at their default left out. The ids made here need no escaping. */
export function toLine(event: GeneratedEvent): string {
  let items = '';
  for (const item of event.items) {
    items +=
      `${items === '' ? '' : ','}{"item_id":"${item.item_id}","category_id":${quoted(item.category_id)},` +
      `"brand_id":${quoted(item.brand_id)},"seller_id":${quoted(item.seller_id)},"position":${item.position}` +
      (item.viewable ? '' : ',"viewable":false') +
      (item.price === null ? '}' : `,"price":${item.price},"quantity":${item.quantity}}`);
  }
  return (
    `{"event_id":"${event.event_id}","event_type":"${event.event_type}","event_time":${event.event_time},` +
    `"user_id":"${event.user_id}","request_id":${quoted(event.request_id)},"scene":${quoted(event.scene)},` +
    `"arm":${quoted(event.arm)}${items === '' ? '' : `,"items":[${items}]`}` +
    `${event.query === null ? '' : `,"query":${JSON.stringify(event.query)}`}}\n`
  );
}

/** Writes lines to a file, to standard output for `-`, compressed for a name in `.gz`. */
async function writeLines(file: string, lines: Iterable<string>): Promise<void> {
  const sink = file === '-' ? process.stdout : createWriteStream(file);
  const zip = file.endsWith('.gz') ? createGzip({ level: constants.Z_BEST_SPEED, chunkSize: 1 << 18 }) : null;
  zip?.pipe(sink);
  const target = zip ?? sink;
  let waiting: string[] = [];
  let size = 0;
  const flush = async () => {
    if (!target.write(waiting.join(''))) await once(target, 'drain');
    waiting = [];
    size = 0;
  };
  for (const line of lines) {
    waiting.push(line);
    if ((size += line.length) > 1 << 18) await flush();
  }
  await flush();
  if (sink === process.stdout && zip === null) return;
  target.end();
  if (sink !== process.stdout) await once(sink, 'finish');
}

const usage = `Usage: node bench/generate.ts --events N --out FILE.ndjson[.gz] [options]

  --events N            different events; repeats come on top
  --out FILE            the log, one event a line; - for standard output
  --catalog FILE        the items, as catalog.items has them
  --users N             (${defaults.users})
  --days N              (${defaults.days})
  --seed S              the same options and seed give the same bytes (${defaults.seed})
  --start DAY           first day, YYYY-MM-DD, UTC (${new Date(defaults.startMs).toISOString().slice(0, 10)})
  --disorder MS         an event arrives up to so much after its time (${defaults.disorderMs})
  --duplicates SHARE    of the events arrive once more (${defaults.duplicates})
  --duplicate-delay MS  up to so much after the first (${defaults.duplicateDelayMs})
  --categories N        leaf categories (${defaults.categories})
  --items N             (${defaults.items})`;

async function main(): Promise<number> {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      events: text,
      out: text,
      catalog: text,
      users: text,
      days: text,
      seed: text,
      start: text,
      disorder: text,
      duplicates: text,
      'duplicate-delay': text,
      categories: text,
      items: text,
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const number = (name: keyof typeof values, otherwise: number, least: number): number => {
    const value = values[name] === undefined ? otherwise : Number(values[name]);
    if (!(value >= least) || (name !== 'duplicates' && !Number.isInteger(value)))
      throw new RangeError(`--${name} must be a number from ${least}: ${values[name]}`);
    return value;
  };
  if (values.events === undefined || values.out === undefined) throw new RangeError('--events and --out are needed');
  const options: Required<GeneratorOptions> = {
    events: number('events', 0, 1),
    users: number('users', defaults.users, 1),
    days: number('days', defaults.days, 1),
    seed: values.seed ?? defaults.seed,
    startMs: values.start === undefined ? defaults.startMs : Date.parse(`${values.start}T00:00:00Z`),
    disorderMs: number('disorder', defaults.disorderMs, 0),
    duplicates: number('duplicates', defaults.duplicates, 0),
    duplicateDelayMs: number('duplicate-delay', defaults.duplicateDelayMs, 0),
    categories: number('categories', defaults.categories, 1),
    items: number('items', defaults.items, 1),
  };
  if (Number.isNaN(options.startMs)) throw new RangeError(`--start must be a day: ${values.start}`);
  if (options.items < options.categories) throw new RangeError('--items: every category needs one');
  const started = performance.now();
  let written = 0;
  let exposures = 0;
  await writeLines(
    values.out,
    (function* () {
      for (const event of generateSync(options)) {
        written++;
        if (event.event_type === 'exposure') exposures += event.items.length;
        yield toLine(event);
      }
    })(),
  );
  if (values.catalog !== undefined) {
    const lines = function* () {
      for (const item of itemsOf(options)) yield `${JSON.stringify(item)}\n`;
    };
    await writeLines(values.catalog, lines());
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.error(`${written} events, ${exposures} item exposures in ${seconds} s`);
  return 0;
}

if (process.argv[1] === import.meta.filename) {
  try {
    process.exitCode = await main();
  } catch (error) {
    // a name or a number that is none is wrong use; the rest is a failure
    const wrong = error instanceof RangeError || (error instanceof TypeError && 'code' in error);
    console.error(wrong ? `${(error as Error).message}\n\n${usage}` : error);
    process.exitCode = wrong ? 2 : 1;
  }
}
