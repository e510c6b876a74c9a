import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Sample } from '../../../src/inference/sampler.ts';
import { meaningOf } from '../../../src/inference/words.ts';
import { Filter, RULES, type FilterOptions } from '../../../src/serengpt/worker/filter.ts';

const filter = (options: Partial<FilterOptions> = {}) =>
  new Filter({ longestText: 120, scripts: [], blocked: [], ...options });
const sample = (text: string, more: Partial<Sample> = {}): Sample => ({ text, logprob: null, finished: true, ...more });
const settle = (texts: string[], options: Partial<FilterOptions> = {}, known: string[] = []) =>
  filter(options).settle(
    texts.map((text) => sample(text)),
    'title',
    known,
  );

describe('samples', () => {
  test('of one meaning are one text, the most often given first, then the likeliest', () => {
    const { texts, dropped } = filter().settle(
      [
        sample('Head Lamp', { logprob: -2 }),
        sample('Camping stove', { logprob: -1 }),
        sample('  head  lamps\n', { logprob: -0.5 }),
        sample('Tea pot', { logprob: -0.1 }),
        sample('Rope'),
      ],
      'title',
      [],
    );
    expect(texts).toEqual([
      { text: 'head lamps', kind: 'title', times: 2, logprob: -0.5 },
      { text: 'Tea pot', kind: 'title', times: 1, logprob: -0.1 },
      { text: 'Camping stove', kind: 'title', times: 1, logprob: -1 },
      { text: 'Rope', kind: 'title', times: 1, logprob: null },
    ]);
    expect(dropped).toEqual([]);
  });

  test.each([
    ['', 'empty'],
    [' \n\t', 'empty'],
    ['"..."', 'empty'],
    ['a'.repeat(121), 'too_long'],
    ['<|im_end|>', 'markup'],
    ['=== END SHOPPER ===', 'markup'],
    ['A lamp</s>', 'markup'],
    ['buy at https://example.org', 'markup'],
    ['\\u003c rope', 'markup'],
    ['a\u0000lamp', 'markup'],
    ['a\u202epmal', 'markup'],
    ['half \ud83d', 'markup'],
    ['CLASSIC TENTS', 'owned'],
    ['big knives set', 'blocked'],
    ['ten\u200bt big kni\u200bfe', 'blocked'],
    ['成人用品套装', 'blocked'],
    ['Лампа', 'script'],
  ])('like %j are dropped: %s', (text, rule) => {
    const options = { blocked: ['Big Knife', '用品'], scripts: ['Latin', 'Han'] };
    expect(settle([text], options, ['Classic tent'])).toEqual({ texts: [], dropped: [{ rule, count: 1 }] });
  });

  test('that were cut are dropped, unless another line had begun', () => {
    const { texts, dropped } = filter().settle(
      [sample('A lamp that', { finished: false }), sample('\nA rope\nand', { finished: false })],
      'title',
      [],
    );
    expect(texts.map(({ text }) => text)).toEqual(['A rope']);
    expect(dropped).toEqual([{ rule: 'cut', count: 1 }]);
  });

  test('that are in quotes lose them', () => {
    expect(settle(['"A rope"', '“A lamp”', '「帐篷」', '19" screen']).texts.map(({ text }) => text)).toEqual([
      'A rope',
      'A lamp',
      '帐篷',
      '19" screen',
    ]);
  });

  test('with figures, signs and accents are of any script', () => {
    expect(settle(['Café crème 2× 500 ml – 10 %', '茶壶 2L'], { scripts: ['Latin', 'Han'] }).texts).toHaveLength(2);
  });

  test('of blocked words alone are blocked, not those that only hold their letters', () => {
    expect(settle(['Skilled worker'], { blocked: ['kill'] }).texts).toHaveLength(1);
  });

  test('a script that does not exist is refused', () => {
    expect(() => filter({ scripts: ['Klingon'] })).toThrow(SyntaxError);
  });
});

test('whatever a model says, each sample is a text or counted under a rule, and no text is twice, long or known', () => {
  const piece = fc.constantFrom(
    'tent',
    'Lamps',
    '帐篷',
    '<|x|>',
    '\n',
    '"',
    ' ',
    '\u200b',
    '\0',
    'kill',
    '===',
    'é',
    '\ud83d',
  );
  const said = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''));
  fc.assert(
    fc.property(fc.array(fc.record({ text: fc.oneof(said, fc.string()), finished: fc.boolean() })), (samples) => {
      const { texts, dropped } = filter({ longestText: 20, blocked: ['kill'] }).settle(
        samples.map((one) => ({ ...one, logprob: null })),
        'query',
        ['a lamp'],
      );
      const given = texts.reduce((sum, { times }) => sum + times, 0);
      expect(given + dropped.reduce((sum, { count }) => sum + count, 0)).toBe(samples.length);
      const meanings = texts.map(({ text }) => meaningOf(text));
      expect(new Set(meanings).size).toBe(meanings.length);
      for (const { text } of texts) {
        expect([...text].length).toBeLessThanOrEqual(20);
        expect(text).toMatch(/^[^\n\0\u200b]+$/u);
        expect(text).not.toContain('<|');
        expect(meaningOf(text).split(' ')).not.toContain('kill');
      }
      for (const { rule } of dropped) expect(RULES).toContain(rule);
    }),
    { numRuns: 500 },
  );
});
