import { expect, it } from 'vitest';
import { requestOf } from '../../bench/asked.ts';
import { checkRounds } from '../../bench/rounds.ts';
import { REGENERATION_DEFAULTS } from '../../src/serengpt/options.ts';
import { item } from '../nearline/given.ts';

const { maxAge } = REGENERATION_DEFAULTS;
const ITEMS = [item('lamp', 'a lamp'), item('rope', 'a rope')];
const asked = (user: number, round: number, at: number, more = {}) => ({
  ...requestOf(user, ITEMS, at),
  round,
  ...more,
});
const taken = (count: number, dropped = 0) =>
  new Map([
    ['regeneration_answers{"outcome":"retrieved"}', count],
    ['regeneration_answers_dropped', dropped],
  ]);
const GOOD = [asked(1, 1, 1000), asked(2, 1, 1001), asked(1, 2, 1000 + maxAge)];

it('takes rounds that count up and begin where the candidates of the last one end', () => {
  expect(() => checkRounds(GOOD, taken(3))).not.toThrow();
});

it.each([
  ['a round that is left out', [asked(1, 1, 1000), asked(1, 3, 1000 + maxAge)], taken(2), 'round 3 follows round 1'],
  ['another attempt', [asked(1, 1, 1000, { attempt: 2 })], taken(1), 'attempt 2'],
  ['a round too soon', [asked(1, 1, 1000), asked(1, 2, 999 + maxAge)], taken(2), 'are valid'],
  ['nothing to go by', [asked(1, 1, 1000, { history: [] })], taken(1), 'knows nothing'],
  ['an answer that was not taken', GOOD, taken(2), 'of 3 answers 2 were taken'],
  ['an answer too many', GOOD, taken(3, 1), '1 dropped'],
])('refuses %s', (_what, requests, counts, message) => {
  expect(() => checkRounds(requests, counts)).toThrow(message);
});
