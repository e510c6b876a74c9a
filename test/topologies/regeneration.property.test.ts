/** Random shops, against a model that goes through all that happens by brute force and keeps everything. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Asking } from '../../src/serengpt/asking.ts';
import type { RegenerationOptions } from '../../src/serengpt/options.ts';
import type { RegenerationRequest } from '../../src/serengpt/records.ts';
import type { LocalRecord } from '../../src/stream/local-task.ts';
import { Channel, DAY, eventOf, HOUR, NOW, profileOf, retrievedOf } from '../serengpt/channel.ts';

const MINUTE = 60_000;
const ITEMS = ['tent', 'kettle', 'kibble', 'lamp', 'rope', 'stove'];

type Step =
  | { kind: 'event'; user: string; ahead: number; item: string | null }
  | { kind: 'profile'; user: string; tag: string }
  | { kind: 'trigger'; user: string }
  /** answers the n-th request that is out, or repeats one that was answered */
  | { kind: 'answer'; nth: number; failed: boolean; repeat: boolean };

const user = fc.constantFrom('ann', 'bob', 'cyd');
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('event' as const),
      user,
      // hours; now and then back: a late event
      ahead: fc.oneof({ weight: 8, arbitrary: fc.integer({ min: 0, max: 9 }) }, fc.integer({ min: -30, max: 0 })),
      item: fc.option(fc.constantFrom(...ITEMS)),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('profile' as const), user, tag: fc.constantFrom('x', 'y') }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('trigger' as const), user }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('answer' as const),
      nth: fc.nat(3),
      failed: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
      repeat: fc.boolean(),
    }),
  },
);

/** The rules once more, over everything that happened: no bounds, no stores, no timers. */
class Model {
  readonly requests: string[] = [];
  readonly #options: RegenerationOptions;
  readonly #users = new Map<string, ReturnType<typeof blank>>();
  #time = -Infinity;

  constructor(options: RegenerationOptions) {
    this.#options = options;
  }

  event(name: string, time: number, item: string | null): void {
    const one = this.#at(name, time);
    if (item !== null) one.clicks.push({ time, item });
    this.#visit(name, one, time, false);
  }

  profile(name: string, time: number, tag: string): void {
    const one = this.#at(name, time);
    if (one.tag !== tag) one.profiles++;
    one.tag = tag;
  }

  trigger(name: string, time: number): void {
    this.#time = Math.max(this.#time, time);
    const one = this.#users.get(name);
    if (one !== undefined) this.#visit(name, one, time, true);
  }

  answer(name: string, id: string, failed: boolean): void {
    const one = this.#users.get(name)!;
    if (one.open === null || one.open.id !== id) return;
    const { at, profiles } = one.open;
    if (failed) one.restUntil = at + this.#options.retryAfter;
    else one.made = { at, profiles };
    const { back } = one;
    one.open = null;
    one.back = null;
    if (back !== null) this.#visit(name, one, back, false);
  }

  #at(name: string, time: number) {
    this.#time = Math.max(this.#time, time);
    const one = this.#users.get(name) ?? blank();
    this.#users.set(name, one);
    return one;
  }

  #visit(name: string, one: ReturnType<typeof blank>, time: number, trigger: boolean): void {
    const { maxAge, minAge, history } = this.#options;
    if (one.open !== null) {
      if (time >= one.open.at + maxAge) one.back = Math.max(one.back ?? 0, time);
      return;
    }
    const stale = one.made === null || time >= one.made.at + maxAge;
    const renewed = one.made !== null && one.profiles !== one.made.profiles && time >= one.made.at + minAge;
    if (time < one.restUntil || !(stale || (renewed && !trigger))) return;
    if (one.tag === null && one.clicks.length === 0) return;
    if (time + maxAge <= this.#time) return;
    one.rounds++;
    one.open = { id: `${name}/${one.rounds}/${time}`, at: time, profiles: one.profiles };
    const newest = new Map<string, number>();
    for (const click of one.clicks) {
      if (click.time <= time) newest.set(click.item, Math.max(newest.get(click.item) ?? 0, click.time));
    }
    const told = [...newest].sort((a, b) => a[1] - b[1] || (a[0] < b[0] ? -1 : 1)).slice(-history);
    const why = trigger ? 'triggered' : one.made === null ? 'missing' : stale ? 'expired' : 'profile';
    this.requests.push(`${one.open.id} ${why} ${one.tag} ${told.map(([item, at]) => `${item}@${at}`).join()}`);
  }
}

const blank = () => ({
  clicks: [] as { time: number; item: string }[],
  tag: null as string | null,
  profiles: 0,
  rounds: 0,
  made: null as { at: number; profiles: number } | null,
  open: null as { id: string; at: number; profiles: number } | null,
  back: null as number | null,
  restUntil: 0,
});

const said = ({ request_id, reason, tags, history }: RegenerationRequest): string =>
  `${request_id} ${reason} ${tags[0]?.tag ?? null} ${history.map(({ item_id, time }) => `${item_id}@${time}`).join()}`;

describe('whatever happens in whichever order', () => {
  test('the requests are those of the rules, and one a user is open at a time', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.constantFrom(6, 24),
        fc.integer({ min: 1, max: 3 }),
        (steps, hours, history) => {
          const channel = new Channel({ maxAge: hours * HOUR, minAge: 2 * HOUR, history, attempts: 1 });
          const model = new Model(channel.options);
          const sent: RegenerationRequest[] = [];
          const answered: RegenerationRequest[] = [];
          let time = NOW;
          for (const one of steps) {
            if (one.kind === 'event') {
              time += Math.max(one.ahead, 0) * HOUR + 1;
              const at = one.ahead < 0 ? time + one.ahead * HOUR : time;
              channel.event(one.user, one.item === null ? 'visit' : 'click', at, { item: one.item ?? undefined });
              model.event(one.user, at, one.item);
            } else if (one.kind === 'profile') {
              channel.profile(one.user, time, [one.tag]);
              model.profile(one.user, time, one.tag);
            } else if (one.kind === 'trigger') {
              channel.trigger(one.user, time);
              model.trigger(one.user, time);
            } else {
              const from =
                one.repeat && answered.length > 0 ? answered : sent.filter((request) => !answered.includes(request));
              const request = from[one.nth % Math.max(from.length, 1)];
              if (request === undefined) continue;
              answered.push(request);
              const outcome = one.failed ? 'failed' : 'retrieved';
              channel.answer(request, { outcome });
              model.answer(request.user_id, request.request_id, one.failed);
            }
            sent.push(...channel.requests());
            const open = sent.filter((request) => !answered.includes(request)).map(({ user_id }) => user_id);
            expect(new Set(open).size).toBe(open.length);
          }
          expect(sent.map(said)).toEqual(model.requests);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('attempts at a round share its id, come one after the other, and end', () => {
    const happening = fc.oneof(
      fc.record({ kind: fc.constant('click' as const), user, hours: fc.integer({ min: 0, max: 20 }) }),
      fc.record({ kind: fc.constant('clock' as const), seconds: fc.integer({ min: 1, max: 900 }) }),
      fc.record({ kind: fc.constant('answer' as const), back: fc.nat(3), failed: fc.boolean() }),
    );
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 80 }), (steps) => {
        const channel = new Channel({ attempts: 3, maxAge: 6 * HOUR });
        const { deadline, attempts } = channel.options;
        let [time, clock] = [NOW, NOW];
        const sent: RegenerationRequest[] = [];
        /** by user: what is out */
        const out = new Map<string, RegenerationRequest>();
        const look = () => {
          for (const [name, { expires_at }] of out) if (expires_at <= clock) out.delete(name);
          for (const request of channel.requests()) {
            expect(out.has(request.user_id)).toBe(false);
            out.set(request.user_id, request);
            expect(request.expires_at).toBe(clock + deadline);
            expect(request.attempt).toBeLessThanOrEqual(attempts);
            const before = sent.findLast((one) => one.user_id === request.user_id);
            if (request.attempt === 1) expect(request.round).toBe((before?.round ?? 0) + 1);
            else {
              const { request_id, round } = request;
              expect(before).toMatchObject({ request_id, round, attempt: request.attempt - 1 });
            }
            sent.push(request);
          }
        };
        for (const one of steps) {
          if (one.kind === 'click') channel.click(one.user, (time += one.hours * HOUR + 1));
          else if (one.kind === 'clock') {
            clock += one.seconds * 1000;
            channel.driver.advanceWallClock(one.seconds * 1000);
          } else {
            const request = sent.at(-1 - one.back);
            if (request === undefined) continue;
            channel.answer(request, { outcome: one.failed ? 'failed' : 'retrieved' });
            const open = out.get(request.user_id);
            const counts = open?.request_id === request.request_id && (!one.failed || open.attempt === request.attempt);
            if (counts) out.delete(request.user_id);
          }
          look();
        }
        const given =
          channel.count('regeneration_given_up') + channel.count('regeneration_answers', { outcome: 'retrieved' });
        const rounds = new Set(sent.map(({ request_id: id }) => id)).size;
        expect(given).toBeLessThanOrEqual(rounds);
        // whatever is still to be tried again is, and in the end no user has a request open
        for (let i = 0; i < 10; i++) {
          clock += deadline;
          channel.driver.advanceWallClock(deadline);
          look();
        }
        for (const { pending } of channel.driver.store<Asking>('asking').values()) expect(pending).toBeNull();
      }),
      {
        numRuns: 200,
        examples: [
          [
            [
              { kind: 'click', user: 'cyd', hours: 0 },
              { kind: 'click', user: 'cyd', hours: 6 },
              { kind: 'click', user: 'ann', hours: 6 },
              { kind: 'clock', seconds: 600 },
              { kind: 'clock', seconds: 30 },
              { kind: 'click', user: 'cyd', hours: 0 },
            ],
          ],
        ],
      },
    );
  });

  test('other cuts of the batches and other commits give the same requests', () => {
    const records = fc.array(
      fc.record({
        user,
        kind: fc.constantFrom('click', 'click', 'visit', 'profile', 'trigger', 'answer'),
        ahead: fc.integer({ min: -3, max: 12 }),
        item: fc.constantFrom(...ITEMS),
      }),
      { minLength: 1, maxLength: 80 },
    );
    const cuts = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(records, cuts, fc.constantFrom(0, 5 * HOUR), (steps, sizes, spread) => {
        const options = { spread, history: 2, maxAge: 6 * HOUR };
        // the answers to what is asked one step after the other are part of the log
        const log: LocalRecord[] = [];
        const stepped = new Channel(options);
        const asked: RegenerationRequest[] = [];
        let time = NOW;
        for (const { user, kind, ahead, item } of steps) {
          time += Math.max(ahead, 0) * HOUR;
          const at = time + Math.min(ahead, 0) * HOUR;
          const record = ((): LocalRecord | null => {
            if (kind === 'profile') return { source: 'short-term', key: user, value: profileOf(user, at, [item]) };
            if (kind === 'trigger')
              return { source: 'triggers', key: user, value: { user_id: user, requested_at: at, arm: null } };
            if (kind !== 'answer')
              return {
                source: 'events',
                key: user,
                value: eventOf(user, kind as 'click', at, kind === 'click' ? { item } : {}),
              };
            const request = asked.findLast((one) => one.user_id === user);
            return request === undefined ? null : { source: 'retrieved', key: user, value: retrievedOf(request) };
          })();
          if (record === null) continue;
          log.push(record);
          stepped.pipe(record);
          asked.push(...stepped.requests());
        }
        const batched = new Channel(options, { commitEach: false });
        for (let at = 0, batch = 0; at < log.length; batch++) {
          const size = sizes[batch % sizes.length]!;
          batched.pipe(...structuredClone(log.slice(at, at + size)));
          if (batch % 2 === 1) batched.driver.commit();
          at += size;
        }
        batched.driver.commit();
        const byUser = (requests: RegenerationRequest[]) =>
          Object.groupBy(
            requests.map((request) => JSON.stringify(request)),
            (request) => JSON.parse(request).user_id as string,
          );
        expect(byUser(batched.requests())).toEqual(byUser(asked));
      }),
      { numRuns: 300 },
    );
  });

  test('every visit that finds nothing is asked about once the budget allows, and none is asked about twice', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ n: fc.nat(30), wait: fc.nat(20_000) }), { minLength: 1, maxLength: 60 }),
        fc.constantFrom(2, 6, 30),
        (visits, perMinute) => {
          const channel = new Channel({ requestsPerSecond: perMinute / 60 });
          const asked: RegenerationRequest[] = [];
          let [clock, minute, inMinute] = [NOW, NOW, 0];
          const tick = (ms: number) => {
            for (; ms > 0; ms -= 1000) {
              channel.driver.advanceWallClock(1000);
              clock += 1000;
              look();
            }
          };
          const look = () => {
            if (Math.floor(clock / MINUTE) !== Math.floor(minute / MINUTE)) [minute, inMinute] = [clock, 0];
            const requests = channel.requests();
            inMinute += requests.length;
            expect(inMinute).toBeLessThanOrEqual(perMinute);
            asked.push(...requests);
          };
          for (const { n, wait } of visits) {
            channel.click(`u${n}`, NOW + 1);
            look();
            tick(wait);
          }
          tick((visits.length / perMinute + 1) * MINUTE);
          const users = asked.map(({ user_id }) => user_id).sort();
          expect(users).toEqual([...new Set(visits.map(({ n }) => `u${n}`))].sort());
        },
      ),
      { numRuns: 50 },
    );
  });
});

test('the time that candidates are used is a day unless said otherwise', () => {
  expect(new Channel().options.maxAge).toBe(DAY);
});
