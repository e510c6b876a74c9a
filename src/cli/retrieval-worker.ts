/** `seral worker retrieval`: the retrieval worker in a process of its own, and what watches it. */
import { join } from 'node:path';
import { collectDefaultMetrics, Registry } from 'prom-client';
import type { Embedder } from '../inference/embedder.ts';
import { NgramEmbedder } from '../inference/ngram-embedder.ts';
import { OnnxEmbedder } from '../inference/onnx/embedder.ts';
import { OnnxRanker } from '../inference/onnx/ranker.ts';
import type { Log } from '../log/port.ts';
import type { Serdes } from '../log/serde.ts';
import { EmbeddedRetriever } from '../nearline/retrieval/embedded.ts';
import { OpenSearchClient } from '../nearline/retrieval/opensearch/client.ts';
import { CatalogIndexer } from '../nearline/retrieval/opensearch/indexer.ts';
import { OpenSearchRetriever } from '../nearline/retrieval/opensearch/retriever.ts';
import { TableFollower } from '../nearline/worker/catalog-follower.ts';
import { RetrievalWorker, type RetrievalWorkerOptions } from '../nearline/worker/retrieval-worker.ts';
import { CATALOG } from '../nearline/worker/settings.ts';
import { Metrics } from '../stream/metrics.ts';
import type { RuntimeOptions } from '../stream/options.ts';
import type { Config } from './config.ts';
import { openSearchAuth } from './environment.ts';
import type { Logger } from './logging.ts';
import { checkTopics, watch } from './watch.ts';
import { workerRuntime } from './worker-options.ts';

export interface RunRetrievalWorkerOptions {
  config: Config;
  log: Log;
  serdes: Serdes;
  logger: Logger;
  /** aborted when it is to end */
  stop: AbortSignal;
  /** told where the HTTP server listens */
  onListening?: (url: string) => void;
}

const modelsFolder = join(import.meta.dirname, '../../models');

/** Resolves when it was told to stop and has; throws where it died, or did not end by its deadline. */
export async function runRetrievalWorker(options: RunRetrievalWorkerOptions): Promise<void> {
  const { config, log, serdes, logger } = options;
  const { engine, concurrency } = config.retrievalWorker;
  await checkTopics(log, RetrievalWorker.topics(), ['regeneration', 'candidates']);
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const metrics = new Metrics(registry);
  await usingEmbedder(config, async (embedder) => {
    const what = { worker: 'retrieval', engine, embedder: embedder.name, concurrency };
    const make = (onFatal: (error: Error) => void): RetrievalWorker[] => {
      const given = retrievalWorkerOptions({ config, embedder, log, serdes, logger, onFatal });
      return [new RetrievalWorker({ ...given, registry, metrics })];
    };
    await watch({ ...options, registry, what, make });
  });
}

/** Opens the embedder that the configuration names, for as long as `use` takes. Throws InferenceError BAD_MODEL, NO_ENGINE. */
export async function usingEmbedder<T>(config: Config, use: (embedder: Embedder) => Promise<T>): Promise<T> {
  const { embedder: kind, embedderFolder } = config.retrievalWorker;
  if (kind === 'ngram') return use(new NgramEmbedder());
  const embedder = await OnnxEmbedder.fromFolder(embedderFolder ?? join(modelsFolder, 'embedder-small'));
  try {
    return await use(embedder);
  } finally {
    await embedder.close();
  }
}

/** What of a worker the configuration says: for whoever runs one beside other things in a process. */
export function retrievalWorkerOptions(given: {
  config: Config;
  embedder: Embedder;
  log: Log;
  serdes: Serdes;
  logger: Logger;
  onFatal: (error: Error) => void;
}): Omit<RetrievalWorkerOptions, 'registry' | 'metrics'> {
  const { config, log, serdes, logger, onFatal, embedder } = given;
  const { retrievalWorker } = config;
  const { concurrency, perText, items, perCategory, leastScore } = retrievalWorker;
  const { options, drainMs } = workerRuntime(config, retrievalWorker.openSearch.requestTimeout);
  return {
    concurrency,
    perText,
    items,
    perCategory,
    leastScore,
    ...engineOf(given, options),
    embedder,
    modelFolder: retrievalWorker.modelFolder ?? join(modelsFolder, 'pre-rank'),
    modelPollMs: retrievalWorker.modelPoll,
    loadRanker: (folder) => OnnxRanker.fromFolder(folder),
    log,
    serdes,
    logger,
    onFatal,
    options,
    drainMs,
  };
}

type Given = Parameters<typeof retrievalWorkerOptions>[0];

function engineOf(
  { config, embedder, log, serdes, logger, onFatal }: Given,
  options: RuntimeOptions,
): Pick<RetrievalWorkerOptions, 'retriever' | 'follower'> {
  const now = Date.now;
  const { engine, openSearch } = config.retrievalWorker;
  if (engine === 'embedded') {
    const retriever = new EmbeddedRetriever({ embedder, logger, now });
    const follower = new TableFollower({ index: retriever, log, serdes, options, logger, now, random: Math.random });
    return { retriever, follower };
  }
  const { index, shards, replicas, requestTimeout, attemptTimeout, attempts, retryBudget, url, indexer } = openSearch;
  const settings = {
    index,
    shards,
    replicas,
    requestTimeoutMs: requestTimeout,
    attemptTimeoutMs: attemptTimeout,
    attempts,
    retryShare: retryBudget,
  };
  const client = new OpenSearchClient({ ...settings, url: url!, auth: openSearchAuth(config) });
  const retriever = new OpenSearchRetriever({ client, settings, embedder });
  if (!indexer) return { retriever, follower: null };
  const { app } = config;
  const given = { client, settings, embedder, topic: CATALOG, log, serdes, app, logger, now, onFatal };
  return { retriever, follower: new CatalogIndexer({ ...given, sessionTimeoutMs: config.runtime.sessionTimeout }) };
}
