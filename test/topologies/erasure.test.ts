/** Erasures stepped through the whole topologies: what is dropped, what goes, and that batches may be cut anywhere. */
import { describe, expect, it } from 'vitest';
import { daysCodec } from '../../src/serendipity/differences.ts';
import type { UserDay } from '../../src/serendipity/records.ts';
import { TopologyTestDriver } from '../../src/stream/driver.ts';
import type { LocalRecord } from '../../src/stream/local-task.ts';
import { LABELS_DEFAULTS, labelsTopology } from '../../topologies/labels.ts';
import { METRICS_DEFAULTS, metricsTopology } from '../../topologies/metrics.ts';
import { oracle, type RawEvent } from '../oracle/oracle.ts';
import { eventOf, sample } from '../support/sample.ts';

const DAY = 86_400_000;
const T = Date.parse('2024-05-15T12:00:00Z');
const erasure = (user: string, until: number): LocalRecord => ({
  source: 'erasures',
  key: user,
  value: { user_id: user, requested_at: until },
});

describe('labels of real baskets, one household erased in the middle', async () => {
  const { events } = await sample(3000, 5);
  const middle = Math.floor(events.length / 2);
  const until = events[middle - 1]!.event_time;
  const [user] = Object.entries(Object.groupBy(events, (event) => event.user_id))
    .sort(([, a], [, b]) => b!.length - a!.length)
    .map(([id]) => id) as [string];
  const records = events.map((event): LocalRecord => ({
    source: 'events',
    key: event.user_id,
    value: eventOf(event),
  }));
  records.splice(middle, 0, erasure(user, until));

  /** `sizes` of batches in turn, each followed by a commit or not */
  function run(sizes: readonly number[], commits: (batch: number) => boolean) {
    const driver = new TopologyTestDriver(labelsTopology(), { checkNow: Infinity, now: Infinity, commitEach: false });
    for (let at = 0, batch = 0; at < records.length; batch++) {
      const size = sizes[batch % sizes.length]!;
      driver.pipeAll(structuredClone(records.slice(at, at + size)));
      if (commits(batch)) driver.commit();
      at += size;
    }
    driver.end();
    driver.commit();
    const days = new Map<string, UserDay>();
    const sums = new Map<string, number>();
    for (const { value } of driver.read<UserDay>('user-days')) {
      const name = [value.user_id, value.day, value.arm].join('|');
      const before = days.get(name);
      // a fresh user's days begin anew, and what was counted before stays counted
      const started = before === undefined || before.revision >= value.revision;
      const sum = (sums.get(name) ?? 0) + value.clicks - (started ? 0 : before.clicks);
      sums.set(name, sum);
      days.set(name, value);
    }
    return {
      labels: driver
        .read('labels')
        .map(({ value }) => JSON.stringify(value))
        .sort(),
      clicks: [...sums].sort(([a], [b]) => (a < b ? -1 : 1)),
      past: [...driver.store('past').keys()],
      today: driver.store('today'),
      erased: driver.count('users_erased'),
      letters: driver.deadLetters.length,
    };
  }
  const one = run([1], () => true);

  it('come out the same wherever batches and commits are cut', () => {
    for (const [sizes, every] of [
      [[1], 7],
      [[7, 1, 64], 1],
      [[500], 3],
      [[middle + 1], 1],
      [[records.length], 1],
    ] as const) {
      expect(run(sizes, (batch) => batch % every === 0)).toMatchObject({ labels: one.labels, clicks: one.clicks });
    }
    expect(one).toMatchObject({ erased: 1, letters: 0 });
  });

  it('are, of the household, those of before as they were said and those that its later events alone give', () => {
    const held = (some: readonly RawEvent[]) =>
      oracle(some)
        .labels.filter(({ user_id }) => user_id === user)
        .map(({ label_id, serendipitous, visit_days }) => [label_id, serendipitous, visit_days].join(' '));
    const after = held(events.filter(({ event_time }) => event_time > until));
    const said = one.labels.map((json) => JSON.parse(json)).filter(({ user_id }) => user_id === user);
    const saidAfter = said
      .filter(({ click_time }) => click_time > until)
      .map(({ label_id, serendipitous, visit_days }) => [label_id, serendipitous, visit_days].join(' '));
    expect(after.length).toBeGreaterThan(5);
    expect(saidAfter.sort()).toEqual(after.sort());
    expect(after).not.toEqual(
      held(events).filter((line) => after.some((other) => other.startsWith(line.split(' ')[0]!))),
    );
  });

  it("keeps no day of before the cut-off, and every other household's", () => {
    const without = new TopologyTestDriver(labelsTopology(), { checkNow: Infinity, now: Infinity, commitEach: false });
    without.pipeAll(structuredClone(records.filter(({ source }) => source === 'events')));
    without.end();
    without.commit();
    const others = (keys: Iterable<string>) => [...keys].filter((key) => !key.startsWith(`${user}#`)).sort();
    expect(others(one.past)).toEqual(others(without.store('past').keys()));
    expect(one.today.get(user)).toMatchObject({ erasedUntil: until });
    for (const day of one.today.get(user).visitDays) expect(day * DAY + DAY).toBeGreaterThan(until);
  });
});

describe('metrics of an erased user', () => {
  const row = (user: string, day: string, clicks: number, revision = 0, arm: string | null = null): UserDay => ({
    user_id: user,
    day,
    arm,
    revision,
    events: clicks,
    exposures: 0,
    s_exposures: 0,
    clicks,
    s_clicks: 0,
    purchases: 0,
    s_purchases: 0,
  });
  const open = (topology = metricsTopology()) => {
    const driver = new TopologyTestDriver(topology, { now: T });
    const add = (value: UserDay) =>
      driver.pipe('user-days', value.user_id, value, { timestamp: Date.parse(`${value.day}T12:00:00Z`) });
    const last = new Map<string, number>();
    const daily = () => {
      for (const { key, value } of driver.read('daily')) last.set(key, value.clicks);
      return last;
    };
    const erase = (user: string, until: number) => driver.pipeAll([erasure(user, until)]);
    return { driver, add, erase, daily };
  };
  const keysOf = (driver: TopologyTestDriver) =>
    ['seen', 'days', 'erased'].map((store) => [...driver.store(store).keys()]);

  it('stay in the sums, though nothing names the user but a cut-off', () => {
    const { driver, add, erase, daily } = open();
    for (const user of ['h1', 'h10', 'h1|x']) {
      add(row(user, '2023-06-01', 1));
      add(row(user, '2024-04-30', 2, 0, 'A|B'));
      add(row(user, '2024-05-14', 4));
    }
    expect(keysOf(driver)[1]!.filter((key) => key.startsWith('h1|2'))).toEqual([
      'h1|2023-06',
      'h1|2024-04',
      'h1|2024-05',
    ]);
    erase('h1', T);
    expect(keysOf(driver)).toEqual([
      [
        'h10|2023-06-01',
        'h10|2024-04-30|A|B',
        'h10|2024-05-14',
        'h1|x|2023-06-01',
        'h1|x|2024-04-30|A|B',
        'h1|x|2024-05-14',
      ],
      ['h10', 'h10|2023-06', 'h10|2024-04', 'h10|2024-05', 'h1|x', 'h1|x|2023-06', 'h1|x|2024-04', 'h1|x|2024-05'],
      ['h1'],
    ]);
    expect(daily()).toEqual(
      new Map([
        ['2023-06-01', 3],
        ['2024-04-30|A|B', 6],
        ['2024-05-14', 12],
      ]),
    );
  });

  it('do not count again by a late revision; days after the cut-off count as ever', () => {
    const { driver, add, erase, daily } = open();
    add(row('h1', '2024-05-14', 4));
    erase('h1', T);
    add(row('h1', '2024-05-14', 5, 1));
    add(row('h1', '2024-05-15', 1));
    add(row('h1', '2024-05-16', 2));
    add(row('h1', '2024-05-16', 3, 1));
    expect(daily()).toEqual(
      new Map([
        ['2024-05-14', 4],
        ['2024-05-16', 3],
      ]),
    );
    expect(driver.count('erased_user_days')).toBe(2);
    // once more, as a retry and as a new request
    erase('h1', T);
    expect(keysOf(driver)[0]).toEqual(['h1|2024-05-16']);
    erase('h1', T + 2 * DAY);
    expect(keysOf(driver)).toEqual([[], [], ['h1']]);
    expect(driver.count('users_erased')).toBe(2);
  });

  it('are of a day of the business time zone', () => {
    const { add, erase, daily } = open(metricsTopology({ ...METRICS_DEFAULTS, timeZone: 'Asia/Tokyo' }));
    erase('h1', Date.parse('2024-05-14T15:00:00Z'));
    add(row('h1', '2024-05-15', 1));
    add(row('h1', '2024-05-16', 2));
    expect(daily()).toEqual(new Map([['2024-05-16', 2]]));
  });

  it('find rows of before there was an index once these are revised', () => {
    const topology = metricsTopology();
    const codec = { ...daysCodec, decode: (_bytes: Buffer) => ({ at: 0, entries: [] as string[] }) };
    topology.stores.find(({ name }) => name === 'days')!.codec = codec;
    const { driver, add, erase } = open(topology);
    // each index entry takes the place of the one before: only the last row is named
    for (const day of ['2024-05-01', '2024-05-02', '2024-05-03']) add(row('h1', day, 1));
    codec.decode = daysCodec.decode;
    expect(driver.store('days').get('h1|2024-05').entries).toEqual(['-03']);
    add(row('h1', '2024-05-01', 2, 1));
    erase('h1', T);
    expect(keysOf(driver)[0]).toEqual(['h1|2024-05-02']);
  });

  it('are found however far their days are from the time that they were written at', () => {
    const { driver, erase } = open();
    // a log of years ago that is worked through now, on a topic that stamps by its own clock
    for (const [i, day] of ['2017-01-31', '2019-02-01', '2024-05-14'].entries()) {
      driver.pipe('user-days', 'h1', row('h1', day, 1), { timestamp: T + i });
    }
    erase('h1', T + 10);
    expect(keysOf(driver)).toEqual([[], [], ['h1']]);
  });

  it('keep an index that outlives the rows, which may be revised long after the day', () => {
    const { driver, erase } = open();
    const add = (time: number, value: UserDay) => driver.pipe('user-days', 'h1', value, { timestamp: time });
    add(T, row('h1', '2024-05-14', 1));
    add(T + 100 * DAY, row('h1', '2024-05-14', 2, 1));
    driver.pipe('user-days', 'h2', row('h2', '2025-09-01', 1), { timestamp: T + 490 * DAY });
    expect(keysOf(driver)[1]).toEqual(['h1', 'h1|2024-05', 'h2', 'h2|2025-09']);
    erase('h1', T + 490 * DAY);
    expect(keysOf(driver)[0]).toEqual(['h2|2025-09-01']);
  });

  it('are forgotten to be erased userTtl later', () => {
    const { driver, add, erase } = open();
    add(row('h1', '2024-05-14', 4));
    erase('h1', T);
    add(row('h2', '2025-06-18', 1));
    expect(keysOf(driver)[2]).toEqual(['h1']);
    add(row('h2', '2025-06-20', 1));
    expect(keysOf(driver)[2]).toEqual([]);
  });
});

it('an erasure of another user than its key says is a dead letter', () => {
  const driver = new TopologyTestDriver(labelsTopology({ ...LABELS_DEFAULTS }));
  driver.pipeAll([{ ...erasure('a', T), key: 'b' }]);
  expect(driver.deadLetters.map(({ code }) => code)).toEqual(['KEY_MISMATCH']);
});
