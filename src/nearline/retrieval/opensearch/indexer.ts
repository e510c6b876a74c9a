/**
 * Brings the catalog into the index, as it changes. However many workers run, the partitions of the catalog are shared out
 * among them by a consumer group, so each change is written once; how far a partition has come lies in the index itself, so
 * nothing is read twice, and an index that was deleted is filled from the start. A document's version is its record's offset:
 * what an older owner of a partition still writes cannot take the place of something newer.
 *
 *   new ─► catching up ─► ready (following) ─► stopped
 */
import { InferenceError, messageOf, SeralError } from '../../../errors.ts';
import { vectorOf, type Embedder } from '../../../inference/embedder.ts';
import { decodeKey } from '../../../log/keys.ts';
import type { GroupAssignment, GroupConsumer, Log, LogAdmin, RecordBatch, TopicPartition } from '../../../log/port.ts';
import type { Serde, Serdes } from '../../../log/serde.ts';
import type { CatalogItem } from '../../../shop/catalog.ts';
import type { Logger } from '../../../stream/logger.ts';
import { itemText } from '../item-text.ts';
import { paused, type OpenSearchClient } from './client.ts';
import { documentOf, ensureIndex, mayBeId, positionId } from './documents.ts';
import type { OpenSearchSettings } from './settings.ts';

export interface IndexerOptions {
  client: OpenSearchClient;
  settings: OpenSearchSettings;
  embedder: Embedder;
  topic: { topic: string; schema: string };
  log: Log;
  serdes: Serdes;
  /** of the consumer group */
  app: string;
  sessionTimeoutMs?: number;
  logger: Logger;
  now: () => number;
  /** Told once; the owner stops it. */
  onFatal: (error: Error) => void;
  /** ms between two tries of what failed */
  pauseMs?: number;
}

/** Records of one bulk: some megabytes with their vectors. */
const BULK = 500;
const PAUSE_MS = 2000;
const PROGRESS_MS = 5000;
const OLDER = 409;

type Change = { id: string; version: number; item: CatalogItem | null };

export class CatalogIndexer {
  readonly #options: IndexerOptions;
  readonly #admin: LogAdmin;
  readonly #stop = new AbortController();
  /** by partition: where the catalog ended when it came to us; gone once it is read so far */
  readonly #targets = new Map<number, number>();
  readonly #caughtUp = Promise.withResolvers<void>();
  #serde: Serde<CatalogItem> | null = null;
  #consumer: GroupConsumer | null = null;
  #assigned = false;
  #failed = false;
  #rows = 0;
  #behind = new Map<number, number>();
  #currentAt: number | null = null;
  #saidAt = 0;
  #stopped: Promise<void> | null = null;

  constructor(options: IndexerOptions) {
    this.#options = options;
    this.#admin = options.log.admin();
  }

  /**
   * Resolves when its part of the catalog, as far as it goes by now, is in the index, or it was stopped. Throws InferenceError
   * INDEX_MISMATCH; while OpenSearch does not answer, it waits.
   */
  async start(): Promise<void> {
    const { client, settings, embedder, log, serdes, topic, app, sessionTimeoutMs } = this.#options;
    const { signal } = this.#stop;
    await this.#insist(() => ensureIndex(client, settings, embedder, signal));
    if (signal.aborted) return;
    this.#serde = await serdes.serde<CatalogItem>(topic.topic, topic.schema);
    this.#consumer = log.groupConsumer({
      group: `${app}-retrieval-indexer-${settings.index}`,
      topics: [topic.topic],
      ...(sessionTimeoutMs === undefined ? {} : { sessionTimeoutMs }),
    });
    await this.#consumer.run({
      assigned: (assignment) => void this.#begin(assignment),
      batch: (batch) => this.#take(batch),
      outOfRange: (partition, error) => void this.#lost(partition, error),
      crashed: (error) => this.#fail(error),
    });
    await this.#caughtUp.promise;
    await this.#insist(() => this.refresh(signal));
  }

  status(): { rows: number; ready: boolean } {
    return { rows: this.#rows, ready: this.#assigned && this.#targets.size === 0 };
  }

  freshness(): { pending: number; currentAt: number | null } {
    const pending = [...this.#behind.values()].reduce((sum, behind) => sum + behind, 0);
    return { pending, currentAt: pending === 0 && this.#assigned ? this.#options.now() : this.#currentAt };
  }

  /** What was written can be found. */
  async refresh(signal: AbortSignal): Promise<void> {
    const { client, settings } = this.#options;
    await client.call({ method: 'POST', path: `/${settings.index}/_refresh` }, signal);
  }

  /** Idempotent. */
  stop(): Promise<void> {
    return (this.#stopped ??= this.#end());
  }

  async #end(): Promise<void> {
    this.#stop.abort();
    this.#caughtUp.resolve();
    await this.#consumer?.stop();
    await this.#admin.close();
  }

  async #begin({ partitions, restarted }: GroupAssignment): Promise<void> {
    const { topic, logger } = this.#options;
    const numbers = new Set(partitions.map(({ partition }) => partition));
    for (const partition of this.#behind.keys()) {
      if (numbers.has(partition)) continue;
      this.#behind.delete(partition);
      this.#targets.delete(partition);
    }
    const again = new Set(restarted.map(({ partition }) => partition));
    const fresh = [...numbers].filter((partition) => !this.#behind.has(partition) || again.has(partition));
    for (const partition of fresh) {
      this.#behind.set(partition, 0);
      this.#targets.set(partition, Infinity);
    }
    this.#assigned = true;
    try {
      const offsets = fresh.length === 0 ? [] : await this.#admin.offsets(topic.topic);
      for (const partition of fresh) {
        const bounds = offsets.find((one) => one.partition === partition)!;
        const position = Math.max((await this.#positionOf(partition)) ?? 0, bounds.start);
        if (this.#stop.signal.aborted || !this.#behind.has(partition)) continue;
        logger.info({ partition, from: position, to: bounds.end }, 'indexing the catalog');
        this.#behind.set(partition, Math.max(bounds.end - position, 0));
        if (position >= bounds.end) this.#targets.delete(partition);
        else this.#targets.set(partition, bounds.end);
        this.#consumer!.start({ topic: topic.topic, partition }, position);
      }
      this.#mayBeCaughtUp();
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  async #positionOf(partition: number): Promise<number | null> {
    const { client, settings } = this.#options;
    const path = `/${settings.index}/_doc/${encodeURIComponent(positionId(partition))}`;
    let found: number | null = null;
    await this.#insist(async () => {
      const { body } = await client.call({ method: 'GET', path, also: [404] }, this.#stop.signal);
      found = body?._source?.position ?? null;
    });
    return found;
  }

  /** The catalog begins later by now, or it is another one than the index is of. */
  async #lost({ topic, partition }: TopicPartition, error: Error): Promise<void> {
    const { logger, settings } = this.#options;
    const bounds = (await this.#admin.offsets(topic)).find((one) => one.partition === partition);
    const position = await this.#positionOf(partition);
    if (bounds === undefined || (position ?? 0) > bounds.end) {
      const what = `the index ${settings.index} is of another ${topic}: name another one`;
      return this.#fail(new InferenceError('INDEX_MISMATCH', what, { fatal: true, cause: error }));
    }
    logger.warn({ partition, from: position, to: bounds.start }, 'the catalog begins later by now');
    this.#consumer!.start({ topic, partition }, bounds.start);
  }

  #fail(error: Error): void {
    if (this.#failed || this.#stop.signal.aborted) return;
    this.#failed = true;
    this.#options.onFatal(error);
  }

  async #take(batch: RecordBatch): Promise<void> {
    const { partition, position, end } = batch;
    const { logger } = this.#options;
    const { signal } = this.#stop;
    await this.#insist(async () => {
      const changes = await this.#changesOf(batch);
      for (let i = 0; i < changes.length; i += BULK) await this.#write(changes.slice(i, i + BULK));
      await this.#writePosition(partition, position);
    });
    if (signal.aborted || !this.#behind.has(partition)) return;
    this.#rows += batch.records.length;
    this.#behind.set(partition, Math.max(end - position, 0));
    if (this.#options.now() - this.#saidAt > PROGRESS_MS) {
      this.#saidAt = this.#options.now();
      logger.info({ rows: this.#rows, pending: this.freshness().pending }, 'indexing the catalog');
    }
    if (this.freshness().pending === 0) this.#currentAt = this.#options.now();
    if (position >= (this.#targets.get(partition) ?? 0)) this.#targets.delete(partition);
    this.#mayBeCaughtUp();
  }

  #mayBeCaughtUp(): void {
    if (this.#assigned && this.#targets.size === 0) this.#caughtUp.resolve();
  }

  /** The newest of each item; what cannot be read is left out, and said. */
  async #changesOf({ records, topic, partition }: RecordBatch): Promise<Change[]> {
    const serde = this.#serde!;
    const wait = serde.prepare(records.map(({ value }) => value));
    if (wait !== undefined) await wait;
    const changes = new Map<string, Change>();
    for (const { key, value, offset } of records) {
      try {
        const id = decodeKey(key);
        if (!mayBeId(id)) throw new RangeError('OpenSearch takes no such id');
        changes.set(id, { id, version: offset, item: value === null ? null : serde.decode(value) });
      } catch (error) {
        const fields = { topic, partition, offset, error: messageOf(error) };
        this.#options.logger.warn(fields, 'a row of the catalog cannot be indexed and is left out');
      }
    }
    return [...changes.values()];
  }

  async #write(changes: readonly Change[]): Promise<void> {
    const vectors = await this.#vectorsOf(changes.flatMap(({ item }) => (item === null ? [] : [item])));
    const lines = changes.flatMap(({ id, version, item }): object[] => {
      const at = { _id: id, version, version_type: 'external_gte' };
      return item === null ? [{ delete: at }] : [{ index: at }, documentOf(item, vectors.get(item) ?? null)];
    });
    await this.#bulk(lines);
  }

  async #writePosition(partition: number, position: number): Promise<void> {
    const at = { _id: positionId(partition), version: position, version_type: 'external_gte' };
    await this.#bulk([{ index: at }, { position }]);
  }

  async #bulk(lines: readonly object[]): Promise<void> {
    const { client, settings, logger } = this.#options;
    const path = `/${settings.index}/_bulk`;
    const { body } = await client.call({ method: 'POST', path, body: lines }, this.#stop.signal);
    if (body?.errors !== true) return;
    for (const entry of body.items as Record<string, { _id: string; status: number; error?: unknown }>[]) {
      const [{ _id, status, error }] = Object.values(entry) as [{ _id: string; status: number; error?: unknown }];
      // something newer is there already; what is to be deleted may not be there
      if (error === undefined || status === OLDER || status === 404) continue;
      const why = JSON.stringify(error).slice(0, 500);
      if (status === 429 || status >= 500) {
        throw new InferenceError('RETRIEVER_UNAVAILABLE', `a bulk was taken in part: ${why}`, { retriable: true });
      }
      logger.warn({ item: _id, status, error: why }, 'a row of the catalog cannot be indexed and is left out');
    }
  }

  async #vectorsOf(items: readonly CatalogItem[]): Promise<Map<CatalogItem, Int8Array>> {
    const { embedder } = this.#options;
    const vectors = new Map<CatalogItem, Int8Array>();
    const wanted: { item: CatalogItem; text: string }[] = [];
    for (const item of items) {
      const { embedding } = item;
      if (embedding != null && item.embedder === embedder.name && embedding.length === embedder.dimensions) {
        vectors.set(item, vectorOf(embedding));
      } else {
        const text = itemText(item);
        if (text !== null) wanted.push({ item, text });
      }
    }
    if (wanted.length === 0) return vectors;
    const made = await embedder.embed(wanted.map(({ text }) => text));
    wanted.forEach(({ item }, i) => vectors.set(item, made[i]!));
    return vectors;
  }

  /** Tries until it does, or is stopped: a catalog is not passed over. What is fatal is thrown. */
  async #insist(work: () => Promise<void>): Promise<void> {
    const { logger, pauseMs = PAUSE_MS } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        return await work();
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof SeralError && error.fatal) throw error;
        logger.warn({ error: messageOf(error) }, 'the catalog cannot be indexed now, trying again');
        await paused(pauseMs, signal).catch(() => {});
      }
    }
  }
}
