/**
 * The retrieval worker: answers `serengpt.generations` on `serengpt.retrieved` (paper, 4.4.1). Its indexes follow the
 * catalog, its pre-ranking model what lies in a folder; it has no other state.
 *
 *   const worker = new RetrievalWorker({ ...RETRIEVAL_DEFAULTS, retriever, follower, embedder, modelFolder, ... });
 *   await worker.start();
 *   ... worker.status()
 *   await worker.stop();
 *
 * The embedder belongs to the caller, who closes it after `stop`; retriever and follower are closed here.
 */
import type { Registry } from 'prom-client';
import type { Embedder } from '../../inference/embedder.ts';
import type { Log } from '../../log/port.ts';
import type { Serdes } from '../../log/serde.ts';
import { checkAsked, type Generation, type RetrievedItems } from '../../serengpt/records.ts';
import type { Logger } from '../../stream/logger.ts';
import type { Metrics } from '../../stream/metrics.ts';
import type { RuntimeOptions } from '../../stream/options.ts';
import { RequestMetrics } from '../../stream/request-metrics.ts';
import { RequestWorker, type RequestHandler } from '../../stream/request-worker.ts';
import type { WorkerStatus } from '../../stream/worker.ts';
import { SwappingRanker, type LoadRanker } from '../pre-rank/swapping.ts';
import type { Retriever } from '../retriever.ts';
import { Answering } from './answering.ts';
import type { CatalogFollower } from './catalog-follower.ts';
import { RetrievalMetrics } from './metrics.ts';
import {
  CATALOG,
  RETRIEVAL_ANSWERS,
  RETRIEVAL_REQUESTS,
  RETRIEVAL_WORKER,
  type RetrievalSettings,
} from './settings.ts';

export interface RetrievalWorkerOptions extends RetrievalSettings {
  retriever: Retriever;
  /** null: others keep the indexes */
  follower: CatalogFollower | null;
  /** the retriever's */
  embedder: Embedder;
  /** of the pre-ranking model */
  modelFolder: string;
  loadRanker: LoadRanker;
  /** ms between two looks at that folder */
  modelPollMs: number;
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

export class RetrievalWorker {
  readonly #given: RetrievalWorkerOptions;
  readonly #ranker: SwappingRanker;
  readonly #worker: RequestWorker<Generation, RetrievedItems>;
  readonly #stop = new AbortController();
  #stopped: Promise<void> | null = null;

  constructor(given: RetrievalWorkerOptions) {
    const { retriever, embedder, registry, log, serdes, options, logger, drainMs, concurrency, onFatal } = given;
    const now = given.now ?? Date.now;
    this.#given = given;
    const { follower } = given;
    const metrics = new RetrievalMetrics(registry, () => ({ ...retriever.status(), ...follower?.freshness?.() }), now);
    const { modelFolder: folder, loadRanker: load, modelPollMs: pollMs } = given;
    this.#ranker = new SwappingRanker({
      folder,
      load,
      embedder: embedder.name,
      pollMs,
      logger,
      observer: metrics,
    });
    const ranker = this.#ranker;
    const answering = new Answering({ retriever, embedder, ranker, settings: given, metrics, logger, now });
    this.#worker = new RequestWorker({
      name: RETRIEVAL_WORKER,
      handler: retrievalRequests((generation, signal) => answering.answer(generation, signal)),
      concurrency,
      log,
      serdes,
      options,
      metrics: given.metrics,
      requestMetrics: new RequestMetrics(registry, RETRIEVAL_WORKER, concurrency),
      logger,
      drainMs,
      now,
      random: given.random ?? Math.random,
      onFatal,
    });
  }

  /** Topics that it reads and writes. */
  static topics(): string[] {
    return [RETRIEVAL_REQUESTS.topic, RETRIEVAL_ANSWERS.topic, `${RETRIEVAL_WORKER}.dlq`, CATALOG.topic];
  }

  /** Resolves when it has its first partitions, or was stopped. Whatever it throws, `stop` is still to be called. */
  async start(): Promise<void> {
    const { retriever, follower } = this.#given;
    await retriever.prepare(this.#stop.signal);
    await Promise.all([this.#ranker.start(), follower?.start()]);
    if (!this.#stop.signal.aborted) await this.#worker.start();
  }

  status(): WorkerStatus {
    const status = this.#worker.status();
    const catalog = this.#given.follower?.status();
    if (catalog === undefined) return status;
    return { ...status, ready: status.ready && catalog.ready, tables: [{ name: 'catalog', ...catalog }] };
  }

  /** Idempotent. */
  stop(): Promise<void> {
    return (this.#stopped ??= this.#end());
  }

  async #end(): Promise<void> {
    this.#stop.abort();
    const { follower, retriever } = this.#given;
    await Promise.all([this.#worker.stop(), follower?.stop()]);
    await Promise.all([this.#ranker.close(), retriever.close()]);
  }
}

/** Generations, answered by whatever `handle` is. */
export const retrievalRequests = (
  handle: RequestHandler<Generation, RetrievedItems>['handle'],
): RequestHandler<Generation, RetrievedItems> => ({
  requests: RETRIEVAL_REQUESTS,
  answers: RETRIEVAL_ANSWERS,
  check: checkAsked,
  expiresAt: (generation) => generation.expires_at,
  handle,
});
