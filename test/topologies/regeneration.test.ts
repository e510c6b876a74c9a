import { describe, expect, test } from 'vitest';
import { CATALOG, Channel, DAY, HOUR, NOW } from '../serengpt/channel.ts';

const MINUTE = 60_000;

describe('a visit', () => {
  test('that finds nothing asks at once, with all that a worker needs', () => {
    const channel = new Channel({ queries: 2 });
    channel.profile('ann', NOW - DAY, ['tents', 'cooking']);
    channel.profile('ann', NOW - DAY, ['dogs'], 'long');
    channel.event('ann', 'search', NOW, { query: 'head lamp' });
    const [request, ...more] = channel.requests();
    expect(more).toEqual([]);
    expect(request).toEqual({
      request_id: `ann/1/${NOW}`,
      user_id: 'ann',
      round: 1,
      attempt: 1,
      asked_at: NOW,
      expires_at: NOW + channel.options.deadline,
      valid_until: NOW + DAY,
      reason: 'missing',
      prompt_version: 'serengpt-1',
      samples: 30,
      queries: 2,
      static_profile: 'age 35-44, Married',
      tags: [
        { tag: 'tents', group: 'interest', score: 1, long_term: false },
        { tag: 'cooking', group: 'interest', score: 0.9, long_term: false },
        { tag: 'dogs', group: 'interest', score: 1, long_term: true },
      ],
      history: [{ time: NOW, kind: 'search', text: 'head lamp', item_id: null, category_id: null, brand_id: null }],
    });
  });

  test('of a user of whom nothing is known asks nothing, until something is', () => {
    const channel = new Channel();
    channel.visit('ann', NOW);
    channel.event('ann', 'exposure', NOW + 1, { item: 'tent' });
    expect(channel.requests()).toEqual([]);
    expect(channel.count('regeneration_not_asked', { why: 'nothing_known' })).toBe(2);
    channel.click('ann', NOW + 2);
    expect(channel.requests()).toMatchObject([{ asked_at: NOW + 2, history: [{ text: 'A tent' }] }]);
  });

  test('asks no more while a request is open, nor while its candidates are valid', () => {
    const channel = new Channel({ maxAge: 6 * HOUR });
    channel.click('ann', NOW);
    const [request] = channel.requests();
    channel.visit('ann', NOW + HOUR);
    channel.answer(request!);
    channel.visit('ann', NOW + 6 * HOUR - 1);
    expect(channel.requests()).toEqual([]);
    channel.visit('ann', NOW + 6 * HOUR);
    expect(channel.requests()).toMatchObject([{ reason: 'expired', round: 2, asked_at: NOW + 6 * HOUR }]);
  });

  test('after another profile asks, but not within an hour of the last generation', () => {
    const channel = new Channel();
    channel.profile('ann', NOW - 2, ['tents']);
    channel.visit('ann', NOW);
    channel.answer(channel.requests()[0]!);
    channel.profile('ann', NOW + 1, ['ropes']);
    channel.visit('ann', NOW + HOUR - 1);
    expect(channel.requests()).toEqual([]);
    channel.visit('ann', NOW + HOUR);
    expect(channel.requests()).toMatchObject([{ reason: 'profile', tags: [{ tag: 'ropes' }] }]);
  });

  test('after a profile with the same tags asks nothing', () => {
    const channel = new Channel();
    channel.profile('ann', NOW - 2, ['tents', 'ropes']);
    channel.visit('ann', NOW);
    channel.answer(channel.requests()[0]!);
    channel.profile('ann', NOW + 1, ['ropes', 'tents']);
    channel.visit('ann', NOW + 2 * HOUR);
    expect(channel.requests()).toEqual([]);
  });

  test('is of the types that count as one', () => {
    const channel = new Channel({ visits: ['visit'] });
    channel.click('ann', NOW);
    expect(channel.requests()).toEqual([]);
    channel.visit('ann', NOW + 1);
    expect(channel.requests()).toMatchObject([{ asked_at: NOW + 1, history: [{ text: 'A tent' }] }]);
  });

  test('so late that its candidates would be too old already asks nothing', () => {
    const channel = new Channel();
    channel.visit('bob', NOW);
    channel.click('ann', NOW - DAY);
    expect(channel.requests()).toEqual([]);
    expect(channel.count('regeneration_not_asked', { why: 'outdated' })).toBe(1);
    channel.click('ann', NOW - DAY + 1);
    expect(channel.requests()).toHaveLength(1);
  });

  test('that comes when the open request is too old already is asked about after it', () => {
    const channel = new Channel();
    channel.click('ann', NOW);
    const [first] = channel.requests();
    channel.click('ann', NOW + 30 * HOUR, 'rope');
    channel.click('ann', NOW + 31 * HOUR, 'lamp');
    channel.answer(first!);
    const [second] = channel.requests();
    expect(second).toMatchObject({ round: 2, asked_at: NOW + 31 * HOUR, reason: 'expired' });
    expect(second!.history.map(({ text }) => text)).toEqual(['A tent', 'A rope', 'A lamp']);
  });
});

describe('a history', () => {
  test('has the last behaviours, each product and query once of a kind, by the titles of the catalog', () => {
    const channel = new Channel({ history: 3, visits: ['visit'] });
    for (const [i, item] of ['tent', 'kettle', 'kibble', 'tent'].entries()) channel.click('ann', NOW + i, item);
    channel.event('ann', 'purchase', NOW + 5, { item: 'tent' });
    channel.click('ann', NOW + 6, 'not in the catalog');
    channel.visit('ann', NOW + 7);
    expect(channel.requests()[0]!.history.map(({ kind, text }) => `${kind} ${text}`)).toEqual([
      'click A kibble',
      'click A tent',
      'purchase A tent',
    ]);
    expect(channel.count('regeneration_untitled')).toBe(1);
  });

  test('ends with the visit, however late the request goes out', () => {
    const channel = new Channel({ history: 2, requestsPerSecond: 1 / 60 });
    channel.click('bob', NOW);
    channel.requests();
    channel.click('ann', NOW + 1, 'tent');
    for (const [i, item] of ['kettle', 'kibble', 'lamp'].entries()) channel.click('ann', NOW + 2 + i, item);
    channel.driver.advanceWallClock(2 * MINUTE);
    expect(channel.requests()).toMatchObject([{ asked_at: NOW + 1, history: [{ text: 'A tent' }] }]);
  });
});

describe('an answer', () => {
  const open = () => {
    const channel = new Channel();
    channel.click('ann', NOW);
    return { channel, request: channel.requests()[0]! };
  };

  test('counts once: repeated, to another request or after the deadline it is dropped and counted', () => {
    const { channel, request } = open();
    channel.answer({ ...request, request_id: 'ann/7/1' });
    channel.answer(request);
    channel.answer(request);
    expect(channel.count('regeneration_answers', { outcome: 'retrieved' })).toBe(1);
    expect(channel.count('regeneration_answers_dropped')).toBe(2);
  });

  test('that does not come by the deadline is asked for again after a growing pause, then no sooner than retryAfter', () => {
    const { channel, request } = open();
    const { deadline, retryPause, retryAfter } = channel.options;
    for (const attempt of [2, 3]) {
      channel.driver.advanceWallClock(deadline);
      expect(channel.requests()).toEqual([]);
      channel.driver.advanceWallClock(retryPause * 2 ** (attempt - 2));
      expect(channel.requests()).toMatchObject([{ request_id: request.request_id, round: 1, attempt }]);
    }
    channel.driver.advanceWallClock(deadline);
    expect(channel.count('regeneration_missed', { why: 'deadline' })).toBe(3);
    expect(channel.count('regeneration_given_up')).toBe(1);
    channel.visit('ann', NOW + retryAfter - 1);
    expect(channel.requests()).toEqual([]);
    channel.visit('ann', NOW + retryAfter);
    expect(channel.requests()).toMatchObject([{ round: 2, attempt: 1 }]);
  });

  test('that failed is asked for again; that an earlier attempt failed says nothing of the next', () => {
    const { channel, request } = open();
    channel.answer(request, { outcome: 'failed', error: 'MODEL_UNAVAILABLE' });
    channel.driver.advanceWallClock(channel.options.retryPause);
    const [again] = channel.requests();
    channel.answer(request, { outcome: 'failed', error: 'MODEL_UNAVAILABLE' });
    channel.answer(again!);
    expect(channel.count('regeneration_answers', { outcome: 'retrieved' })).toBe(1);
    expect(channel.count('regeneration_missed', { why: 'failed' })).toBe(1);
  });

  test('to an earlier attempt is as good as one to the last', () => {
    const { channel, request } = open();
    channel.driver.advanceWallClock(channel.options.deadline);
    channel.driver.advanceWallClock(channel.options.retryPause);
    expect(channel.requests()).toHaveLength(1);
    channel.answer(request);
    expect(channel.count('regeneration_answers', { outcome: 'retrieved' })).toBe(1);
  });
});

describe('a trigger', () => {
  test('asks where nothing valid is there, and says what came of it', () => {
    const channel = new Channel();
    channel.trigger('ann', NOW);
    channel.profile('ann', NOW, ['tents']);
    channel.trigger('ann', NOW + 1);
    channel.trigger('ann', NOW + 2);
    const [request] = channel.requests();
    expect(request).toMatchObject({ reason: 'triggered', asked_at: NOW + 1 });
    channel.answer(request!);
    channel.trigger('ann', NOW + 3);
    expect(channel.requests()).toEqual([]);
    for (const came_of of ['nothing_known', 'asked', 'open', 'fresh']) {
      expect(channel.count('regeneration_triggers', { came_of }), came_of).toBe(1);
    }
  });

  test('leaves nothing of a user of whom nothing is known', () => {
    const channel = new Channel();
    channel.trigger('whoever', NOW);
    expect(channel.driver.store('asking').size).toBe(0);
  });

  test('puts a user who waits among the first', () => {
    const channel = new Channel({ requestsPerSecond: 3 / 60 });
    for (const user of ['a', 'b', 'c', 'd', 'e']) channel.click(user, NOW);
    const first = channel.requests().map(({ user_id }) => user_id);
    channel.trigger('e', NOW + 1);
    channel.driver.advanceWallClock(MINUTE);
    expect(first[0]).toBe('a');
    expect(channel.requests()[0]).toMatchObject({ user_id: 'e' });
  });
});

describe('the budget', () => {
  test('holds over every minute, active users come first, and all in the end', () => {
    const channel = new Channel({ requestsPerSecond: 5 / 60, activeDays: 3, visits: ['visit'] });
    for (const user of ['x', 'y']) {
      for (const day of [3, 2, 1]) channel.click(user, NOW - day * DAY);
    }
    for (let i = 0; i < 20; i++) {
      channel.click(`u${i}`, NOW - 1);
      channel.visit(`u${i}`, NOW);
    }
    for (const user of ['x', 'y']) channel.visit(user, NOW);
    const sent = [channel.requests()];
    expect(channel.driver.level('regeneration_waiting')).toBe(22 - sent[0]!.length);
    for (let second = 1; second < 300; second++) {
      channel.driver.advanceWallClock(1000);
      if (second % 60 === 0) sent.push([]);
      sent.at(-1)!.push(...channel.requests());
    }
    const users = sent.flat().map(({ user_id }) => user_id);
    expect(new Set(users).size).toBe(22);
    expect(users).toHaveLength(22);
    for (const each of sent) expect(each.length).toBeLessThanOrEqual(5);
    expect(users.indexOf('x')).toBeLessThan(5);
    expect(channel.driver.level('regeneration_waiting')).toBe(0);
  });

  test('asks nothing for a user who waited until it was too late, and about the newest visit of one who came back', () => {
    const channel = new Channel({ requestsPerSecond: 1 / 60, visits: ['visit', 'click'] });
    channel.click('first', NOW);
    channel.click('gone', NOW);
    channel.click('back', NOW);
    channel.requests();
    channel.click('back', NOW + 26 * HOUR, 'lamp');
    for (let minute = 0; minute < 3; minute++) channel.driver.advanceWallClock(MINUTE);
    expect(channel.requests()).toMatchObject([{ user_id: 'back', asked_at: NOW + 26 * HOUR, round: 2 }]);
    expect(channel.count('regeneration_not_asked', { why: 'outdated' })).toBe(1);
  });
});

describe('buckets in turn', () => {
  test('spread the users over so long, each asked about as of its turn', () => {
    const channel = new Channel({ spread: HOUR });
    for (let i = 0; i < 50; i++) channel.click(`u${i}`, NOW);
    const early = channel.requests().length;
    channel.visit('passer-by', NOW + HOUR / 2);
    const half = channel.requests();
    channel.visit('passer-by', NOW + HOUR);
    const rest = channel.requests();
    expect(early).toBeLessThan(10);
    expect(half.length).toBeGreaterThan(10);
    expect(early + half.length + rest.length).toBe(50);
    for (const { asked_at } of half) expect(asked_at).toBeGreaterThanOrEqual(NOW);
  });

  test('do not hold up a user who waits for candidates', () => {
    const channel = new Channel({ spread: 10 * HOUR });
    channel.click('u7', NOW);
    channel.trigger('u7', NOW + 1);
    channel.visit('passer-by', NOW + 11 * HOUR);
    expect(channel.requests()).toMatchObject([{ reason: 'triggered', asked_at: NOW + 1 }]);
  });
});

describe('what is kept of a user', () => {
  test('goes with the user, by an erasure: old events do not come back, and rounds are not counted anew', () => {
    const channel = new Channel({ requestsPerSecond: 1 / 60 });
    channel.click('bob', NOW);
    channel.click('ann', NOW);
    channel.profile('ann', NOW, ['tents']);
    channel.erase('ann', NOW + 1);
    channel.driver.advanceWallClock(2 * MINUTE);
    expect(channel.requests().map(({ user_id }) => user_id)).toEqual(['bob']);
    for (const store of ['history', 'tags']) expect([...channel.driver.store(store).keys()]).not.toContain('ann');
    channel.click('ann', NOW + 1);
    channel.profile('ann', NOW + 1, ['tents']);
    expect(channel.count('erased_events')).toBe(2);
    channel.click('ann', NOW + 2);
    expect(channel.requests()).toMatchObject([{ user_id: 'ann', round: 2, tags: [] }]);
  });

  test('goes when the user was not there for long, and not before', () => {
    const channel = new Channel({ userTtl: 10 * DAY });
    channel.profile('ann', NOW, ['tents']);
    channel.click('ann', NOW);
    channel.visit('ann', NOW + 5 * DAY);
    channel.visit('bob', NOW + 15 * DAY);
    expect(channel.driver.store('asking').has('ann')).toBe(true);
    channel.visit('bob', NOW + 17 * DAY);
    expect(channel.driver.store('asking').has('ann')).toBe(false);
    expect(channel.driver.store('tags').size + channel.driver.store('history').size).toBe(0);
    expect(channel.count('users_forgotten')).toBe(1);
  });

  test('loses a profile that is gone', () => {
    const channel = new Channel();
    channel.profile('ann', NOW, ['tents']);
    channel.profile('ann', NOW, ['dogs'], 'long');
    channel.pipe({ source: 'short-term', key: 'ann', value: null });
    channel.visit('ann', NOW + 1);
    expect(channel.requests()).toMatchObject([{ tags: [{ tag: 'dogs' }] }]);
    expect(channel.driver.deadLetters).toEqual([]);
  });
});

test('a record of the future moves nothing', () => {
  const channel = new Channel();
  channel.click('ann', NOW);
  channel.pipe({ source: 'triggers', key: 'ann', value: { user_id: '', requested_at: NOW, arm: null } });
  channel.pipe({ source: 'triggers', key: 'ann', value: { user_id: 'bob', requested_at: NOW, arm: null } });
  channel.pipe({ source: 'triggers', key: 'ann', value: { user_id: 'ann', requested_at: 1.5, arm: null } });
  expect(channel.driver.deadLetters.map(({ code }) => code)).toEqual(['EMPTY_ID', 'KEY_MISMATCH', 'BAD_TIME']);
  expect(channel.driver.streamTime).toBe(NOW);
  expect(CATALOG.size).toBe(6);
});

test('no visit and no trigger before `since` asks; what was done before it is told of all the same', () => {
  const channel = new Channel({ since: NOW + DAY });
  channel.click('ann', NOW);
  channel.trigger('ann', NOW + 1);
  expect(channel.requests()).toEqual([]);
  channel.visit('ann', NOW + DAY);
  expect(channel.requests()).toMatchObject([{ asked_at: NOW + DAY, history: [{ time: NOW }] }]);
});
