/** Who takes part: the brokers with their settings, the members of a group; and what time it is there. */
import { messageOf } from '../../errors.ts';
import type { BrokerDescription, GroupDescription } from '../port.ts';
import type { Cluster } from './cluster.ts';
import { KafkaError } from './errors.ts';
import { MemberAssignment } from './kafkajs.ts';
import { quorumProtocol, spoken } from './wire-admin.ts';

const BROKER = 4;

/** One that cannot be asked says why, and the others are told of all the same. */
export async function describeBrokers(cluster: Cluster): Promise<BrokerDescription[]> {
  const members = await cluster.members();
  return Promise.all(
    members.map(async ({ nodeId: id, host, port }) => {
      const address = `${host}:${port}`;
      try {
        const broker = await cluster.node(id);
        const resources = [{ type: BROKER, name: String(id) }];
        const { resources: answers } = await cluster.call(broker, 'DescribeConfigs', { resources }, true);
        const entries = answers[0].errorCode === 0 ? (answers[0].configEntries as ConfigEntry[]) : [];
        const known = entries.flatMap(({ configName, configValue }) =>
          configValue === null ? [] : [[configName, configValue]],
        );
        return { id, address, problem: null, config: Object.fromEntries(known) };
      } catch (error) {
        return { id, address, problem: messageOf(error), config: {} };
      }
    }),
  );
}

interface ConfigEntry {
  configName: string;
  configValue: string | null;
}

interface DescribedGroup {
  errorCode: number;
  state: string;
  members: { clientId: string; clientHost: string; memberAssignment: Buffer }[];
}

export async function describeGroup(cluster: Cluster, group: string): Promise<GroupDescription> {
  try {
    const broker = await cluster.coordinator('group', group);
    const { groups } = await cluster.call(broker, 'DescribeGroups', { groupIds: [group] }, true);
    const { errorCode, state, members } = groups[0] as DescribedGroup;
    if (errorCode !== 0) throw new KafkaError(errorCode);
    return {
      state,
      members: members.map(({ clientId, clientHost, memberAssignment }) => ({
        clientId,
        host: clientHost.replace(/^\//, ''),
        partitions: partitionsOf(memberAssignment),
      })),
    };
  } catch (error) {
    cluster.forgetCoordinator('group', group);
    throw error;
  }
}

function partitionsOf(assignment: Buffer) {
  // empty while the group is being shared out
  if (assignment.length === 0) return [];
  const topics = Object.entries(MemberAssignment.decode(assignment)?.assignment ?? {});
  return topics.flatMap(([topic, partitions]) => partitions.map((partition) => ({ topic, partition })));
}

/** The best of a few questions: what the answer's way takes cannot be told from the skew. */
export async function clockSkew(cluster: Cluster): Promise<{ aheadMs: number; withinMs: number } | null> {
  let best: { aheadMs: number; withinMs: number } | null = null;
  for (let i = 0; i < 3; i++) {
    const broker = await cluster.any();
    const protocol = spoken(broker, quorumProtocol());
    const [begun, started] = [Date.now(), performance.now()];
    const { errorCode, leaderTime } = await cluster.send(broker, protocol);
    const took = performance.now() - started;
    if (errorCode !== 0) throw new KafkaError(errorCode);
    if (leaderTime === null) return null;
    const aheadMs = Math.round(leaderTime - (begun + took / 2));
    const withinMs = Math.ceil(took / 2);
    if (best === null || withinMs < best.withinMs) best = { aheadMs, withinMs };
  }
  return best;
}
