/**
 * The profile worker: answers `profile.refresh-requests` on `profile.proposals`. It has no state of its own; without a
 * model it follows the catalog, to know which words are common in the shop.
 *
 *   const worker = new ProfileWorker({ ...PROFILE_WORKER_DEFAULTS, generator: null, log, serdes, options, ... });
 *   await worker.start();
 *   ... worker.status()
 *   await worker.stop();
 */
import { Counter, type Registry } from 'prom-client';
import { BadRecordError } from '../../errors.ts';
import type { Embedder } from '../../inference/embedder.ts';
import type { Generator } from '../../inference/generator.ts';
import { ModelMetrics } from '../../inference/model-metrics.ts';
import { NgramEmbedder } from '../../inference/ngram-embedder.ts';
import { Prompts } from '../../inference/prompts.ts';
import type { Log, LogAdmin } from '../../log/port.ts';
import type { Serdes } from '../../log/serde.ts';
import type { CatalogItem } from '../../shop/catalog.ts';
import type { Logger } from '../../stream/logger.ts';
import type { Metrics } from '../../stream/metrics.ts';
import { compileOptions, type RuntimeOptions } from '../../stream/options.ts';
import { patiently } from '../../stream/patience.ts';
import { RequestMetrics } from '../../stream/request-metrics.ts';
import { RequestWorker, type RequestHandler } from '../../stream/request-worker.ts';
import { GlobalTable } from '../../stream/tables.ts';
import type { WorkerStatus } from '../../stream/worker.ts';
import { Answering } from './answering.ts';
import { CatalogWords, type CatalogRow } from './catalog-words.ts';
import type { ProfileProposals, ProfileRequest } from '../records.ts';
import { ExtractiveTagMaker, ModelTagMaker, type TagMaker } from './tag-makers.ts';
import { PROFILE_ANSWERS, PROFILE_REQUESTS, PROFILE_WORKER, type ProfileWorkerSettings } from './settings.ts';

const CATALOG = { topic: 'catalog.items', schema: 'CatalogItem' };

export interface ProfileWorkerOptions extends ProfileWorkerSettings {
  /** the model; null: the extractive profiler. Its `onRetry` is to tell `retried` of this worker's metrics */
  generator: ((metrics: ModelMetrics) => Generator) | null;
  /** makes the tags' vectors; else the embedded one does */
  embedder?: Embedder;
  log: Log;
  serdes: Serdes;
  /** the application's id and the runtime's options */
  options: RuntimeOptions;
  registry: Registry;
  /** the process's, of that registry */
  metrics: Metrics;
  logger: Logger;
  /** ms that a stop waits for what is being answered */
  drainMs: number;
  now?: () => number;
  random?: () => number;
  onFatal: (error: Error) => void;
}

export class ProfileWorker {
  readonly #given: ProfileWorkerOptions;
  readonly #worker: RequestWorker<ProfileRequest, ProfileProposals>;
  readonly #words = new CatalogWords();
  readonly #admin: LogAdmin;
  readonly #clock: { now: () => number; random: () => number };
  readonly #stop = new AbortController();
  #catalog: GlobalTable | null = null;
  #stopped: Promise<void> | null = null;

  constructor(given: ProfileWorkerOptions) {
    const { registry, log, serdes, options, logger, drainMs, concurrency, onFatal } = given;
    const now = given.now ?? Date.now;
    this.#given = given;
    this.#clock = { now, random: given.random ?? Math.random };
    const model = new ModelMetrics(registry, PROFILE_WORKER, given);
    const dropped = droppedCounter(registry);
    const answering = new Answering({
      maker: this.#maker(model),
      embedder: given.embedder ?? new NgramEmbedder(),
      same: given.same,
      logger,
      now,
      onAnswer: ({ promptTokens, completionTokens, dropped: counts }) => {
        model.spent(promptTokens, completionTokens);
        for (const [rule, count] of Object.entries(counts)) dropped.inc({ rule }, count);
      },
    });
    this.#admin = log.admin();
    this.#worker = new RequestWorker({
      name: PROFILE_WORKER,
      handler: profileRequests((request, signal) => answering.answer(request, signal)),
      concurrency,
      log,
      serdes,
      options,
      metrics: given.metrics,
      requestMetrics: new RequestMetrics(registry, PROFILE_WORKER, concurrency),
      logger,
      drainMs,
      ...this.#clock,
      onFatal,
    });
  }

  /** Topics that it reads and writes. */
  static topics(extractive: boolean): string[] {
    const topics = [PROFILE_REQUESTS.topic, PROFILE_ANSWERS.topic, `${PROFILE_WORKER}.dlq`];
    return extractive ? [...topics, CATALOG.topic] : topics;
  }

  /** Resolves when it has its first partitions, or was stopped. Whatever it throws, `stop` is still to be called. */
  async start(): Promise<void> {
    if (this.#given.generator === null) await this.#readCatalog();
    if (!this.#stop.signal.aborted) await this.#worker.start();
  }

  status(): WorkerStatus {
    const status = this.#worker.status();
    const catalog = this.#catalog;
    if (this.#given.generator !== null) return status;
    const ready = catalog?.ready ?? false;
    return {
      ...status,
      ready: status.ready && ready,
      tables: [{ name: 'catalog', rows: catalog?.size ?? 0, ready }],
    };
  }

  /** Idempotent. */
  stop(): Promise<void> {
    return (this.#stopped ??= this.#end());
  }

  async #end(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#worker.stop(), this.#catalog?.close()]);
    await this.#admin.close();
  }

  /** To its end; then it is followed. */
  async #readCatalog(): Promise<void> {
    const { serdes, log, logger, options } = this.#given;
    const { signal } = this.#stop;
    const clock = { ...this.#clock, checkNow: this.#clock.now, elapsed: () => performance.now() };
    const waiting = { options: compileOptions(options).options, clock, logger, signal };
    const serde = await patiently(waiting, () => serdes.serde<CatalogItem>(CATALOG.topic, CATALOG.schema));
    if (signal.aborted) return;
    this.#catalog = new GlobalTable({
      spec: { ...CATALOG, name: 'catalog', project: (item) => CatalogWords.row(item as CatalogItem) },
      serde,
      log,
      admin: this.#admin,
      logger,
      onChange: (before: CatalogRow | undefined, after: CatalogRow | undefined) => {
        if (before !== undefined) this.#words.remove(before);
        if (after !== undefined) this.#words.add(after);
      },
    });
    await this.#catalog.loaded;
  }

  #maker(metrics: ModelMetrics): TagMaker {
    const { generator, temperature, maxTokens, promptFolder } = this.#given;
    if (generator === null) return new ExtractiveTagMaker(this.#words);
    const prompts = new Prompts(promptFolder ?? undefined);
    // a folder that is not there is found now, and not with the first request
    prompts.versions();
    return new ModelTagMaker(generator(metrics), prompts, { temperature, maxTokens });
  }
}

/** The requests of the profiles topology, answered by whatever `handle` is. */
export const profileRequests = (
  handle: RequestHandler<ProfileRequest, ProfileProposals>['handle'],
): RequestHandler<ProfileRequest, ProfileProposals> => ({
  requests: PROFILE_REQUESTS,
  answers: PROFILE_ANSWERS,
  check({ request_id, user_id }, key) {
    if (user_id === '' || request_id === '') throw new BadRecordError('EMPTY_ID', 'an id is empty');
    if (key !== user_id) throw new BadRecordError('KEY_MISMATCH', 'the record key is not the request user_id');
  },
  expiresAt: (request) => request.expires_at,
  handle,
});

export const droppedCounter = (registry: Registry): Counter<'rule'> =>
  new Counter({
    name: 'seral_proposals_dropped_total',
    help: 'what answers held that is no tag, by the rule that dropped it',
    labelNames: ['rule'],
    registers: [registry],
  });
