import fc from 'fast-check';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, test, vi } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { simulateCache } from '../../src/cli/simulate-cache.ts';
import { eventsOfLog, scaled } from '../../src/cli/simulated-log.ts';
import { normalised } from '../../src/cli/simulation-page.ts';
import { embeddedLog } from '../../src/log/embedded/index.ts';
import { embeddedSerdes } from '../../src/log/registry/embedded.ts';
import { REGENERATION_DEFAULTS } from '../../src/serengpt/options.ts';
import type { BehaviorEvent, EventType } from '../../src/shop/behaviour.ts';

const SECOND = 1000;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const START = 1_700_000_040_000; // a whole minute

const item = {
  item_id: 'i',
  category_id: 'c',
  brand_id: null,
  seller_id: null,
  position: null,
  viewable: true,
  price: null,
  quantity: 1,
};
const event = (user_id: string, event_type: EventType, at: number): BehaviorEvent => ({
  event_id: `${user_id}-${at}-${event_type}`,
  event_type,
  event_time: START + at,
  user_id,
  request_id: null,
  scene: null,
  arm: null,
  items: event_type === 'click' ? [item] : [],
  query: null,
});

interface Settings {
  hours?: number;
  workers?: number;
  service?: number;
  queue?: number;
  more?: Partial<typeof REGENERATION_DEFAULTS>;
}
const simulate = (
  events: BehaviorEvent[],
  { hours = 1, workers = Infinity, service = SECOND, queue = Infinity, more = {} }: Settings = {},
) =>
  simulateCache(events, {
    regeneration: { ...REGENERATION_DEFAULTS, maxAge: hours * HOUR, ...more },
    workers: { workers, serviceMs: service, queue },
  });

describe('by hand', () => {
  // a page is shown before the click that makes the user known; T = 1 h
  const one = [
    event('u', 'exposure', 0), //               nothing is known: without
    event('u', 'click', 10 * SECOND), //        asks (missing), ready at 10 + 4 = 14 s
    event('u', 'exposure', 12 * SECOND), //     waits
    event('u', 'exposure', 14 * SECOND), //     valid, 4 s old
    event('u', 'exposure', 40 * MINUTE), //     valid, 39 min 50 s old
    event('u', 'exposure', HOUR + 10 * SECOND), // expired at this moment: asks again, after it was shown without
    event('u', 'exposure', HOUR + 20 * SECOND), // valid, 10 s old
    event('u', 'visit', 4 * HOUR), //           asks; the log ends before the answer
  ];

  test('the cache of one user', () => {
    const { valid, waiting, without, requests, done, open, meanAgeMs, qps, peakQps, eqps } = simulate(one, {
      service: 4 * SECOND,
    });
    expect({ valid, waiting, without }).toEqual({ valid: 3, waiting: 1, without: 2 });
    expect({ requests, done, open }).toEqual({ requests: 3, done: 2, open: 1 });
    expect(meanAgeMs).toBe((4 * SECOND + 39 * MINUTE + 50 * SECOND + 10 * SECOND) / 3);
    expect(qps).toBeCloseTo(3 / (4 * 3600), 12);
    expect(peakQps).toBe(1 / 60);
    expect(eqps).toBe(0);
  });

  // three users in a second, one worker of 40 s, deadline 60 s, one attempt
  const three = ['a', 'b', 'c'].flatMap((user, i) => [
    event(user, 'click', i * 100),
    event(user, 'exposure', 50 * SECOND + i),
  ]);
  const rush = [...three, event('a', 'search', 10 * MINUTE)].sort((x, y) => x.event_time - y.event_time);
  const tight = { deadline: MINUTE, attempts: 1 };

  test('a rush: the second is late, the third is dropped', () => {
    // a: 0 to 40 s. b begins at 40 s and ends at 80 s, its deadline was 60.1 s. c's turn comes at 80 s, too late
    const result = simulate(rush, { workers: 1, service: 40 * SECOND, more: tight });
    expect(result).toMatchObject({ requests: 3, done: 1, late: 1, dropped: 1, refused: 0, open: 0 });
    expect(result).toMatchObject({ valid: 1, waiting: 2, without: 0 });
    expect(result.peakQps).toBe(3 / 60);
    expect(result.eqps).toBeCloseTo(2 / 600, 12);
  });

  test('a full queue refuses, and the topology tries again', () => {
    // c is refused at 0.2 s and tried again half a minute later (30.2 s), when b still waits: refused; then 60 s later (90.2 s)
    const result = simulate(rush, {
      workers: 1,
      service: 40 * SECOND,
      queue: 1,
      more: { ...tight, attempts: 3, deadline: 3 * MINUTE },
    });
    expect(result).toMatchObject({ requests: 5, done: 3, refused: 2, late: 0, dropped: 0 });
  });

  test('a budget makes users wait in line instead', () => {
    // one a minute: a at once, b in the next minute, c in the one after
    const result = simulate(rush, { service: SECOND, more: { requestsPerSecond: 1 / 60 } });
    expect(result).toMatchObject({ requests: 3, done: 3, valid: 1, waiting: 2, peakQps: 1 / 60, eqps: 0 });
  });

  test('what waits past its deadline when the log ends has failed', () => {
    const end = [...three, event('c', 'search', 70 * SECOND)].sort((x, y) => x.event_time - y.event_time);
    const result = simulate(end, { workers: 1, service: 40 * SECOND, more: tight });
    // b runs until 80 s, c waits: both deadlines have passed
    expect(result).toMatchObject({ requests: 3, done: 1, dropped: 2, open: 0 });
  });
});

const someLog = fc
  .array(
    fc.record({
      user: fc.constantFrom('u', 'v', 'w'),
      type: fc.constantFrom<EventType>('exposure', 'click', 'visit'),
      at: fc.integer({ min: 0, max: 48 * 60 }),
    }),
    { minLength: 1, maxLength: 60 },
  )
  .map((steps) => steps.sort((a, b) => a.at - b.at).map(({ user, type, at }) => event(user, type, at * MINUTE)));

describe('over any log', () => {
  test('a smaller T never asks less, and without limits nothing fails', () => {
    fc.assert(
      fc.property(someLog, fc.integer({ min: 1, max: 30 }), fc.integer({ min: 0, max: 10 }), (events, hours, more) => {
        const [small, large] = [simulate(events, { hours }), simulate(events, { hours: hours + more })];
        expect(small.requests).toBeGreaterThanOrEqual(large.requests);
        expect([small.eqps, large.eqps]).toEqual([0, 0]);
      }),
      { numRuns: 60 },
    );
  });

  test('unlimited workers give what a few lines say of each user alone', () => {
    fc.assert(
      fc.property(
        someLog,
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 1, max: 59 }),
        (events, hours, minutes) => {
          const service = minutes * MINUTE;
          const wanted = { requests: 0, valid: 0, waiting: 0, without: 0 };
          for (const user of ['u', 'v', 'w']) {
            let [askedAt, known] = [-Infinity, false];
            for (const { event_type: type, event_time: now } of events.filter((one) => one.user_id === user)) {
              const fresh = now < askedAt + hours * HOUR;
              if (type === 'exposure') {
                if (fresh && now >= askedAt + service) wanted.valid++;
                else if (now < askedAt + service) wanted.waiting++;
                else wanted.without++;
              }
              known ||= type === 'click';
              if (known && !fresh) [askedAt, wanted.requests] = [now, wanted.requests + 1];
            }
          }
          // a generation is ready before its candidates are too old; one that is made anew leaves the old ones out of date
          expect(simulate(events, { hours, service, more: { deadline: 2 * HOUR } })).toMatchObject(wanted);
        },
      ),
      { numRuns: 100 },
    );
  });

  test('every request and every page is counted once, whatever is short', () => {
    fc.assert(
      fc.property(
        someLog,
        fc.integer({ min: 1, max: 2 }),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 0, max: 2 }),
        (events, workers, minutes, queue) => {
          const result = simulate(events, { workers, service: minutes * MINUTE, queue });
          const { requests, done, late, dropped, refused, open, pages, valid, waiting, without } = result;
          expect(done + late + dropped + refused + open).toBe(requests);
          expect(open).toBeGreaterThanOrEqual(0);
          expect(valid + waiting + without).toBe(pages);
          expect(pages).toBe(events.filter(({ event_type }) => event_type === 'exposure').length);
          expect(requests).toBe(
            [...result.counts]
              .filter(([name]) => name.startsWith('regeneration_requests'))
              .reduce((sum, [, n]) => sum + n, 0),
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  test('scaled, it has each event so many times, in the order of time, of users of their own', () => {
    fc.assert(
      fc.property(someLog, fc.integer({ min: 1, max: 5 }), (events, scale) => {
        const all = [...scaled(events, scale, HOUR)];
        expect(all.map(({ event_time }) => event_time)).toEqual(
          all.map(({ event_time }) => event_time).sort((a, b) => a - b),
        );
        for (let k = 0; k < scale; k++) {
          const own = all.filter(({ user_id }) => (user_id.split('~')[1] ?? '0') === String(k));
          const shift = Math.floor((k * HOUR) / scale);
          expect(own.map(({ event_id, event_time }) => [event_id, event_time - shift])).toEqual(
            events.map(({ event_id, event_time }) => [event_id, event_time]),
          );
        }
      }),
    );
  });
});

test('figures are divided by the greatest of them', () => {
  const row = (qps: number, eqps: number) =>
    ({ qps, peakQps: qps, eqps, valid: 1, pages: 4 }) as Parameters<typeof normalised>[0][number];
  expect(normalised([row(4, 0), row(1, 0)])).toEqual([
    [1, 1, null, 1],
    [0.25, 0.25, null, 1],
  ]);
});

describe('the command', () => {
  let folder: string;
  let out: string;
  let err: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'seral-simulate-'));
  });
  afterAll(() => rm(folder, { recursive: true }));
  beforeEach(() => {
    out = err = '';
    for (const name of Object.keys(process.env)) if (name.startsWith('SERAL_')) vi.stubEnv(name, undefined);
    vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => ((out += String(chunk)), true));
    vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => ((err += String(chunk)), true));
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
  });

  const events = [0, 1, 5, 13, 30].flatMap((hour) => [
    event('u', 'click', hour * HOUR),
    event('u', 'exposure', hour * HOUR + MINUTE),
  ]);
  const file = async (): Promise<string> => {
    const path = join(folder, 'events.ndjson.gz');
    await writeFile(path, gzipSync([...events.map((one) => JSON.stringify(one)), '{"not":"an event"}'].join('\n')));
    return path;
  };

  it('prints a row for each T, and says what it could not read', async () => {
    expect(await main(['simulate', 'cache', '--input', await file(), '--hours', '6,12,24'])).toBe(0);
    // T = 6: asked at 0, 13 and 30 h; 12: the same; 24: at 0 and 30 h
    expect(out).toMatch(/6h +3 .*\n12h +3 .*\n24h +2 /);
    expect(out).toContain("as in the paper's Figure 4");
    expect(err).toContain('1 events could not be read');
  });

  it('writes JSON, of some days alone', async () => {
    const argv = ['simulate', 'cache', '--input', await file(), '--hours', '6', '--json', '-', '--to', '2023-11-15'];
    expect(await main(argv)).toBe(0);
    const { rows, settings } = JSON.parse(out) as {
      rows: { requests: number; normalised: object }[];
      settings: object;
    };
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({ requests: 2, normalised: { qps: 1, eqps: null } });
    expect(settings).toMatchObject({ scale: 1 });
  });

  it('refuses what is no setting, and ends with 1 where there is nothing', async () => {
    const input = await file();
    expect(await main(['simulate', 'cache', '--input', input, '--hours', '6,-1'])).toBe(2);
    expect(await main(['simulate', 'cache', '--input', input, '--workers', '0'])).toBe(2);
    expect(await main(['simulate', 'cache', '--input', input, '--from', '2023-11-16', '--to', '2023-11-15'])).toBe(2);
    expect(await main(['simulate', 'cache', '--input', input, '--from', '2030-01-01'])).toBe(1);
    expect(err).toContain('error NO_DATA');
  });

  it('reads the same out of a log', async () => {
    const log = await embeddedLog({ path: join(folder, 'log') });
    const serdes = await embeddedSerdes();
    try {
      const admin = log.admin();
      await admin.create([{ topic: 'behavior.events', partitions: 2 }]);
      await admin.close();
      const serde = await serdes.serde<BehaviorEvent>('behavior.events', 'BehaviorEvent');
      const producer = log.producer();
      await producer.open();
      await producer.send(
        events.map((one) => ({
          topic: 'behavior.events',
          key: Buffer.from('u'),
          value: serde.encode(one),
          timestamp: one.event_time,
        })),
      );
      await producer.close();
      const found = await eventsOfLog(log, serdes, { from: '2023-11-15', to: null, timeZone: 'UTC' }, () => {});
      expect(found.events.map(({ event_id }) => event_id)).toEqual(
        events.filter(({ event_time }) => event_time >= Date.parse('2023-11-15')).map(({ event_id }) => event_id),
      );
    } finally {
      await serdes.close();
      await log.close();
    }
  });
});
