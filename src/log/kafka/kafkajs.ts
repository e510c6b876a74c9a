/**
 * The one place that reaches into kafkajs, below its public client: its connections (TCP, TLS, SASL, request queues and
 * timeouts) and its encodings of some fifteen requests. Its consumer and producer stay unused: how they handle aborted
 * transactions, control batches, lost partitions and failed commits is what this adapter exists to do right, and their
 * record encoder is several times slower than records.ts. kafkajs has had no release since 2023, so its insides stand still.
 */
import { createRequire } from 'node:module';
import { connect as connectTcp, isIP } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import type { SASLOptions } from 'kafkajs';

const require = createRequire(import.meta.url);

export interface Encoder {
  buf: Buffer;
  offset: number;
  readonly buffer: Buffer;
  writeInt8(value: number): Encoder;
  writeInt16(value: number): Encoder;
  writeInt32(value: number): Encoder;
  writeInt64(value: number | bigint | string): Encoder;
  writeBoolean(value: boolean): Encoder;
  writeString(value: string | null): Encoder;
  writeUVarInt(value: number): Encoder;
  writeUVarIntString(value: string | null): Encoder;
  writeBuffer(value: Buffer): Encoder;
}

export interface Request {
  apiKey: number;
  apiVersion: number;
  apiName: string;
  encode(): Encoder | Promise<Encoder>;
}

/** One request as kafkajs sends it: `decode` gets the response's bytes, `parse` what decode made, and may throw. */
export interface Protocol<T> {
  request: Request;
  response: { decode(payload: Buffer): unknown; parse(decoded: any): T | Promise<T> };
  requestTimeout?: number;
  logResponseError?: boolean;
}

export interface Connection {
  connectionStatus: string;
  socket?: { destroy(): void };
  isConnected(): boolean;
  connect(): Promise<unknown>;
  disconnect(): Promise<unknown>;
  rejectRequests(error: Error): void;
}

export interface Broker {
  readonly connectionPool: {
    readonly host: string;
    readonly port: number;
    /** Two: the second is for fetches alone, so that their long polls hold nothing else up. */
    readonly pool: Connection[];
    send<T>(protocol: Protocol<T>): Promise<T>;
  };
  /** Of each API key, once it was connected. */
  readonly versions: Record<number, { minVersion: number; maxVersion: number }> | null;
  isConnected(): boolean;
  connect(): Promise<void>;
  lookupRequest(apiKey: number, definition: unknown): (args: object) => Protocol<any>;
}

export interface Connections {
  build(at: { host: string; port: number }): Promise<Broker['connectionPool']>;
}

const apiKeys = require('kafkajs/src/protocol/requests/apiKeys.js') as Record<string, number>;
const { requests } = require('kafkajs/src/protocol/requests/index.js') as { requests: Record<string, unknown> };
const EncoderClass = require('kafkajs/src/protocol/encoder.js') as new (initialSize?: number) => Encoder;
const BrokerClass = require('kafkajs/src/broker/index.js') as new (options: object) => Broker;
const connectionPoolBuilder = require('kafkajs/src/cluster/connectionPoolBuilder.js') as (
  options: object,
) => Connections;
const { createLogger } = require('kafkajs/src/loggers/index.js') as { createLogger(options: object): object };
const { errorCodes } = require('kafkajs/src/protocol/error.js') as {
  errorCodes: { type: string; code: number; retriable: boolean; message: string }[];
};
export const { MemberMetadata, MemberAssignment } = require('kafkajs/src/consumer/assignerProtocol.js') as {
  MemberMetadata: {
    encode(metadata: { version: number; topics: string[]; userData?: Buffer }): Buffer;
    decode(buffer: Buffer): { topics: string[]; userData: Buffer | null };
  };
  MemberAssignment: {
    encode(assignment: { version: number; assignment: Record<string, number[]>; userData?: Buffer }): Buffer;
    decode(buffer: Buffer): { assignment: Record<string, number[]>; userData: Buffer | null } | null;
  };
};

export const encoder = (size = 256): Encoder => new EncoderClass(size);

/** A request in the newest version that both sides speak. */
export const protocolOf = (broker: Broker, name: string, args: object): Protocol<any> =>
  broker.lookupRequest(apiKeys[name]!, requests[name])(args);

/** The same, but errors in the response are the caller's to read. */
export function rawProtocolOf(broker: Broker, name: string, args: object): Protocol<any> {
  const { response, ...rest } = protocolOf(broker, name, args);
  return { ...rest, response: { decode: response.decode, parse: (decoded) => decoded } };
}

const names = new Map(errorCodes.map(({ code, type }) => [code, type]));
// known to brokers, not to kafkajs
names
  .set(89, 'THROTTLING_QUOTA_EXCEEDED')
  .set(90, 'PRODUCER_FENCED')
  .set(105, 'TRANSACTIONAL_ID_NOT_FOUND')
  .set(120, 'TRANSACTION_ABORTABLE');

/** Kafka's name of an error code. */
export const errorName = (code: number): string => names.get(code) ?? `error ${code}`;

export interface ConnectionConfig {
  clientId: string;
  ssl?: ConnectionOptions | boolean;
  sasl?: SASLOptions;
  connectionTimeoutMs: number;
  requestTimeoutMs: number;
  debug(message: string, fields: object): void;
}

/**
 * Sockets without Nagle's delay, which costs up to 40 ms where two requests follow each other. kafkajs hears of a lost
 * connection by `end` or `error` only, and a peer that is killed can close without either.
 */
function openSocket({
  host,
  port,
  ssl,
  onConnect,
}: {
  host: string;
  port: number;
  ssl?: ConnectionOptions;
  onConnect(): void;
}) {
  const tls = { host, port, ...(isIP(host) === 0 ? { servername: host } : {}), ...ssl };
  let connected = false;
  const onOpen = () => {
    connected = true;
    onConnect();
  };
  const socket = ssl ? connectTls(tls, onOpen) : connectTcp({ host, port }, onOpen);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 60_000);
  let told = false;
  for (const event of ['end', 'error'] as const) socket.once(event, () => (told = true));
  socket.once('close', () => {
    if (told) return;
    // of one that was not connected yet, kafkajs's `connect` hears by an error only: after an end it waits for ever
    if (connected) socket.emit('end');
    else socket.emit('error', new Error('closed while it connected'));
  });
  return socket;
}

export interface Sockets {
  readonly connections: Connections;
  newBroker(pool: Broker['connectionPool'], nodeId: number | null): Broker;
}

export function sockets(config: ConnectionConfig): Sockets {
  // kafkajs logs as errors what its callers expect and retry; what matters is logged by us
  const logCreator = () => (entry: { log: { message: string } }) => {
    const { message, ...fields } = entry.log;
    config.debug(`kafkajs: ${message}`, fields);
  };
  const logger = createLogger({ level: 2, logCreator });
  return {
    connections: connectionPoolBuilder({
      logger,
      socketFactory: openSocket,
      brokers: [],
      clientId: config.clientId,
      ssl: config.ssl === true ? {} : config.ssl,
      // a copy: kafkajs keeps what it made of the password in the object that it was given
      sasl: config.sasl && { ...config.sasl },
      connectionTimeout: config.connectionTimeoutMs,
      requestTimeout: config.requestTimeoutMs,
      enforceRequestTimeout: true,
    }),
    newBroker: (connectionPool, nodeId) =>
      new BrokerClass({ connectionPool, nodeId, logger, authenticationTimeout: 10_000, allowAutoTopicCreation: false }),
  };
}
