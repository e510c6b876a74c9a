import { LogError } from '../../errors.ts';
import type { LogAdmin, LogRecord, TopicDescription, TopicPartition, TopicSpec } from '../port.ts';
import { chunkMaxTimestamp, readChunk } from './chunk.ts';
import type { Core } from './core.ts';
import { chunkKey, groupKey, groupName, lastOffsetOf, partitionKey, topicKey } from './keys.ts';
import { type Partition, type Topic, unknownTopic } from './partition.ts';

export class EmbeddedAdmin implements LogAdmin {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
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
