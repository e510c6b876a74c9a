/**
 * Who gets what. Partitions of the same number stay together whatever their topic, since a task is one partition of
 * co-partitioned sources, and they stay with their member where balance allows it, since the task's state is there.
 */
export interface Candidate {
  memberId: string;
  topics: readonly string[];
  /** What it had, and since which generation. */
  generation: number;
  numbers: readonly number[];
}

export type Assignment = Record<string, number[]>;

/** Partition numbers by topic, for each member. */
export function assign(
  candidates: readonly Candidate[],
  partitionCounts: ReadonlyMap<string, number>,
): Map<string, Assignment> {
  const members = [...candidates].sort((a, b) => (a.memberId < b.memberId ? -1 : 1));
  const result = new Map<string, Assignment>(members.map((member) => [member.memberId, {}]));
  const highest = Math.max(0, ...partitionCounts.values());
  const claims = claimed(members);
  const load = new Map<string, number>(members.map((member) => [member.memberId, 0]));
  const least = Math.floor(highest / Math.max(members.length, 1));
  let spare = highest - least * members.length;
  const owners = new Map<number, Candidate>();

  const topicsOf = (number: number): string[] =>
    [...partitionCounts].filter(([, count]) => count > number).map(([topic]) => topic);
  const takes = (member: Candidate, number: number): boolean =>
    topicsOf(number).every((topic) => member.topics.includes(topic));
  /** Gives a number if the member may have one more. */
  const give = (member: Candidate, number: number): boolean => {
    const has = load.get(member.memberId)!;
    if (has > least || (has === least && spare === 0)) return false;
    if (has === least) spare--;
    owners.set(number, member);
    load.set(member.memberId, has + 1);
    return true;
  };

  // what they had, those with most first, for they may keep one more
  const byClaims = [...members].sort(
    (a, b) => (claims.get(b.memberId)?.length ?? 0) - (claims.get(a.memberId)?.length ?? 0),
  );
  for (const member of byClaims) {
    for (const number of claims.get(member.memberId) ?? [])
      if (number < highest && takes(member, number)) give(member, number);
  }
  // the rest to whoever has least
  for (let number = 0; number < highest; number++) {
    if (owners.has(number)) continue;
    const able = members.filter((member) => takes(member, number));
    const byLoad = able.sort((a, b) => load.get(a.memberId)! - load.get(b.memberId)!);
    if (byLoad.some((member) => give(member, number))) continue;
    // only members of another subscription have room: balance yields
    const [first] = byLoad;
    if (first === undefined) continue;
    owners.set(number, first);
    load.set(first.memberId, load.get(first.memberId)! + 1);
  }
  for (let number = 0; number < highest; number++) {
    for (const topic of topicsOf(number)) {
      // while a group changes its topics nobody may read all of them: each to one who reads it
      const owner = owners.get(number) ?? members.find((member) => member.topics.includes(topic));
      if (owner !== undefined) (result.get(owner.memberId)![topic] ??= []).push(number);
    }
  }
  return result;
}

/** Of two members that claim a number, the one of the later generation has it. */
function claimed(members: readonly Candidate[]): Map<string, number[]> {
  const latest = new Map<number, Candidate>();
  for (const member of members) {
    for (const number of member.numbers) {
      const other = latest.get(number);
      if (other === undefined || other.generation < member.generation) latest.set(number, member);
    }
  }
  const claims = new Map<string, number[]>();
  for (const [number, { memberId }] of latest) claims.set(memberId, [...(claims.get(memberId) ?? []), number]);
  for (const numbers of claims.values()) numbers.sort((a, b) => a - b);
  return claims;
}
