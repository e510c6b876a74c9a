import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lengthOf, meaningOf, wordsOf } from '../../src/inference/words.ts';

describe('two tags mean the same', () => {
  test.each([
    ['Snack Crackers', 'snack cracker'],
    ['COOKIES', 'cookie'],
    ['movies', 'Movie'],
    ['Ｃａｍｐｉｎｇ　ｇｅａｒ', 'camping gear'],
    ['camping-gear', 'camping gear'],
    ['  camping   gear! ', 'camping gear'],
    ["women's shoes", 'womens shoe'],
    ['women＇s shoes', 'womens shoe'],
    ['露營裝備', '露营装备'],
    ['貓糧', '猫粮'],
    ['ﬁtness', 'fitness'],
    ['Café', 'Cafe\u0301'],
  ])('%s and %s', (a, b) => expect(meaningOf(a)).toBe(meaningOf(b)));
});

describe('two tags do not mean the same', () => {
  test.each([
    ['cat food', 'dog food'],
    ['gas', 'ga'],
    ['bus', 'bu'],
    ['猫粮', '狗粮'],
    ['glass', 'grass'],
  ])('%s and %s', (a, b) => expect(meaningOf(a)).not.toBe(meaningOf(b)));
});

test('folding what is folded changes nothing, whatever the text', () => {
  const latin = fc.stringMatching(/^[a-z]{1,8}$/);
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ unit: 'grapheme' }), latin),
      (text) => meaningOf(meaningOf(text)) === meaningOf(text),
    ),
    { numRuns: 2000, examples: [['🄢0'], ['wes'], ['s'], ['s s'], ['⿰歲']] },
  );
});

test('words that say nothing are left out, and each word comes once', () => {
  expect(wordsOf('the best of the best cookies and cookie dough')).toEqual(['best', 'cooky', 'dough']);
});

test('a run of characters without spaces gives its pairs of neighbours', () => {
  expect(wordsOf('露營裝備 tents')).toEqual(['露营', '营装', '装备', 'tent']);
  expect(wordsOf('猫')).toEqual(['猫']);
});

test('characters are counted as a reader counts them', () => {
  expect(lengthOf('露營裝備')).toBe(4);
  expect(lengthOf('😀😀')).toBe(2);
});
