/** Topics, their settings and offsets, groups and their committed positions, and transactions seen from outside. */
import { setTimeout as sleep } from 'node:timers/promises';
import { LogError } from '../../errors.ts';
import type {
  BrokerDescription,
  GroupDescription,
  LogAdmin,
  OpenTransaction,
  TopicDescription,
  TopicPartition,
  TopicSpec,
  TransactionalIdEntry,
  TransactionDescription,
} from '../port.ts';
import { Cluster, persist, type ClusterConfig, type TopicMetadata } from './cluster.ts';
import { asLogError, hasName, isConnectionError, isPassing, KafkaError, refusedByCode } from './errors.ts';
import type { Broker } from './kafkajs.ts';
import { clockSkew, describeBrokers, describeGroup } from './members.ts';
import { EARLIEST, LATEST, listOffsets } from './offsets.ts';
import { initProducerId } from './producer.ts';
import { describeTransaction, listTransactions, openTransactions, writeAbortMarker } from './transactions.ts';
import { alterTopicProtocol, committedProtocol } from './wire.ts';

const WITHIN_MS = 30_000;
/** How long a topic that was made or removed may take to show. */
const SHOWS_WITHIN_MS = 10_000;
const TOPIC = 2;
const UNKNOWN_TOPIC = 3;

export class KafkaAdmin implements LogAdmin {
  private readonly cluster: Cluster;
  private readonly onClose: () => void;

  constructor(config: ClusterConfig, onClose: () => void) {
    this.cluster = new Cluster(config);
    this.onClose = onClose;
  }

  topics(): Promise<string[]> {
    return this.doing('listing topics', async () => {
      const topics = await this.cluster.describe(null);
      return topics.filter((topic) => !topic.isInternal).map((topic) => topic.topic);
    });
  }

  describe(topics: string[]): Promise<(TopicDescription | null)[]> {
    return this.doing('describing topics', async () => {
      const found = new Map<string, TopicMetadata>();
      for (const topic of topics.length === 0 ? [] : await this.cluster.describe(topics)) {
        if (topic.topicErrorCode === 0) found.set(topic.topic, topic);
        else if (topic.topicErrorCode !== UNKNOWN_TOPIC) throw new KafkaError(topic.topicErrorCode);
      }
      if (found.size === 0) return topics.map(() => null);
      const resources = [...found.keys()].map((name) => ({ type: TOPIC, name }));
      const described = await this.cluster.call(await this.cluster.any(), 'DescribeConfigs', { resources }, true);
      const configs = new Map<string, Record<string, string>>();
      for (const { resourceName, errorCode, configEntries } of described.resources) {
        // removed meanwhile
        if (errorCode === UNKNOWN_TOPIC) continue;
        if (errorCode !== 0) throw new KafkaError(errorCode);
        const entries = configEntries.filter((entry: { configValue: string | null }) => entry.configValue !== null);
        configs.set(resourceName, Object.fromEntries(entries.map((e: any) => [e.configName, e.configValue])));
      }
      return topics.map((topic) => {
        const [metadata, config] = [found.get(topic), configs.get(topic)];
        if (metadata === undefined || config === undefined) return null;
        const { partitionMetadata } = metadata;
        return {
          topic,
          partitions: partitionMetadata.length,
          replication: partitionMetadata[0]!.replicas.length,
          config,
          copies: [...partitionMetadata]
            .sort((a, b) => a.partitionId - b.partitionId)
            .map(({ leader, replicas, isr }) => ({
              replicas: replicas.length,
              inSync: isr.length,
              hasLeader: leader >= 0,
            })),
        };
      });
    });
  }

  create(topics: TopicSpec[]): Promise<void> {
    return this.doing(`making ${names(topics)}`, async () => {
      await this.atController('CreateTopics', {
        topics: topics.map(({ topic, partitions, replication, config }) => ({
          topic,
          numPartitions: partitions,
          replicationFactor: replication ?? -1,
          configEntries: Object.entries(config ?? {}).map(([name, value]) => ({ name, value })),
        })),
      });
      await this.until(topics, (metadata) => metadata?.partitionMetadata.every(({ leader }) => leader >= 0) === true);
    });
  }

  configure(topic: string, config: Record<string, string>): Promise<void> {
    return this.doing(`configuring ${topic}`, async () => {
      await this.cluster.know([topic]);
      const { errorCode, message } = await this.cluster.send(
        await this.cluster.controller(),
        alterTopicProtocol(topic, config),
      );
      if (errorCode !== 0) throw refusedByCode(errorCode, `configuring ${topic}: ${message ?? ''}`);
    });
  }

  remove(topics: string[]): Promise<void> {
    return this.doing(`removing ${topics.join(', ')}`, async () => {
      await this.atController('DeleteTopics', { topics });
      await this.until(
        topics.map((topic) => ({ topic })),
        (metadata) => metadata === undefined,
      );
    });
  }

  offsets(
    topic: string,
    isolation: 'committed' | 'uncommitted' = 'committed',
  ): Promise<{ partition: number; start: number; end: number }[]> {
    return this.doing(`asking for the offsets of ${topic}`, async () => {
      const partitions = await this.partitions(topic);
      const starts = await listOffsets(this.cluster, partitions, EARLIEST);
      const ends = await listOffsets(this.cluster, partitions, LATEST, isolation === 'uncommitted');
      return partitions.map(({ partition }, i) => ({ partition, start: starts[i]!, end: ends[i]! }));
    });
  }

  offsetsAt(topic: string, timestamp: number): Promise<{ partition: number; position: number }[]> {
    return this.doing(`asking for the offsets of ${topic}`, async () => {
      const partitions = await this.partitions(topic);
      // negative numbers have meanings of their own; no record is older
      const at = await listOffsets(this.cluster, partitions, Math.max(timestamp, 0));
      const ends = at.includes(-1) ? await listOffsets(this.cluster, partitions, LATEST) : at;
      return partitions.map(({ partition }, i) => ({ partition, position: at[i]! < 0 ? ends[i]! : at[i]! }));
    });
  }

  /**
   * Waits while a transaction that holds positions of these partitions has not ended. One that was left open by a dead
   * producer ends when its id is opened again, or by its timeout: so a task opens its producer first, then asks here.
   */
  committed(group: string, partitions: TopicPartition[]): Promise<(number | null)[]> {
    return this.doing(`asking for the positions of ${group}`, async () => {
      if (partitions.length === 0) return [];
      const attempt = async (): Promise<(number | null)[]> => {
        try {
          const answer = await this.cluster.send(
            await this.cluster.coordinator('group', group),
            committedProtocol(group, partitions),
          );
          const failed = [answer.errorCode, ...answer.partitions.map((p) => p.errorCode)].find((code) => code !== 0);
          if (failed !== undefined) throw new KafkaError(failed);
          const offsets = new Map(answer.partitions.map((p) => [`${p.partition} ${p.topic}`, p.offset]));
          return partitions.map(({ topic, partition }) => {
            const offset = offsets.get(`${partition} ${topic}`) ?? -1;
            return offset < 0 ? null : offset;
          });
        } catch (error) {
          if (!hasName(error, 'UNSTABLE_OFFSET_COMMIT')) this.cluster.forgetCoordinator('group', group);
          throw error;
        }
      };
      return this.persist(attempt, 5);
    });
  }

  transactionalIds(): Promise<TransactionalIdEntry[]> {
    return this.doing('listing transactions', () => this.persist(() => listTransactions(this.cluster)));
  }

  describeTransactions(ids: readonly string[]): Promise<(TransactionDescription | null)[]> {
    return this.doing('describing transactions', () =>
      Promise.all(ids.map((id) => this.persist(() => describeTransaction(this.cluster, id)))),
    );
  }

  openTransactions(topics: readonly string[], groups: readonly string[] = []): Promise<OpenTransaction[]> {
    return this.doing('asking for open transactions', () =>
      this.persist(() => openTransactions(this.cluster, topics, groups)),
    );
  }

  /** With the time-out that the id has: it is the next producer's to change. */
  abortTransaction(id: string): Promise<void> {
    return this.doing(`aborting the transaction of ${id}`, async () => {
      const found = await this.persist(() => describeTransaction(this.cluster, id));
      if (found === null) throw new LogError('TRANSACTION_FAILED', `no transactional id ${id} is known`);
      await initProducerId(this.cluster, id, found.timeoutMs!);
    });
  }

  abortOnPartition(open: OpenTransaction): Promise<void> {
    return this.doing(`aborting a transaction on ${open.topic}/${open.partition}`, () =>
      this.persist(() => writeAbortMarker(this.cluster, open)),
    );
  }

  brokers(): Promise<BrokerDescription[]> {
    return this.doing('asking for the brokers', () => describeBrokers(this.cluster));
  }

  group(group: string): Promise<GroupDescription> {
    return this.doing(`describing group ${group}`, () => this.persist(() => describeGroup(this.cluster, group)));
  }

  clockSkew(): Promise<{ aheadMs: number; withinMs: number } | null> {
    return this.doing('asking for the time', () => this.persist(() => clockSkew(this.cluster)));
  }

  async close(): Promise<void> {
    if (this.cluster.closed) return;
    await this.cluster.close();
    this.onClose();
  }

  private async partitions(topic: string): Promise<TopicPartition[]> {
    // asked anew each time: partitions may have been added
    const [metadata] = await this.cluster.describe([topic]);
    if (metadata === undefined || metadata.topicErrorCode !== 0)
      throw new KafkaError(metadata?.topicErrorCode ?? UNKNOWN_TOPIC);
    await this.cluster.know([topic]);
    const partitions = metadata.partitionMetadata.map(({ partitionId }) => ({ topic, partition: partitionId }));
    return partitions.sort((a, b) => a.partition - b.partition);
  }

  private async atController(name: 'CreateTopics' | 'DeleteTopics', args: object): Promise<void> {
    const failed = await this.persist(async () => {
      const broker: Broker = await this.cluster.controller();
      const { topicErrors } = await this.cluster.call(
        broker,
        name,
        { ...args, timeout: 15_000, validateOnly: false },
        true,
      );
      const errors = (topicErrors as { topic: string; errorCode: number; errorMessage?: string }[]).filter(
        (e) => e.errorCode !== 0,
      );
      const passing = errors.find((error) => isPassing(new KafkaError(error.errorCode)));
      if (passing !== undefined) throw new KafkaError(passing.errorCode);
      return errors[0];
    });
    if (failed !== undefined) throw refusedByCode(failed.errorCode, `${failed.topic}: ${failed.errorMessage ?? name}`);
  }

  /** A change of topics reaches the brokers one after the other. */
  private async until(
    topics: { topic: string }[],
    seen: (metadata: TopicMetadata | undefined) => boolean,
  ): Promise<void> {
    const deadline = Date.now() + SHOWS_WITHIN_MS;
    for (let wait = 10; Date.now() < deadline; wait = Math.min(wait * 2, 200)) {
      const found = new Map<string, TopicMetadata>();
      for (const topic of await this.cluster.describe(topics.map((t) => t.topic))) {
        if (topic.topicErrorCode !== UNKNOWN_TOPIC) found.set(topic.topic, topic);
      }
      if (topics.every(({ topic }) => seen(found.get(topic)))) return;
      await sleep(wait);
    }
    throw new LogError('LOG_UNAVAILABLE', 'the brokers take too long to tell of the topics', { retriable: true });
  }

  private persist<T>(attempt: () => Promise<T>, firstMs = 50): Promise<T> {
    return persist(attempt, {
      passing: (error) => !this.cluster.closed && (isPassing(error) || isConnectionError(error)),
      withinMs: WITHIN_MS,
      firstMs,
      maxMs: 500,
      log: (error) => this.cluster.log('debug', 'an administrative request is tried again', { error }),
    });
  }

  private async doing<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw asLogError(error, what);
    }
  }
}

const names = (topics: { topic: string }[]): string => topics.map((t) => t.topic).join(', ');
