/** Transactions seen from outside: by their coordinators, which are spread over the brokers, and by partitions' leaders. */
import type { OpenTransaction, TransactionDescription, TransactionalIdEntry } from '../port.ts';
import type { Cluster } from './cluster.ts';
import { KafkaError, refused } from './errors.ts';
import {
  abortMarkerProtocol,
  describeProducersProtocol,
  describeTransactionProtocol,
  listTransactionsProtocol,
  spoken,
} from './wire-admin.ts';

const UNKNOWN_TOPIC = 3;
const TRANSACTIONAL_ID_NOT_FOUND = 105;
const POSITIONS_TOPIC = '__consumer_offsets';
const COORDINATORS_TOPIC = '__transaction_state';

/** Of every broker: an answer that misses one would make its transactions look like nobody's. */
export async function listTransactions(cluster: Cluster): Promise<TransactionalIdEntry[]> {
  const [coordinators] = await cluster.describe([COORDINATORS_TOPIC]);
  if (coordinators?.topicErrorCode === UNKNOWN_TOPIC) return [];
  if (coordinators?.partitionMetadata.some(({ leader }) => leader < 0)) {
    throw refused('LEADER_NOT_AVAILABLE', `asking who leads ${COORDINATORS_TOPIC}`);
  }
  const lists = await Promise.all(
    (await cluster.members()).map(async ({ nodeId }) => {
      const broker = await cluster.node(nodeId);
      const { errorCode, transactions } = await cluster.send(broker, spoken(broker, listTransactionsProtocol()));
      if (errorCode !== 0) throw new KafkaError(errorCode);
      return transactions;
    }),
  );
  const byId = (a: TransactionalIdEntry, b: TransactionalIdEntry) => (a.transactionalId < b.transactionalId ? -1 : 1);
  return lists.flat().sort(byId);
}

export async function describeTransaction(
  cluster: Cluster,
  transactionalId: string,
): Promise<TransactionDescription | null> {
  try {
    const broker = await cluster.coordinator('transaction', transactionalId);
    const [found] = await cluster.send(broker, spoken(broker, describeTransactionProtocol(transactionalId)));
    if (found === undefined || found.errorCode === TRANSACTIONAL_ID_NOT_FOUND) return null;
    const { errorCode, startedAt, ...rest } = found;
    if (errorCode !== 0) throw new KafkaError(errorCode);
    return { ...rest, startedAt: startedAt < 0 ? null : startedAt };
  } catch (error) {
    cluster.forgetCoordinator('transaction', transactionalId);
    throw error;
  }
}

export async function openTransactions(
  cluster: Cluster,
  topics: readonly string[],
  groups: readonly string[],
): Promise<OpenTransaction[]> {
  const wanted = groups.length === 0 ? [...topics] : [...topics, POSITIONS_TOPIC];
  if (wanted.length === 0) return [];
  const byLeader = new Map<number, { topic: string; partition: number }[]>();
  for (const { topic, topicErrorCode, partitionMetadata } of await cluster.describe([...new Set(wanted)])) {
    if (topicErrorCode === UNKNOWN_TOPIC) continue;
    if (topicErrorCode !== 0) throw new KafkaError(topicErrorCode);
    const isPositions = topic === POSITIONS_TOPIC && !topics.includes(topic);
    const only = isPositions ? new Set(groups.map((group) => placeOf(group, partitionMetadata.length))) : null;
    for (const { partitionId: partition, leader } of partitionMetadata) {
      if (only !== null && !only.has(partition)) continue;
      if (leader < 0) throw refused('LEADER_NOT_AVAILABLE', `asking who leads ${topic}/${partition}`);
      const list = byLeader.get(leader);
      if (list === undefined) byLeader.set(leader, [{ topic, partition }]);
      else list.push({ topic, partition });
    }
  }
  const found = await Promise.all(
    [...byLeader].map(async ([leader, partitions]) => {
      const broker = await cluster.node(leader);
      return cluster.send(broker, spoken(broker, describeProducersProtocol(partitions)));
    }),
  );
  return found.flat().flatMap(({ errorCode, open }) => {
    if (errorCode !== 0) throw new KafkaError(errorCode);
    return open;
  });
}

export async function writeAbortMarker(cluster: Cluster, open: OpenTransaction): Promise<void> {
  const [metadata] = await cluster.describe([open.topic]);
  const leader = metadata?.partitionMetadata.find(({ partitionId }) => partitionId === open.partition)?.leader ?? -1;
  if (leader < 0) throw refused('LEADER_NOT_AVAILABLE', `asking who leads ${open.topic}/${open.partition}`);
  const broker = await cluster.node(leader);
  const { errorCode } = await cluster.send(broker, spoken(broker, abortMarkerProtocol(open)));
  if (errorCode !== 0) throw new KafkaError(errorCode);
}

/** The partition that keeps a group's positions: by Java's hash of a string, its sign dropped. */
export function placeOf(group: string, partitions: number): number {
  let hash = 0;
  for (let i = 0; i < group.length; i++) hash = (Math.imul(hash, 31) + group.charCodeAt(i)) | 0;
  return (hash & 0x7fffffff) % partitions;
}
