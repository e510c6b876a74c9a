import { describe, expect, test } from 'vitest';
import { explainLabel, type ExplainableLabel } from '../../src/cli/words.ts';

const at = (text: string): number => Date.parse(`${text}Z`);

const label = (changes: Partial<ExplainableLabel> = {}): ExplainableLabel => ({
  label_id: 'e1#981234',
  user_id: 'h993',
  item_id: '981234',
  request_id: 'r1',
  scene: null,
  arm: null,
  category_id: 'syrups > honey',
  brand_id: 'm69',
  seller_id: null,
  position: 3,
  click_time: at('2017-03-01T10:00:40'),
  exposure_time: at('2017-03-01T10:00:00'),
  attribution: 'request',
  serendipitous: true,
  novel_category: true,
  novel_brand: false,
  novel_seller: false,
  serendipity_related: true,
  category_last_seen: null,
  visit_days: 10,
  unlabelled: null,
  ...changes,
});

const seen = (changes: Partial<ExplainableLabel> = {}): ExplainableLabel =>
  label({
    serendipitous: false,
    novel_category: false,
    serendipity_related: false,
    category_last_seen: at('2017-02-11T09:12:30'),
    ...changes,
  });

describe('a label in words', () => {
  test('says of a serendipitous one that its category was in none of the window', () => {
    expect(explainLabel(label(), { title: 'honey' })).toBe(
      "h993 clicked honey (981234) on 2017-03-01: serendipitous, its category 'syrups > honey' was in none of the last 10 visit days",
    );
  });

  test('says of a seen one when it was last shown', () => {
    expect(explainLabel(seen())).toBe(
      "h993 clicked 981234 on 2017-03-01: not serendipitous, its category 'syrups > honey' was last shown 2017-02-11 09:12, 18 days before",
    );
  });

  test('counts hours and minutes within a day', () => {
    expect(explainLabel(seen({ category_last_seen: at('2017-03-01T08:30:00') }))).toContain('08:30, 1 hour before');
    expect(explainLabel(seen({ category_last_seen: at('2017-03-01T09:48:00') }))).toContain('09:48, 12 minutes before');
    expect(explainLabel(seen({ category_last_seen: at('2017-03-01T09:59:50') }))).toContain(
      'less than a minute before',
    );
  });

  test('tells days and times in the business time zone', () => {
    const words = explainLabel(
      seen({ click_time: at('2017-03-02T03:00:00'), exposure_time: at('2017-03-02T02:59:00') }),
      { timeZone: 'America/New_York' },
    );
    expect(words).toContain('on 2017-03-01');
    expect(words).toContain('2017-02-11 04:12, 18 days before');
  });

  test('says that a user is young', () => {
    expect(explainLabel(label({ visit_days: 3 }))).toContain(
      'was not shown before (a young user: only 3 visit days so far, of 10)',
    );
    expect(explainLabel(label({ visit_days: 1 }), { visitDays: 5 })).toContain('only 1 visit day so far, of 5');
    expect(explainLabel(label({ visit_days: 0 }))).toContain('no visit day before, of 10');
    expect(explainLabel(seen({ visit_days: 4 }))).toContain('18 days before (only 4 visit days so far, of 10)');
  });

  test('says why there is no verdict without a category', () => {
    const words = explainLabel(
      seen({ category_id: null, category_last_seen: null, unlabelled: 'no_category', novel_brand: true }),
    );
    expect(words).toBe(
      "h993 clicked 981234 on 2017-03-01: not labelled, as neither the event nor the catalog names its category, but its brand 'm69' is new",
    );
  });

  test('names what else is new where the category is not', () => {
    expect(explainLabel(seen({ novel_brand: true, novel_seller: true, seller_id: 's1' }))).toContain(
      "18 days before, but its brand 'm69' and its seller 's1' are new",
    );
  });

  test('says how the exposure was found where the request does not name it', () => {
    expect(explainLabel(label({ attribution: 'item' }))).toMatch(/; the item had been shown by another request$/);
    expect(explainLabel(label({ attribution: 'none', exposure_time: null }))).toMatch(
      /; no exposure of the item was found, so the click itself was judged$/,
    );
  });

  test('says that a label was withdrawn', () => {
    expect(explainLabel(label({ revision: 1, withdrawn: true }))).toBe(
      'h993 clicked 981234 on 2017-03-01: this label was withdrawn (it said serendipitous): an event that arrived later took its place, such as an earlier click on the same exposure',
    );
  });

  test('lets no control character through', () => {
    const words = explainLabel(label({ user_id: 'u\u001b[31m\n1' }), { title: 'a\u0007\u202eb' });
    expect(words).toMatch(/^u \[31m 1 clicked a b \(981234\)/);
  });
});
