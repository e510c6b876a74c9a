import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PROFILES_DEFAULTS, type ProfilesOptions } from '../../src/profile/options.ts';
import type { LongTermProfile, ProfileProposals, ProfileRequest, ShortTermProfile } from '../../src/profile/records.ts';
import { bucketOf, turnOf } from '../../src/shop/buckets.ts';
import type { BehaviorEvent, EventType } from '../../src/shop/behaviour.ts';
import { TopologyTestDriver } from '../../src/stream/driver.ts';
import { profilesTopology } from '../../topologies/profiles.ts';
import { DAY, embedder, proposal, shop, SHOP } from '../profile/given.ts';

const MINUTE = 60_000;
/** noon of some day, by the wall clock and in the log */
const NOW = 20_000 * DAY;

class Shop {
  readonly driver: TopologyTestDriver;
  readonly options: ProfilesOptions;
  #events = 0;

  constructor(options: Partial<ProfilesOptions> = {}) {
    this.options = { ...PROFILES_DEFAULTS, partitions: 1, requestsPerMinute: null, ...options };
    this.driver = new TopologyTestDriver(profilesTopology(this.options), {
      tables: { catalog: shop(SHOP, this.options.embedder).catalog, users: new Map([['ann', 'age 35-44, Married']]) },
      now: NOW,
      checkNow: Infinity,
    });
  }

  made(user: string, type: EventType, at: number, items: string[] = [], query: string | null = null): BehaviorEvent {
    const item = { category_id: null, brand_id: null, seller_id: null, position: null, viewable: true, price: null };
    return {
      event_id: `e${this.#events++}`,
      event_type: type,
      event_time: at,
      user_id: user,
      request_id: null,
      scene: null,
      arm: null,
      items: items.map((item_id) => ({ ...item, item_id, quantity: 1 })),
      query,
    };
  }

  event(user: string, type: EventType, at: number, more: { item?: string; query?: string } = {}): void {
    const items = more.item === undefined ? [] : [more.item];
    this.driver.pipe('events', user, this.made(user, type, at, items, more.query ?? null));
  }

  /** Behaviour enough to be asked about, on the day that `at` lies in. */
  camper(user: string, at: number): void {
    this.event(user, 'search', at, { query: 'head lamp' });
    this.event(user, 'purchase', at + MINUTE, { item: 'tent' });
    this.event(user, 'purchase', at + 2 * MINUTE, { item: 'kibble' });
  }

  /** Moves the log's time past the turns of all buckets, by somebody else's visit. */
  pass(at: number): void {
    this.event('passer-by', 'visit', at);
  }

  requests(): ProfileRequest[] {
    return this.driver.read<ProfileRequest>('requests').map(({ value }) => value);
  }

  answer(request: ProfileRequest, tags: string[], more: Partial<ProfileProposals> = {}): void {
    const answer: ProfileProposals = {
      request_id: request.request_id,
      user_id: request.user_id,
      kind: request.kind,
      asked_at: request.asked_at,
      answered_at: NOW,
      outcome: 'proposed',
      error: null,
      profiler: 'a model',
      prompt_version: request.prompt_version,
      embedder: embedder.name,
      proposals: tags.map((tag) => proposal(tag)),
      dropped: [],
      prompt_tokens: 0,
      completion_tokens: 0,
      ...more,
    };
    this.driver.pipe('proposals', request.user_id, answer);
  }

  shortTerm(): (ShortTermProfile | null)[] {
    return this.driver.read<ShortTermProfile | null>('short-term').map(({ value }) => value);
  }

  longTerm(): (LongTermProfile | null)[] {
    return this.driver.read<LongTermProfile | null>('long-term').map(({ value }) => value);
  }
}

describe('a refresh', () => {
  test("is asked for on a visit, at the turn of the user's bucket, with all that a worker needs", () => {
    const shop = new Shop();
    shop.camper('ann', NOW);
    expect(shop.requests()).toEqual([]);
    shop.pass(NOW + 2 * DAY);
    const [request, ...more] = shop.requests();
    expect(more).toEqual([]);
    const at = turnOf(bucketOf('ann', 100), NOW, DAY, 100);
    // the first event of all made the user due; had the turn come before the other two, too little was known at it
    expect(request).toMatchObject({
      request_id: `ann/short_term/${request!.asked_at}`,
      user_id: 'ann',
      kind: 'short_term',
      attempt: 1,
      expires_at: NOW + shop.options.deadline,
      prompt_version: 'short-term-1',
      number_of_tags: 20,
      tag_length: 16,
      static_profile: 'age 35-44, Married',
      searches: [{ time: NOW, query: 'head lamp' }],
      candidates: [],
    });
    expect((request!.asked_at - at) % DAY).toBe(0);
    expect(request!.purchases).toEqual([
      { time: NOW + MINUTE, title: 'Alpine 2 person tent', category: 'tents', brand: 'Hilla', times: 1 },
      { time: NOW + 2 * MINUTE, title: 'Crunchy kibble, 2 kg', category: 'cat food', brand: null, times: 1 },
    ]);
  });

  test('is asked for again 15 days after the last one, and then only on a visit', () => {
    const shop = new Shop();
    shop.camper('ann', NOW);
    shop.pass(NOW + 2 * DAY);
    const [request] = shop.requests();
    shop.answer(request!, ['tents']);
    shop.camper('ann', request!.asked_at + 10 * DAY);
    shop.pass(request!.asked_at + 14 * DAY);
    expect(shop.requests()).toEqual([]);
    shop.pass(request!.asked_at + 20 * DAY);
    expect(shop.requests()).toEqual([]);
    shop.event('ann', 'visit', request!.asked_at + 20 * DAY);
    shop.pass(request!.asked_at + 22 * DAY);
    expect(shop.requests()).toHaveLength(1);
  });

  test('is not asked for of a user who did too little, nor of one who only looked', () => {
    const shop = new Shop();
    shop.event('ann', 'purchase', NOW, { item: 'tent' });
    for (let day = 0; day < 5; day++) shop.event('bob', 'exposure', NOW + day * DAY, { item: 'tent' });
    shop.pass(NOW + 7 * DAY);
    expect(shop.requests()).toEqual([]);
  });

  test('is open once a user, however many visits there are', () => {
    const shop = new Shop();
    shop.camper('ann', NOW);
    for (let day = 1; day < 40; day++) shop.event('ann', 'visit', NOW + day * DAY);
    expect(shop.requests()).toHaveLength(1);
  });

  test('leaves out what is older than 28 days', () => {
    const shop = new Shop();
    shop.event('ann', 'search', NOW - 40 * DAY, { query: 'old' });
    shop.camper('ann', NOW);
    shop.pass(NOW + 2 * DAY);
    expect(shop.requests()[0]!.searches.map(({ query }) => query)).toEqual(['head lamp']);
  });
});

describe('an answer', () => {
  test('becomes the profile by approval, and what was refused is published with the reason', () => {
    const shop = new Shop();
    shop.camper('ann', NOW);
    shop.pass(NOW + 2 * DAY);
    const [request] = shop.requests();
    shop.answer(request!, ['tents', 'golf clubs', 'cat food']);
    const [profile] = shop.shortTerm();
    expect(profile).toMatchObject({
      user_id: 'ann',
      refreshed_at: request!.asked_at,
      refresh: 1,
      profiler: 'a model',
      static_profile: 'age 35-44, Married',
    });
    expect(profile!.tags.map(({ tag }) => tag)).toEqual(['cat food', 'tents']);
    expect(profile!.tags[0]).toMatchObject({ times_given: 1, times_proposed: 1, given_at: [request!.asked_at] });
    expect(profile!.refused).toMatchObject([{ tag: 'golf clubs', code: 'NO_EVIDENCE' }]);
    expect(shop.driver.count('profile_tags{"kind":"short_term","verdict":"accepted"}')).toBe(2);
  });

  test('counts once: repeated, to another request, or of another user, it is dropped and counted', () => {
    const shop = new Shop();
    shop.camper('ann', NOW);
    shop.pass(NOW + 2 * DAY);
    const [request] = shop.requests();
    shop.answer({ ...request!, request_id: 'ann/short_term/1' }, ['tents']);
    expect(shop.shortTerm()).toEqual([]);
    shop.answer(request!, ['tents']);
    shop.answer(request!, ['cat food']);
    expect(shop.shortTerm()).toHaveLength(1);
    expect(shop.driver.count('profile_answers_dropped')).toBe(2);
  });

  test('is judged by what the user had done when it was asked, however late it comes', () => {
    const profiles = [0, 5].map((later) => {
      const shop = new Shop();
      shop.camper('ann', NOW);
      shop.pass(NOW + 2 * DAY);
      const [request] = shop.requests();
      for (let n = 0; n < later; n++) shop.event('ann', 'purchase', NOW + (3 + n) * DAY, { item: 'novel' });
      shop.answer(request!, ['tents', 'fiction']);
      return shop.shortTerm()[0];
    });
    expect(profiles[1]).toEqual(profiles[0]);
  });

  test('that says NA leaves the profile as it is, and is not asked for again at once', () => {
    const shop = new Shop();
    shop.camper('ann', NOW);
    shop.pass(NOW + 2 * DAY);
    shop.answer(shop.requests()[0]!, [], { outcome: 'not_enough' });
    shop.event('ann', 'visit', NOW + 4 * DAY);
    shop.pass(NOW + 6 * DAY);
    expect(shop.shortTerm()).toEqual([]);
    expect(shop.requests()).toEqual([]);
  });
});

describe('a request without an answer', () => {
  test('is repeated under the same id, three times in all, and then not before a later day', () => {
    const shop = new Shop();
    shop.camper('ann', NOW);
    shop.pass(NOW + 2 * DAY);
    const ids = new Set<string>();
    for (let attempt = 1; attempt <= 3; attempt++) {
      const requests = shop.requests();
      expect(requests).toMatchObject([{ attempt }]);
      ids.add(requests[0]!.request_id);
      shop.driver.advanceWallClock(10 * MINUTE);
      shop.driver.advanceWallClock(2 ** (attempt - 1) * MINUTE);
    }
    expect(ids.size).toBe(1);
    expect(shop.requests()).toEqual([]);
    expect(shop.driver.count('profile_requests_given_up{"kind":"short_term"}')).toBe(1);
    shop.event('ann', 'visit', NOW + 4 * DAY);
    shop.pass(NOW + 6 * DAY);
    expect(shop.requests()).toHaveLength(1);
  });

  test('that failed is repeated after a pause, and an answer past the deadline is dropped', () => {
    const shop = new Shop();
    shop.camper('ann', NOW);
    shop.pass(NOW + 2 * DAY);
    const [request] = shop.requests();
    shop.answer(request!, [], { outcome: 'failed', error: 'LLM_TIMEOUT' });
    shop.answer(request!, ['tents']);
    expect(shop.shortTerm()).toEqual([]);
    shop.driver.advanceWallClock(MINUTE);
    expect(shop.requests()).toMatchObject([{ attempt: 2 }]);
    shop.answer(request!, ['tents']);
    expect(shop.shortTerm()).toHaveLength(1);
    shop.driver.advanceWallClock(60 * MINUTE);
    expect(shop.requests()).toEqual([]);
  });
});

describe('the budget of a minute', () => {
  const due = (shop: Shop, users: string[]) => {
    for (const user of users) shop.camper(user, NOW + MINUTE);
    // whose turn came too early, by a visit of the days before, is due by this one
    for (const user of users) shop.event(user, 'visit', NOW + 2 * DAY);
    shop.pass(NOW + 4 * DAY);
  };

  test('spreads requests evenly over it, and none is lost or doubled', () => {
    const shop = new Shop({ requestsPerMinute: 60 });
    const users = Array.from({ length: 150 }, (_, n) => `user-${n}`);
    due(shop, users);
    const asked: string[] = [];
    const perSecond: number[] = [];
    for (let second = 0; second < 160; second++) {
      const requests = shop.requests();
      perSecond.push(requests.length);
      asked.push(...requests.map(({ user_id }) => user_id));
      shop.driver.advanceWallClock(1000);
    }
    expect([...asked].sort()).toEqual([...users].sort());
    expect(Math.max(...perSecond)).toBeLessThanOrEqual(2);
  });

  test('lets hundreds through at once where it is large', () => {
    const shop = new Shop({ requestsPerMinute: 60_000 });
    // due at one moment, and the budget of its first second is gone
    const users = Array.from({ length: 2500 }, (_, n) => `user-${n}`);
    const event = (user: string, n: number, type: EventType, time: number, items: string[] = []) =>
      ({ ...shop.made(user, type, time, items), event_id: `${user}-${n}` }) satisfies BehaviorEvent;
    shop.driver.pipeAll(
      users.map((user) => ({
        source: 'events',
        key: user,
        value: event(user, 0, 'purchase', NOW - DAY + MINUTE, ['tent', 'kibble', 'mug']),
      })),
    );
    shop.driver.pipeAll(users.map((user) => ({ source: 'events', key: user, value: event(user, 1, 'visit', NOW) })));
    shop.pass(NOW + 2 * DAY);
    const asked = new Set<string>();
    for (let second = 0; second < 5; second++) {
      for (const { user_id } of shop.requests()) asked.add(user_id);
      shop.driver.advanceWallClock(1000);
    }
    expect(asked.size).toBe(2500);
    expect(shop.driver.deadLetters).toEqual([]);
  });

  test('goes to active users first, and the others are not forgotten meanwhile', () => {
    const shop = new Shop({ requestsPerMinute: 60 });
    const active = Array.from({ length: 20 }, (_, n) => `active-${n}`);
    const others = Array.from({ length: 20 }, (_, n) => `other-${n}`);
    for (const user of active) {
      for (let day = 1; day <= 5; day++) shop.event(user, 'visit', NOW - day * DAY);
    }
    due(shop, [...others, ...active]);
    const asked: string[] = [];
    for (let second = 0; second < 60; second++) {
      asked.push(...shop.requests().map(({ user_id }) => user_id));
      shop.driver.advanceWallClock(1000);
    }
    expect(asked).toHaveLength(40);
    const firstHalf = asked.slice(0, 20).filter((user) => user.startsWith('active')).length;
    expect(firstHalf).toBeGreaterThanOrEqual(14);
    expect(firstHalf).toBeLessThan(20);
  });

  test('below one request a minute and partition still lets one through in time', () => {
    const shop = new Shop({ requestsPerMinute: 6, partitions: 12 });
    due(shop, ['ann', 'bob', 'cid']);
    let asked = 0;
    for (let minute = 0; minute < 7; minute++) {
      for (let second = 0; second < 60; second++) {
        asked += shop.requests().length;
        shop.driver.advanceWallClock(1000);
      }
    }
    expect(asked).toBe(3);
  });
});

describe('the long-term profile', () => {
  /** Refreshes of somebody who buys tents all the time and asks for a novel once. */
  function year(shop: Shop, refreshes: number): LongTermProfile[] {
    const said: LongTermProfile[] = [];
    let at = NOW;
    for (let n = 0; n < refreshes; n++) {
      shop.camper('ann', at);
      if (n === 1) shop.event('ann', 'purchase', at, { item: 'novel' });
      shop.pass(at + 2 * DAY);
      for (const request of shop.requests()) shop.answer(request, n === 1 ? ['tents', 'fiction'] : ['tents']);
      for (const request of shop.requests()) {
        expect(request).toMatchObject({
          kind: 'long_term',
          prompt_version: 'long-term-1',
          searches: expect.any(Array),
        });
        expect(request.candidates.map(({ tag }) => tag)).toEqual(['tents']);
        shop.answer(request, ['tents', 'golf clubs']);
      }
      said.push(...shop.longTerm().filter((profile) => profile !== null));
      at += 16 * DAY;
    }
    return said;
  }

  test('holds what was given often, evenly and to effect, refined by the model and approved again', () => {
    const said = year(new Shop(), 5);
    expect(said[0]!.tags).toMatchObject([{ tag: 'tents', frequency: 1, effectiveness: 1 }]);
    expect(said[0]!.tags[0]!.regularity).toBeGreaterThan(0.9);
    expect(said[0]!.refused).toMatchObject([
      { tag: 'golf clubs', code: 'NO_EVIDENCE' },
      { tag: 'fiction', code: 'NOT_ADMITTED' },
    ]);
  });

  test('comes after four refreshes, then each month', () => {
    const shop = new Shop();
    expect(year(shop, 8).map(({ refresh }) => refresh)).toEqual([1, 2, 3]);
  });
});

describe('erasure', () => {
  const erase = (shop: Shop, user: string, until: number) =>
    shop.driver.pipe('erasures', user, { user_id: user, requested_at: until });
  const keysOf = (shop: Shop, user: string) =>
    ['asking', 'recent', 'pool', 'waiting'].filter((store) =>
      [...shop.driver.store(store)].some(
        ([key, value]) => key === user || (Array.isArray(value) && value.includes(user)),
      ),
    );

  test('takes a user out of every store and out of what is published, and keeps the cut-off only', () => {
    const shop = new Shop();
    for (const user of ['ann', 'anna']) shop.camper(user, NOW);
    shop.pass(NOW + 2 * DAY);
    for (const request of shop.requests()) shop.answer(request, ['tents']);
    shop.shortTerm();
    erase(shop, 'ann', NOW + 3 * DAY);
    expect(shop.driver.read('short-term')).toMatchObject([{ key: 'ann', value: null }]);
    expect(shop.driver.read('long-term')).toMatchObject([{ key: 'ann', value: null }]);
    expect(keysOf(shop, 'ann')).toEqual(['asking']);
    expect(shop.driver.store('asking').get('ann')).toMatchObject({ newest: 0, visits: 0, erasedUntil: NOW + 3 * DAY });
    expect(keysOf(shop, 'anna')).toEqual(['asking', 'recent', 'pool']);
  });

  test('drops events from before it that still come, and begins anew with those from after it', () => {
    const shop = new Shop();
    shop.camper('ann', NOW);
    erase(shop, 'ann', NOW + DAY);
    shop.camper('ann', NOW + DAY - 5 * MINUTE);
    expect(keysOf(shop, 'ann')).toEqual(['asking']);
    expect(shop.driver.count('erased_events')).toBe(3);
    shop.camper('ann', NOW + 2 * DAY);
    shop.pass(NOW + 4 * DAY);
    expect(shop.requests().at(-1)!.searches).toEqual([{ time: NOW + 2 * DAY, query: 'head lamp' }]);
  });

  test('takes a user out of the line, and an answer that comes after it is dropped', () => {
    const shop = new Shop({ requestsPerMinute: 1 });
    for (const user of ['ann', 'bob', 'cid']) shop.camper(user, NOW);
    shop.pass(NOW + 2 * DAY);
    shop.driver.advanceWallClock(59_000);
    const [sent] = shop.requests();
    const waiting = ['ann', 'bob', 'cid'].filter((user) => user !== sent!.user_id);
    erase(shop, waiting[0]!, NOW + 3 * DAY);
    erase(shop, sent!.user_id, NOW + 3 * DAY);
    shop.answer(sent!, ['tents']);
    expect(shop.shortTerm().filter((profile) => profile !== null)).toEqual([]);
    const asked: string[] = [];
    for (let minute = 0; minute < 4; minute++) {
      shop.driver.advanceWallClock(MINUTE);
      asked.push(...shop.requests().map(({ user_id }) => user_id));
    }
    expect(asked[0]).toBe(waiting[1]);
    expect(asked).not.toContain(waiting[0]);
  });

  test('twice is once', () => {
    const shop = new Shop();
    shop.camper('ann', NOW);
    erase(shop, 'ann', NOW + DAY);
    erase(shop, 'ann', NOW + DAY);
    expect(shop.driver.read('short-term')).toHaveLength(1);
    expect(shop.driver.count('users_erased')).toBe(1);
  });
});

test('a user without events for userTtl is forgotten, in the store and in what is published', () => {
  const shop = new Shop({ userTtl: 50 * DAY });
  shop.camper('ann', NOW);
  shop.pass(NOW + 2 * DAY);
  shop.answer(shop.requests()[0]!, ['tents']);
  shop.shortTerm();
  shop.pass(NOW + 60 * DAY);
  expect(shop.driver.store('asking').has('ann')).toBe(false);
  expect(shop.driver.store('pool').has('ann')).toBe(false);
  expect(shop.shortTerm()).toEqual([null]);
});

/** What users do on days of two months, a few minutes apart. */
const deed = fc.record({
  user: fc.constantFrom('ann', 'bob', 'cid'),
  type: fc.constantFrom<EventType>('visit', 'search', 'click', 'purchase', 'purchase'),
  item: fc.constantFrom(...SHOP.map(({ item_id }) => item_id)),
  minute: fc.integer({ min: 0, max: 60 * 24 * 60 }),
});

test('profiles hang on the log alone: not on where batches are cut, nor on how late an answer comes', () => {
  const tags = ['tents', 'camping', 'cat food', 'mugs', 'fiction', 'golf clubs'];
  fc.assert(
    fc.property(
      fc.array(deed, { minLength: 20, maxLength: 120 }),
      fc.array(fc.record({ days: fc.integer({ min: 0, max: 4 }), wait: fc.nat({ max: 1 }) }), { minLength: 1 }),
      (deeds, cuts) => {
        const log = [...deeds].sort((a, b) => a.minute - b.minute);
        const run = (pieces: readonly { days: number; wait: number }[]) => {
          const shop = new Shop({ fewestBehaviours: 2 });
          const said = new Map<string, unknown>();
          let late: ProfileRequest[] = [];
          const answer = (wait: number): void => {
            const now = late;
            late = [];
            for (const request of [...now, ...(wait === 0 ? shop.requests() : [])]) shop.answer(request, tags);
            if (wait === 1) late = shop.requests();
            else for (const request of shop.requests()) shop.answer(request, tags);
            for (const { value } of shop.driver.read<ShortTermProfile>('short-term')) said.set(value.request_id, value);
          };
          let n = 0;
          for (let piece = 0; n < log.length; piece++) {
            const { days, wait } = pieces[piece % pieces.length]!;
            const until = log[n]!.minute + days * 24 * 60;
            const batch = [];
            for (; n < log.length && log[n]!.minute <= until; n++) {
              const { user, type, item, minute } = log[n]!;
              const value = shop.made(user, type, NOW + minute * MINUTE, type === 'search' ? [] : [item], item);
              batch.push({ source: 'events', key: user, value });
            }
            shop.driver.pipeAll(batch);
            answer(wait);
          }
          // the turns of the last days, and the last answers
          shop.pass(NOW + 70 * DAY);
          answer(0);
          answer(0);
          return said;
        };
        expect(run(cuts)).toEqual(run([{ days: 0, wait: 0 }]));
      },
    ),
    { numRuns: 60 },
  );
});
