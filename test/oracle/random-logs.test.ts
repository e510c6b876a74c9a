import fc from 'fast-check';
import { expect, test } from 'vitest';
import { dayOf, oracle } from './oracle.ts';
import type { RawEvent } from './oracle.ts';
import { caseArb, dayChanges, obeysGrace, shuffleWithinGrace } from './random-logs.ts';

const key = (event: RawEvent) => JSON.stringify([event.user_id, event.event_id]);

test('every arrival order obeys grace, repeats included, and holds each event', () => {
  fc.assert(
    fc.property(caseArb(), ({ events, graceMs, seed }) => {
      const arrivals = shuffleWithinGrace(events, graceMs, seed);
      expect(obeysGrace(arrivals, graceMs)).toBe(true);
      expect(new Set(arrivals)).toEqual(new Set(events));
      expect(new Set(events.map(key)).size).toBe(events.length);
      expect(shuffleWithinGrace(events, graceMs, seed)).toEqual(arrivals);
    }),
    { numRuns: 300 },
  );
});

test('the oracle does not see the order of arrival, nor repeats', () => {
  fc.assert(
    fc.property(caseArb(), ({ events, options, graceMs, seed }) => {
      expect(oracle(shuffleWithinGrace(events, graceMs, seed), options)).toEqual(oracle(events, options));
    }),
    { numRuns: 150 },
  );
});

test('an order that breaks grace is seen as such', () => {
  const at = (event_time: number, user_id = 'u'): RawEvent => ({
    event_id: 'e',
    event_type: 'visit',
    user_id,
    event_time,
  });
  expect(obeysGrace([at(11), at(1)], 10)).toBe(true);
  expect(obeysGrace([at(12), at(1)], 10)).toBe(false);
  expect(obeysGrace([at(12, 'v'), at(1)], 10)).toBe(true);
});

test('a day begins at each change, and only there', () => {
  for (const [zone, at] of [
    ['Pacific/Apia', Date.UTC(2011, 11, 30, 10)],
    ['America/St_Johns', Date.UTC(2010, 10, 7, 2, 31)],
    ['America/Sao_Paulo', Date.UTC(2017, 9, 15, 3)],
  ] as const)
    for (const change of dayChanges(zone, at)) expect(dayOf(change - 1, zone)).not.toBe(dayOf(change, zone));
});

test('the logs hold what they are made for', () => {
  const seen: Record<string, number> = {};
  const count = (what: string, there: unknown) => (seen[what] = (seen[what] ?? 0) + (there ? 1 : 0));
  const numRuns = 400;
  for (const { events, options, graceMs, seed } of fc.sample(caseArb(), { numRuns, seed: 1 })) {
    const { labels, metrics } = oracle(events, options);
    const arrivals = shuffleWithinGrace(events, graceMs, seed);
    const differs = (other: object) =>
      JSON.stringify(oracle(events, { ...options, ...other }).labels) !== JSON.stringify(labels);
    count('ten events or more', events.length >= 10);
    count('a label', labels.length);
    for (const way of ['request', 'item', 'none'])
      count(
        way,
        labels.some((label) => label.attribution === way),
      );
    count(
      'serendipitous',
      labels.some((label) => label.serendipitous),
    );
    count(
      'not serendipitous',
      labels.some((label) => !label.serendipitous && !label.unlabelled),
    );
    count(
      'no category',
      labels.some((label) => label.unlabelled),
    );
    count(
      'related by brand or seller only',
      labels.some((label) => label.serendipity_related && !label.novel_category),
    );
    count(
      'seen days before',
      labels.some(
        (label) => label.category_last_seen !== null && label.click_time - label.category_last_seen > 86_400_000,
      ),
    );
    count(
      'a full window',
      labels.some((label) => label.visit_days === options.visitDays),
    );
    count('more visit days than the window has', differs({ visitDays: 1000 }));
    count('today matters', differs({ today: options.today === 'included' ? 'excluded' : 'included' }));
    count('the zone matters', options.timeZone !== 'UTC' && differs({ timeZone: 'UTC' }));
    count('the attribution window matters', differs({ attributionWindowMs: 1e12 }));
    count('the catalog matters', options.catalog && differs({ catalog: undefined }));
    count(
      'requests matter',
      JSON.stringify(
        oracle(
          events.map((e) => ({ ...e, request_id: null })),
          options,
        ).labels.map((l) => [l.novel_category, l.novel_brand]),
      ) !== JSON.stringify(labels.map((l) => [l.novel_category, l.novel_brand])),
    );
    count('a further click', metrics.reduce((n, row) => n + row.clicks, 0) > labels.length);
    count(
      'a serendipitous purchase',
      metrics.some((row) => row.s_purchases),
    );
    count(
      'uv3',
      metrics.some((row) => row.uv3),
    );
    count('several arms', new Set(metrics.map((row) => row.arm)).size > 1);
    count(
      'a click arrives before its exposure',
      labels.some(
        (label) =>
          label.exposure_time !== null &&
          arrivals.findIndex((e) => e.event_time === label.exposure_time && e.event_type === 'exposure') >
            arrivals.findIndex((e) => label.label_id.startsWith(`${e.event_id}#`) && e.user_id === label.user_id),
      ),
    );
    count(
      'out of order',
      arrivals.some((e, n) => arrivals.slice(0, n).some((o) => o.user_id === e.user_id && o.event_time > e.event_time)),
    );
    count('repeats', arrivals.length > events.length);
    count(
      'the order matters to one who believes it',
      JSON.stringify(
        oracle(
          arrivals.map((e, n) => ({ ...e, event_time: n })),
          options,
        ).labels.map((l) => l.serendipitous),
      ) !== JSON.stringify(labels.map((l) => l.serendipitous)),
    );
  }
  if (process.env.SHOW_SHARES) console.log(numRuns, seen);
  for (const [what, cases] of Object.entries(seen)) expect(cases / numRuns, what).toBeGreaterThan(0.02);
});
