import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assign, type Candidate } from '../../src/log/kafka/assignment.ts';

const member = (memberId: string, numbers: number[] = [], generation = 1, topics = ['a', 'b']): Candidate => ({
  memberId,
  topics,
  generation,
  numbers,
});
const counts = (a: number, b = a): Map<string, number> => new Map(Object.entries({ a, b }));
/** The numbers of each member's topic `a`. */
const numbersOf = (members: Candidate[], partitions: number): Record<string, number[]> =>
  Object.fromEntries([...assign(members, counts(partitions))].map(([id, topics]) => [id, topics.a ?? []]));

describe('an assignment', () => {
  it('keeps partitions of a number together and gives each to one member', () => {
    const result = assign([member('x'), member('y')], counts(5, 3));
    for (const { a = [], b = [] } of result.values()) expect(a.filter((number) => number < 3)).toEqual(b);
    expect([...result.values()].flatMap(({ a }) => a ?? []).sort()).toEqual([0, 1, 2, 3, 4]);
  });

  it('leaves partitions with their members when one joins or leaves', () => {
    expect(numbersOf([member('x', [0, 1, 2, 3]), member('y')], 4)).toEqual({ x: [0, 1], y: [2, 3] });
    expect(numbersOf([member('y', [2, 3]), member('z', [5, 4])], 6)).toEqual({ y: [0, 2, 3], z: [1, 4, 5] });
    expect(numbersOf([member('a'), member('x', [1, 3]), member('y', [0, 2])], 4)).toEqual({
      a: [2],
      x: [1, 3],
      y: [0],
    });
  });

  it('believes the claim of the latest generation', () => {
    expect(numbersOf([member('old', [0, 1], 3), member('new', [0, 1], 4)], 2)).toEqual({ old: [1], new: [0] });
  });

  it('gives a topic only to those who read it, while a group changes its topics', () => {
    const result = assign([member('old', [0, 1, 2], 1, ['a']), member('new')], counts(3, 2));
    expect(result.get('new')).toEqual({ a: [0, 1], b: [0, 1] });
    expect(result.get('old')).toEqual({ a: [2] });
  });

  it('is complete, balanced, and moves no more than balance needs', () => {
    const arbitrary = fc.record({
      partitions: fc.integer({ min: 0, max: 30 }),
      before: fc.integer({ min: 1, max: 8 }),
      after: fc.integer({ min: 1, max: 8 }),
    });
    fc.assert(
      fc.property(arbitrary, ({ partitions, before, after }) => {
        const ids = Array.from({ length: Math.max(before, after) }, (_, i) => `m${i}`);
        const first = numbersOf(
          ids.slice(0, before).map((id) => member(id)),
          partitions,
        );
        const claims = ids.slice(0, after).map((id) => member(id, first[id] ?? []));
        const second = numbersOf(claims, partitions);
        const all = Object.values(second).flat();
        expect([...all].sort((a, b) => a - b)).toEqual(Array.from({ length: partitions }, (_, i) => i));
        const loads = Object.values(second).map((numbers) => numbers.length);
        expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(1);
        const kept = claims.reduce(
          (sum, { memberId, numbers }) => sum + second[memberId]!.filter((n) => numbers.includes(n)).length,
          0,
        );
        const could = claims.reduce(
          (sum, { numbers }) => sum + Math.min(numbers.length, Math.floor(partitions / after)),
          0,
        );
        expect(kept).toBeGreaterThanOrEqual(could);
      }),
    );
  });
});
