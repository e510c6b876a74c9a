import { expect, it } from 'vitest';
import { HeldLabels } from '../../bench/held-labels.ts';
import type { SerendipityLabel } from '../../src/serendipity/records.ts';

const label = (id: string, revision: number, withdrawn = false, visit_days = 1) =>
  ({ label_id: id, user_id: 'u', revision, withdrawn, visit_days }) as SerendipityLabel;
const held = (...published: SerendipityLabel[]) => {
  const labels = new HeldLabels();
  for (const one of published) labels.add(one);
  return { count: labels.count, digest: labels.digest };
};

it('holds the last revision of each label, in whatever order labels come', () => {
  const revised = held(label('a', 0), label('b', 0), label('a', 1, false, 2));
  expect(revised.count).toBe(2);
  expect(held(label('b', 0), label('a', 0, false, 2))).toEqual(revised);
});

it('holds no label that was withdrawn, and one that was said again', () => {
  expect(held(label('a', 0), label('b', 0), label('a', 1, true))).toEqual(held(label('b', 0)));
  expect(held(label('a', 0), label('a', 1, true), label('a', 2))).toEqual(held(label('a', 0)));
});

it('takes no revision twice, and misses none', () => {
  expect(() => held(label('a', 0), label('a', 0))).toThrow(/revision 0 after/);
  expect(() => held(label('a', 0), label('a', 2))).toThrow(/revision 2 after/);
});
