import fc from 'fast-check';
import { expect, test } from 'vitest';
import { staticProfile } from '../../src/profile/static-profile.ts';

const clauses = ['age {age}', '{marital_status}', 'household of {size} with {kids} children'];

test('says what is known', () => {
  const attributes = { age: '35-44', marital_status: 'Married', size: '4', kids: '2' };
  expect(staticProfile(clauses, attributes)).toBe('age 35-44, Married, household of 4 with 2 children');
});

test('leaves out a clause of which anything is missing', () => {
  expect(staticProfile(clauses, { age: '35-44', marital_status: null, size: '4', kids: ' ' })).toBe('age 35-44');
});

test('is nothing where nothing is known', () => {
  expect(staticProfile(clauses, {})).toBeNull();
  expect(staticProfile(clauses, undefined)).toBeNull();
  // not an attribute of the user, though of every object
  expect(staticProfile(['{constructor}'], {})).toBeNull();
});

test('keeps a value on its line and within its bounds, and does not read it as a template', () => {
  const value = `a\n{age}\u2028${'x'.repeat(200)}`;
  const text = staticProfile(['is {it}'], { it: value, age: '9' })!;
  expect(text).toContain('{age}');
  // eslint-disable-next-line no-control-regex
  expect(text).not.toMatch(/[\u0000-\u001f\u2028]/);
  expect(text.length).toBeLessThan(100);
});

test('never throws', () => {
  fc.assert(
    fc.property(fc.array(fc.string()), fc.dictionary(fc.string(), fc.option(fc.string())), (a, b) => {
      staticProfile(a, b);
    }),
  );
});
