import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assign, type Candidate, type Share, type Wishes } from '../../src/log/assignment.ts';
import type { Claim } from '../../src/log/port.ts';

const SIZE = 1000;
/** Claims to the state of numbers, each so far behind of a changelog of 1,000 records. */
const state = (behind: Record<number, number>): Claim[] =>
  Object.entries(behind).map(([number, left]) => ({ partition: Number(number), behind: left, of: SIZE }));
const member = (
  memberId: string,
  numbers: number[] = [],
  { generation = 1, topics = ['a', 'b'], claims = [] as Claim[] } = {},
): Candidate => ({ memberId, topics, generation, numbers, claims });
/** A member that runs its numbers: it has their state and says how large it is. */
const running = (memberId: string, numbers: number[], behind: Record<number, number> = {}): Candidate =>
  member(memberId, numbers, { claims: state({ ...behind, ...Object.fromEntries(numbers.map((n) => [n, 0])) }) });
const counts = (a: number, b = a): Map<string, number> => new Map(Object.entries({ a, b }));
const NONE: Wishes = { standbys: 0, warmWithin: 100 };

const given = (members: Candidate[], partitions: number, wishes = NONE): Record<string, Share> =>
  Object.fromEntries(assign(members, counts(partitions), wishes));
/** The numbers of each member's topic `a`. */
const numbersOf = (members: Candidate[], partitions: number, wishes = NONE): Record<string, number[]> =>
  Object.fromEntries(
    Object.entries(given(members, partitions, wishes)).map(([id, { assignment }]) => [id, assignment.a ?? []]),
  );

describe('an assignment', () => {
  it('keeps partitions of a number together and gives each to one member', () => {
    const result = assign([member('x'), member('y')], counts(5, 3), NONE);
    const all = [...result.values()].map(({ assignment }) => assignment);
    for (const { a = [], b = [] } of all) expect(a.filter((number) => number < 3)).toEqual(b);
    expect(all.flatMap(({ a }) => a ?? []).sort()).toEqual([0, 1, 2, 3, 4]);
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
    const members = [member('old', [0, 1], { generation: 3 }), member('new', [0, 1], { generation: 4 })];
    expect(numbersOf(members, 2)).toEqual({ old: [1], new: [0] });
  });

  it('gives a topic only to those who read it, while a group changes its topics', () => {
    const result = given([member('old', [0, 1, 2], { topics: ['a'] }), member('new')], 3);
    expect(result.new!.assignment).toEqual({ a: [0, 1, 2], b: [0, 1, 2] });
    const cut = assign([member('old', [0, 1, 2], { topics: ['a'] }), member('new')], counts(3, 2), NONE);
    expect(cut.get('new')!.assignment).toEqual({ a: [0, 1], b: [0, 1] });
    expect(cut.get('old')!.assignment).toEqual({ a: [2] });
  });

  it('gives a worker that comes back under another name what its disk holds', () => {
    const back = member('back', [], { claims: state({ 1: 500, 3: 20 }) });
    expect(numbersOf([member('x', [0]), back, member('y', [2])], 5)).toEqual({ x: [0, 4], back: [1, 3], y: [2] });
  });

  it('prefers a warm standby to a disk that lies behind', () => {
    const disk = member('disk', [], { claims: state({ 0: 700, 1: 700 }) });
    const warm = member('warm', [], { claims: state({ 0: 0 }) });
    expect(numbersOf([disk, warm], 2)).toEqual({ disk: [1], warm: [0] });
  });

  it('takes from an owner what the one who joins can go on with', () => {
    expect(numbersOf([running('x', [0, 1, 2, 3]), member('y', [], { claims: state({ 0: 3, 2: 50 }) })], 4)).toEqual({
      x: [1, 3],
      y: [0, 2],
    });
  });

  it('leaves a partition with its owner until the one that is to have it is warm', () => {
    const first = given([running('x', [0, 1]), member('y')], 2);
    expect(first).toEqual({
      x: { assignment: { a: [0, 1], b: [0, 1] }, standbys: [], warming: [] },
      y: { assignment: {}, standbys: [1], warming: [1] },
    });
    const later = given([running('x', [0, 1]), member('y', [], { claims: state({ 1: 100 }) })], 2);
    expect(later).toEqual({
      x: { assignment: { a: [0], b: [0] }, standbys: [], warming: [] },
      y: { assignment: { a: [1], b: [1] }, standbys: [], warming: [] },
    });
  });

  it('moves a partition at once where there is little state, or none of it is with the owner either', () => {
    const small = [{ partition: 1, behind: 0, of: 90 }];
    expect(numbersOf([member('x', [0, 1], { claims: small }), member('y')], 2)).toEqual({ x: [0], y: [1] });
    const cold = member('x', [0, 1], { claims: state({ 1: 900 }) });
    const warmer = member('y', [], { claims: state({ 1: 500 }) });
    expect(numbersOf([cold, warmer], 2)).toEqual({ x: [0], y: [1] });
  });

  it('keeps standbys on others than the owner, where they are', () => {
    const wishes = { standbys: 1, warmWithin: 100 };
    const members = [running('x', [0, 1], { 2: 5 }), running('y', [2, 3], { 1: 90 }), running('z', [], { 0: 9, 3: 9 })];
    const result = given(members, 4, wishes);
    expect(Object.values(result).map(({ standbys }) => standbys)).toEqual([[2], [1, 3], [0]]);
    expect(numbersOf(members, 4, wishes)).toEqual({
      x: [0, 1],
      y: [2],
      z: [3],
    });
  });

  interface Drawn {
    partitions: number;
    standbys: number;
    members: { numbers: number[]; disk: [number, number][] }[];
  }
  const drawn: fc.Arbitrary<Drawn> = fc.record({
    partitions: fc.integer({ min: 0, max: 24 }),
    standbys: fc.integer({ min: 0, max: 3 }),
    members: fc.array(
      fc.record({
        numbers: fc.uniqueArray(fc.integer({ min: 0, max: 23 }), { maxLength: 12 }),
        disk: fc.array(fc.tuple(fc.integer({ min: 0, max: 23 }), fc.integer({ min: 0, max: SIZE }))),
      }),
      { minLength: 1, maxLength: 7 },
    ),
  });
  /** As a group may be: each number with one owner at most, who has its state. */
  const groupOf = ({ partitions, members }: Drawn): Candidate[] => {
    const taken = new Set<number>();
    return members.map(({ numbers, disk }, i) =>
      running(
        `m${i}`,
        numbers.filter((n) => n < partitions && !taken.has(n) && taken.add(n)),
        Object.fromEntries(disk),
      ),
    );
  };
  const within = (numbers: number[], most: number): void =>
    expect(Math.max(...numbers) - Math.min(...numbers)).toBeLessThanOrEqual(most);
  /** Until nothing warms up any more: each standby that does is warm at the next join. */
  const settled = (members: Candidate[], partitions: number, wishes: Wishes): Record<string, Share>[] => {
    const steps = [given(members, partitions, wishes)];
    while (Object.values(steps.at(-1)!).some(({ warming }) => warming.length > 0)) {
      const last = steps.at(-1)!;
      members = members.map(({ memberId, claims }) => {
        const { assignment, standbys } = last[memberId]!;
        const warm = Object.fromEntries([...(assignment.a ?? []), ...standbys].map((n) => [n, 0]));
        const before = Object.fromEntries(claims.map(({ partition, behind }) => [partition, behind]));
        return running(memberId, assignment.a ?? [], { ...before, ...warm });
      });
      steps.push(given(members, partitions, wishes));
      expect(steps.length).toBeLessThan(8);
    }
    return steps;
  };

  it('is complete at each step, and balanced once what was to be warm is', () => {
    fc.assert(
      fc.property(drawn, (group) => {
        const { partitions } = group;
        const wishes = { standbys: group.standbys, warmWithin: 100 };
        const steps = settled(groupOf(group), partitions, wishes);
        for (const shares of steps) {
          const all = Object.values(shares).flatMap(({ assignment }) => assignment.a ?? []);
          expect([...all].sort((a, b) => a - b)).toEqual(Array.from({ length: partitions }, (_, i) => i));
          for (const { assignment } of Object.values(shares)) expect(assignment.b).toEqual(assignment.a);
        }
        within(
          Object.values(steps.at(-1)!).map(({ assignment }) => assignment.a?.length ?? 0),
          1,
        );
      }),
    );
  });

  it('moves nothing that need not move', () => {
    fc.assert(
      fc.property(drawn, (group) => {
        const { partitions } = group;
        const members = groupOf(group);
        const last = settled(members, partitions, NONE).at(-1)!;
        const least = Math.floor(partitions / members.length);
        for (const { memberId, numbers } of members) {
          const kept = (last[memberId]!.assignment.a ?? []).filter((n) => numbers.includes(n)).length;
          expect(kept).toBeGreaterThanOrEqual(Math.min(numbers.length, least));
        }
        const again = Object.entries(last).map(([id, { assignment }]) => running(id, assignment.a ?? []));
        expect(given(again, partitions)).toEqual(last);
      }),
    );
  });

  it('never takes a partition from an owner whose state is current for one whose is not', () => {
    fc.assert(
      fc.property(drawn, (group) => {
        const members = groupOf(group);
        const shares = given(members, group.partitions);
        for (const { memberId, numbers } of members) {
          for (const number of numbers) {
            const [to] = Object.entries(shares).find(([, { assignment }]) => assignment.a?.includes(number))!;
            const claims = members.find((one) => one.memberId === to)!.claims;
            const behind = claims.find((claim) => claim.partition === number)?.behind ?? SIZE;
            if (to !== memberId) expect(behind).toBeLessThanOrEqual(NONE.warmWithin);
          }
        }
      }),
    );
  });

  it('has as many standbys of each number as were asked for, on as many members, spread evenly', () => {
    fc.assert(
      fc.property(drawn, (group) => {
        const { partitions, standbys } = group;
        const members = groupOf(group);
        const last = settled(members, partitions, { standbys, warmWithin: 100 }).at(-1)!;
        const copies = Math.min(standbys, members.length - 1);
        for (let number = 0; number < partitions; number++) {
          const holders = Object.values(last).filter((share) => share.standbys.includes(number));
          expect(holders).toHaveLength(copies);
          for (const { assignment } of holders) expect(assignment.a ?? []).not.toContain(number);
        }
        const loads = Object.values(last).map((share) => share.standbys.length);
        expect(Math.max(...loads)).toBeLessThanOrEqual(Math.ceil((partitions * copies) / members.length) + 1);
      }),
    );
  });
});
