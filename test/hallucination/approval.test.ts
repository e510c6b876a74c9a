/**
 * Attacks on the approval itself, without a log: known ones, and held-out ones, counted apart. The counts of each round of
 * held-out ones, as they were when they were first run, are in docs/profiles.md.
 */
import { afterAll, describe, expect, test } from 'vitest';
import { ATTACKS as HELD_OUT } from './attacks-held-out.ts';
import { ATTACKS as KNOWN } from './attacks-known.ts';
import { attempt, FAMILIES, HONEST_DID, type Attack } from './victim.ts';

const lines: string[] = [];
afterAll(() => console.log(lines.join('\n')));

describe.each([
  ['known', KNOWN],
  ['held-out', HELD_OUT],
])('%s attacks', (name, attacks) => {
  let approved = 0;
  const tags = { approved: 0, refused: 0 };
  const codes = new Map<string, number>();

  test.each(attacks.map((attack): [string, Attack] => [`${attack.family}: ${attack.name}`, attack]))(
    '%s',
    (_, attack) => {
      const verdict = attempt(attack);
      if (verdict.approved.length > 0) approved++;
      tags.approved += verdict.approved.length;
      tags.refused += verdict.refused.length;
      for (const { tag, code, why } of verdict.refused) {
        codes.set(code, (codes.get(code) ?? 0) + 1);
        expect(code, tag).toMatch(/^[A-Z_]+$/);
        expect(why.length, tag).toBeGreaterThan(10);
      }
      if (attack.open === undefined) expect(verdict.approved).toEqual([]);
      else expect(verdict.approved, `no longer open: ${attack.open}`).not.toEqual([]);
    },
  );

  afterAll(() => {
    const by = [...codes].sort((a, b) => b[1] - a[1]).map(([code, count]) => `${code} ${count}`);
    lines.push(
      `${name}: ${attacks.length} attacks, ${approved} of them approved in part; ` +
        `${tags.approved + tags.refused} tags, ${tags.approved} approved, ${tags.refused} refused (${by.join(', ')})`,
    );
  });
});

test('the families are all there, in both', () => {
  for (const attacks of [KNOWN, HELD_OUT]) {
    expect(new Set(attacks.map(({ family }) => family))).toEqual(new Set(FAMILIES));
    expect(new Set(attacks.map(({ family, name }) => `${family}: ${name}`)).size).toBe(attacks.length);
  }
  expect(HELD_OUT.length).toBeGreaterThanOrEqual(30);
});

test('the honest tags of the same user pass, so that refusing all is no way to pass these tests', () => {
  const tags = 'fluid milk,cat food,cats,coffee,tents,Hilla,bread,mugs,rain jackets,爐具,camping,whole milk'.split(',');
  const { approved, refused } = attempt({ family: 'generic', name: '', says: [tags], did: [{ buy: 'tent', at: 1 }] });
  expect(HONEST_DID.length).toBeGreaterThan(10);
  expect(approved.sort()).toEqual(tags.filter((tag) => tag !== 'whole milk').sort());
  // one seller of milk says that it is whole
  expect(refused).toMatchObject([{ tag: 'whole milk', code: 'ONE_TITLE' }]);
});
