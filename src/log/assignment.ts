/**
 * Who gets what. Partitions of the same number stay together whatever their topic, since a task is one partition of
 * co-partitioned sources, and they go to where the task's state is: to the member that has it now, else to one that keeps
 * it warm, else to one that has some of it on its disk.
 *
 * A number moves in one step only to a member whose state is nearly current. Until then its owner keeps it, and the one
 * that is to have it keeps a standby of it, which joins again when it is warm ("warming").
 */
import type { Claim } from './port.ts';

export interface Candidate {
  memberId: string;
  topics: readonly string[];
  /** What it had, and since which generation. */
  generation: number;
  numbers: readonly number[];
  /** What it has the state of. */
  claims: readonly Claim[];
}

export interface Wishes {
  /** Copies of each number's state, beside the owner's. */
  standbys: number;
  /** State that is at most so many records behind is warm. */
  warmWithin: number;
}

/** Partition numbers by topic. */
export type Assignment = Record<string, number[]>;

export interface Share {
  assignment: Assignment;
  /** Numbers whose state it is to keep current. */
  standbys: number[];
  /** Those of them that move here once they are warm. */
  warming: number[];
}

/** What each member gets. */
export function assign(
  candidates: readonly Candidate[],
  partitionCounts: ReadonlyMap<string, number>,
  { standbys, warmWithin }: Wishes,
): Map<string, Share> {
  const members = [...candidates].sort((a, b) => (a.memberId < b.memberId ? -1 : 1));
  const highest = Math.max(0, ...partitionCounts.values());
  const topicsOf = (number: number): string[] =>
    [...partitionCounts].filter(([, count]) => count > number).map(([topic]) => topic);
  const group = new Group(members, highest, topicsOf);

  const target = balance(group);
  const owners = new Map(target);
  const shares = new Map<string, Share>(
    members.map(({ memberId }) => [memberId, { assignment: {}, standbys: [], warming: [] }]),
  );
  for (const [number, to] of target) {
    const from = group.ownerOf(number);
    if (from === undefined || from === to) continue;
    const left = group.behind(to, number);
    if (left <= warmWithin || left <= group.behind(from, number)) continue;
    owners.set(number, from);
    shares.get(to.memberId)!.standbys.push(number);
    shares.get(to.memberId)!.warming.push(number);
  }
  spread(group, owners, shares, standbys);
  for (let number = 0; number < highest; number++) {
    for (const topic of topicsOf(number)) {
      // while a group changes its topics nobody may read all of them: each to one who reads it
      const owner = owners.get(number) ?? members.find((member) => member.topics.includes(topic));
      if (owner !== undefined) (shares.get(owner.memberId)!.assignment[topic] ??= []).push(number);
    }
  }
  for (const share of shares.values()) share.standbys.sort((a, b) => a - b);
  return shares;
}

/** The members and what they say, looked up. */
class Group {
  readonly members: readonly Candidate[];
  readonly highest: number;
  private readonly topicsOf: (number: number) => string[];
  private readonly owners = new Map<number, Candidate>();
  private readonly claims = new Map<Candidate, Map<number, Claim>>();
  /** By number: how long its changelog is, as the one who saw most of it says. */
  private readonly sizes = new Map<number, number>();

  constructor(members: readonly Candidate[], highest: number, topicsOf: (number: number) => string[]) {
    this.members = members;
    this.highest = highest;
    this.topicsOf = topicsOf;
    for (const member of members) {
      // of two members that had a number, the one of the later generation has it
      for (const number of member.numbers) {
        const other = this.owners.get(number);
        if (number >= highest || !this.takes(member, number)) continue;
        if (other === undefined || other.generation < member.generation) this.owners.set(number, member);
      }
      this.claims.set(member, new Map(member.claims.map((claim) => [claim.partition, claim])));
      for (const { partition, of } of member.claims) {
        this.sizes.set(partition, Math.max(of, this.sizes.get(partition) ?? 0));
      }
    }
  }

  /** Whether it reads all topics that have the number. */
  takes(member: Candidate, number: number): boolean {
    return this.topicsOf(number).every((topic) => member.topics.includes(topic));
  }

  ownerOf(number: number): Candidate | undefined {
    return this.owners.get(number);
  }

  ownedBy(member: Candidate): number[] {
    return [...this.owners].filter(([, owner]) => owner === member).map(([number]) => number);
  }

  hasState(member: Candidate, number: number): boolean {
    return this.claims.get(member)!.has(number);
  }

  /** Records that it would have to read first. */
  behind(member: Candidate, number: number): number {
    return this.claims.get(member)!.get(number)?.behind ?? this.sizes.get(number) ?? 0;
  }

  /** What the best of some members would have to read of a number's state; Infinity where they have none of it. */
  leastBehind(among: readonly Candidate[], number: number): number {
    let least = Infinity;
    for (const member of among) {
      if (this.hasState(member, number)) least = Math.min(least, this.behind(member, number));
    }
    return least;
  }
}

/** Each number to one member, within one of each other in their number, and with as few moves as that allows. */
function balance(group: Group): Map<number, Candidate> {
  const { members, highest } = group;
  const owners = new Map<number, Candidate>();
  const load = new Map<Candidate, number>(members.map((member) => [member, 0]));
  const least = Math.floor(highest / Math.max(members.length, 1));
  let spare = highest - least * members.length;
  /** Gives a number if the member may have one more. */
  const give = (member: Candidate, number: number): boolean => {
    const has = load.get(member)!;
    if (has > least || (has === least && spare === 0)) return false;
    if (has === least) spare--;
    owners.set(number, member);
    load.set(member, has + 1);
    return true;
  };

  // what they have, those with most first, for they may keep one more; what others could not go on with is kept first
  const having = members.map((member) => ({ member, numbers: group.ownedBy(member) }));
  const withRoom = having
    .filter(({ numbers }) => numbers.length < highest / members.length)
    .map(({ member }) => member);
  having.sort((a, b) => b.numbers.length - a.numbers.length);
  for (const { member, numbers } of having) {
    const elsewhere = new Map(numbers.map((number) => [number, group.leastBehind(withRoom, number)]));
    const order = (a: number, b: number): number => {
      const [first, second] = [elsewhere.get(a)!, elsewhere.get(b)!];
      return first === second ? a - b : second - first;
    };
    for (const number of numbers.sort(order)) give(member, number);
  }
  // then to whoever has most of the state, the most current first
  const offers: { member: Candidate; number: number; behind: number }[] = [];
  for (let number = 0; number < highest; number++) {
    if (owners.has(number)) continue;
    for (const member of members) {
      if (!group.hasState(member, number) || !group.takes(member, number)) continue;
      offers.push({ member, number, behind: group.behind(member, number) });
    }
  }
  offers.sort((a, b) => a.behind - b.behind || a.number - b.number);
  for (const { member, number } of offers) if (!owners.has(number)) give(member, number);
  // the rest to whoever has least
  for (let number = 0; number < highest; number++) {
    if (owners.has(number)) continue;
    const able = members.filter((member) => group.takes(member, number));
    const byLoad = able.sort((a, b) => load.get(a)! - load.get(b)!);
    if (byLoad.some((member) => give(member, number))) continue;
    // only members of another subscription have room: balance yields
    const [first] = byLoad;
    if (first === undefined) continue;
    owners.set(number, first);
    load.set(first, load.get(first)! + 1);
  }
  return owners;
}

/**
 * `copies` standbys of each number on members that do not own it, as evenly as may be: what is there already first, and
 * a number that warms up for its next owner counts as one.
 */
function spread(
  group: Group,
  owners: ReadonlyMap<number, Candidate>,
  shares: ReadonlyMap<string, Share>,
  copies: number,
): void {
  const { members } = group;
  const each = Math.min(copies, members.length - 1);
  if (each < 1) return;
  const most = Math.ceil((owners.size * each) / members.length);
  const listOf = (member: Candidate): number[] => shares.get(member.memberId)!.standbys;
  const count = (number: number): number => members.filter((member) => listOf(member).includes(number)).length;
  const may = (member: Candidate, number: number): boolean =>
    owners.get(number) !== member && group.takes(member, number) && !listOf(member).includes(number);

  const offers: { member: Candidate; number: number; behind: number }[] = [];
  for (const number of owners.keys()) {
    for (const member of members) {
      if (group.hasState(member, number)) offers.push({ member, number, behind: group.behind(member, number) });
    }
  }
  offers.sort((a, b) => a.behind - b.behind || a.number - b.number);
  for (const { member, number } of offers) {
    if (may(member, number) && listOf(member).length < most && count(number) < each) listOf(member).push(number);
  }
  for (const number of [...owners.keys()].sort((a, b) => a - b)) {
    while (count(number) < each) {
      const [first] = members
        .filter((member) => may(member, number))
        .sort((a, b) => listOf(a).length - listOf(b).length);
      if (first === undefined) break;
      listOf(first).push(number);
    }
  }
  even(members, shares, may);
}

/** The last ones may have found room only where much was already: what another can as well keep goes there. */
function even(
  members: readonly Candidate[],
  shares: ReadonlyMap<string, Share>,
  may: (member: Candidate, number: number) => boolean,
): void {
  const of = (member: Candidate): Share => shares.get(member.memberId)!;
  for (let moved = true; moved;) {
    moved = false;
    const byLoad = [...members].sort((a, b) => of(b).standbys.length - of(a).standbys.length);
    for (const from of byLoad) {
      const { standbys, warming } = of(from);
      for (const to of byLoad.toReversed()) {
        if (of(to).standbys.length + 1 >= standbys.length) break;
        const number = standbys.findLast((one) => !warming.includes(one) && may(to, one));
        if (number === undefined) continue;
        standbys.splice(standbys.indexOf(number), 1);
        of(to).standbys.push(number);
        moved = true;
        break;
      }
      if (moved) break;
    }
  }
}
