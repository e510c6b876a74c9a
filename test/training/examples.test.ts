import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SerendipityLabel } from '../../src/serendipity/records.ts';
import type { BehaviorEvent, BehaviorItem, EventType } from '../../src/shop/behaviour.ts';
import { catalogFromJson, type CatalogItem } from '../../src/shop/catalog.ts';
import { examplesOf, type Known } from '../../training/examples.ts';

const USER = 'u1';
const catalog = new Map<string, CatalogItem>(
  Array.from({ length: 100 }, (_, i) => [`i${i}`, catalogFromJson({ item_id: `i${i}`, title: `thing ${i}` })]),
);
const item = (id: string): BehaviorItem => ({
  item_id: id,
  category_id: 'c',
  brand_id: null,
  seller_id: null,
  position: null,
  viewable: true,
  price: null,
  quantity: 1,
});
const event = (event_type: EventType, time: number, id: string, request: string | null = null): BehaviorEvent => ({
  event_id: `${event_type}${time}${id}`,
  event_type,
  event_time: time,
  user_id: USER,
  request_id: request,
  scene: null,
  arm: null,
  items: [item(id)],
  query: null,
});
const label = (given: Partial<SerendipityLabel>): SerendipityLabel =>
  ({
    label_id: 'l',
    user_id: USER,
    item_id: 'i99',
    request_id: 'r',
    category_id: 'c',
    click_time: 1000,
    exposure_time: 990,
    serendipitous: true,
    visit_days: 10,
    ...given,
  }) as SerendipityLabel;
const known = (given: Partial<Known>): Known => ({
  catalog,
  statics: new Map([[USER, 'age 35-44']]),
  labels: [label({})],
  profiles: [],
  events: [],
  cutOff: 5000,
  ...given,
});

describe('an example of SerenGPT', () => {
  it('knows nothing of its own request or later, however the log is cut', () => {
    const action = fc.record({
      type: fc.constantFrom<EventType>('click', 'purchase'),
      time: fc.integer({ min: 1, max: 2000 }),
      id: fc.integer({ min: 0, max: 98 }),
    });
    fc.assert(
      fc.property(
        fc.array(action, { maxLength: 80 }),
        fc.integer({ min: 2, max: 900 }),
        fc.array(fc.integer({ min: 1, max: 2000 }), { maxLength: 6 }),
        (actions, first, refreshes) => {
          const done = actions.map(({ type, time, id }) => event(type, time, `i${id}`));
          const shown = [event('exposure', 990, 'i99', 'r'), event('exposure', first, 'i98', 'r')];
          const profiles = refreshes.map((refreshed_at, i) => ({
            user_id: USER,
            refreshed_at,
            long_term: i % 2 === 0,
            tags: [{ tag: `tag ${refreshed_at}`, group: 'category', score: 1 }],
          }));
          const given = known({ events: [...done, ...shown], profiles });
          const [example] = examplesOf(given);
          expect(example!.asked_at).toBe(first);
          // the same example from a log that ends there
          const cut = { events: done.filter(({ event_time }) => event_time < first).concat(shown) };
          const before = profiles.filter(({ refreshed_at }) => refreshed_at < first);
          expect(examplesOf({ ...given, ...cut, profiles: before })).toEqual([example]);
          for (const { event_time, items } of done) {
            const { item_id } = (items as BehaviorItem[])[0]!;
            const earlier = done.some(
              (one) => one.event_time < first && (one.items as BehaviorItem[])[0]!.item_id === item_id,
            );
            if (event_time >= first && !earlier) expect(example!.history).not.toContain(catalog.get(item_id)!.title);
          }
        },
      ),
    );
  });

  it('is the prompt as the channel makes it, and the title', () => {
    const profiles = [
      { user_id: USER, refreshed_at: 100, long_term: false, tags: [{ tag: 'Old', group: 'category', score: 1 }] },
      { user_id: USER, refreshed_at: 200, long_term: false, tags: [{ tag: 'Tea', group: 'category', score: 1 }] },
      { user_id: USER, refreshed_at: 150, long_term: true, tags: [{ tag: 'Bread', group: 'category', score: 1 }] },
    ];
    const events = [event('click', 300, 'i1'), event('purchase', 310, 'i1'), event('click', 320, 'i2')];
    const [example] = examplesOf(known({ events, profiles }));
    expect(example).toMatchObject({
      prompt: 'about: age 35-44\nlong: bread\nlikes: tea\ndid: thing 1; thing 2\nnext:',
      title: 'thing 99',
      split: 'train',
      mature: true,
    });
  });

  it('is of the test from the cut-off on, and none is made of a click that was not serendipitous or has no title', () => {
    const labels = [
      label({ click_time: 4999 }),
      label({ click_time: 5000, visit_days: 9 }),
      label({ serendipitous: false }),
      label({ item_id: 'unknown' }),
    ];
    const examples = examplesOf(known({ labels, events: [event('visit', 1, 'i1')] }));
    expect(examples.map(({ split, mature }) => [split, mature])).toEqual([
      ['train', true],
      ['test', false],
    ]);
  });
});
