import { LogError } from '../../errors.ts';
import type {
  BrokerDescription,
  GroupDescription,
  LogAdmin,
  LogRecord,
  OpenTransaction,
  TopicDescription,
  TopicPartition,
  TopicSpec,
  TransactionalIdEntry,
  TransactionDescription,
} from '../port.ts';
import { chunkMaxTimestamp, readChunk } from './chunk.ts';
import type { Core, TransactionalId } from './core.ts';
import type { Group } from './group.ts';
import { chunkKey, groupKey, groupName, lastOffsetOf, partitionKey, topicKey } from './keys.ts';
import { type Partition, type Topic, unknownTopic } from './partition.ts';
import { fence } from './producers.ts';

export class EmbeddedAdmin implements LogAdmin {
  readonly #core: Core;
  readonly #path: string;
  readonly #groups: ReadonlyMap<string, Group>;

  constructor(core: Core, path: string, groups: ReadonlyMap<string, Group>) {
    this.#core = core;
    this.#path = path;
    this.#groups = groups;
  }

  async topics(): Promise<string[]> {
    this.#core.checkOpen();
    return [...this.#core.topics.keys()].sort();
  }

  async describe(topics: string[]): Promise<(TopicDescription | null)[]> {
    this.#core.checkOpen();
    return topics.map((name) => {
      const topic = this.#core.topics.get(name);
      if (topic === undefined) return null;
      return { topic: name, partitions: topic.partitions.length, replication: 1, config: { ...topic.config } };
    });
  }

  async create(topics: TopicSpec[]): Promise<void> {
    const core = this.#core;
    core.checkOpen();
    const names = new Set<string>();
    for (const { topic, partitions } of topics) {
      if (core.topics.has(topic) || names.has(topic)) {
        throw new LogError('TOPIC_EXISTS', `the topic ${topic} is there already`);
      }
      if (!Number.isInteger(partitions) || partitions < 1 || topic === '' || topic.includes('\0')) {
        throw new LogError(
          'TOPIC_INVALID',
          `no topic ${JSON.stringify(topic)} of ${partitions} partitions can be made`,
        );
      }
      names.add(topic);
    }
    const made = topics.map((spec) =>
      core.newTopic(spec.topic, core.nextTopicId++, spec.partitions, { ...spec.config }),
    );
    // in memory at once, so that a second create in the same turn is refused
    for (const topic of made) core.topics.set(topic.name, topic);
    await core.writer.submit((changes) => {
      changes.put(...core.storedVersion());
      for (const topic of made) changes.put(...core.storedTopic(topic));
    });
  }

  async configure(name: string, config: Record<string, string>): Promise<void> {
    const core = this.#core;
    core.checkOpen();
    const topic = core.topic(name);
    await core.writer.submit((changes) => {
      topic.config = { ...topic.config, ...config };
      changes.put(...core.storedTopic(topic));
    });
  }

  async remove(topics: string[]): Promise<void> {
    const core = this.#core;
    core.checkOpen();
    const gone = topics.map((name) => core.topic(name));
    await core.writer.submit((changes) => {
      for (const topic of gone) {
        if (topic.removed) throw unknownTopic(topic.name);
      }
      for (const topic of gone) {
        topic.removed = true;
        core.topics.delete(topic.name);
        changes.remove(topicKey(topic.name));
        changes.removeRange(chunkKey(topic.id, 0, 0), chunkKey(topic.id + 1, 0, 0));
        changes.removeRange(partitionKey(topic.id, 0), partitionKey(topic.id + 1, 0));
        for (const name of core.positions.keys()) {
          const [, of] = name.split('\0');
          if (of !== topic.name) continue;
          core.positions.delete(name);
          changes.remove(groupKey(name));
        }
      }
    });
    // whoever waits for more of them learns that there is none
    for (const topic of gone) for (const partition of topic.partitions) partition.wake();
  }

  async offsets(
    name: string,
    isolation: 'committed' | 'uncommitted' = 'committed',
  ): Promise<{ partition: number; start: number; end: number }[]> {
    this.#core.checkOpen();
    return this.#core.topic(name).partitions.map((partition) => ({
      partition: partition.index,
      start: partition.start,
      end: isolation === 'committed' ? partition.end : partition.next,
    }));
  }

  async offsetsAt(name: string, timestamp: number): Promise<{ partition: number; position: number }[]> {
    this.#core.checkOpen();
    const found: { partition: number; position: number }[] = [];
    for (const partition of this.#core.topic(name).partitions) {
      found.push({ partition: partition.index, position: await this.#positionAt(partition, timestamp) });
    }
    return found;
  }

  async committed(group: string, partitions: TopicPartition[]): Promise<(number | null)[]> {
    this.#core.checkOpen();
    // behind every commit that is under way
    await this.#core.writer.submit(() => {});
    return partitions.map((at) => this.#core.positions.get(groupName(group, at.topic, at.partition)) ?? null);
  }

  async transactionalIds(): Promise<TransactionalIdEntry[]> {
    this.#core.checkOpen();
    return [...this.#core.transactionalIds]
      .map(([transactionalId, id]) => ({ transactionalId, phase: phaseOf(id), producerId: null }))
      .sort((a, b) => (a.transactionalId < b.transactionalId ? -1 : 1));
  }

  async describeTransactions(ids: readonly string[]): Promise<(TransactionDescription | null)[]> {
    this.#core.checkOpen();
    return ids.map((transactionalId) => {
      const id = this.#core.transactionalIds.get(transactionalId);
      if (id === undefined) return null;
      const current = id.committing ?? id.open;
      return {
        transactionalId,
        phase: phaseOf(id),
        producerId: null,
        epoch: id.epoch,
        timeoutMs: null,
        startedAt: current?.startedAt ?? null,
        partitions: Array.from(current?.partitions ?? [], (at) => ({ topic: at.topic.name, partition: at.index })),
      };
    });
  }

  /** Positions of groups are written with the commit itself, so nothing is ever open where they are kept. */
  async openTransactions(topics: readonly string[]): Promise<OpenTransaction[]> {
    this.#core.checkOpen();
    const wanted = new Set(topics);
    const found: OpenTransaction[] = [];
    for (const { epoch, open, committing } of this.#core.transactionalIds.values()) {
      for (const transaction of [committing, open]) {
        for (const partition of transaction?.partitions ?? []) {
          const from = partition.heldFrom(transaction!);
          if (from === undefined || !wanted.has(partition.topic.name)) continue;
          const at = { topic: partition.topic.name, partition: partition.index };
          found.push({ ...at, producerId: null, epoch, from, lastAt: null, coordinatorEpoch: -1 });
        }
      }
    }
    return found;
  }

  async abortTransaction(name: string): Promise<void> {
    this.#core.checkOpen();
    const id = this.#core.transactionalIds.get(name);
    if (id === undefined) throw new LogError('TRANSACTION_FAILED', `no transactional id ${name} is known`);
    await fence(this.#core, name, id);
  }

  async abortOnPartition({ topic, partition }: OpenTransaction): Promise<void> {
    this.#core.checkOpen();
    const why = 'in an embedded log every transaction has its transactional id: abort that';
    throw new LogError('LOG_REFUSED', `${topic}/${partition}: ${why}`);
  }

  async brokers(): Promise<BrokerDescription[]> {
    this.#core.checkOpen();
    return [{ id: 0, address: this.#path, problem: null, config: {} }];
  }

  async group(name: string): Promise<GroupDescription> {
    this.#core.checkOpen();
    const members = this.#groups.get(name)?.members ?? [];
    const known = members.length > 0 || [...this.#core.positions.keys()].some((key) => key.startsWith(`${name}\0`));
    return {
      state: members.length > 0 ? 'Stable' : known ? 'Empty' : 'Dead',
      members: members.map((partitions) => ({ clientId: `process ${process.pid}`, host: 'localhost', partitions })),
    };
  }

  /** There is one clock. */
  async clockSkew(): Promise<null> {
    return null;
  }

  async close(): Promise<void> {}

  async #positionAt(partition: Partition, timestamp: number): Promise<number> {
    const { end, index } = partition;
    const topic: Topic = partition.topic;
    const chunks = this.#core.db.iterator({
      gte: chunkKey(topic.id, index, partition.start),
      lt: chunkKey(topic.id, index + 1, 0),
      capacity: 32,
    });
    for await (const { key, value } of chunks) {
      if (chunkMaxTimestamp(value) < timestamp) continue;
      const records: LogRecord[] = [];
      readChunk(value, lastOffsetOf(key), partition.start, end, records);
      const first = records.find((record) => record.timestamp >= timestamp);
      if (first !== undefined) return first.offset;
    }
    return end;
  }
}

const phaseOf = ({ open, committing }: TransactionalId): TransactionalIdEntry['phase'] =>
  committing !== null ? 'PrepareCommit' : open !== null ? 'Ongoing' : 'Empty';
