/**
 * The log port: all that the runtime and the commands know of a log. `kafka/` and `embedded/` implement it, and
 * test/log/contract.ts holds both to the same promises.
 *
 * Offsets are numbers (exact to 2^53). A *position* is the offset to be read next. Everything read through this port
 * is read at read_committed: records of aborted or open transactions are never delivered.
 * Every failure is a `LogError` (src/errors.ts) whose flags say what to do; nothing is decided on message text.
 */

export interface TopicPartition {
  topic: string;
  partition: number;
}

export type Headers = Record<string, Buffer>;

/** A record as read. */
export interface LogRecord {
  offset: number;
  /** milliseconds since the epoch, as the producer or the broker set it */
  timestamp: number;
  key: Buffer | null;
  value: Buffer | null;
  headers?: Headers;
}

/** A record to be written. Without `partition`, the key's murmur2 hash picks it (a null key goes to partition 0). */
export interface OutRecord {
  topic: string;
  partition?: number;
  key: Buffer | null;
  value: Buffer | null;
  timestamp?: number;
  headers?: Headers;
}

/** Consecutive committed records of one partition; `records` may be empty where only markers or holes were passed. */
export interface RecordBatch extends TopicPartition {
  records: LogRecord[];
  /** the position after this batch: past transaction markers and compacted holes too */
  position: number;
  /** where read_committed ends now (the last stable offset): lag = end - position */
  end: number;
}

/** That a member has the state of a partition number at hand, and how current it is. */
export interface Claim {
  partition: number;
  /** records of the state's changelog that are still to be read, of so many */
  behind: number;
  of: number;
}

export interface GroupAssignment {
  partitions: TopicPartition[];
  /** those of them that we had before, and that others may have had in between */
  restarted: TopicPartition[];
  generation: number;
  /** partition numbers whose state this member keeps current though another has the partition */
  standbys: number[];
  /** those of them that move here once they are warm, which `GroupConsumer.rejoin` says */
  warming: number[];
}

/** What a group consumer tells its owner. */
export interface GroupHandler {
  /**
   * The whole new assignment after each (re)join. Partitions start paused: nothing is delivered for one until
   * `GroupConsumer.start` names its position. Partitions that were assigned before and still are go on, all through a
   * rebalance too, unless the adapter's protocol drops their position, which it then says in `restarted`. One that moves
   * may come to its old owner until that one hears of it: whoever writes what he reads is to be fenced by the next owner.
   */
  assigned(assignment: GroupAssignment): void;
  /** One batch; the next one of the same partition waits until this promise resolves (that is the backpressure). */
  batch(batch: RecordBatch): Promise<void>;
  /**
   * What a partition was to go on with is no longer kept, or was never written: it is paused, and the others go on.
   * Without this, the consumer dies of it.
   */
  outOfRange?(partition: TopicPartition, error: Error): void;
  /** The consumer has died and will deliver nothing more. */
  crashed(error: Error): void;
}

/**
 * Partitions of the same number go to the same member, whatever their topic (a task is one partition of co-partitioned
 * sources), and where balance allows it to the member that has its state (src/log/assignment.ts).
 */
export interface GroupConsumer {
  /** Joins the group; resolves when the first assignment was handed over. */
  run(handler: GroupHandler): Promise<void>;
  /** Delivers (again) from `position` on. The position need not be a record's: a hole is passed. */
  start(partition: TopicPartition, position: number): void;
  /** Stops delivery of a partition until `start`. */
  pause(partition: TopicPartition): void;
  /** What this member claims has changed so that the group is to be balanced anew. */
  rejoin(): void;
  /** Leaves the group. Idempotent. */
  stop(): Promise<void>;
}

export interface SourceOffsets {
  group: string;
  /** positions to be committed */
  positions: (TopicPartition & { position: number })[];
}

/**
 * A producer with a stable transactional id. `open` fences every older producer of the id and ends what it left open.
 * After any error of any call the producer is dead: close it and open a new one (facts: a failed EndTxn may still
 * arrive later and must not meet a transaction of ours).
 */
export interface TransactionalProducer {
  open(): Promise<void>;
  /** Adds records to the current transaction, beginning one where none is open. Resolves when the log has them. */
  send(records: readonly OutRecord[]): Promise<void>;
  /** Commits what was sent and the source positions, atomically. Begins a transaction where none is open. */
  commit(offsets: SourceOffsets | null): Promise<CommitResult>;
  /** Drops what was sent. */
  abort(): Promise<void>;
  close(): Promise<void>;
}

export interface CommitResult {
  /** For each partition written in the transaction: the position after the last record written (markers not counted). */
  written: (TopicPartition & { position: number })[];
}

/** An idempotent producer without transactions: loaders, tests, `dlq replay`. */
export interface Producer {
  open(): Promise<void>;
  send(records: readonly OutRecord[]): Promise<void>;
  close(): Promise<void>;
}

/** Reads partitions from a position without a group: restores, global tables, explain, replay. */
export interface OffsetReader {
  /**
   * Reads from `from` until `to` (default: the end at read_committed when the call began; Infinity follows for ever).
   * Ends by position, never by waiting for a last record: the tail may be markers, holes, or nothing.
   * Throws LogError OFFSET_OUT_OF_RANGE where `from` is no longer kept, or was never written. Breaking out of the loop
   * releases everything; so does aborting the signal, which ends the iteration without an error.
   */
  read(
    partition: TopicPartition,
    from: number,
    to?: number,
    options?: { signal?: AbortSignal },
  ): AsyncIterable<RecordBatch>;
  close(): Promise<void>;
}

export interface TopicSpec {
  topic: string;
  partitions: number;
  replication?: number;
  /** Kafka's names: cleanup.policy, retention.ms, ... */
  config?: Record<string, string>;
}

export interface TopicDescription extends TopicSpec {
  config: Record<string, string>;
  /** of each partition, how many copies there are to be and how many are up to date; a log without copies says nothing */
  copies?: { replicas: number; inSync: number; hasLeader: boolean }[];
}

/** Kafka's names of what a transactional id is at. Ongoing and the Prepare states hold readers back. */
export type TransactionPhase =
  | 'Empty'
  | 'Ongoing'
  | 'PrepareCommit'
  | 'PrepareAbort'
  | 'PrepareEpochFence'
  | 'CompleteCommit'
  | 'CompleteAbort'
  | 'Dead';

/** A transactional id, as whoever coordinates its transactions lists it. */
export interface TransactionalIdEntry {
  transactionalId: string;
  phase: TransactionPhase;
  /** null where a log has no such numbers */
  producerId: number | null;
}

export interface TransactionDescription extends TransactionalIdEntry {
  epoch: number;
  /** null where the log ends none by itself */
  timeoutMs: number | null;
  /** by the log's clock; null where none is open */
  startedAt: number | null;
  /** written to, or about to be, since it began */
  partitions: TopicPartition[];
}

/** A transaction that is open on a partition, as that partition knows it: readers stop before `from`. */
export interface OpenTransaction extends TopicPartition {
  producerId: number | null;
  epoch: number;
  from: number;
  /** when it wrote last, as its records say; null where that is not known */
  lastAt: number | null;
  /** of whoever coordinated it last, -1 where nothing was ever ended there */
  coordinatorEpoch: number;
}

export interface BrokerDescription {
  id: number;
  address: string;
  /** why it could not be asked; null where it could */
  problem: string | null;
  /** Kafka's names; empty where we may not see them */
  config: Record<string, string>;
}

export interface GroupDescription {
  /** Kafka's names: Stable, Empty, PreparingRebalance, CompletingRebalance, Dead (never seen, or long gone) */
  state: string;
  members: { clientId: string; host: string; partitions: TopicPartition[] }[];
}

export interface LogAdmin {
  /** Names of all topics. */
  topics(): Promise<string[]>;
  /** Null for a topic that is not there. */
  describe(topics: string[]): Promise<(TopicDescription | null)[]>;
  create(topics: TopicSpec[]): Promise<void>;
  configure(topic: string, config: Record<string, string>): Promise<void>;
  remove(topics: string[]): Promise<void>;
  /** First kept position and the end, for each partition of a topic. `isolation` is about the end only. */
  offsets(
    topic: string,
    isolation?: 'committed' | 'uncommitted',
  ): Promise<{ partition: number; start: number; end: number }[]>;
  /** For each partition the position of the first record at or after a time; the end where there is none. */
  offsetsAt(topic: string, timestamp: number): Promise<{ partition: number; position: number }[]>;
  /** Committed positions of a group; null where none. Waits out transactions that are still being committed. */
  committed(group: string, partitions: TopicPartition[]): Promise<(number | null)[]>;

  /** Every transactional id that is remembered and that we may see. */
  transactionalIds(): Promise<TransactionalIdEntry[]>;
  /** Null for an id that is not remembered. */
  describeTransactions(ids: readonly string[]): Promise<(TransactionDescription | null)[]>;
  /** What is open on the partitions of topics, and where the positions of groups are kept. Unknown topics are passed over. */
  openTransactions(topics: readonly string[], groups?: readonly string[]): Promise<OpenTransaction[]>;
  /** Ends what is open under an id by aborting it, and fences its producer, as the next `open` of the id would. */
  abortTransaction(id: string): Promise<void>;
  /**
   * Ends on its partition alone a transaction that no coordinator knows of. Of one that is known it would lose a part:
   * the caller has to be sure.
   */
  abortOnPartition(open: OpenTransaction): Promise<void>;

  brokers(): Promise<BrokerDescription[]>;
  group(group: string): Promise<GroupDescription>;
  /** How far the log's clock is ahead of ours, give or take `withinMs`; null where it cannot be asked. */
  clockSkew(): Promise<{ aheadMs: number; withinMs: number } | null>;
  close(): Promise<void>;
}

export interface GroupOptions {
  group: string;
  topics: string[];
  clientId?: string;
  /** upper bound of bytes fetched per partition at once */
  maxBytesPerPartition?: number;
  sessionTimeoutMs?: number;
  /** What this member has the state of, asked for at each join. Where it fails, the join goes on without. */
  claims?: () => Promise<Claim[]>;
  /** Copies of each number's state that are kept beside the owner's: 0 */
  standbys?: number;
  /** A number whose owner lives moves only to a member that is at most so many records behind: 10,000 */
  warmWithin?: number;
}

export interface TransactionOptions {
  transactionalId: string;
  /** the broker aborts a transaction older than this */
  timeoutMs?: number;
}

/** One log: a Kafka cluster, or a folder on this machine. Everything it hands out must be closed before it is. */
export interface Log {
  groupConsumer(options: GroupOptions): GroupConsumer;
  transactionalProducer(options: TransactionOptions): TransactionalProducer;
  producer(): Producer;
  reader(): OffsetReader;
  admin(): LogAdmin;
  close(): Promise<void>;
}
