/** The port's group consumer: a membership that says which partitions are ours, and a fetcher that brings them. */
import { LogError } from '../../errors.ts';
import { claimsOf, wishesOf } from '../claims.ts';
import type { GroupConsumer, GroupHandler, GroupOptions, TopicPartition } from '../port.ts';
import { Cluster, type ClusterConfig } from './cluster.ts';
import { asLogError, closedError } from './errors.ts';
import { Fetcher } from './fetcher.ts';
import { Membership, type Given } from './membership.ts';
import type { ReaderOptions } from './reader.ts';

const DEFAULT_SESSION_TIMEOUT_MS = 30_000;
const REBALANCE_TIMEOUT_MS = 60_000;
const HEARTBEAT_MS = 1_000;
const METADATA_MS = 5_000;

const keyOf = ({ topic, partition }: TopicPartition): string => `${partition} ${topic}`;

export class KafkaGroupConsumer implements GroupConsumer {
  private readonly options: GroupOptions;
  /** Two: a join holds its connection up for as long as the group takes. */
  private readonly cluster: Cluster;
  private readonly fetcher: Fetcher;
  private readonly membership: Membership;
  private readonly onClose: () => void;
  private handler: GroupHandler | null = null;
  private owned = new Map<string, TopicPartition>();
  private dead = false;
  private stopping: Promise<void> | null = null;

  constructor(config: ClusterConfig, options: GroupOptions, reading: ReaderOptions, onClose: () => void) {
    const own = options.clientId === undefined ? config : { ...config, clientId: options.clientId };
    const sessionTimeoutMs = options.sessionTimeoutMs ?? DEFAULT_SESSION_TIMEOUT_MS;
    this.options = options;
    this.onClose = onClose;
    this.cluster = new Cluster(own);
    this.fetcher = new Fetcher(this.cluster, {
      ...reading,
      maxBytesPerPartition: options.maxBytesPerPartition ?? reading.maxBytesPerPartition,
      feed: {
        batch: (batch) => this.handler!.batch(batch),
        failed: (error, partition) => this.failed(error, partition),
      },
    });
    this.membership = new Membership(
      new Cluster(own),
      {
        group: options.group,
        topics: options.topics,
        sessionTimeoutMs,
        rebalanceTimeoutMs: REBALANCE_TIMEOUT_MS,
        heartbeatMs: Math.min(HEARTBEAT_MS, sessionTimeoutMs / 3),
        metadataMs: METADATA_MS,
        claims: () => claimsOf(options, this.cluster.log),
        wishes: wishesOf(options),
      },
      {
        assigned: (given) => this.assigned(given),
        failed: (error) => this.crash(error),
      },
    );
  }

  async run(handler: GroupHandler): Promise<void> {
    if (this.stopping !== null) throw closedError('the consumer');
    if (this.handler !== null) throw new LogError('LOG_REFUSED', 'the consumer runs already');
    this.handler = handler;
    try {
      await this.cluster.know(this.options.topics);
      await this.membership.start();
    } catch (error) {
      this.dead = true;
      await this.stop();
      throw asLogError(error, `joining group ${this.options.group}`);
    }
  }

  start(partition: TopicPartition, position: number): void {
    // lost a moment ago: its new owner starts it
    if (this.dead || !this.owned.has(keyOf(partition))) return;
    this.fetcher.start({ topic: partition.topic, partition: partition.partition }, position);
  }

  pause(partition: TopicPartition): void {
    this.fetcher.stop(partition);
  }

  rejoin(): void {
    this.membership.rejoin();
  }

  stop(): Promise<void> {
    this.stopping ??= (async () => {
      this.dead = true;
      this.fetcher.close();
      await this.membership.stop(this.cluster);
      await this.cluster.close();
      this.onClose();
    })();
    return this.stopping;
  }

  private assigned({ partitions, unbroken, ...given }: Given): void {
    if (this.dead) return;
    const before = this.owned;
    this.owned = new Map(partitions.map((partition) => [keyOf(partition), partition]));
    const restarted: TopicPartition[] = [];
    for (const [key, partition] of before) {
      if (!this.owned.has(key)) this.fetcher.stop(partition);
      else if (!unbroken) {
        // others may have had it in between
        this.fetcher.stop(partition);
        restarted.push(partition);
      }
    }
    this.handler!.assigned({ partitions, restarted, ...given });
  }

  private failed(error: LogError, { topic, partition }: TopicPartition): void {
    const { handler, dead } = this;
    if (error.code !== 'OFFSET_OUT_OF_RANGE' || handler?.outOfRange === undefined) this.crash(error);
    else if (!dead) handler.outOfRange({ topic, partition }, error);
  }

  private crash(error: LogError): void {
    if (this.dead) return;
    this.dead = true;
    this.handler!.crashed(error);
    void this.stop();
  }
}
