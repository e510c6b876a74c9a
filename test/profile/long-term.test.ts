import { describe, expect, test } from 'vitest';
import { mine } from '../../src/profile/long-term.ts';
import { PROFILES_DEFAULTS } from '../../src/profile/options.ts';
import { Pool } from '../../src/profile/pool.ts';
import { DAY } from './given.ts';

const options = PROFILES_DEFAULTS.longTerm;

/** A letter for a refresh that gave the tag: B where what followed bore it out, g where not; - where it was not given. */
function poolOf(history: Record<string, string>, days?: number[]): Pool {
  const pool = new Pool();
  const length = Math.max(...Object.values(history).map((marks) => marks.length));
  for (let n = 0; n < length; n++) {
    const given = Object.entries(history)
      .filter(([, marks]) => marks[n] !== '-')
      .map(([meaning, marks]) => ({ meaning, borneOut: marks[n] === 'B' }));
    pool.refreshes.push({ at: (days?.[n] ?? n * 15) * DAY, given });
  }
  for (const meaning of Object.keys(history)) {
    pool.tags.set(meaning, {
      tag: meaning,
      meaning,
      group: 'category',
      strength: 0.5,
      strengthAt: 0,
      timesProposed: 1,
      timesGiven: 1,
      firstGiven: 0,
      givenAt: [],
      vector: null,
    });
  }
  return pool;
}
const missing = (pool: Pool) => Object.fromEntries(mine(pool, options).map(({ tag, misses }) => [tag.tag, misses]));

describe('admission to the long term', () => {
  test('asks for all three', () => {
    const found = missing(
      poolOf({
        steady: 'BBBBBBBg',
        seldom: 'B--B--B-',
        useless: 'gggggggg',
        burst: 'BBBB----',
      }),
    );
    expect(found.steady).toBeNull();
    expect(found.seldom).toMatch(/^frequency 0.38/);
    expect(found.useless).toMatch(/^effectiveness 0.00/);
    expect(found.burst).toBeNull();
  });

  test('takes uneven gaps for no habit', () => {
    const pool = poolOf({ fit: 'BBBBB' }, [0, 1, 2, 3, 200]);
    expect(mine(pool, options)[0]!.regularity).toBeLessThan(0.5);
    expect(missing(pool).fit).toMatch(/^regularity/);
  });

  test('does not count the newest refresh against a tag: what follows it is not known yet', () => {
    expect(mine(poolOf({ tag: 'BBBg' }), options)[0]!.effectiveness).toBe(1);
  });

  test('says nothing of a user with few refreshes, or of a tag that has left the pool', () => {
    expect(mine(poolOf({ tag: 'BBB' }), options)).toEqual([]);
    const pool = poolOf({ tag: 'BBBB' });
    pool.tags.clear();
    expect(mine(pool, options)).toEqual([]);
  });

  test('looks at the last refreshes only', () => {
    expect(mine(poolOf({ tag: `${'-'.repeat(4)}${'B'.repeat(8)}` }), options)[0]!.frequency).toBe(1);
  });
});
