/**
 * The brokers, who leads which partition, and who coordinates which group or transactional id. It differs from kafkajs's
 * own cluster where that one fails: one missing topic does not spoil the metadata of the others, coordinators are
 * remembered (kafkajs asks before each request), and no two callers open the same connection twice.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { LogError, messageOf } from '../../errors.ts';
import { asLogError, closedError, isConnectionError, refused, refusedByCode } from './errors.ts';
import {
  encoder,
  protocolOf,
  rawProtocolOf,
  sockets,
  type Broker,
  type Connection,
  type ConnectionConfig,
  type Protocol,
  type Sockets,
} from './kafkajs.ts';
import { REQUIRED } from './wire.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogHook = (level: LogLevel, message: string, fields: object) => void;

export interface ClusterConfig extends Omit<ConnectionConfig, 'debug'> {
  brokers: readonly string[];
  log: LogHook;
}

interface Metadata {
  brokers: { nodeId: number; host: string; port: number }[];
  controllerId: number;
  topicMetadata: {
    topicErrorCode: number;
    topic: string;
    isInternal: boolean;
    partitionMetadata: {
      partitionErrorCode: number;
      partitionId: number;
      leader: number;
      replicas: number[];
      isr: number[];
    }[];
  }[];
}

export type TopicMetadata = Metadata['topicMetadata'][number];

/** Kafka's error codes. */
const UNKNOWN_TOPIC = 3;
const INVALID_TOPIC = 17;
const NOT_AUTHORIZED = 29;
/** Kafka's API key, of the requests that have a connection of their own. */
const FETCH = 1;

export type CoordinatorKind = 'group' | 'transaction';

export class Cluster {
  readonly log: LogHook;
  private readonly config: ClusterConfig;
  private readonly sockets: Sockets;
  private readonly seeds: Broker[] = [];
  private readonly nodes = new Map<number, Broker>();
  /** The leader of each partition of a topic; -1 where there is none now. */
  private readonly leaders = new Map<string, number[]>();
  private readonly coordinators = new Map<string, number>();
  private readonly connecting = new Map<Connection, Promise<unknown>>();
  private controllerId = -1;
  private refreshing: Promise<void> | null = null;
  private seeding: Promise<void> | null = null;
  private isClosed = false;

  constructor(config: ClusterConfig) {
    this.config = config;
    this.log = config.log;
    this.sockets = sockets({ ...config, debug: (message, fields) => config.log('debug', message, fields) });
  }

  get closed(): boolean {
    return this.isClosed;
  }

  /** Sends a request, over a connection that is opened where there is none. */
  async send<T>(broker: Broker, protocol: Protocol<T>): Promise<T> {
    if (this.isClosed) throw closedError('the connection to Kafka');
    const { pool } = broker.connectionPool;
    const connection = pool[protocol.request.apiKey === FETCH ? 1 : 0]!;
    if (!connection.isConnected()) await this.open(connection);
    try {
      return await broker.connectionPool.send(protocol);
    } catch (error) {
      // a broker that does not answer keeps its connection, and each later request would wait in turn
      if ((error as Error).name === 'KafkaJSRequestTimeoutError') await hangUp(connection, error as Error);
      throw error;
    }
  }

  /** `send` of one of kafkajs's requests; `raw` leaves errors in the response to the caller. */
  async call(broker: Broker, name: string, args: object, raw = false): Promise<any> {
    return this.send(broker, raw ? rawProtocolOf(broker, name, args) : protocolOf(broker, name, args));
  }

  /** Any broker: a connected one, else one that can be connected, the seeds last. */
  async any(): Promise<Broker> {
    const known = [...this.nodes.values()];
    const connected = known.filter((broker) => broker.isConnected());
    if (connected.length > 0) return connected[Math.floor(Math.random() * connected.length)]!;
    await this.addSeeds();
    let last: unknown;
    for (const broker of [...known, ...this.seeds]) {
      try {
        return await this.connected(broker);
      } catch (error) {
        last = error;
      }
    }
    throw asLogError(last, `connecting to ${this.config.brokers.join(', ')}`);
  }

  async node(id: number): Promise<Broker> {
    if (!this.nodes.has(id)) await this.refresh();
    const broker = this.nodes.get(id);
    if (broker === undefined) throw new LogError('LOG_UNAVAILABLE', `broker ${id} is not there`, { retriable: true });
    return this.connected(broker);
  }

  /** The leader of a partition as last heard; null where there is none or it is not known. */
  leader(topic: string, partition: number): number | null {
    const leader = this.leaders.get(topic)?.[partition] ?? -1;
    return leader < 0 ? null : leader;
  }

  /** How many partitions a topic has, as last heard; undefined where it was never asked for. */
  partitionsOf(topic: string): number | undefined {
    return this.leaders.get(topic)?.length;
  }

  /** Learns of topics that are not known yet. A topic that was just made may be unknown to some brokers for a moment. */
  async know(topics: Iterable<string>): Promise<void> {
    let missing = [...new Set(topics)].filter((topic) => !this.leaders.has(topic));
    for (let attempt = 0; missing.length > 0; attempt++) {
      await this.learn(missing);
      missing = missing.filter((topic) => !this.leaders.has(topic));
      if (missing.length === 0) return;
      if (attempt === 4) throw refusedByCode(UNKNOWN_TOPIC, `looking for topic ${missing.join(', ')}`);
      await sleep(30 * 2 ** attempt);
    }
  }

  /** Learns anew of every topic that is in use. Callers at the same time share one request. */
  async refresh(): Promise<void> {
    this.refreshing ??= this.learn([...this.leaders.keys()]).finally(() => (this.refreshing = null));
    return this.refreshing;
  }

  /** The metadata of topics, as the brokers tell it (null: all). */
  async describe(topics: readonly string[] | null): Promise<TopicMetadata[]> {
    return (await this.metadata(topics)).topicMetadata;
  }

  /** The brokers that are alive, as one of them tells it. */
  async members(): Promise<Metadata['brokers']> {
    return (await this.metadata([])).brokers;
  }

  async controller(): Promise<Broker> {
    await this.metadata([]);
    return this.nodes.has(this.controllerId) ? this.node(this.controllerId) : this.any();
  }

  async coordinator(kind: CoordinatorKind, key: string): Promise<Broker> {
    const name = `${kind} ${key}`;
    const remembered = this.coordinators.get(name);
    if (remembered !== undefined) return this.node(remembered);
    const args = { groupId: key, coordinatorType: kind === 'group' ? 0 : 1 };
    const { coordinator } = await this.call(await this.any(), 'GroupCoordinator', args);
    const broker = await this.node(coordinator.nodeId);
    this.coordinators.set(name, coordinator.nodeId);
    return broker;
  }

  forgetCoordinator(kind: CoordinatorKind, key: string): void {
    this.coordinators.delete(`${kind} ${key}`);
  }

  /** Ends every connection; whatever still waits fails with LOG_CLOSED. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    const connections = [...this.nodes.values(), ...this.seeds].flatMap((broker) => broker.connectionPool.pool);
    await Promise.all(connections.map((connection) => hangUp(connection, closedError('the connection to Kafka'))));
    // one that was being opened meanwhile
    await Promise.allSettled(
      [...this.connecting].map(async ([connection, opening]) => {
        await opening;
        await hangUp(connection, closedError('the connection to Kafka'));
      }),
    );
  }

  private async learn(topics: string[]): Promise<void> {
    const { topicMetadata } = await this.metadata(topics);
    for (const { topic, topicErrorCode, partitionMetadata } of topicMetadata) {
      if (topicErrorCode === UNKNOWN_TOPIC || topicErrorCode === INVALID_TOPIC) {
        this.leaders.delete(topic);
      } else if (topicErrorCode === NOT_AUTHORIZED) {
        throw refusedByCode(topicErrorCode, `looking for topic ${topic}`);
      } else if (partitionMetadata.length > 0) {
        const leaders: number[] = [];
        for (const { partitionId, leader } of partitionMetadata) leaders[partitionId] = leader;
        this.leaders.set(topic, leaders);
      }
    }
  }

  private async metadata(topics: readonly string[] | null): Promise<Metadata> {
    const metadata = await this.sendToAny(metadataProtocol(topics));
    this.controllerId = metadata.controllerId;
    const alive = new Set(metadata.brokers.map((broker) => broker.nodeId));
    const isAt = (broker: Broker | undefined, host: string, port: number): boolean =>
      broker?.connectionPool.host === host && broker.connectionPool.port === port;
    for (const { nodeId, host, port } of metadata.brokers) {
      if (isAt(this.nodes.get(nodeId), host, port)) continue;
      // a seed is mostly one of the brokers, and connected already
      const seed = this.seeds.find((broker) => isAt(broker, host, port));
      const broker = seed ?? this.sockets.newBroker(await this.sockets.connections.build({ host, port }), nodeId);
      // another answer may have come meanwhile
      if (isAt(this.nodes.get(nodeId), host, port)) continue;
      this.dropNode(nodeId);
      this.nodes.set(nodeId, broker);
    }
    for (const nodeId of this.nodes.keys()) if (!alive.has(nodeId)) this.dropNode(nodeId);
    return metadata;
  }

  /** A connected broker may be one that has just died, so another one is tried. */
  private async sendToAny<T>(protocol: (broker: Broker) => Protocol<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      const broker = await this.any();
      try {
        return await this.send(broker, protocol(broker));
      } catch (error) {
        if (attempt === 3 || !isConnectionError(error)) throw error;
      }
    }
  }

  private dropNode(nodeId: number): void {
    const pool = this.nodes.get(nodeId)?.connectionPool.pool ?? [];
    this.nodes.delete(nodeId);
    for (const connection of pool) void hangUp(connection, refused('NETWORK_EXCEPTION', `asking broker ${nodeId}`));
  }

  private addSeeds(): Promise<void> {
    return (this.seeding ??= this.makeSeeds());
  }

  private async makeSeeds(): Promise<void> {
    for (const address of this.config.brokers) {
      const colon = address.lastIndexOf(':');
      const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
      const at = { host, port: Number(address.slice(colon + 1)) };
      this.seeds.push(this.sockets.newBroker(await this.sockets.connections.build(at), null));
    }
  }

  /** The broker, connected and introduced (API versions, authentication). */
  private async connected(broker: Broker): Promise<Broker> {
    if (this.isClosed) throw closedError('the connection to Kafka');
    const [connection] = broker.connectionPool.pool as [Connection];
    // while the introduction is under way the broker already calls itself connected
    const opening = this.connecting.get(connection);
    if (opening !== undefined) await opening;
    else if (!broker.isConnected()) await this.open(connection, () => introduce(broker, connection));
    return broker;
  }

  /** Opens a connection; two callers at once would each open a socket, and one would leak. */
  private open(connection: Connection, connect: () => Promise<unknown> = () => connection.connect()): Promise<unknown> {
    let opening = this.connecting.get(connection);
    if (opening === undefined) {
      opening = connect().finally(() => this.connecting.delete(connection));
      this.connecting.set(connection, opening);
    }
    return opening;
  }
}

/** kafkajs's `disconnect` waits for what is under way, which for a join is a minute. */
async function hangUp(connection: Connection, error: Error): Promise<void> {
  connection.rejectRequests(error);
  await connection.disconnect();
  connection.socket?.destroy();
}

/** One that fails halfway would be left connected and never introduced. */
async function introduce(broker: Broker, connection: Connection): Promise<void> {
  try {
    await broker.connect();
    for (const { apiKey, version, name } of REQUIRED) {
      const { minVersion, maxVersion } = broker.versions?.[apiKey] ?? { minVersion: 0, maxVersion: -1 };
      if (version >= minVersion && version <= maxVersion) continue;
      const has = `version ${version} of ${name} is needed, it has ${minVersion} to ${maxVersion}`;
      throw new LogError('LOG_REFUSED', `the broker is of a Kafka that is not supported: ${has}`, { fatal: true });
    }
  } catch (error) {
    await hangUp(connection, error as Error);
    throw error;
  }
}

const metadataProtocol =
  (topics: readonly string[] | null) =>
  (broker: Broker): Protocol<Metadata> => {
    // kafkajs asks for all topics where it means none
    const encode = () => {
      const request = encoder().writeInt32(topics === null ? -1 : topics.length);
      for (const topic of topics ?? []) request.writeString(topic);
      return request.writeBoolean(false);
    };
    const protocol = rawProtocolOf(broker, 'Metadata', { topics: [] });
    return { ...protocol, request: { ...protocol.request, encode } };
  };

/** Repeats what may pass by itself until it works or `withinMs` are over; the waits grow from `firstMs`. */
export async function persist<T>(
  attempt: () => Promise<T>,
  options: {
    passing(error: unknown): boolean;
    withinMs: number;
    firstMs: number;
    maxMs: number;
    log(error: unknown): void;
  },
): Promise<T> {
  const deadline = Date.now() + options.withinMs;
  for (let wait = options.firstMs; ; wait = Math.min(wait * 2, options.maxMs)) {
    try {
      return await attempt();
    } catch (error) {
      if (!options.passing(error) || Date.now() + wait > deadline) throw error;
      options.log(messageOf(error));
      await sleep(wait);
    }
  }
}
