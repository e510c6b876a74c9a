import { describe, expect, test } from 'vitest';
import { compareBytes, dayOf, oracle } from './oracle.ts';
import type { EventType, Label, MetricsRow, OracleOptions, RawEvent, RawItem } from './oracle.ts';

const minute = 60_000;
const hour = 3_600_000;
const day = 86_400_000;
/** noon of the first of May 2024, UTC */
const noon = Date.UTC(2024, 4, 1, 12);

let ids = 0;
type Fields = Partial<Omit<RawEvent, 'items'>>;

/** `i1:c1:b1:s1@3` is an item; a part left out or `-` is null; a leading `!` is not viewable. */
function item(text: string): RawItem {
  const [head, position] = text.split('@') as [string, string | undefined];
  const [id, category, brand, seller] = head.replace('!', '').split(':') as [string, ...(string | undefined)[]];
  const some = (part: string | undefined): string | null => (part === undefined || part === '-' ? null : part);
  return {
    item_id: id,
    category_id: some(category),
    brand_id: some(brand),
    seller_id: some(seller),
    ...(position === undefined ? {} : { position: Number(position) }),
    ...(head.startsWith('!') ? { viewable: false } : {}),
  };
}

function event(event_type: EventType, event_time: number, items: string, fields: Fields = {}): RawEvent {
  return {
    event_id: `e${++ids}`,
    event_type,
    event_time,
    user_id: 'u',
    items: items.split(' ').filter(Boolean).map(item),
    ...fields,
  };
}
const exposure = (time: number, request_id: string | null, items: string, fields: Fields = {}) =>
  event('exposure', time, items, { request_id, ...fields });
const click = (time: number, request_id: string | null, items: string, fields: Fields = {}) =>
  event('click', time, items, { request_id, ...fields });
const purchase = (time: number, items: string, fields: Fields = {}) => event('purchase', time, items, fields);
const visit = (time: number, fields: Fields = {}) => event('visit', time, '', fields);

const labelsOf = (events: RawEvent[], options?: OracleOptions): Label[] => oracle(events, options).labels;
function labelOf(events: RawEvent[], options?: OracleOptions): Label {
  const labels = labelsOf(events, options);
  expect(labels).toHaveLength(1);
  return labels[0]!;
}
const row = (row: Partial<MetricsRow>): MetricsRow => ({
  day: '2024-05-01',
  arm: null,
  exposures: 0,
  s_exposures: 0,
  clicks: 0,
  s_clicks: 0,
  purchases: 0,
  s_purchases: 0,
  users: 1,
  uv3: 0,
  ...row,
});

describe('a label', () => {
  test('has the keys of the contract in its order, without revision and withdrawn', () => {
    const label = labelOf([
      exposure(noon, 'r1', 'i1:c1:b1:s1@4', { scene: 'home', arm: 'A' }),
      click(noon + 5, 'r1', 'i1:other:other:other@9', { event_id: 'k', scene: 'other', arm: 'other' }),
    ]);
    expect(JSON.stringify(label)).toBe(
      '{"label_id":"k#i1","user_id":"u","item_id":"i1","request_id":"r1","scene":"home","arm":"A","category_id":"c1",' +
        '"brand_id":"b1","seller_id":"s1","position":4,"click_time":1714564800005,"exposure_time":1714564800000,' +
        '"attribution":"request","serendipitous":true,"novel_category":true,"novel_brand":true,"novel_seller":true,' +
        '"serendipity_related":true,"category_last_seen":null,"visit_days":1,"unlabelled":null}',
    );
  });

  test('stands at its place by the bytes of its label_id', () => {
    const clicks = ['\u{1F600}', '\uFFFD', 'é', 'a', 'Z'].map((event_id) => click(noon, null, 'i1', { event_id }));
    expect(labelsOf(clicks).map((label) => label.label_id)).toEqual([
      'Z#i1',
      'a#i1',
      'é#i1',
      '\uFFFD#i1',
      '\u{1F600}#i1',
    ]);
    expect(compareBytes('\u{1F600}', '\uFFFD')).toBeGreaterThan(0);
  });
});

describe('the day', () => {
  test('is that of the business time zone, also over a change of the clock', () => {
    expect(dayOf(Date.UTC(2024, 2, 10, 4, 59, 59, 999), 'America/New_York')).toBe('2024-03-09');
    expect(dayOf(Date.UTC(2024, 2, 10, 5), 'America/New_York')).toBe('2024-03-10');
    expect(dayOf(Date.UTC(2024, 2, 11, 4), 'America/New_York')).toBe('2024-03-11');
    expect(dayOf(Date.UTC(2024, 4, 1, 18, 30), 'Asia/Kolkata')).toBe('2024-05-02');
    expect(dayOf(Date.UTC(2011, 11, 30, 9, 59), 'Pacific/Apia')).toBe('2011-12-29');
    expect(dayOf(Date.UTC(2011, 11, 30, 10), 'Pacific/Apia')).toBe('2011-12-31');
    // a minute of Sunday, then the last hour of Saturday again
    expect(dayOf(Date.UTC(2010, 10, 7, 2, 30, 59), 'America/St_Johns')).toBe('2010-11-07');
    expect(dayOf(Date.UTC(2010, 10, 7, 2, 31), 'America/St_Johns')).toBe('2010-11-06');
    expect(dayOf(Date.UTC(2010, 10, 7, 3, 30), 'America/St_Johns')).toBe('2010-11-07');
  });

  test('decides what lies in the window', () => {
    const log = [
      exposure(Date.UTC(2024, 4, 1, 23), 'r1', 'i1:c1'),
      exposure(Date.UTC(2024, 4, 2, 1), 'r2', 'i2:c1'),
      click(Date.UTC(2024, 4, 2, 1, 1), 'r2', 'i2'),
    ];
    expect(labelOf(log, { visitDays: 1 })).toMatchObject({ novel_category: true, visit_days: 1 });
    expect(labelOf(log, { visitDays: 1, timeZone: 'America/New_York' })).toMatchObject({ novel_category: false });
  });
});

describe('the window', () => {
  test('is of the most recent visit days, today one of them, however far apart', () => {
    const log = (days: number) => [
      exposure(noon, 'r1', 'i1:c1'),
      ...Array.from({ length: days }, (_, n) => visit(noon + (n + 1) * 3 * day)),
      exposure(noon + 60 * day, 'r2', 'i2:c1'),
      click(noon + 60 * day + 1, 'r2', 'i2'),
    ];
    expect(labelOf(log(8))).toMatchObject({ novel_category: false, visit_days: 10, category_last_seen: noon });
    expect(labelOf(log(9))).toMatchObject({ novel_category: true, visit_days: 10, category_last_seen: null });
    expect(labelOf(log(2), { visitDays: 3 })).toMatchObject({ novel_category: true, visit_days: 3 });
    expect(labelOf(log(1), { visitDays: 3 })).toMatchObject({ novel_category: false, visit_days: 3 });
  });

  test('counts a day for an event of any type, later ones of today too, once a day', () => {
    const kinds = [
      visit(noon + day),
      event('search', noon + 2 * day, '', { query: 'q' }),
      purchase(noon + 3 * day, 'i9'),
      exposure(noon + 4 * day, 'r0', '!i8:c8'),
      click(noon + 5 * day, null, 'i7'),
      visit(noon + 6 * day + hour),
    ];
    const labels = labelsOf([
      exposure(noon, 'r1', 'i1:c1'),
      ...kinds,
      visit(noon + 5 * day + 1),
      exposure(noon + 6 * day, 'r2', 'i2:c1'),
      click(noon + 6 * day + 1, 'r2', 'i2', { event_id: 'k' }),
    ]);
    expect(labels.find((label) => label.label_id === 'k#i2')).toMatchObject({ novel_category: false, visit_days: 7 });
  });

  test('leaves today out where the option says so', () => {
    const log = [
      exposure(noon, 'r1', 'i1:c1'),
      exposure(noon + day, 'r2', 'i2:c2'),
      exposure(noon + day + 1, 'r3', 'i3:c2'),
      exposure(noon + day + 2, 'r4', 'i4:c1'),
      click(noon + day + 3, 'r3', 'i3', { event_id: 'k3' }),
      click(noon + day + 3, 'r4', 'i4', { event_id: 'k4' }),
    ];
    expect(labelsOf(log).map((l) => [l.novel_category, l.visit_days])).toEqual([
      [false, 2],
      [false, 2],
    ]);
    expect(labelsOf(log, { today: 'excluded' }).map((l) => [l.novel_category, l.visit_days])).toEqual([
      [true, 1],
      [false, 1],
    ]);
    expect(labelsOf(log.slice(1, 3).concat(log[4]!), { today: 'excluded' })[0]).toMatchObject({ visit_days: 0 });
  });

  test('is that of the exposure, not that of a click after midnight', () => {
    const late = Date.UTC(2024, 4, 1, 23, 59);
    const log = [visit(noon - day), exposure(late, 'r1', 'i1:c1'), click(late + 2 * minute, 'r1', 'i1')];
    expect(labelOf(log, { visitDays: 1 })).toMatchObject({ visit_days: 1 });
    expect(labelOf(log, { visitDays: 5 })).toMatchObject({ visit_days: 2 });
  });
});

describe('novelty', () => {
  const second = (first: RawEvent[], second = exposure(noon + 10, 'r2', 'i2:c1:b1:s1'), options?: OracleOptions) =>
    labelOf([...first, second, click(noon + 20, second.request_id ?? null, 'i2')], options);

  test('ends with an earlier valid exposure of the category, brand or seller, each by itself', () => {
    expect(second([exposure(noon, 'r1', 'i1:c1:b2:s2')])).toMatchObject({
      novel_category: false,
      novel_brand: true,
      novel_seller: true,
      serendipitous: false,
      serendipity_related: true,
      category_last_seen: noon,
    });
    expect(second([exposure(noon, 'r1', 'i1:c2:b1:s2')])).toMatchObject({
      novel_category: true,
      novel_brand: false,
      novel_seller: true,
      serendipitous: true,
    });
    expect(second([exposure(noon, 'r1', 'i1:c1:b1:s1')])).toMatchObject({ serendipity_related: false });
  });

  test('is not ended by items that were not seen, by other users, or by anything but exposures', () => {
    expect(
      second([
        exposure(noon, 'r1', '!i1:c1:b1:s1'),
        exposure(noon, 'r1', 'i1:c1:b1:s1', { user_id: 'other' }),
        purchase(noon, 'i1:c1:b1:s1'),
        event('visit', noon, 'i1:c1:b1:s1'),
      ]),
    ).toMatchObject({ novel_category: true, novel_brand: true, novel_seller: true });
  });

  test('is not ended by the same request or the same millisecond', () => {
    expect(second([exposure(noon, 'r2', 'i1:c1')])).toMatchObject({ novel_category: true });
    expect(second([exposure(noon + 10, 'r1', 'i1:c1')])).toMatchObject({ novel_category: true });
    expect(second([exposure(noon + 9, 'r1', 'i1:c1')])).toMatchObject({ novel_category: false });
    expect(second([exposure(noon, 'r2', 'i1:c1'), exposure(noon - day, 'r1', 'i1:c1')])).toMatchObject({
      novel_category: false,
      category_last_seen: noon - day,
    });
  });

  test('is ended by another exposure without request, which is a request of its own', () => {
    const own = exposure(noon + 10, null, 'i2:c1');
    expect(second([exposure(noon, null, 'i1:c1')], own)).toMatchObject({ novel_category: false, attribution: 'item' });
    expect(second([exposure(noon, '', 'i1:c1')], exposure(noon + 10, '', 'i2:c1'))).toMatchObject({
      novel_category: false,
      request_id: null,
    });
  });

  test('is never there for null', () => {
    expect(second([], exposure(noon + 10, 'r2', 'i2:c1'))).toMatchObject({
      novel_category: true,
      novel_brand: false,
      novel_seller: false,
    });
    expect(second([exposure(noon, 'r1', 'i1')], exposure(noon + 10, 'r2', 'i2:-:b1:s1'))).toMatchObject({
      novel_category: false,
      novel_brand: true,
      novel_seller: true,
      serendipitous: false,
      serendipity_related: true,
      category_last_seen: null,
      unlabelled: 'no_category',
    });
  });

  test('names the newest earlier exposure in the window', () => {
    const log = [
      exposure(noon - 3 * day, 'r0', 'i1:c1'),
      exposure(noon, 'r1', 'i1:c1'),
      exposure(noon + 9, 'r2', 'i1:c1'),
      exposure(noon + 11, 'r3', 'i1:c1'),
    ];
    expect(second(log).category_last_seen).toBe(noon);
  });
});

describe('attribution', () => {
  const shown = (times: [string, number, string | null][]) =>
    times.map(([event_id, time, request], n) => exposure(time, request, `i1:c${event_id}@${n}`, { event_id }));

  test('prefers the latest exposure of the request over a later one of another', () => {
    const log = shown([
      ['a', noon, 'r1'],
      ['b', noon + 1, 'r1'],
      ['c', noon + 2, 'r2'],
    ]);
    expect(labelOf([...log, click(noon + 9, 'r1', 'i1')])).toMatchObject({ attribution: 'request', category_id: 'cb' });
    expect(labelOf([...log, click(noon + 9, 'r9', 'i1')])).toMatchObject({
      attribution: 'item',
      category_id: 'cc',
      request_id: 'r9',
    });
    expect(labelOf([...log, click(noon + 9, null, 'i1')])).toMatchObject({ attribution: 'item', request_id: null });
    expect(labelOf([...log, click(noon + 9, 'r1', 'i2')])).toMatchObject({ attribution: 'none', exposure_time: null });
  });

  test('takes in both ends of its window, and nothing after the click', () => {
    const log = shown([['a', noon, 'r1']]);
    const options = { attributionWindowMs: hour };
    const found = (time: number) => labelOf([...log, click(time, 'r1', 'i1')], options).attribution;
    expect(found(noon)).toBe('request');
    expect(found(noon - 1)).toBe('none');
    expect(found(noon + hour)).toBe('request');
    expect(found(noon + hour + 1)).toBe('none');
    expect(labelOf([...log, click(noon + day, 'r1', 'i1')]).attribution).toBe('request');
    expect(labelOf([...log, click(noon + day + 1, 'r1', 'i1')]).attribution).toBe('none');
  });

  test('falls back to another request where the own one is out of the window', () => {
    const log = shown([
      ['a', noon, 'r1'],
      ['b', noon + 2 * hour, 'r2'],
    ]);
    expect(labelOf([...log, click(noon + 2 * hour, 'r1', 'i1')], { attributionWindowMs: hour })).toMatchObject({
      attribution: 'item',
      category_id: 'cb',
    });
  });

  test('takes the greater event_id of two at the same millisecond, by bytes', () => {
    const log = shown([
      ['9', noon, 'r1'],
      ['10', noon, 'r1'],
      ['\u{1F600}', noon, 'r2'],
      ['\uFFFD', noon, 'r3'],
    ]);
    expect(labelOf([...log, click(noon, 'r1', 'i1')]).category_id).toBe('c9');
    expect(labelOf([...log, click(noon, null, 'i1')]).category_id).toBe('c\u{1F600}');
  });

  test('finds no exposure that was not seen, nor one of another user', () => {
    const log = [exposure(noon, 'r1', '!i1:c1'), exposure(noon, 'r1', 'i1:c1', { user_id: 'other' })];
    expect(labelOf([...log, click(noon + 1, 'r1', 'i1')]).attribution).toBe('none');
  });

  test('takes all four fields from the exposure, even where one is null', () => {
    const log = [exposure(noon, 'r1', 'i1:c1'), click(noon + 1, 'r1', 'i1:c9:b9:s9@9', { scene: 's', arm: 'A' })];
    expect(labelOf(log)).toMatchObject({
      category_id: 'c1',
      brand_id: null,
      seller_id: null,
      position: null,
      scene: null,
      arm: null,
    });
    expect(labelOf([exposure(noon, 'r1', 'i1'), click(noon + 1, 'r1', 'i1:c9:b9:s9@9')])).toMatchObject({
      category_id: null,
      unlabelled: 'no_category',
      serendipity_related: false,
    });
  });
});

describe('a click without an exposure', () => {
  test('is decided as if exposed then, in its request, from its own fields', () => {
    const at = noon + 10;
    const none = (request: string | null, first: RawEvent) =>
      labelOf([first, click(at, request, 'i2:c1:b1:s1@7', { scene: 's', arm: 'A' })]);
    expect(none('r2', exposure(noon, 'r1', 'i1:c1:b2'))).toMatchObject({
      attribution: 'none',
      category_id: 'c1',
      brand_id: 'b1',
      seller_id: 's1',
      position: 7,
      scene: 's',
      arm: 'A',
      serendipitous: false,
      novel_brand: true,
      category_last_seen: noon,
    });
    expect(none('r1', exposure(noon, 'r1', 'i1:c1'))).toMatchObject({ serendipitous: true, category_last_seen: null });
    expect(none('r1', exposure(noon, null, 'i1:c1'))).toMatchObject({ serendipitous: false });
    expect(none(null, exposure(noon, null, 'i1:c1'))).toMatchObject({ serendipitous: false });
    expect(none(null, exposure(at, 'r1', 'i1:c1'))).toMatchObject({ serendipitous: true });
    expect(labelOf([click(at, null, 'i2:-:b1')])).toMatchObject({
      serendipitous: false,
      unlabelled: 'no_category',
      novel_brand: true,
      serendipity_related: true,
    });
  });

  test('leaves no exposure behind', () => {
    const labels = labelsOf([
      click(noon, null, 'i1:c1', { event_id: 'k1' }),
      click(noon + 1, null, 'i1:c1', { event_id: 'k2' }),
      exposure(noon + 2, 'r1', 'i2:c1'),
      click(noon + 3, 'r1', 'i2', { event_id: 'k3' }),
    ]);
    expect(labels.map((label) => label.serendipitous)).toEqual([true, true, true]);
  });
});

describe('the first click on an exposure makes the label', () => {
  test('by event_time, then by the bytes of the event_id', () => {
    const shown = exposure(noon, 'r1', 'i1:c1');
    const ids = (...clicks: RawEvent[]) => labelsOf([...clicks, shown]).map((label) => label.label_id);
    expect(ids(click(noon + 2, 'r1', 'i1', { event_id: 'a' }), click(noon + 1, null, 'i1', { event_id: 'b' }))).toEqual(
      ['b#i1'],
    );
    expect(
      ids(click(noon + 1, 'r1', 'i1', { event_id: '9' }), click(noon + 1, 'r1', 'i1', { event_id: '10' })),
    ).toEqual(['10#i1']);
    expect(
      ids(click(noon + 1, 'r1', 'i1', { event_id: '\u{1F600}' }), click(noon + 1, 'r1', 'i1', { event_id: '\uFFFD' })),
    ).toEqual(['\uFFFD#i1']);
  });

  test('and one for each exposure: the same item twice is two, an event of two items is two', () => {
    const log = [
      exposure(noon, 'r1', 'i1:c1 i2:c2'),
      exposure(noon + 10, 'r2', 'i1:c1'),
      click(noon + 11, 'r1', 'i1 i2', { event_id: 'k1' }),
      click(noon + 12, 'r2', 'i1', { event_id: 'k2' }),
      click(noon + 13, 'r2', 'i1', { event_id: 'k3' }),
      click(noon + 14, null, 'i1', { event_id: 'k4' }),
    ];
    expect(labelsOf(log).map((label) => [label.label_id, label.serendipitous])).toEqual([
      ['k1#i1', true],
      ['k1#i2', true],
      ['k2#i1', false],
    ]);
  });
});

describe('what counts once', () => {
  test('is an event_id of one user, not of two', () => {
    const again = click(noon + 1, null, 'i1:c1', { event_id: 'k' });
    const { labels, metrics } = oracle([again, { ...again }, { ...again, user_id: 'v' }]);
    expect(labels.map((label) => label.user_id)).toEqual(['u', 'v']);
    expect(metrics).toEqual([row({ clicks: 2, s_clicks: 2, users: 2 })]);
  });

  test('is an item within an event: the first copy that is viewable', () => {
    const log = [exposure(noon, 'r1', '!i1:c1@0 i1:c2@1 i1:c3@2'), click(noon + 1, 'r1', '!i1@7 i1@8 i1@9')];
    expect(labelOf(log)).toMatchObject({ category_id: 'c2', position: 1 });
    expect(oracle(log).metrics).toEqual([row({ exposures: 1, s_exposures: 1, clicks: 1, s_clicks: 1 })]);
    expect(labelOf([click(noon, null, '!i1:c1 i1:c2 i1:c3')]).category_id).toBe('c2');
    expect(labelOf([click(noon, null, '!i1:c1 !i1:c2')]).category_id).toBe('c1');
  });
});

describe('what is read', () => {
  test('is filled from the catalog where it is null or empty, before anything is decided', () => {
    const catalog = new Map([
      ['i1', { category_id: 'c1', brand_id: 'b1', seller_id: '' }],
      ['i2', { category_id: 'c1' }],
    ]);
    const log = [
      exposure(noon, 'r1', 'i1'),
      exposure(noon + 1, 'r2', 'i2:-:b2:s2 i3'),
      click(noon + 2, 'r1', 'i1:c9', { event_id: 'k1' }),
      click(noon + 2, 'r2', 'i2:c9', { event_id: 'k2' }),
    ];
    log[0]!.items![0]!.category_id = '';
    expect(labelsOf(log, { catalog })).toMatchObject([
      { category_id: 'c1', brand_id: 'b1', seller_id: null, serendipitous: true },
      { category_id: 'c1', brand_id: 'b2', seller_id: 's2', serendipitous: false },
    ]);
    expect(labelOf([click(noon, null, 'i1:-:b7')], { catalog })).toMatchObject({ category_id: 'c1', brand_id: 'b7' });
  });

  test('has an empty optional id as null', () => {
    const log = [exposure(noon, '', 'i1:c1'), click(noon + 1, '', 'i1')];
    expect(labelOf(log)).toMatchObject({ request_id: null, attribution: 'item' });
  });

  test('leaves bad input out, and its visit day with it', () => {
    const log = [
      visit(noon - day, { event_id: '' }),
      visit(noon - 2 * day, { user_id: '' }),
      exposure(noon - 3 * day, 'r1', 'i1:c1 :c2'),
      click(noon, null, 'i1:c1'),
    ];
    expect(labelOf(log)).toMatchObject({ visit_days: 1, serendipitous: true });
    expect(oracle(log).metrics).toHaveLength(1);
  });

  test('may lack every field that has a default', () => {
    const bare = { event_id: 'a', event_type: 'exposure', event_time: noon, user_id: 'u', items: [{ item_id: 'i' }] };
    const { labels, metrics } = oracle([
      bare as RawEvent,
      { event_id: 'b', event_type: 'click', event_time: noon, user_id: 'u', items: [{ item_id: 'i' }] },
      { event_id: 'c', event_type: 'visit', event_time: noon, user_id: 'u' },
    ]);
    expect(labels[0]).toMatchObject({ attribution: 'item', unlabelled: 'no_category', position: null });
    expect(metrics).toEqual([row({ exposures: 1, clicks: 1 })]);
  });
});

describe('the metrics', () => {
  test('count items, further clicks too, by the decision of their exposure', () => {
    const { metrics } = oracle([
      exposure(noon, 'r1', 'i1:c1 i2:c1 !i3:c3'),
      exposure(noon + 1, 'r2', 'i1:c1'),
      click(noon + 2, 'r1', 'i1 i2'),
      click(noon + 3, 'r1', 'i1'),
      click(noon + 4, 'r2', 'i1'),
      click(noon + 5, null, 'i7:c1'),
      click(noon + 6, null, 'i8:c8'),
      purchase(noon + 7, 'i1 i2', { request_id: 'r1' }),
      purchase(noon + 8, 'i9:c9'),
    ]);
    // the purchase of i1 belongs to the latest exposure, which is not novel, whatever its request_id says
    expect(metrics).toEqual([
      row({ exposures: 3, s_exposures: 2, clicks: 6, s_clicks: 4, purchases: 3, s_purchases: 1 }),
    ]);
  });

  test('stand on the day of the event and in the arm of its exposure', () => {
    const { metrics } = oracle([
      exposure(noon, 'r1', 'i1:c1', { arm: 'A' }),
      click(noon + 12 * hour, 'r1', 'i1 i2:c2', { arm: 'B' }),
      purchase(noon + 13 * hour, 'i1 i2', { arm: 'C' }),
      visit(noon + 14 * hour, { arm: 'D' }),
      visit(noon + 14 * hour),
      click(noon + 15 * hour, 'r1', '', { arm: 'E' }),
      exposure(noon + 15 * hour, 'r2', '!i1:c1', { arm: 'F' }),
    ]);
    const second = (cells: Partial<MetricsRow>) => row({ day: '2024-05-02', ...cells });
    expect(metrics).toEqual([
      row({ arm: 'A', exposures: 1, s_exposures: 1 }),
      second({ arm: null }),
      second({ arm: 'A', clicks: 1, s_clicks: 1, purchases: 1, s_purchases: 1 }),
      second({ arm: 'B', clicks: 1, s_clicks: 1 }),
      second({ arm: 'C', purchases: 1 }),
      second({ arm: 'D' }),
      second({ arm: 'E' }),
      second({ arm: 'F' }),
    ]);
  });

  test('do not count a user as present in an arm that the exposures of its click left', () => {
    const { metrics } = oracle([
      exposure(noon, 'r1', 'i1:c1', { arm: 'A' }),
      click(noon + 1, 'r1', 'i1', { arm: 'B' }),
    ]);
    expect(metrics.map(({ arm, users }) => [arm, users])).toEqual([['A', 1]]);
  });

  test('have a user in uv3 from the 201st valid exposure of a day and an arm', () => {
    const page = (n: number, arm: string, from: number) =>
      exposure(noon + from, `r${from}`, Array.from({ length: n }, (_, i) => `i${from + i}:c1`).join(' '), { arm });
    const cells = (...events: RawEvent[]) =>
      oracle(events).metrics.map(({ arm, exposures, uv3 }) => [arm, exposures, uv3]);
    expect(cells(page(200, 'A', 0))).toEqual([['A', 200, 0]]);
    expect(cells(page(101, 'A', 0), page(100, 'A', 200))).toEqual([['A', 201, 1]]);
    expect(cells(page(101, 'A', 0), page(100, 'B', 200))).toEqual([
      ['A', 101, 0],
      ['B', 100, 0],
    ]);
    expect(cells(page(201, 'A', 0), { ...page(201, 'A', 300), user_id: 'v' })).toEqual([['A', 402, 2]]);
  });

  test('are sorted by day, then by arm, the arm null first', () => {
    const { metrics } = oracle([
      visit(noon + day),
      ...['\u{1F600}', '\uFFFD', 'b', 'a', 'Z'].map((arm) => visit(noon, { arm })),
      visit(noon),
    ]);
    expect(metrics.map(({ day, arm }) => `${day} ${arm}`)).toEqual([
      '2024-05-01 null',
      '2024-05-01 Z',
      '2024-05-01 a',
      '2024-05-01 b',
      '2024-05-01 \uFFFD',
      '2024-05-01 \u{1F600}',
      '2024-05-02 null',
    ]);
  });
});
