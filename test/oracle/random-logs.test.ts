import fc from 'fast-check';
import { expect, test } from 'vitest';
import { dayOf, oracle } from './oracle.ts';
import type { EventType, Label, RawEvent } from './oracle.ts';
import type { Case } from './random-logs.ts';
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

/** What one case has in it. */
function contentsOf({ events, options, graceMs, seed }: Case): Record<string, boolean> {
  const { labels, metrics } = oracle(events, options);
  const arrivals = shuffleWithinGrace(events, graceMs, seed);
  const changes = (other: Partial<Case['options']>, log: RawEvent[] = events) => {
    const verdicts = (made: Label[]) => made.map((l) => [l.novel_category, l.novel_brand, l.exposure_time === null]);
    const judged = oracle(log, { ...options, ...other }).labels;
    return JSON.stringify(verdicts(judged)) !== JSON.stringify(verdicts(labels));
  };
  const some = (holds: (label: Label) => boolean) => labels.some(holds);
  const later = (one: RawEvent, other: RawEvent) => one.user_id === other.user_id && one.event_time > other.event_time;
  const arrivalOf = (type: EventType, holds: (event: RawEvent) => boolean) =>
    arrivals.findIndex((event) => event.event_type === type && holds(event));
  return {
    'ten events or more': events.length >= 10,
    'attributed by request': some((label) => label.attribution === 'request'),
    'attributed by item': some((label) => label.attribution === 'item'),
    'without exposure': some((label) => label.attribution === 'none'),
    serendipitous: some((label) => label.serendipitous),
    'not serendipitous': some((label) => !label.serendipitous && label.unlabelled === null),
    'no category': some((label) => label.unlabelled !== null),
    'related by brand or seller only': some((label) => label.serendipity_related && !label.novel_category),
    'seen days before': some((label) => label.click_time - (label.category_last_seen ?? Infinity) > 86_400_000),
    'a full window': some((label) => label.visit_days === options.visitDays),
    'more visit days than the window has': changes({ visitDays: 1000 }),
    'today matters': changes({ today: options.today === 'included' ? 'excluded' : 'included' }),
    'the zone matters': changes({ timeZone: 'UTC' }),
    'the attribution window matters': changes({ attributionWindowMs: 1e12 }),
    'the catalog matters': changes({ catalog: undefined }),
    'requests matter': changes(
      {},
      events.map((event) => ({ ...event, request_id: null })),
    ),
    'the order matters to one who believes it': changes(
      {},
      arrivals.map((event, n) => ({ ...event, event_time: events[0]!.event_time + n })),
    ),
    'a further click': metrics.reduce((clicks, row) => clicks + row.clicks, 0) > labels.length,
    'a serendipitous purchase': metrics.some((row) => row.s_purchases > 0),
    uv3: metrics.some((row) => row.uv3 > 0),
    'several arms': new Set(metrics.map((row) => row.arm)).size > 1,
    'a click arrives before its exposure': some((label) => {
      const click = arrivalOf('click', (event) => label.label_id === `${event.event_id}#${label.item_id}`);
      const shows = (event: RawEvent) => event.items!.some((item) => item.item_id === label.item_id);
      return arrivalOf('exposure', (event) => event.event_time === label.exposure_time && shows(event)) > click;
    }),
    'out of order': arrivals.some((event, n) => n > 0 && later(arrivals[n - 1]!, event)),
    'a repeat': arrivals.length > events.length,
  };
}

test('the logs hold what they are made for', () => {
  const numRuns = 400;
  const seen: Record<string, number> = {};
  for (const made of fc.sample(caseArb(), { numRuns, seed: 1 }))
    for (const [what, holds] of Object.entries(contentsOf(made))) seen[what] = (seen[what] ?? 0) + Number(holds);
  if (process.env.SHOW_SHARES) console.log(numRuns, seen);
  for (const [what, cases] of Object.entries(seen)) expect(cases / numRuns, what).toBeGreaterThan(0.03);
});
