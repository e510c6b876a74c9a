import { describe, expect, it } from 'vitest';
import { BenchOfOne } from './bench-of-one.ts';

const DAY = 86_400_000;
const T = Date.parse('2024-05-01T12:00:00Z');
const item = (id: string, category: string | null = `c-${id}`) => ({ item_id: id, category_id: category });
const event = (id: string, type: string, time: number, items: object[] = [], more: object = {}) => ({
  event_id: id,
  event_type: type,
  event_time: time,
  user_id: 'u',
  items,
  ...more,
});

it('labels a click at once where its exposure is there, and waits where it is not', () => {
  const bench = new BenchOfOne();
  bench.arrive(event('e1', 'exposure', T, [item('a')], { request_id: 'r' }));
  bench.arrive(event('k1', 'click', T + 1000, [item('a')], { request_id: 'r' }));
  expect(bench.said).toHaveLength(1);
  bench.arrive(event('k2', 'click', T + 2000, [item('b')], { request_id: 'r2' }));
  expect(bench.said).toHaveLength(1);
  bench.arrive(event('e2', 'exposure', T + 1500, [item('b')], { request_id: 'r2' }));
  expect(bench.said.at(-1)).toMatchObject({ label_id: 'k2#b', attribution: 'request', revision: 0 });
});

it('stops waiting when event time has passed the click by grace', () => {
  const bench = new BenchOfOne();
  bench.arrive(event('k', 'click', T, [item('a')]));
  bench.arrive(event('v', 'visit', T + 600_000));
  expect(bench.said).toHaveLength(0);
  bench.arrive(event('w', 'visit', T + 600_001));
  expect(bench.said).toMatchObject([{ attribution: 'none', serendipitous: true }]);
});

it('withdraws a label whose exposure had an earlier click, and says it again where that click moves away', () => {
  const bench = new BenchOfOne();
  bench.arrive(event('x', 'exposure', T, [item('a')], { request_id: 'r' }));
  bench.arrive(event('k2', 'click', T + 5000, [item('a')], { request_id: 'r' }));
  bench.arrive(event('k1', 'click', T + 2000, [item('a')]));
  bench.arrive(event('y', 'exposure', T + 1000, [item('a')], { request_id: 'q' }));
  expect(bench.said.map(({ label_id, revision, withdrawn }) => [label_id, revision, withdrawn])).toEqual([
    ['k2#a', 0, false],
    ['k1#a', 0, false],
    ['k2#a', 1, true],
    ['k1#a', 1, false],
    ['k2#a', 2, false],
  ]);
});

it('counts an event later than grace and changes no label for it', () => {
  const bench = new BenchOfOne();
  bench.arrive(event('x', 'exposure', T, [item('a', 'c')], { request_id: 'r' }));
  bench.arrive(event('k', 'click', T + 1000, [item('a', 'c')], { request_id: 'r' }));
  bench.arrive(event('v', 'visit', T + 3_600_000));
  bench.arrive(event('late', 'exposure', T - 1000, [item('b', 'c')], { request_id: 'q' }));
  expect(bench.counted.get('late')).toBe(1);
  expect(bench.said).toHaveLength(1);
  bench.arrive(event('late click', 'click', T + 2000, [item('a', 'c')], { request_id: 'r' }));
  expect(bench.said).toHaveLength(1);
  // but the state knows it
  bench.arrive(event('z', 'exposure', T + 3_700_000, [item('d', 'c')], { request_id: 's' }));
  bench.arrive(event('kz', 'click', T + 3_701_000, [item('d', 'c')], { request_id: 's' }));
  expect(bench.said.at(-1)).toMatchObject({ label_id: 'kz#d', serendipitous: false, category_last_seen: T });
});

it('lets the same one of two contents of an event id count, whichever came first', () => {
  const one = event('e', 'exposure', T, [item('a', 'c1')], { request_id: 'r' });
  const other = event('e', 'exposure', T + 10, [item('a', 'c2')], { request_id: 'r' });
  const labels = [
    [one, other],
    [other, one],
  ].map((pair) => {
    const bench = new BenchOfOne();
    bench.arrive(structuredClone(pair[0]));
    bench.arrive(event('k', 'click', T + 1000, [item('a')], { request_id: 'r' }));
    bench.forget();
    bench.arrive(structuredClone(pair[1]));
    expect(bench.counted.get('conflicting_ids')).toBe(1);
    return [bench.labels, bench.end(), bench.metrics];
  });
  expect(labels[0]).toEqual(labels[1]);
});

it('lets a day that lost one of its events to another content stay visited by the others', () => {
  const bench = new BenchOfOne({ attributionWindow: 3_600_000 });
  bench.arrive(event('v', 'visit', T - 4 * 3_600_000));
  bench.arrive(event('e', 'visit', T + 12 * 3_600_000 - 1));
  // of two contents that of the lesser type counts: the event moves to the next day
  bench.arrive(event('e', 'exposure', T + 12 * 3_600_000 + 1, [item('a')], { request_id: 'r' }));
  bench.arrive(event('k', 'click', T + 12 * 3_600_000 + 2, [item('a')], { request_id: 'r' }));
  expect(bench.labels).toMatchObject([{ label_id: 'k#a', visit_days: 2 }]);
});

it('forgets a user who has had no event for userTtl', () => {
  const bench = new BenchOfOne({ userTtl: 30 * DAY });
  bench.arrive(event('e1', 'exposure', T, [item('a', 'c')], { request_id: 'r1' }));
  bench.arrive(event('e2', 'exposure', T + 31 * DAY, [item('b', 'c')], { request_id: 'r2' }));
  bench.arrive(event('k', 'click', T + 31 * DAY + 1, [item('b', 'c')], { request_id: 'r2' }));
  expect(bench.said).toMatchObject([{ serendipitous: true, visit_days: 1 }]);
  expect(bench.counted.get('users_forgotten')).toBe(1);
  bench.fireTimers(({ kind }) => kind === 'forget');
  bench.forget();
});

it('counts a request that spans over six hours, once', () => {
  const bench = new BenchOfOne();
  for (let hour = 0; hour < 10; hour++) {
    bench.arrive(event(`e${hour}`, 'exposure', T + hour * 3_600_000, [item('a')], { request_id: 'constant' }));
  }
  expect(bench.counted.get('long_requests')).toBe(1);
});

it('finds the newest exposure where clocks go back over midnight, before an older one that is still open', () => {
  const bench = new BenchOfOne({ timeZone: 'America/St_Johns', visitDays: 3, grace: 30 * 3_600_000 });
  const sunday = 1289097000000; // 00:00 on Sunday; at 00:01 it is Saturday again
  bench.arrive(event('x', 'exposure', sunday - DAY, [item('a', 'c')], { request_id: 'r' }));
  bench.arrive(event('y', 'exposure', sunday, [item('b', 'c')], { request_id: 'r' }));
  bench.arrive(event('z', 'exposure', sunday + 1, [item('d', 'c')], { request_id: 'q' }));
  bench.arrive(event('k', 'click', sunday + 1, [item('d', 'c')], { request_id: 'q' }));
  expect(bench.labels).toMatchObject([{ label_id: 'k#d', category_last_seen: sunday }]);
});

describe('where clocks go back over midnight, and Saturday turns out to be visited after a minute of Sunday', () => {
  const sunday = 1289097000000; // 00:00 on Sunday; at 00:01 it is Saturday again
  const options = { timeZone: 'America/St_Johns', grace: 0, attributionWindow: 60_000 };

  it('knows the first click on an exposure of that minute', () => {
    const bench = new BenchOfOne({ ...options, visitDays: 1 });
    bench.arrive(event('x', 'exposure', sunday, [item('a')], { request_id: 'r' }));
    bench.arrive(event('k1', 'click', sunday, [item('a')]));
    bench.arrive(event('k2', 'click', sunday + 59_999, [item('a')]));
    bench.arrive(event('v', 'visit', sunday + 60_001));
    bench.end();
    expect(bench.labels).toMatchObject([{ label_id: 'k1#a', attribution: 'item' }]);
  });

  it('revises a label of that minute, though the attribution window is over', () => {
    const bench = new BenchOfOne({ ...options, visitDays: 3 });
    bench.arrive(event('k', 'click', sunday, [item('a')]));
    bench.arrive(event('w', 'search', sunday + 50_000));
    bench.forget();
    bench.arrive(event('v', 'visit', sunday + 3_000_000));
    bench.end();
    expect(bench.labels).toMatchObject([{ label_id: 'k#a', visit_days: 2 }]);
  });

  it('leaves a click of that minute with an exposure of days ago', () => {
    const bench = new BenchOfOne({ ...options, visitDays: 3, attributionWindow: 3 * DAY });
    bench.arrive(event('x', 'exposure', sunday - 3 * DAY + 10_000, [item('a')], { request_id: 'r' }));
    bench.arrive(event('k', 'click', sunday + 1000, [item('a')], { request_id: 'r' }));
    bench.arrive(event('v', 'visit', sunday + 3_000_000));
    bench.end();
    expect(bench.labels).toMatchObject([{ label_id: 'k#a', attribution: 'request', visit_days: 1 }]);
  });

  it('revises a label of that minute where the visit on Saturday turns out to be another', () => {
    const bench = new BenchOfOne({ ...options, visitDays: 3, grace: 3 * 3_600_000 });
    bench.arrive(event('x', 'exposure', sunday, [item('a')], { request_id: 'r' }));
    bench.arrive(event('k', 'click', sunday + 1, [item('a')], { request_id: 'r' }));
    bench.arrive(event('v', 'visit', sunday + 3_000_000));
    expect(bench.labels).toMatchObject([{ label_id: 'k#a', visit_days: 2 }]);
    bench.arrive(event('v', 'search', sunday + 4_000_000));
    expect(bench.labels).toMatchObject([{ label_id: 'k#a', visit_days: 1 }]);
  });
});
