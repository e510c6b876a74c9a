/** The port's two producers. Each has connections of its own, and does one thing at a time. */
import { setTimeout as sleep } from 'node:timers/promises';
import { LogError, messageOf } from '../../errors.ts';
import type {
  CommitResult,
  OutRecord,
  Producer,
  SourceOffsets,
  TopicPartition,
  TransactionalProducer,
  TransactionOptions,
} from '../port.ts';
import { Cluster, persist, type ClusterConfig, type CoordinatorKind } from './cluster.ts';
import {
  asLogError,
  closedError,
  hasName,
  isConnectionError,
  isCoordinatorPassing,
  isPassing,
  KafkaError,
} from './errors.ts';
import type { Broker } from './kafkajs.ts';
import { RecordSender, type ProduceOptions } from './produce.ts';
import { byTopic } from './wire.ts';

const OPEN_WITHIN_MS = 60_000;
const COORDINATOR_WITHIN_MS = 30_000;
/** A transaction's markers take a few milliseconds, and the next one waits for them: kafkajs would ask after 300. */
const FIRST_WAIT_MS = 1;
const CLOSE_WITHIN_MS = 2_000;
const DEFAULT_TRANSACTION_TIMEOUT_MS = 60_000;
const OPERATION_NOT_ATTEMPTED = 55;

interface ProducerId {
  producerId: bigint;
  producerEpoch: number;
}

/** One call after the other. */
class Queue {
  private last: Promise<unknown> = Promise.resolve();
  private waiting = 0;

  get idle(): boolean {
    return this.waiting === 0;
  }

  run<T>(task: () => Promise<T>): Promise<T> {
    this.waiting++;
    const result = this.last.then(task).finally(() => this.waiting--);
    this.last = result.catch(() => undefined);
    return result;
  }
}

/** Of a transactional id: fences every older producer of it, and ends what it left open. */
export async function initProducerId(
  cluster: Cluster,
  transactionalId: string | null,
  transactionTimeout: number,
): Promise<ProducerId> {
  const attempt = async (): Promise<ProducerId> => {
    const broker =
      transactionalId === null ? await cluster.any() : await cluster.coordinator('transaction', transactionalId);
    try {
      const { producerId, producerEpoch } = await cluster.call(broker, 'InitProducerId', {
        transactionalId,
        transactionTimeout,
      });
      return { producerId: BigInt(producerId), producerEpoch };
    } catch (error) {
      if (transactionalId !== null && !hasName(error, 'CONCURRENT_TRANSACTIONS'))
        cluster.forgetCoordinator('transaction', transactionalId);
      throw error;
    }
  };
  return persist(attempt, {
    passing: (error) => !cluster.closed && (isPassing(error) || isConnectionError(error)),
    withinMs: OPEN_WITHIN_MS,
    firstMs: FIRST_WAIT_MS,
    maxMs: 200,
    log: (error) => cluster.log('debug', 'a producer id is asked for again', { transactionalId, error }),
  });
}

/** Without transactions. After an error it starts over with a new producer id. */
export class KafkaProducer implements Producer {
  private readonly cluster: Cluster;
  private readonly options: ProduceOptions;
  private readonly onClose: () => void;
  private readonly queue = new Queue();
  private sender: RecordSender | null = null;

  constructor(config: ClusterConfig, options: ProduceOptions, onClose: () => void) {
    this.cluster = new Cluster(config);
    this.options = options;
    this.onClose = onClose;
  }

  open(): Promise<void> {
    return this.queue.run(async () => void (await this.ready()));
  }

  send(records: readonly OutRecord[]): Promise<void> {
    return this.queue.run(async () => {
      if (records.length === 0) return;
      const sender = await this.ready();
      try {
        await sender.send(await sender.prepare(records));
      } catch (error) {
        this.sender = null;
        throw asLogError(error, 'writing');
      }
    });
  }

  async close(): Promise<void> {
    if (this.cluster.closed) return;
    await this.cluster.close();
    this.onClose();
  }

  private async ready(): Promise<RecordSender> {
    if (this.cluster.closed) throw closedError('the producer');
    if (this.sender !== null) return this.sender;
    try {
      const id = await initProducerId(this.cluster, null, DEFAULT_TRANSACTION_TIMEOUT_MS);
      return (this.sender = new RecordSender(this.cluster, this.options, null, id));
    } catch (error) {
      throw asLogError(error, 'opening a producer');
    }
  }
}

/**
 * With transactions. Its states: new → (open) → ready ⇄ in a transaction; from each of them to dead by any error, and to
 * closed. The brokers hold a transaction open from the first partition that is added to it; EndTxn ends it.
 *
 * A request to a coordinator is sent again only when an answer said that it did not take effect. After a lost
 * connection it might still arrive, perhaps in the middle of a later transaction (KIP-890), so then the producer dies:
 * the next one's `open` raises the epoch, which makes whatever is still under way void, and settles the transaction.
 */
export class KafkaTransactionalProducer implements TransactionalProducer {
  private readonly cluster: Cluster;
  private readonly options: ProduceOptions;
  private readonly transactionalId: string;
  private readonly timeoutMs: number;
  private readonly onClose: () => void;
  private readonly queue = new Queue();
  private state: 'new' | 'ready' | 'dead' | 'closed' = 'new';
  private id: ProducerId = { producerId: -1n, producerEpoch: -1 };
  private sender: RecordSender | null = null;
  /** The partitions in the current transaction, with the position behind what was written to each. */
  private readonly written = new Map<string, TopicPartition & { position: number }>();
  private hasOffsets = false;
  private death: LogError | null = null;

  constructor(
    config: ClusterConfig,
    options: ProduceOptions,
    { transactionalId, timeoutMs }: TransactionOptions,
    onClose: () => void,
  ) {
    this.cluster = new Cluster(config);
    this.options = options;
    this.transactionalId = transactionalId;
    this.timeoutMs = timeoutMs ?? DEFAULT_TRANSACTION_TIMEOUT_MS;
    this.onClose = onClose;
  }

  open(): Promise<void> {
    return this.step('opening', ['new'], async () => {
      this.id = await initProducerId(this.cluster, this.transactionalId, this.timeoutMs);
      this.sender = new RecordSender(this.cluster, this.options, this.transactionalId, this.id);
      this.state = 'ready';
    });
  }

  send(records: readonly OutRecord[]): Promise<void> {
    return this.step('writing', ['ready'], async () => {
      if (records.length === 0) return;
      const lanes = await this.sender!.prepare(records);
      await this.addPartitions(lanes);
      for (const { topic, partition, position } of await this.sender!.send(lanes)) {
        this.written.get(`${partition} ${topic}`)!.position = position;
      }
    });
  }

  commit(offsets: SourceOffsets | null): Promise<CommitResult> {
    return this.step('committing', ['ready'], async () => {
      if (offsets !== null && offsets.positions.length > 0) await this.addOffsets(offsets);
      const written = [...this.written.values()];
      await this.end(true);
      return { written };
    });
  }

  abort(): Promise<void> {
    return this.step('aborting', ['ready'], () => this.end(false));
  }

  async close(): Promise<void> {
    if (this.state === 'closed') return;
    // what is open would else hold readers back until the id is opened again or its time is over
    const aborting =
      this.state === 'ready' && this.isOpen && this.queue.idle ? this.abort().catch(() => undefined) : null;
    const timer = new AbortController();
    if (aborting !== null) {
      await Promise.race([
        aborting,
        sleep(CLOSE_WITHIN_MS, undefined, { signal: timer.signal }).catch(() => undefined),
      ]);
    }
    timer.abort();
    this.state = 'closed';
    await this.cluster.close();
    this.onClose();
  }

  private get isOpen(): boolean {
    return this.written.size > 0 || this.hasOffsets;
  }

  /** One call: in turn, in the right state, and the end of the producer if it fails. */
  private step<T>(doing: string, states: (typeof this.state)[], work: () => Promise<T>): Promise<T> {
    const what = `${doing} as ${this.transactionalId}`;
    return this.queue.run(async () => {
      if (this.state === 'closed') throw closedError(`the producer ${this.transactionalId}`);
      // what killed it is told to every later call: one that was fenced stays fenced
      if (this.death !== null) {
        const { code, retriable, fenced, fatal, message } = this.death;
        throw new LogError(code, `${what}, after ${message}`, { retriable, fenced, fatal, cause: this.death });
      }
      if (!states.includes(this.state)) {
        throw new LogError('TRANSACTION_FAILED', `${what}: the producer is ${this.state}`);
      }
      try {
        return await work();
      } catch (error) {
        this.death = asLogError(error, what);
        this.died();
        throw this.death;
      }
    });
  }

  private died(): void {
    if (this.state !== 'closed') this.state = 'dead';
  }

  private async addPartitions(partitions: readonly TopicPartition[]): Promise<void> {
    const fresh = partitions.filter(({ topic, partition }) => !this.written.has(`${partition} ${topic}`));
    if (fresh.length === 0) return;
    // known before the broker is asked: if that fails halfway, some may be in the transaction
    for (const { topic, partition } of fresh)
      this.written.set(`${partition} ${topic}`, { topic, partition, position: -1 });
    const topics = byTopic(fresh).map(([topic, list]) => ({
      topic,
      partitions: list.map(({ partition }) => partition),
    }));
    await this.ask('transaction', this.transactionalId, 'AddPartitionsToTxn', { topics });
  }

  private async addOffsets({ group, positions }: SourceOffsets): Promise<void> {
    this.hasOffsets = true;
    await this.ask('transaction', this.transactionalId, 'AddOffsetsToTxn', { groupId: group });
    const topics = byTopic(positions).map(([topic, list]) => ({
      topic,
      partitions: list.map(({ partition, position }) => ({ partition, offset: position, metadata: '' })),
    }));
    await this.ask('group', group, 'TxnOffsetCommit', { groupId: group, topics });
  }

  private async end(commit: boolean): Promise<void> {
    if (!this.isOpen) return;
    await this.ask('transaction', this.transactionalId, 'EndTxn', { transactionResult: commit });
    this.written.clear();
    this.hasOffsets = false;
  }

  /** A request to a coordinator, repeated while that one moves, loads, or still ends the last transaction. */
  private async ask(kind: CoordinatorKind, key: string, name: string, args: object): Promise<void> {
    const whole = { transactionalId: this.transactionalId, ...this.id, ...args };
    const attempt = async (): Promise<void> => {
      let broker: Broker;
      try {
        broker = await this.cluster.coordinator(kind, key);
      } catch (error) {
        this.cluster.forgetCoordinator(kind, key);
        throw isConnectionError(error) ? new NotSent(error) : error;
      }
      const code = errorCodeOf(await this.cluster.call(broker, name, whole, true));
      if (code === 0) return;
      const error = new KafkaError(code);
      if (isCoordinatorPassing(error) && !hasName(error, 'CONCURRENT_TRANSACTIONS')) {
        this.cluster.forgetCoordinator(kind, key);
      }
      throw error;
    };
    await persist(attempt, {
      passing: (error) => this.state === 'ready' && (error instanceof NotSent || isCoordinatorPassing(error)),
      withinMs: COORDINATOR_WITHIN_MS,
      firstMs: FIRST_WAIT_MS,
      maxMs: 200,
      log: (error) =>
        this.cluster.log('debug', `${name} is tried again`, { transactionalId: this.transactionalId, error }),
    });
  }
}

/** No coordinator could be asked, so nothing is under way. */
class NotSent extends LogError {
  constructor(cause: unknown) {
    super('LOG_UNAVAILABLE', `no coordinator can be reached: ${messageOf(cause)}`, { retriable: true, cause });
  }
}

interface CoordinatorAnswer {
  errorCode?: number;
  /** of AddPartitionsToTxn */
  errors?: { partitionErrors: { errorCode: number }[] }[];
  /** of TxnOffsetCommit */
  topics?: { partitions: { errorCode: number }[] }[];
}

/** The first error of an answer that has one a partition; "not attempted" only says that another partition has one. */
function errorCodeOf({ errorCode = 0, errors = [], topics = [] }: CoordinatorAnswer): number {
  const codes = [
    errorCode,
    ...errors.flatMap(({ partitionErrors }) => partitionErrors.map((p) => p.errorCode)),
    ...topics.flatMap(({ partitions }) => partitions.map((p) => p.errorCode)),
  ].filter((code) => code !== 0);
  return codes.find((code) => code !== OPERATION_NOT_ATTEMPTED) ?? codes[0] ?? 0;
}
