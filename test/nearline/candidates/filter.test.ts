import { describe, expect, it } from 'vitest';
import { keptCodec } from '../../../src/nearline/candidates/kept.ts';
import { Filtering, DAY, HOUR, MINUTE, T, itemOf, answerOf } from './given.ts';

const left = (rule: string, count = 1) => ({ rule, count });

describe('an answer', () => {
  it('becomes the list of its user, best first, with what is new of each', () => {
    const filtering = new Filtering();
    filtering.event('exposure', T - DAY, [{ item_id: 'z', category_id: 'c-b', brand_id: null, seller_id: 's-a' }]);
    filtering.answer(['a', 'b']);
    expect(filtering.said()).toMatchObject([
      {
        user_id: 'u',
        request_id: 'u/1',
        round: 1,
        revision: 0,
        asked_at: T,
        expires_at: T + DAY,
        model: 'model-1',
        candidates: [
          { item_id: 'a', novel_category: true, novel_brand: true, novel_seller: false, category_last_seen: null },
          { item_id: 'b', novel_category: false, novel_brand: true, novel_seller: true, category_last_seen: T - DAY },
        ],
        left_out: [],
      },
    ]);
    expect(filtering.answers('accepted')).toBe(1);
  });

  it('is said also where nothing of it is left', () => {
    const filtering = new Filtering();
    filtering.event('exposure', T - DAY, ['a']);
    filtering.answer(['a']);
    expect(filtering.said()).toMatchObject([{ candidates: [], left_out: [left('shown')] }]);
    expect(filtering.answers('empty')).toBe(1);
  });

  it('is held against each rule, and what it left out is counted by rule', () => {
    const filtering = new Filtering({ most: 2, perCategory: 1 });
    filtering.catalog.set('sold out', { category: 'x', brand: null, seller: null, available: false });
    filtering.event('exposure', T - DAY, [
      'seen',
      { item_id: 'like', category_id: 'c1', brand_id: 'b1', seller_id: 's1' },
    ]);
    filtering.event('purchase', T - 80 * DAY, ['owned']);
    filtering.answer([
      'one',
      'one',
      'sold out',
      'owned',
      'seen',
      { item_id: 'no category', brand_id: 'new', seller_id: 'new' },
      { item_id: 'nothing new', category_id: 'c1', brand_id: 'b1', seller_id: 's1' },
      { item_id: 'same', category_id: 'c-one' },
      'two',
      'three',
      'one',
    ]);
    expect(filtering.said()).toMatchObject([
      {
        candidates: [{ item_id: 'one' }, { item_id: 'two' }],
        left_out: [
          left('over_limit', 2),
          left('duplicate'),
          left('unavailable'),
          left('bought'),
          left('shown'),
          left('no_category'),
          left('not_related'),
          left('same_category'),
        ],
      },
    ]);
    expect(filtering.driver.count('candidates')).toBe(2);
    expect(filtering.driver.count('candidates_left_out{"rule":"over_limit"}')).toBe(2);
  });

  it('takes from the catalog what it does not say of an item, and what is not sold is left out', () => {
    const filtering = new Filtering();
    filtering.catalog.set('a', { category: 'from the catalog', brand: 'brand', seller: null, available: true });
    filtering.answer([{ item_id: 'a', category_id: null, brand_id: 'own' }]);
    expect(filtering.said()).toMatchObject([
      { candidates: [{ item_id: 'a', category_id: 'from the catalog', brand_id: 'own', novel_seller: false }] },
    ]);
  });

  it('that failed leaves the list as it is, and does not use up its round', () => {
    const filtering = new Filtering();
    filtering.answer(['a']);
    filtering.said();
    filtering.answer([], { round: 2, outcome: 'failed', error: 'MODEL_TIMEOUT' });
    expect(filtering.said()).toEqual([]);
    expect(filtering.answers('failed')).toBe(1);
    filtering.answer(['b'], { round: 2, attempt: 2 });
    expect(filtering.ids()).toEqual(['b']);
  });

  it('counts once a round, however often and however late it comes', () => {
    const filtering = new Filtering();
    filtering.event('visit', T);
    filtering.answer(['a'], { round: 2 });
    filtering.answer(['b'], { round: 2 });
    filtering.answer(['c'], { round: 1 });
    expect(filtering.said()).toHaveLength(1);
    expect(filtering.answers('old_round')).toBe(2);
    filtering.event('visit', T + DAY);
    expect(filtering.said()).toEqual([null]);
    filtering.answer(['d'], { round: 2, asked_at: T + DAY });
    expect(filtering.said()).toEqual([]);
    expect(filtering.answers('old_round')).toBe(3);
    filtering.answer(['d'], { round: 3, asked_at: T + DAY });
    expect(filtering.ids()).toEqual(['d']);
  });

  it('is not accepted once its time is over', () => {
    const filtering = new Filtering();
    filtering.event('visit', T + DAY);
    filtering.answer(['a']);
    expect(filtering.said()).toEqual([]);
    expect(filtering.answers('expired')).toBe(1);
  });

  it('is judged as of what is known, and by the visit that asked where that has not come in', () => {
    const filtering = new Filtering({ visitDays: 2 });
    filtering.event('exposure', T - 3 * DAY, ['a']);
    filtering.event('visit', T - DAY);
    // the visit that asked is the window's second day: what was shown three days ago is out of it
    filtering.answer(['a']);
    expect(filtering.ids()).toEqual(['a']);
    filtering.answer(['a'], { round: 2, asked_at: T - DAY });
    expect(filtering.ids()).toEqual([]);
  });

  it('goes to the dead letters where it cannot be one', () => {
    const filtering = new Filtering();
    for (const bad of [
      { round: -1 },
      { valid_until: 1.5 },
      { asked_at: -1 },
      { request_id: '' },
      { items: [itemOf({ item_id: '' })] },
    ]) {
      filtering.driver.pipe('retrieved', 'u', answerOf({ user_id: 'u', ...bad }));
    }
    filtering.driver.pipe('retrieved', 'another', answerOf({}));
    expect(filtering.driver.deadLetters.map(({ code }) => code)).toEqual([
      'BAD_ROUND',
      'BAD_TIME',
      'BAD_TIME',
      'EMPTY_ID',
      'EMPTY_ID',
      'KEY_MISMATCH',
    ]);
    expect(filtering.said()).toEqual([]);
  });
});

describe('a list', () => {
  it('loses what the user is shown, buys, or can no longer be surprised with', () => {
    const filtering = new Filtering();
    filtering.answer(['a', 'b', { item_id: 'c', category_id: 'c-c' }, 'd']);
    filtering.said();
    filtering.event('exposure', T + MINUTE, ['a']);
    expect(filtering.said()).toMatchObject([{ revision: 1, left_out: [left('shown')] }]);
    filtering.event('purchase', T + 2 * MINUTE, ['b']);
    expect(filtering.said()).toMatchObject([{ revision: 2, left_out: [left('bought'), left('shown')] }]);
    filtering.event('exposure', T + 3 * MINUTE, [{ item_id: 'x', category_id: 'c-c' }]);
    expect(filtering.said()).toMatchObject([
      {
        revision: 3,
        candidates: [{ item_id: 'd' }],
        left_out: [left('bought'), left('shown'), left('not_related')],
      },
    ]);
    expect(filtering.driver.count('candidates_taken_out{"rule":"shown"}')).toBe(1);
  });

  it('is not said again where nothing has left it, though less is new', () => {
    const filtering = new Filtering();
    filtering.answer(['a', 'b']);
    filtering.said();
    filtering.event('exposure', T + MINUTE, [{ item_id: 'x', category_id: 'c-a', brand_id: 'b-b' }]);
    filtering.event('exposure', T + 2 * MINUTE, ['y']);
    filtering.event('click', T + 3 * MINUTE, ['a']);
    expect(filtering.said()).toEqual([]);
    filtering.event('exposure', T + 4 * MINUTE, ['b']);
    expect(filtering.said()).toMatchObject([
      { candidates: [{ item_id: 'a', novel_category: false, novel_brand: true, category_last_seen: T + MINUTE }] },
    ]);
  });

  it('is said once for all that left it in a micro-batch', () => {
    const filtering = new Filtering({}, { commitEach: false });
    filtering.answer(['a', 'b', 'c']);
    filtering.event('exposure', T + MINUTE, ['a']);
    filtering.event('exposure', T + 2 * MINUTE, ['b']);
    filtering.driver.commit();
    expect(filtering.said()).toMatchObject([
      { revision: 0, candidates: [{ novel_category: true }, { novel_category: true }, { novel_category: true }] },
      { revision: 1, candidates: [{ item_id: 'c' }] },
    ]);
  });

  it('is left alone where it is not to be followed', () => {
    const filtering = new Filtering({ follow: false });
    filtering.answer(['a', 'b']);
    filtering.said();
    filtering.event('exposure', T + MINUTE, ['a']);
    filtering.event('purchase', T + MINUTE, ['b']);
    expect(filtering.said()).toEqual([]);
    filtering.answer(['a', 'b'], { round: 2 });
    expect(filtering.said()).toMatchObject([{ candidates: [], left_out: [left('bought'), left('shown')] }]);
  });

  it('takes in what begins to count with a new day, where a day counts from the next one on', () => {
    const filtering = new Filtering({ today: 'excluded' });
    filtering.event('visit', T);
    filtering.answer(['a', 'b']);
    filtering.event('exposure', T + MINUTE, [{ item_id: 'x', category_id: 'c-a', brand_id: 'b-a', seller_id: 's-a' }]);
    expect(filtering.ids()).toEqual(['a', 'b']);
    filtering.event('visit', T + 13 * HOUR);
    expect(filtering.ids()).toEqual(['b']);
  });

  it('ends at its time: a tombstone, and nothing is left but the round', () => {
    const filtering = new Filtering();
    filtering.answer(['a']);
    filtering.said();
    filtering.event('visit', T + DAY - 1, [], { user_id: 'another' });
    expect(filtering.said()).toEqual([]);
    filtering.event('visit', T + DAY, [], { user_id: 'another' });
    expect(filtering.said()).toEqual([null]);
    expect([...filtering.driver.store('lists')]).toMatchObject([['u', { round: 1, list: null }]]);
    expect(filtering.driver.count('candidate_lists_expired')).toBe(1);
    filtering.event('visit', T + 401 * DAY, [], { user_id: 'another' });
    expect(filtering.driver.store('lists').size).toBe(0);
    expect(filtering.said()).toEqual([]);
  });

  it('takes the place of the one before it, whose end it then does not meet', () => {
    const filtering = new Filtering();
    filtering.answer(['a']);
    filtering.answer(['b'], { round: 2, asked_at: T + HOUR });
    filtering.event('visit', T + DAY);
    expect(filtering.ids()).toEqual(['b']);
    filtering.event('visit', T + DAY + HOUR);
    expect(filtering.said()).toEqual([null]);
  });

  it('is not changed by events past its end that come in the same micro-batch', () => {
    const filtering = new Filtering({}, { commitEach: false });
    filtering.answer(['a', 'b']);
    filtering.driver.commit();
    filtering.said();
    filtering.driver.pipeAll([]);
    filtering.event('exposure', T + DAY, ['a']);
    filtering.driver.commit();
    expect(filtering.said()).toEqual([null]);
  });

  it('holds no more of what was bought than it is told to, and not for longer', () => {
    const filtering = new Filtering({ boughtItems: 2, boughtFor: 10 * DAY });
    filtering.event('purchase', T - 11 * DAY, ['long ago']);
    for (const [n, item] of ['first', 'second', 'third'].entries()) filtering.event('purchase', T - DAY + n, [item]);
    expect([...filtering.driver.store('bought').get('u').entries()]).toEqual([
      ['second', T - DAY + 1],
      ['third', T - DAY + 2],
    ]);
    filtering.answer(['long ago', 'first', 'second', 'third']);
    expect(filtering.ids()).toEqual(['long ago', 'first']);
  });
});

describe('an erasure', () => {
  it('takes list, window and purchases, and leaves the cut-off', () => {
    const filtering = new Filtering();
    filtering.event('exposure', T - DAY, ['a']);
    filtering.event('purchase', T - DAY, ['b']);
    filtering.answer(['c']);
    filtering.said();
    filtering.erase(T);
    expect(filtering.said()).toEqual([null]);
    expect(filtering.driver.store('lists').size).toBe(0);
    expect(filtering.driver.store('bought').size).toBe(0);
    expect(filtering.driver.store('past').size).toBe(0);
    expect(filtering.driver.store('today').get('u')).toMatchObject({ erasedUntil: T, empty: true });
    filtering.answer(['d'], { round: 7 });
    expect(filtering.said()).toEqual([]);
    expect(filtering.answers('erased')).toBe(1);
    filtering.event('exposure', T, ['e']);
    filtering.answer(['a', 'b', 'e'], { round: 1, asked_at: T + 1 });
    expect(filtering.ids()).toEqual(['a', 'b', 'e']);
  });

  it('says a tombstone also of a user who has no list, and once', () => {
    const filtering = new Filtering();
    filtering.erase(T);
    filtering.erase(T);
    filtering.erase(T - 1);
    expect(filtering.said()).toEqual([null]);
    expect(filtering.driver.count('users_erased')).toBe(1);
  });

  it('ends the timer of the list with it', () => {
    const filtering = new Filtering();
    filtering.answer(['c']);
    filtering.erase(T);
    filtering.said();
    filtering.event('visit', T + 2 * DAY, [], { user_id: 'another' });
    expect(filtering.said()).toEqual([]);
  });
});

describe('a user who is forgotten', () => {
  it('loses what is kept with the window', () => {
    const filtering = new Filtering({ userTtl: 30 * DAY });
    filtering.event('purchase', T, ['a']);
    filtering.answer(['b'], { valid_until: T + 90 * DAY });
    filtering.said();
    filtering.event('visit', T + 31 * DAY, [], { user_id: 'another' });
    expect(filtering.said()).toEqual([null]);
    for (const store of ['lists', 'bought']) expect(filtering.driver.store(store).has('u')).toBe(false);
  });
});

describe('the bytes of a list', () => {
  it('hold all of it', () => {
    const filtering = new Filtering();
    filtering.answer([
      'a',
      {
        item_id: 'b',
        title: null,
        category_id: 'c',
        price: 1.5,
        led_by: 'a query',
        led_by_kind: 'query',
        channels: ['keyword', 'vector'],
        score: 0.123456789,
      },
    ]);
    const [said] = filtering.said();
    expect(filtering.driver.store('lists').get('u').list).toEqual(said);
  });

  it('of a later version are refused', () => {
    expect(() => keptCodec.decode(Buffer.from([2, 0]))).toThrow(expect.objectContaining({ code: 'STATE_VERSION' }));
  });
});
