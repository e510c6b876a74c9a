/**
 * What fills the cache: reads every partition of serengpt.candidates from the position that is stored with the cache, to the
 * end and on. Without a group: every server has all users.
 *
 *   created    open() → open: what the disk has is served
 *   open       run() → following
 *   following  until stop() → closed; an error → waiting
 *   waiting    after a pause → following, from where the cache is. What was broken, or does not fit the topic, is thrown
 *              away first and read anew
 *   closed     everything is released
 *
 * Ready: everything up to the end that was seen at the start was read. Where the log cannot be reached, a cache on the disk
 * that was whole, and current not too long ago, is ready all the same, and stale.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { BadRecordError, LogError, RegistryError, SeralError, StoreError, messageOf } from '../../errors.ts';
import { decodeKey } from '../../log/keys.ts';
import type { Log, LogAdmin, LogRecord, OffsetReader, RecordBatch } from '../../log/port.ts';
import type { Serde, Serdes } from '../../log/serde.ts';
import type { Logger } from '../../stream/logger.ts';
import { MemoryDb } from '../../stream/memory-db.ts';
import type { CompiledOptions } from '../../stream/options.ts';
import { backoff, patiently } from '../../stream/patience.ts';
import { currentAt, isStale, StateMismatch } from '../../stream/restore.ts';
import {
  CURRENT_KEY,
  decodePosition,
  encodePosition,
  pause,
  sourcePositionKey,
  StateDb,
  type DbChange,
  type StateBackend,
} from '../../stream/state-db.ts';
import type { Clock } from '../../stream/task-context.ts';
import { CANDIDATES, type UserCandidates } from '../records.ts';
import type { CandidateCache } from './cache.ts';
import type { EntryCodec } from './entry.ts';
import type { ServeMetrics } from './metrics.ts';

export interface FollowerOptions {
  log: Log;
  serdes: Serdes;
  cache: CandidateCache;
  codec: EntryCodec;
  /** the cache's folder; null: all of it is in memory, and read anew at each start */
  path: string | null;
  /** the topic may have forgotten what was deleted before: a cache on the disk that was current before is thrown away */
  staleAfterMs: number;
  /** of the runtime: patience, pauses, RocksDB */
  runtime: CompiledOptions;
  /** the wall clock: what is on the disk is dated by it */
  clock: Clock;
  logger: Logger;
  metrics: ServeMetrics;
  /** throws what no waiting mends: topics that are not there */
  check: () => Promise<void>;
  /** it cannot go on, whatever is waited for */
  onFatal: (error: Error) => void;
}

export interface FollowerStatus {
  state: 'created' | 'open' | 'following' | 'waiting' | 'closed';
  ready: boolean;
  stale: boolean;
  /** null until the ends are known */
  lag: number | null;
  /** when the cache was last known to be at the ends; null: never */
  currentAt: number | null;
  lastError: string | null;
}

const SCHEMA_KEY = Buffer.from('\0schema');
/** the topic was read to its end once */
const WHOLE_KEY = Buffer.from('\0whole');
const positionKey = (partition: number): Buffer => sourcePositionKey(`${CANDIDATES.topic}\0${partition}`);
/** Records that are taken in before requests get their turn again: about a millisecond's work. */
const SLICE = 8;
const NOTE_EVERY_MS = 10_000;

export class CandidateFollower {
  readonly #options: FollowerOptions;
  readonly #stop = new AbortController();
  readonly #positions = new Map<number, { position: number; end: number }>();
  #backend: StateBackend | null = null;
  #serde: Serde<UserCandidates> | null = null;
  #state: FollowerStatus['state'] = 'created';
  #caughtUp = false;
  #whole = false;
  /** the log was not reached since the start, and what the disk has is whole */
  #stale = false;
  #currentAt: number | null = null;
  #lastError: string | null = null;
  /** why what is on the disk is to be thrown away */
  #broken: string | null = null;
  /** the attempt that is under way ends */
  #again = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  /** Opens what the disk has; where that cannot be, `run` tries again. Throws where another process has it open. */
  async open(): Promise<void> {
    try {
      await this.#open();
    } catch (error) {
      if (error instanceof StoreError && error.code === 'STORE_LOCKED') throw error;
      this.#failed(error);
    }
  }

  run(): void {
    this.#running = this.#run();
  }

  /** The disk gave something that cannot be. */
  broken(error: StoreError): void {
    this.#lastError = messageOf(error);
    if (error.code !== 'STORE_CORRUPTED') return;
    this.#broken = messageOf(error);
    this.#again.abort();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#again.abort();
    await this.#running;
    await this.#close();
    this.#state = 'closed';
  }

  status(): FollowerStatus {
    return {
      state: this.#state,
      ready: this.#backend !== null && (this.#caughtUp || this.#stale),
      stale: this.#stale,
      lag: this.lag,
      currentAt: this.#whole ? this.#currentAt : null,
      lastError: this.#lastError,
    };
  }

  get lag(): number | null {
    if (this.#positions.size === 0) return null;
    let lag = 0;
    for (const { position, end } of this.#positions.values()) lag += Math.max(end - position, 0);
    return lag;
  }

  async #run(): Promise<void> {
    const { clock, logger, onFatal, runtime } = this.#options;
    const { signal } = this.#stop;
    for (let failures = 0; !signal.aborted;) {
      this.#again = new AbortController();
      const began = clock.elapsed();
      try {
        if (this.#broken !== null) await this.#throwAway(this.#broken);
        if (this.#backend === null) await this.#open();
        await this.#follow(AbortSignal.any([signal, this.#again.signal]));
      } catch (error) {
        if (signal.aborted) return;
        this.#failed(error);
        if (!this.#caughtUp && isFatal(error)) return onFatal(error);
        // one that went well for long was no failure in a row
        if (clock.elapsed() - began > runtime.rebuildBackoffMaxMs) failures = 0;
        const waitMs = backoff(failures++, runtime, clock);
        logger.warn({ topic: CANDIDATES.topic, error: messageOf(error), waitMs }, 'following the candidates failed');
        await pause(waitMs, signal);
      }
    }
  }

  #failed(error: unknown): void {
    this.#state = 'waiting';
    this.#lastError = messageOf(error);
    if (isBroken(error)) this.#broken = messageOf(error);
    else if (this.#whole && !this.#caughtUp) this.#stale = this.#options.cache.complete = true;
  }

  async #open(): Promise<void> {
    const { path, cache, codec, clock, staleAfterMs, runtime } = this.#options;
    if (path === null) this.#backend = new MemoryDb();
    else {
      const { writeBufferBytes, lockRetries, lockRetryMs } = runtime;
      const { signal } = this.#stop;
      this.#backend = await StateDb.open(path, { writeBufferBytes, lockRetries, lockRetryMs, signal });
    }
    const [schema, whole, current] = await this.#backend.getMany([SCHEMA_KEY, WHOLE_KEY, CURRENT_KEY]);
    this.#currentAt = decodePosition(current ?? null);
    const known = schema?.toString() ?? null;
    const tooOld = isStale(this.#currentAt, { deletionsKeptMs: staleAfterMs, now: clock.now });
    if (known !== codec.schema || tooOld) {
      if (known !== null) return this.#throwAway(tooOld ? 'it was last current too long ago' : 'its schema is another');
      await this.#backend.write([{ key: SCHEMA_KEY, value: Buffer.from(codec.schema) }]);
    }
    this.#whole = whole != null;
    this.#state = 'open';
    cache.attach(this.#backend);
  }

  async #close(): Promise<void> {
    const { cache } = this.#options;
    await cache.settled();
    cache.attach(null);
    const backend = this.#backend;
    this.#backend = null;
    if (backend instanceof StateDb) await backend.close();
  }

  /** All of it, and opens an empty one. */
  async #throwAway(why: string): Promise<void> {
    const { path, logger, metrics } = this.#options;
    logger.error({ path, error: why }, 'the cache of candidates is thrown away and read anew');
    metrics.rebuilt();
    await this.#close();
    if (path !== null) await StateDb.wipe(path);
    this.#positions.clear();
    this.#caughtUp = false;
    this.#whole = false;
    this.#stale = false;
    this.#currentAt = null;
    this.#broken = null;
    await this.#open();
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { log, serdes, cache, clock, check } = this.#options;
    const admin = log.admin();
    const reader = log.reader();
    const failed = new AbortController();
    const notes = setInterval(() => void this.#note(admin), NOTE_EVERY_MS);
    try {
      if (!this.#caughtUp) await check();
      this.#serde ??= await serdes.serde<UserCandidates>(CANDIDATES.topic, CANDIDATES.schema);
      const bounds = await admin.offsets(CANDIDATES.topic);
      const stored = (await this.#backend!.getMany(bounds.map(({ partition }) => positionKey(partition)))).map(
        decodePosition,
      );
      const plans = bounds.map(({ partition, start, end }, i) => ({ partition, from: stored[i] ?? start, end, start }));
      for (const { partition, from, start, end } of plans) {
        if (from < start || from > end) {
          throw new StateMismatch(`the cache is at ${from} of partition ${partition}, which has ${start} to ${end}`);
        }
        this.#positions.set(partition, { position: from, end });
      }
      if (this.#currentAt === null) await this.#current(clock.now());
      this.#state = 'following';
      const ends = AbortSignal.any([signal, failed.signal]);
      let behind = plans.length;
      const heard = async (): Promise<void> => {
        if (--behind > 0 || ends.aborted) return;
        await cache.write([], [{ key: WHOLE_KEY, value: Buffer.from('1') }]);
        this.#whole = cache.complete = this.#caughtUp = true;
        this.#stale = false;
        this.#lastError = null;
        await this.#note(admin);
      };
      const readings = plans.map(({ partition, from, end }) =>
        this.#read(reader, { partition, from, end }, ends, heard).catch((error: unknown) => {
          failed.abort();
          throw error;
        }),
      );
      for (const one of await Promise.allSettled(readings)) if (one.status === 'rejected') throw one.reason;
    } finally {
      clearInterval(notes);
      await reader.close().catch(() => {});
      await admin.close().catch(() => {});
    }
  }

  async #read(
    reader: OffsetReader,
    { partition, from, end }: { partition: number; from: number; end: number },
    signal: AbortSignal,
    heard: () => Promise<void>,
  ): Promise<void> {
    const at = { topic: CANDIDATES.topic, partition };
    // to the end by position first: its tail may be markers and holes
    for await (const batch of from < end ? reader.read(at, from, end, { signal }) : []) await this.#take(batch);
    if (signal.aborted) return;
    await heard();
    for await (const batch of reader.read(at, Math.max(from, end), Infinity, { signal })) await this.#take(batch);
  }

  async #take(batch: RecordBatch): Promise<void> {
    const { cache, metrics } = this.#options;
    await this.#prepare(batch.records);
    // the last record of a user counts: a row is written once
    const rows = new Map<string, { user: string; row: Buffer | null }>();
    for (const [i, record] of batch.records.entries()) {
      if (i % SLICE === SLICE - 1) await turn();
      const row = this.#rowOf(record, batch);
      if (row !== null) rows.set(row.user, row);
    }
    const position: DbChange = { key: positionKey(batch.partition), value: encodePosition(batch.position) };
    await cache.write([...rows.values()], [position]);
    metrics.taken(batch.records.length);
    this.#positions.set(batch.partition, { position: batch.position, end: Math.max(batch.end, batch.position) });
  }

  #rowOf(record: LogRecord, batch: RecordBatch): { user: string; row: Buffer | null } | null {
    const { codec, metrics, logger } = this.#options;
    try {
      const user = decodeKey(record.key);
      if (record.value === null) return { user, row: null };
      const candidates = this.#serde!.decode(record.value);
      if (candidates.user_id !== user) throw new BadRecordError('KEY_MISMATCH', 'the record key is not its user_id');
      return { user, row: codec.encode(candidates) };
    } catch (error) {
      const code = error instanceof SeralError ? error.code : 'MALFORMED';
      metrics.unreadable(code);
      const { topic, partition } = batch;
      logger.warn({ topic, partition, offset: record.offset, code }, 'candidates cannot be read and are left out');
      return null;
    }
  }

  async #prepare(records: readonly LogRecord[]): Promise<void> {
    const { runtime: options, clock, logger } = this.#options;
    const serde = this.#serde!;
    const ask = async () => serde.prepare(records.map(({ value }) => value));
    try {
      await patiently({ options, clock, logger, signal: this.#stop.signal }, ask);
    } catch (error) {
      if (!(error instanceof RegistryError) || !error.retriable) throw error;
      serde.giveUp?.();
      await ask();
    }
  }

  /** Where the log says that the cache is at its ends, that is noted; some expired rows are removed. */
  async #note(admin: LogAdmin): Promise<void> {
    if (!this.#caughtUp || this.#state !== 'following') return;
    const { cache, clock, path } = this.#options;
    try {
      const now = clock.now();
      for (const { partition, end } of await admin.offsets(CANDIDATES.topic)) {
        const at = this.#positions.get(partition);
        if (at !== undefined) at.end = Math.max(end, at.position);
      }
      if (this.lag === 0) await this.#current(now);
      if (path !== null) await cache.sweep();
    } catch {
      // a log that does not answer, or a disk: how long the cache has not been current says it
    }
  }

  async #current(now: number): Promise<void> {
    await this.#options.cache.write([], [currentAt(now)]);
    this.#currentAt = now;
  }
}

/** What is on the disk cannot be read, or is not of this topic as it is now. */
const isBroken = (error: unknown): boolean =>
  error instanceof StateMismatch ||
  (error instanceof StoreError && error.code === 'STORE_CORRUPTED') ||
  (error instanceof LogError && error.code === 'OFFSET_OUT_OF_RANGE');

/** A topic that is not there, or a schema that was never registered, comes by nothing that is waited for. */
const isFatal = (error: unknown): error is Error =>
  (error instanceof LogError && error.code === 'UNKNOWN_TOPIC') || (error instanceof SeralError && error.fatal);
