import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { SoldItem } from '../../../src/nearline/candidates/rules.ts';
import type { UserCandidates } from '../../../src/nearline/records.ts';
import type { RetrievedItem } from '../../../src/serengpt/records.ts';
import { eventFromJson } from '../../../src/shop/behaviour.ts';
import { TopologyTestDriver } from '../../../src/stream/driver.ts';
import type { LocalRecord } from '../../../src/stream/local-task.ts';
import { CANDIDATES_DEFAULTS, candidatesTopology } from '../../../topologies/candidates.ts';
import { standing, type CatalogEntry, type RawEvent } from '../../oracle/oracle.ts';
import { caseArb, randomFrom, shuffleWithinGrace, type Case } from '../../oracle/random-logs.ts';
import { answerOf, itemOf, DAY, HOUR, MINUTE } from './given.ts';

/** PROPERTY_RUNS=30000 PROPERTY_ZONE=America/St_Johns: more logs, and of one zone alone. */
const RUNS = Number(process.env['PROPERTY_RUNS'] ?? 500);

// the world of random-logs.ts
const ITEMS = ['i', 'i#1', '01', '1', 'ī', 'i\u0000'];
const USERS = ['u', 'u\u0000', 'ü\u{1F600}'];
const oneOf = <T>(...values: T[]) => fc.constantFrom(...values);

const retrieved: fc.Arbitrary<RetrievedItem> = fc
  .record({
    item_id: oneOf(...ITEMS),
    category_id: oneOf('c', 'c\u0000', '7', '\u{1F600}/x', 'never seen', 'never seen', null),
    brand_id: oneOf('b', 'c', 'b|1', 'new', null),
    seller_id: oneOf('s', 'b', '\uFFFD', null, null),
  })
  .map(itemOf);

interface Answering {
  kind: 'answer';
  /** place among the arrivals, 0 to 1 */
  at: number;
  user: string;
  round: number;
  outcome: 'retrieved' | 'failed';
  /** asked at the time of that arrival, and a bit */
  offset: number;
  validFor: number;
  items: RetrievedItem[];
}
interface Erasing {
  kind: 'erase';
  at: number;
  user: string;
  offset: number;
}

const answering: fc.Arbitrary<Answering> = fc.record({
  kind: fc.constant('answer' as const),
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  user: oneOf(USERS[0]!, USERS[0]!, ...USERS),
  round: fc.integer({ min: 1, max: 6 }),
  outcome: oneOf('retrieved', 'retrieved', 'retrieved', 'retrieved', 'failed'),
  offset: oneOf(0, 0, 0, 1, -1, -MINUTE, -HOUR, -DAY, HOUR, 2 * DAY),
  validFor: oneOf(MINUTE, HOUR, DAY, DAY, 30 * DAY),
  items: fc.array(retrieved, { minLength: 1, maxLength: 12 }),
});
const erasing: fc.Arbitrary<Erasing> = fc.record({
  kind: fc.constant('erase' as const),
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  user: oneOf(...USERS),
  offset: oneOf(0, 0, -1, MINUTE, -HOUR),
});

const world = fc.record({
  made: caseArb({ maxEvents: 40, timeZone: process.env['PROPERTY_ZONE'] }),
  beside: fc.array(fc.oneof({ weight: 8, arbitrary: answering }, { weight: 1, arbitrary: erasing }), {
    minLength: 1,
    maxLength: 8,
  }),
  soldOut: fc.array(oneOf(...ITEMS), { maxLength: 1 }),
  gone: fc.array(oneOf(...ITEMS), { maxLength: 1 }),
  most: oneOf(3, 50),
  perCategory: oneOf(null, null, 1, 2),
  boughtFor: oneOf(MINUTE, HOUR, DAY, 90 * DAY),
  redelivered: fc.boolean(),
});
type World = typeof world extends fc.Arbitrary<infer W> ? W : never;

interface Step {
  source: 'events' | 'retrieved' | 'erasures';
  user: string;
  value: any;
}

/** The arrivals with what comes beside them in its places; answers again and again where they are redelivered. */
function stepsOf({ made, beside, redelivered }: World): Step[] {
  const arrivals = shuffleWithinGrace(made.events, made.graceMs, made.seed);
  const steps: Step[] = arrivals.map((event) => ({ source: 'events', user: event.user_id, value: event }));
  const random = randomFrom(made.seed ^ 0xa25);
  for (const one of beside) {
    const at = Math.floor(one.at * arrivals.length);
    const time = Math.max((arrivals[at] ?? arrivals.at(-1)!).event_time + one.offset, 1);
    const step: Step =
      one.kind === 'erase'
        ? { source: 'erasures', user: one.user, value: { user_id: one.user, requested_at: time } }
        : {
            source: 'retrieved',
            user: one.user,
            value: answerOf({
              user_id: one.user,
              round: one.round,
              outcome: one.outcome,
              asked_at: time,
              valid_until: time + one.validFor,
              items: one.items,
            }),
          };
    steps.splice(at, 0, step);
    while (redelivered && random() < 0.5) steps.splice(at + 1 + Math.floor(random() * (steps.length - at)), 0, step);
  }
  return steps;
}

const catalogOf = ({ made, gone }: World): Map<string, CatalogEntry> =>
  new Map(ITEMS.filter((item) => !gone.includes(item)).map((item) => [item, made.options.catalog?.get(item) ?? {}]));

const rulesOf = (world: World, { options }: Case) => ({
  visitDays: options.visitDays,
  today: options.today,
  timeZone: options.timeZone,
  attributionWindow: options.attributionWindowMs,
  grace: world.made.graceMs,
  most: world.most,
  perCategory: world.perCategory,
  boughtFor: world.boughtFor,
});

interface Listed {
  round: number;
  candidates: { item: string; category: boolean; brand: boolean; seller: boolean }[];
  leftOut: Record<string, number>;
}

/** Every list by brute force: all of it anew, from all events so far, after each step. */
function expected(world: World, steps: readonly Step[]): Map<string, Listed | null> {
  const catalog = catalogOf(world);
  const options = { ...world.made.options, catalog };
  const log: RawEvent[] = [];
  const erasedUntil = new Map<string, number>();
  const rounds = new Map<string, number>();
  const lists = new Map<
    string,
    (Listed & { raw: Map<string, RetrievedItem>; askedAt: number; until: number }) | null
  >();
  let streamTime = -Infinity;
  const expire = () => {
    for (const [user, list] of lists) {
      if (list !== null && list.until <= streamTime) lists.set(user, null);
    }
  };
  for (const { source, user, value } of steps) {
    if (source === 'erasures') {
      if (value.requested_at <= (erasedUntil.get(user) ?? -1)) continue;
      erasedUntil.set(user, value.requested_at);
      log.splice(0, log.length, ...log.filter(({ user_id }) => user_id !== user));
      rounds.delete(user);
      lists.set(user, null);
    } else if (source === 'events') {
      streamTime = Math.max(streamTime, value.event_time);
      expire();
      if (value.event_time <= (erasedUntil.get(user) ?? -1)) continue;
      log.push(value);
      const list = lists.get(user);
      if (list == null) continue;
      const now = standing(log, user, list.askedAt, options);
      const since = Math.max(now.newest, list.askedAt) - world.boughtFor;
      list.candidates = list.candidates.filter((one) => {
        const raw = list.raw.get(one.item)!;
        const novel = now.novelty(raw);
        one.category &&= novel.category;
        one.brand &&= novel.brand;
        one.seller &&= novel.seller;
        const rule =
          (now.boughtAt(one.item) ?? -Infinity) > since
            ? 'bought'
            : now.shown(one.item)
              ? 'shown'
              : !(one.category || one.brand || one.seller)
                ? 'not_related'
                : null;
        if (rule !== null) list.leftOut[rule] = (list.leftOut[rule] ?? 0) + 1;
        return rule === null;
      });
    } else {
      if (value.outcome === 'failed' || value.asked_at <= (erasedUntil.get(user) ?? -1)) continue;
      if (value.valid_until <= streamTime || value.round <= (rounds.get(user) ?? 0)) continue;
      rounds.set(user, value.round);
      const now = standing(log, user, value.asked_at, options);
      const since = Math.max(now.newest, value.asked_at) - world.boughtFor;
      const list = {
        round: value.round,
        candidates: [] as Listed['candidates'],
        leftOut: {} as Record<string, number>,
        raw: new Map<string, RetrievedItem>(),
        askedAt: value.asked_at,
        until: value.valid_until,
      };
      const categories: string[] = [];
      const seen = new Set<string>();
      for (const item of value.items as RetrievedItem[]) {
        const id = item.item_id;
        const novel = now.novelty(item);
        const category = item.category_id || catalog.get(id)?.category_id || null;
        const full = categories.length >= world.most;
        const rule = full
          ? 'over_limit'
          : seen.has(id)
            ? 'duplicate'
            : !catalog.has(id) || world.soldOut.includes(id)
              ? 'unavailable'
              : (now.boughtAt(id) ?? -Infinity) > since
                ? 'bought'
                : now.shown(id)
                  ? 'shown'
                  : category === null
                    ? 'no_category'
                    : !(novel.category || novel.brand || novel.seller)
                      ? 'not_related'
                      : categories.filter((other) => other === category).length >= (world.perCategory ?? Infinity)
                        ? 'same_category'
                        : null;
        seen.add(id);
        if (rule !== null) {
          list.leftOut[rule] = (list.leftOut[rule] ?? 0) + 1;
          continue;
        }
        categories.push(category!);
        list.raw.set(id, item);
        list.candidates.push({ item: id, category: novel.category, brand: novel.brand, seller: novel.seller });
      }
      lists.set(user, list);
    }
  }
  expire();
  return new Map(
    [...lists].map(([user, list]) => [
      user,
      list && { round: list.round, candidates: list.candidates, leftOut: list.leftOut },
    ]),
  );
}

interface Run {
  last: Map<string, Listed | null>;
  said: { user: string; list: UserCandidates | null; streamTime: number }[];
  state: Map<string, Listed | null>;
}

const listed = (list: UserCandidates): Listed => ({
  round: list.round,
  candidates: list.candidates.map((one) => ({
    item: one.item_id,
    category: one.novel_category,
    brand: one.novel_brand,
    seller: one.novel_seller,
  })),
  leftOut: Object.fromEntries(list.left_out.map(({ rule, count }) => [rule, count])),
});

function run(world: World, steps: readonly Step[], cut: number): Run {
  const catalog = new Map<string, SoldItem>(
    [...catalogOf(world)].map(([item, { category_id, brand_id, seller_id }]) => [
      item,
      {
        category: category_id || null,
        brand: brand_id || null,
        seller: seller_id || null,
        available: !world.soldOut.includes(item),
      },
    ]),
  );
  const driver = new TopologyTestDriver(
    candidatesTopology({ ...CANDIDATES_DEFAULTS, ...rulesOf(world, world.made), boughtItems: 500 }),
    { tables: { catalog }, checkNow: Infinity, commitEach: false },
  );
  const random = randomFrom(world.made.seed ^ (0x5ea1 * cut));
  const [batches, commits] = [random(), random()];
  const out: Run = { last: new Map(), said: [], state: new Map() };
  const take = () => {
    for (const { key, value } of driver.read<UserCandidates | null>('candidates')) {
      out.said.push({ user: key, list: value, streamTime: driver.streamTime });
      out.last.set(key, value && listed(value));
    }
  };
  let batch: LocalRecord[] = [];
  for (const { source, user, value } of steps) {
    batch.push({ source, key: user, value: source === 'events' ? eventFromJson(structuredClone(value)) : value });
    if (cut > 0 && random() < batches) continue;
    driver.pipeAll(batch);
    batch = [];
    if (cut > 0 && random() < commits) continue;
    driver.commit();
    take();
  }
  driver.pipeAll(batch);
  driver.end();
  driver.commit();
  take();
  expect(driver.deadLetters).toEqual([]);
  for (const [user, { list }] of driver.store('lists')) out.state.set(user, list && listed(list));
  return out;
}

const items = (list: Listed | null) => list && { ...list, candidates: list.candidates.map(({ item }) => item) };

test('the list of each user is that of brute force, whatever the order, the repeats and the batches', () => {
  const seen = { candidates: 0, takenOut: 0, ended: 0 };
  fc.assert(
    fc.property(world, (world) => {
      fc.pre(world.made.events.length > 0);
      const steps = stepsOf(world);
      const lists = expected(world, steps);
      const runs = [0, 1, 2].map((cut) => run(world, steps, cut));
      for (const [cut, found] of runs.entries()) {
        expect(found.last).toEqual(runs[0]!.last);
        for (const [user, list] of lists) {
          // what is kept has lost all that it should; what was said last holds the same candidates
          if (list !== null) expect(found.state.get(user)).toEqual(list);
          else expect(found.state.get(user) ?? null).toBeNull();
          expect(items(found.last.get(user) ?? null)).toEqual(items(list));
        }
        expect([...found.last.keys()].sort()).toEqual([...lists.keys()].sort());

        // what is said of a user is one list after the other: each begins at revision 0, and only ever gets shorter
        const before = new Map<string, UserCandidates>();
        for (const { user, list, streamTime } of found.said) {
          if (list === null) {
            before.delete(user);
            seen.ended++;
            continue;
          }
          const last = before.get(user);
          if (list.revision === 0) expect(list.round).toBeGreaterThan(last?.round ?? 0);
          else {
            expect(list).toMatchObject({ round: last!.round, revision: last!.revision + 1 });
            expect(last!.candidates.length).toBeGreaterThan(list.candidates.length);
            seen.takenOut++;
          }
          const ids = list.candidates.map(({ item_id }) => item_id);
          expect(new Set(ids).size).toBe(ids.length);
          if (cut === 0) expect(list.expires_at).toBeGreaterThan(streamTime);
          before.set(user, list);
          seen.candidates += ids.length;
        }
      }
    }),
    { numRuns: RUNS },
  );
  // the logs hold what this is about
  if (RUNS >= 500) for (const count of Object.values(seen)) expect(count).toBeGreaterThan(100);
});
