import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LastRevisions, type Population } from '../../src/report/population.ts';
import { reportOf } from '../../src/report/report.ts';
import { warningsOf } from '../../src/report/warnings.ts';
import type { MetricsDay } from '../../src/serendipity/metrics.ts';
import type { UserDay } from '../../src/serendipity/records.ts';
import { TopologyTestDriver } from '../../src/stream/driver.ts';
import { metricsTopology } from '../../topologies/metrics.ts';
import { day, inArm, person, populationOf, randomOf } from './people.ts';

const usual = {
  from: '2026-01-01',
  to: '2026-12-31',
  baseline: 'a',
  confidence: 0.95,
  shares: null,
  bootstrap: null,
} as const;
const codes = (report: Parameters<typeof warningsOf>[0]) => warningsOf(report).map(({ code }) => code);

function folded(rows: readonly UserDay[]): Population {
  const last = new LastRevisions();
  for (const row of rows) last.add(row);
  return populationOf(last);
}

const daily = (rows: readonly UserDay[]): MetricsDay[] => {
  const driver = new TopologyTestDriver(metricsTopology());
  for (const row of rows) driver.pipe('user-days', row.user_id, row, { timestamp: 0 });
  const last = new Map(driver.read<MetricsDay>('daily').map(({ key, value }) => [key, value]));
  return [...last.values()];
};

const count = fc.integer({ min: 0, max: 300 });
const someRow: fc.Arbitrary<UserDay> = fc
  .record({
    user_id: fc.constantFrom('u1', 'u2', 'u3'),
    day: fc.constantFrom('2026-01-01', '2026-01-02'),
    arm: fc.constantFrom(null, 'a', 'b'),
    revision: fc.integer({ min: 0, max: 3 }),
    events: fc.integer({ min: 0, max: 2 }),
    exposures: count,
    s_exposures: count,
    clicks: count,
    s_clicks: count,
    purchases: count,
    s_purchases: count,
  })
  .map((row) =>
    row.events > 0
      ? row
      : day(row.user_id, {
          ...row,
          exposures: 0,
          s_exposures: 0,
          clicks: 0,
          s_clicks: 0,
          purchases: 0,
          s_purchases: 0,
        }),
  );

describe('the sums of a day and an arm', () => {
  test('are those of the topology metrics, whatever was revised', () => {
    fc.assert(
      fc.property(fc.array(someRow, { maxLength: 30 }), (rows) => {
        // the log never has one revision twice with different counts
        const once = [
          ...new Map(rows.map((row) => [`${row.user_id}${row.day}${row.arm}${row.revision}`, row])).values(),
        ];
        const ordered = once.sort((a, b) => a.revision - b.revision);
        const { days } = folded(ordered);
        for (const { day, arm, ...counts } of daily(ordered)) {
          const { user_days: _days, ...sums } = days.get(day)?.get(arm)?.sums ?? {
            ...counts,
            users: 0,
            user_days: 0,
          };
          expect(sums).toEqual(counts);
        }
      }),
    );
  });
});

describe('a period', () => {
  test('has each user once, and days over 200 exposures as often as there were some', () => {
    const report = reportOf(
      folded([
        day('u1', { arm: 'a', exposures: 201 }),
        day('u1', { arm: 'a', exposures: 500, day: '2026-01-02' }),
        day('u2', { arm: 'a', exposures: 200 }),
        day('u3', { arm: 'b', exposures: 1 }),
      ]),
      null,
      usual,
    );
    const [a, b] = report.period.arms;
    expect([a!.users, a!.metrics.uv3.value, a!.metrics.uv3_share.value]).toEqual([2, 1, 2 / 3]);
    expect([b!.users, b!.metrics.uv3.value]).toEqual([1, 0]);
    expect(report.days.map(({ day, arms }) => [day, arms.length])).toEqual([
      ['2026-01-01', 2],
      ['2026-01-02', 1],
    ]);
  });

  test('compares every named arm with the baseline, and events without an arm only where they are it', () => {
    const rows = [null, 'a', 'b', 'c'].flatMap((arm) => [1, 2].map((n) => day(`${arm}${n}`, { arm, purchases: n })));
    const arms = (baseline: string | null) => {
      const report = reportOf(folded(rows), null, { ...usual, baseline });
      return [
        report.period.arms.map(({ arm }) => arm),
        [...new Set(report.period.lifts.map(({ arm }) => arm))],
        report.sampleRatio!.arms.length,
      ];
    };
    expect(arms('b')).toEqual([['b', 'a', 'c', null], ['a', 'c'], 3]);
    expect(arms(null)).toEqual([[null, 'a', 'b', 'c'], ['a', 'b', 'c'], 4]);
  });

  test('without a baseline has no lifts', () => {
    const report = reportOf(folded([day('u1')]), null, { ...usual, baseline: undefined });
    expect([report.period.lifts, report.sampleRatio]).toEqual([[], null]);
  });
});

describe('warnings', () => {
  const random = randomOf(3);
  const many = Array.from({ length: 400 }, (_, i) => inArm(person(`u${i}`, random), i % 4 === 0 ? 'b' : 'a')).flat();

  test('a sample-ratio mismatch is the first', () => {
    expect(codes(reportOf(folded(many), null, usual))).toEqual(['SAMPLE_RATIO_MISMATCH']);
    const shares = new Map([
      ['a', 3],
      ['b', 1],
    ]);
    expect(codes(reportOf(folded(many), null, { ...usual, shares }))).toEqual([]);
  });

  test('users of two arms, or of none beside theirs, are counted', () => {
    const rows = [
      ...many,
      ...inArm(person('u1', random), 'b'),
      day('u2', { day: '2026-02-01' }),
      day('u3', { day: '2026-02-01', arm: 'b', events: 0 }),
    ];
    const report = reportOf(folded(rows), null, {
      ...usual,
      shares: new Map([
        ['a', 3],
        ['b', 1],
      ]),
    });
    expect([report.mixed, report.alsoWithout, report.users]).toEqual([1, 1, 400]);
    expect(codes(report)).toEqual(['MIXED_USERS', 'EVENTS_WITHOUT_ARM']);
  });

  test('few users are said to be few', () => {
    const report = reportOf(folded(many.slice(0, 60)), null, {
      ...usual,
      shares: new Map([
        ['a', 3],
        ['b', 1],
      ]),
    });
    expect(codes(report)).toEqual(['FEW_USERS']);
  });
});

describe('metrics.daily', () => {
  const rows = [
    day('u1', { arm: 'a', exposures: 10, s_exposures: 4, purchases: 1 }),
    day('u2', { arm: 'b', exposures: 10, s_exposures: 6, purchases: 2 }),
    day('u1', { arm: 'a', day: '2026-01-02', exposures: 10, s_exposures: 5 }),
    day('u2', { arm: 'b', day: '2026-01-02', exposures: 30, s_exposures: 20 }),
  ];

  test('stands in for days that retention has cut, without intervals', () => {
    const kept = rows.filter(({ day, arm }) => day !== '2026-01-01' || arm !== 'b');
    const report = reportOf(folded(kept), daily(rows), usual);
    expect(report.cutDays).toEqual(['2026-01-01']);
    expect(report.days.map(({ basis }) => basis)).toEqual(['metrics.daily', 'user-days']);
    expect(report.period.basis).toBe('metrics.daily');
    const [a, b] = report.period.arms;
    expect([a!.metrics.s_pvr.value, b!.metrics.s_pvr.value]).toEqual([9 / 20, 26 / 40]);
    // users are those of each day: u2 was there on two
    expect([b!.users, b!.metrics.tv.value]).toEqual([2, 1]);
    const lift = report.period.lifts.find(({ metric }) => metric === 's_pvr')!;
    expect(lift.difference).toEqual({ value: 26 / 40 - 9 / 20, interval: null });
    expect(report.sampleRatio).toBeNull();
    expect(codes(report)[0]).toBe('CUT_DAYS');
  });

  test('confirms days that are whole', () => {
    const report = reportOf(folded(rows), daily(rows), usual);
    expect([report.cutDays, report.uncheckedDays, report.period.basis]).toEqual([[], [], 'user-days']);
  });

  test('is missed where it has nothing of a day', () => {
    const report = reportOf(folded(rows), daily(rows.slice(0, 2)), usual);
    expect(report.uncheckedDays).toEqual(['2026-01-02']);
    expect(codes(report)).toContain('UNCHECKED_DAYS');
  });
});
