/**
 * Requests of administration that kafkajs lacks: what transactions there are (KIP-664), and what time it is at the
 * controller. Brokers have them since Kafka 3.0, the clock since 3.3; whoever lacks one is told so, and only by what needs
 * it. All are flexible versions: an empty header field first, compact arrays, tagged fields last.
 */
import { LogError } from '../../errors.ts';
import type { OpenTransaction, TopicPartition, TransactionPhase } from '../port.ts';
import { encoder, type Broker, type Encoder, type Protocol } from './kafkajs.ts';
import { byTopic, Cursor } from './wire.ts';

function flexible<T>(
  request: { apiKey: number; apiVersion: number; apiName: string },
  body: (encoder: Encoder) => void,
  decode: (cursor: Cursor) => T,
): Protocol<T> {
  return {
    request: {
      ...request,
      encode: () => {
        const encoded = encoder().writeUVarInt(0);
        body(encoded);
        return encoded.writeUVarInt(0);
      },
    },
    response: {
      decode: (payload) => {
        const cursor = new Cursor(payload);
        cursor.taggedFields();
        return decode(cursor);
      },
      parse: (decoded) => decoded,
    },
    logResponseError: false,
  };
}

/** The protocol, where the broker speaks it. */
export function spoken<T>(broker: Broker, protocol: Protocol<T>): Protocol<T> {
  const { apiKey, apiVersion, apiName } = protocol.request;
  const { minVersion, maxVersion } = broker.versions?.[apiKey] ?? { minVersion: 0, maxVersion: -1 };
  if (apiVersion >= minVersion && apiVersion <= maxVersion) return protocol;
  throw new LogError('LOG_UNSUPPORTED', `the broker has no version ${apiVersion} of ${apiName}: its Kafka is too old`);
}

/** Writes an array, each item closed by its tagged fields. */
function writeItems<T>(encoded: Encoder, items: readonly T[], write: (item: T) => void): void {
  encoded.writeUVarInt(items.length + 1);
  for (const item of items) {
    write(item);
    encoded.writeUVarInt(0);
  }
}

function writeTopics(encoded: Encoder, partitions: readonly TopicPartition[]): void {
  writeItems(encoded, byTopic(partitions), ([topic, list]) => {
    encoded.writeUVarIntString(topic).writeUVarInt(list.length + 1);
    for (const { partition } of list) encoded.writeInt32(partition);
  });
}

/** Reads an array, each item closed by its tagged fields. */
const readItems = <T>(cursor: Cursor, read: () => T): T[] =>
  cursor.compactArray(() => {
    const item = read();
    cursor.taggedFields();
    return item;
  });

const readTopics = (cursor: Cursor): TopicPartition[] =>
  readItems(cursor, () => {
    const topic = cursor.compactString()!;
    return cursor.compactArray(() => ({ topic, partition: cursor.i32() }));
  }).flat();

// ---- ListTransactions v0: the ids that one broker coordinates ----

export interface ListedTransactions {
  errorCode: number;
  transactions: { transactionalId: string; producerId: number; phase: TransactionPhase }[];
}

export const listTransactionsProtocol = (): Protocol<ListedTransactions> =>
  flexible(
    { apiKey: 66, apiVersion: 0, apiName: 'ListTransactions' },
    // neither by state nor by producer
    (encoded) => encoded.writeUVarInt(1).writeUVarInt(1),
    (cursor) => {
      cursor.i32();
      const errorCode = cursor.i16();
      // states that were asked for and are unknown
      cursor.compactArray(() => cursor.compactString());
      const transactions = readItems(cursor, () => ({
        transactionalId: cursor.compactString()!,
        producerId: cursor.i64(),
        phase: cursor.compactString() as TransactionPhase,
      }));
      return { errorCode, transactions };
    },
  );

// ---- DescribeTransactions v0, to an id's coordinator ----

export interface DescribedTransaction {
  errorCode: number;
  transactionalId: string;
  phase: TransactionPhase;
  timeoutMs: number;
  /** -1 where none is open */
  startedAt: number;
  producerId: number;
  epoch: number;
  partitions: TopicPartition[];
}

export const describeTransactionProtocol = (transactionalId: string): Protocol<DescribedTransaction[]> =>
  flexible(
    { apiKey: 65, apiVersion: 0, apiName: 'DescribeTransactions' },
    (encoded) => encoded.writeUVarInt(2).writeUVarIntString(transactionalId),
    (cursor) => {
      cursor.i32();
      return readItems(cursor, () => ({
        errorCode: cursor.i16(),
        transactionalId: cursor.compactString()!,
        phase: cursor.compactString() as TransactionPhase,
        timeoutMs: cursor.i32(),
        startedAt: cursor.i64(),
        producerId: cursor.i64(),
        epoch: cursor.i16(),
        partitions: readTopics(cursor),
      }));
    },
  );

// ---- DescribeProducers v0, to the partitions' leader ----

export interface PartitionProducers extends TopicPartition {
  errorCode: number;
  /** those that have a transaction open */
  open: OpenTransaction[];
}

export const describeProducersProtocol = (partitions: readonly TopicPartition[]): Protocol<PartitionProducers[]> =>
  flexible(
    { apiKey: 61, apiVersion: 0, apiName: 'DescribeProducers' },
    (encoded) => writeTopics(encoded, partitions),
    (cursor) => {
      cursor.i32();
      return readItems(cursor, () => {
        const topic = cursor.compactString()!;
        return readItems(cursor, () => {
          const partition = cursor.i32();
          const errorCode = cursor.i16();
          cursor.compactString();
          const producers = readItems(cursor, () => readProducer(cursor, { topic, partition }));
          return { topic, partition, errorCode, open: producers.filter(({ from }) => from >= 0) };
        });
      }).flat();
    },
  );

function readProducer(cursor: Cursor, at: TopicPartition): OpenTransaction {
  const producerId = cursor.i64();
  const epoch = cursor.i32();
  // the last sequence number
  cursor.i32();
  const lastAt = cursor.i64();
  return {
    ...at,
    producerId,
    epoch,
    lastAt: lastAt < 0 ? null : lastAt,
    coordinatorEpoch: cursor.i32(),
    from: cursor.i64(),
  };
}

// ---- WriteTxnMarkers v1, to a partition's leader: what a coordinator sends, here in its place ----

export const abortMarkerProtocol = (open: OpenTransaction): Protocol<{ errorCode: number }> =>
  flexible(
    { apiKey: 27, apiVersion: 1, apiName: 'WriteTxnMarkers' },
    (encoded) =>
      writeItems(encoded, [open], () => {
        encoded.writeInt64(open.producerId!).writeInt16(open.epoch).writeBoolean(false);
        writeTopics(encoded, [open]);
        // where no marker was ever written the leader takes any
        encoded.writeInt32(Math.max(open.coordinatorEpoch, 0));
      }),
    (cursor) => {
      const codes = readItems(cursor, () => {
        cursor.i64();
        return readItems(cursor, () => {
          cursor.compactString();
          return readItems(cursor, () => {
            cursor.i32();
            return cursor.i16();
          });
        });
      }).flat(2);
      return { errorCode: codes[0] ?? 0 };
    },
  );

// ---- DescribeQuorum v1: of itself the leader of the controllers says that it is up to date *now*, by its clock ----

export interface Quorum {
  errorCode: number;
  /** the clock; null where the leader does not stand among the voters */
  leaderTime: number | null;
}

const METADATA_TOPIC = { topic: '__cluster_metadata', partition: 0 };

export const quorumProtocol = (): Protocol<Quorum> =>
  flexible(
    { apiKey: 55, apiVersion: 1, apiName: 'DescribeQuorum' },
    (encoded) =>
      writeItems(encoded, [METADATA_TOPIC], ({ topic, partition }) => {
        encoded.writeUVarIntString(topic);
        writeItems(encoded, [partition], () => encoded.writeInt32(partition));
      }),
    (cursor) => {
      const errorCode = cursor.i16();
      const replica = () => {
        const id = cursor.i32();
        cursor.i64();
        cursor.i64();
        return { id, caughtUpAt: cursor.i64() };
      };
      const partitions = readItems(cursor, () => {
        cursor.compactString();
        return readItems(cursor, () => {
          cursor.i32();
          const failed = cursor.i16();
          const leader = cursor.i32();
          cursor.i32();
          cursor.i64();
          const voters = readItems(cursor, replica);
          readItems(cursor, replica);
          return { failed, at: voters.find(({ id }) => id === leader)?.caughtUpAt ?? -1 };
        });
      }).flat();
      const [first] = partitions;
      const at = first === undefined || first.failed !== 0 ? -1 : first.at;
      return { errorCode: errorCode || (first?.failed ?? 0), leaderTime: at < 0 ? null : at };
    },
  );
