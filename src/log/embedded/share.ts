import type { TopicPartition } from '../port.ts';

interface Membership {
  topics: readonly string[];
  owned: readonly TopicPartition[];
}

/**
 * Shares partitions among the members of a group, one list a member. Topics that the same members read are shared
 * alike, so that equal partition numbers meet in one member (a task is one number of all its sources); each number stays
 * with its owner as long as that one has not more than its part.
 */
export function share(members: readonly Membership[], partitionsOf: (topic: string) => number): TopicPartition[][] {
  const shares: TopicPartition[][] = members.map(() => []);
  const readers = new Map<string, number[]>();
  members.forEach((member, i) => {
    for (const topic of new Set(member.topics)) {
      const list = readers.get(topic);
      if (list === undefined) readers.set(topic, [i]);
      else list.push(i);
    }
  });
  const alike = new Map<string, { members: number[]; topics: string[] }>();
  for (const topic of [...readers.keys()].sort()) {
    const list = readers.get(topic)!;
    const together = alike.get(list.join());
    if (together === undefined) alike.set(list.join(), { members: list, topics: [topic] });
    else together.topics.push(topic);
  }
  for (const { members: list, topics } of alike.values()) {
    const count = Math.max(...topics.map(partitionsOf));
    const owners = new Array<number>(count).fill(-1);
    const load = new Map(list.map((member) => [member, 0]));
    const most = Math.ceil(count / list.length);
    let withMost = count - Math.floor(count / list.length) * list.length || list.length;
    const take = (number: number, member: number): boolean => {
      const has = load.get(member)!;
      // as many members as the division leaves over may hold one more than the others
      if (has >= most || (has === most - 1 && withMost === 0)) return false;
      if (has === most - 1) withMost--;
      load.set(member, has + 1);
      owners[number] = member;
      return true;
    };
    for (const member of list) {
      const numbers = new Set(
        members[member]!.owned.filter((at) => topics.includes(at.topic)).map((at) => at.partition),
      );
      for (const number of [...numbers].sort((a, b) => a - b)) {
        if (number < count && owners[number] === -1) take(number, member);
      }
    }
    for (let number = 0; number < count; number++) {
      if (owners[number] !== -1) continue;
      const byLoad = [...list].sort((a, b) => load.get(a)! - load.get(b)!);
      for (const member of byLoad) if (take(number, member)) break;
    }
    for (const topic of topics) {
      const partitions = partitionsOf(topic);
      for (let number = 0; number < partitions; number++) shares[owners[number]!]!.push({ topic, partition: number });
    }
  }
  return shares;
}
