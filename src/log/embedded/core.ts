import { LogError, StoreError } from '../../errors.ts';
import type { TopicPartition } from '../port.ts';
import { VERSION_KEY, allOf, partitionKey, topicKey } from './keys.ts';
import { Partition, type Topic, decodeState, unknownTopic } from './partition.ts';
import { type Rocks, openRocks } from './rocksdb.ts';
import type { Transaction } from './transaction.ts';
import { Writer } from './writer.ts';

const FORMAT = 1;

export interface TransactionalId {
  epoch: number;
  /** what its producer has open */
  open: Transaction | null;
  /** what its producer has asked to commit, until the writer comes to it */
  committing: Transaction | null;
}

interface StoredTopic {
  id: number;
  partitions: number;
  config: Record<string, string>;
}

/** What all parts of one embedded log share: the database, and in memory everything but the records. */
export class Core {
  readonly db: Rocks;
  readonly writer: Writer;
  readonly now: () => number;
  readonly topics = new Map<string, Topic>();
  /** committed positions by groupName() */
  readonly positions = new Map<string, number>();
  readonly transactionalIds = new Map<string, TransactionalId>();
  nextTopicId = 1;
  closed = false;
  /** what must end before the database is closed */
  readonly #closers = new Set<() => Promise<void>>();

  private constructor(db: Rocks, now: () => number) {
    this.db = db;
    this.writer = new Writer(db);
    this.now = now;
  }

  static async open(path: string, now: () => number): Promise<Core> {
    const core = new Core(await openRocks(path), now);
    try {
      await core.#load(path);
      return core;
    } catch (error) {
      await core.db.close({ force: true });
      throw error;
    }
  }

  topic(name: string): Topic {
    const topic = this.topics.get(name);
    if (topic === undefined) throw unknownTopic(name);
    return topic;
  }

  partition(where: TopicPartition): Partition {
    const partition = this.topic(where.topic).partitions[where.partition];
    if (partition === undefined) throw unknownTopic(`${where.topic} with a partition ${where.partition}`);
    return partition;
  }

  checkOpen(): void {
    if (this.closed) throw new LogError('LOG_CLOSED', 'the embedded log is closed');
  }

  /** Registers what must be ended at the close; the function returned takes it back. */
  onClose(close: () => Promise<void>): () => void {
    this.#closers.add(close);
    return () => this.#closers.delete(close);
  }

  async close(): Promise<void> {
    this.closed = true;
    for (const topic of this.topics.values()) for (const partition of topic.partitions) partition.wake();
    await Promise.all([...this.#closers].map((close) => close()));
    await this.writer.idle();
    await this.db.close({ force: true });
  }

  storedTopic(topic: Topic): [Buffer, Buffer] {
    const stored: StoredTopic = { id: topic.id, partitions: topic.partitions.length, config: topic.config };
    return [topicKey(topic.name), Buffer.from(JSON.stringify(stored))];
  }

  storedVersion(): [Buffer, Buffer] {
    return [VERSION_KEY, Buffer.from(JSON.stringify({ format: FORMAT, nextTopicId: this.nextTopicId }))];
  }

  newTopic(name: string, id: number, partitions: number, config: Record<string, string>): Topic {
    const topic: Topic = { id, name, config, partitions: [], removed: false };
    for (let i = 0; i < partitions; i++) {
      topic.partitions.push(new Partition(topic, i, { start: 0, next: 0, cleanedTo: 0, kept: 0 }));
    }
    return topic;
  }

  async #load(path: string): Promise<void> {
    for await (const { value } of this.db.iterator({ gte: VERSION_KEY, lte: VERSION_KEY })) {
      const stored = JSON.parse(value.toString()) as { format: number; nextTopicId: number };
      if (stored.format !== FORMAT) {
        throw new StoreError(
          'STORE_FORMAT',
          `${path} was written by another version of the embedded log (format ${stored.format}, this one reads ${FORMAT})`,
          { fatal: true },
        );
      }
      this.nextTopicId = stored.nextTopicId;
    }
    const states = new Map<string, Buffer>();
    for await (const { key, value } of this.#all('p')) states.set(key.toString('latin1'), value);
    for await (const { key, value } of this.#all('t')) {
      const name = key.toString('utf8', 1);
      const stored = JSON.parse(value.toString()) as StoredTopic;
      const topic = this.newTopic(name, stored.id, 0, stored.config);
      for (let i = 0; i < stored.partitions; i++) {
        const state = states.get(partitionKey(stored.id, i).toString('latin1'));
        topic.partitions.push(
          new Partition(topic, i, state ? decodeState(state) : { start: 0, next: 0, cleanedTo: 0, kept: 0 }),
        );
      }
      this.topics.set(name, topic);
    }
    for await (const { key, value } of this.#all('g'))
      this.positions.set(key.toString('utf8', 1), value.readDoubleLE(0));
    for await (const { key, value } of this.#all('x')) {
      this.transactionalIds.set(key.toString('utf8', 1), {
        epoch: value.readUInt32LE(0),
        open: null,
        committing: null,
      });
    }
  }

  #all(letter: string) {
    return this.db.iterator({ ...allOf(letter), capacity: 256 });
  }
}
