/**
 * The log port over Kafka (2.5 or newer). kafkajs carries the requests; what is sent, how records are read and written,
 * how a group is joined and how a transaction is run is ours: see the opening comments of the files beside this one.
 */
import type { ConnectionOptions } from 'node:tls';
import type { SASLOptions } from 'kafkajs';
import type {
  GroupConsumer,
  GroupOptions,
  Log,
  LogAdmin,
  OffsetReader,
  Producer,
  TransactionalProducer,
  TransactionOptions,
} from '../port.ts';
import { KafkaAdmin } from './admin.ts';
import type { ClusterConfig, LogHook } from './cluster.ts';
import { closedError } from './errors.ts';
import { KafkaGroupConsumer } from './group.ts';
import type { ProduceOptions } from './produce.ts';
import { KafkaProducer, KafkaTransactionalProducer } from './producer.ts';
import { KafkaReader, type ReaderOptions } from './reader.ts';

export type { LogHook, LogLevel } from './cluster.ts';

export interface KafkaLogConfig {
  /** host:port of some brokers; the others are learnt from them. */
  brokers: readonly string[];
  clientId?: string;
  /** `true`, or Node's TLS options. */
  ssl?: ConnectionOptions | boolean;
  /** As kafkajs takes it: plain, scram-sha-256, scram-sha-512, aws, oauthbearer. */
  sasl?: SASLOptions;
  /** Hears what happens: reconnects, rebalances, retries. */
  log?: LogHook;
  connectionTimeoutMs?: number;
  requestTimeoutMs?: number;
  /** How long a broker may wait for new records before it answers a fetch with nothing. */
  fetchWaitMs?: number;
  maxBytesPerPartition?: number;
  /** Upper bound of one partition's batch; topics take 1 MB unless their max.message.bytes says otherwise. */
  maxBatchBytes?: number;
  /** A send fails after this long without success. */
  deliveryTimeoutMs?: number;
}

export function kafkaLog(config: KafkaLogConfig): Log {
  return new KafkaLog(config);
}

class KafkaLog implements Log {
  private readonly cluster: ClusterConfig;
  private readonly reading: ReaderOptions;
  private readonly writing: ProduceOptions;
  /** What was handed out and is not closed yet. */
  private readonly open = new Set<{ close(): Promise<void> }>();
  private closed = false;

  constructor(config: KafkaLogConfig) {
    this.cluster = {
      brokers: config.brokers,
      clientId: config.clientId ?? 'seral',
      ssl: config.ssl,
      sasl: config.sasl,
      connectionTimeoutMs: config.connectionTimeoutMs ?? 5_000,
      requestTimeoutMs: config.requestTimeoutMs ?? 30_000,
      log: config.log ?? (() => undefined),
    };
    this.reading = {
      waitMs: config.fetchWaitMs ?? 100,
      maxBytesPerPartition: config.maxBytesPerPartition ?? 1 << 20,
    };
    this.writing = {
      maxBatchBytes: config.maxBatchBytes ?? 900_000,
      deliveryTimeoutMs: config.deliveryTimeoutMs ?? 30_000,
    };
  }

  groupConsumer(options: GroupOptions): GroupConsumer {
    return this.handOut((onClose) => {
      const consumer = new KafkaGroupConsumer(this.cluster, options, this.reading, onClose);
      return Object.assign(consumer, { close: () => consumer.stop() });
    });
  }

  transactionalProducer(options: TransactionOptions): TransactionalProducer {
    return this.handOut((onClose) => new KafkaTransactionalProducer(this.cluster, this.writing, options, onClose));
  }

  producer(): Producer {
    return this.handOut((onClose) => new KafkaProducer(this.cluster, this.writing, onClose));
  }

  reader(): OffsetReader {
    return this.handOut((onClose) => new KafkaReader(this.cluster, this.reading, onClose));
  }

  admin(): LogAdmin {
    return this.handOut((onClose) => new KafkaAdmin(this.cluster, onClose));
  }

  /** Closes what its owners have not. */
  async close(): Promise<void> {
    this.closed = true;
    await Promise.all([...this.open].map((thing) => thing.close()));
  }

  private handOut<T extends { close(): Promise<void> }>(make: (onClose: () => void) => T): T {
    if (this.closed) throw closedError('the log');
    const thing: T = make(() => this.open.delete(thing));
    this.open.add(thing);
    return thing;
  }
}
