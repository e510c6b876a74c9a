/**
 * The SerenGPT worker (paper, 4.4.1): answers `serengpt.regeneration-requests` on `serengpt.generations`. It has no state.
 *
 *   const worker = new SerengptWorker({ ...SERENGPT_WORKER_DEFAULTS, sampler: () => ..., log, serdes, options, ... });
 *   await worker.start();
 *   ... worker.status()
 *   await worker.stop();
 */
import type { Registry } from 'prom-client';
import { ModelMetrics } from '../../inference/model-metrics.ts';
import { Prompts } from '../../inference/prompts.ts';
import type { Sampler } from '../../inference/sampler.ts';
import type { Log } from '../../log/port.ts';
import type { Serdes } from '../../log/serde.ts';
import type { Logger } from '../../stream/logger.ts';
import type { Metrics } from '../../stream/metrics.ts';
import type { RuntimeOptions } from '../../stream/options.ts';
import { RequestMetrics } from '../../stream/request-metrics.ts';
import { RequestWorker, type RequestHandler } from '../../stream/request-worker.ts';
import type { WorkerStatus } from '../../stream/worker.ts';
import {
  checkAsked,
  GENERATIONS,
  REGENERATION_REQUESTS,
  type Generation,
  type RegenerationRequest,
} from '../records.ts';
import { Generating } from './generating.ts';
import { SerengptMetrics } from './serengpt-metrics.ts';
import { SERENGPT_WORKER, type SerengptWorkerSettings } from './settings.ts';

export interface SerengptWorkerOptions extends SerengptWorkerSettings {
  /** the model, which the caller closes after `stop`. Its `onRetry` is to tell `retried` of this worker's metrics */
  sampler: (metrics: ModelMetrics) => Sampler;
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

export class SerengptWorker {
  readonly #worker: RequestWorker<RegenerationRequest, Generation>;

  /** Throws InferenceError UNKNOWN_PROMPT where the folder of the prompts cannot be read, and what making the sampler does. */
  constructor(given: SerengptWorkerOptions) {
    const { registry, metrics, log, serdes, options, logger, drainMs, concurrency, onFatal } = given;
    const now = given.now ?? Date.now;
    const prompts = new Prompts(given.promptFolder ?? undefined);
    // a folder that is not there is found now, and not with the first request
    prompts.versions();
    const model = new ModelMetrics(registry, SERENGPT_WORKER, given);
    const figures = new SerengptMetrics(registry);
    const generating = new Generating({
      ...given,
      sampler: given.sampler(model),
      prompts,
      now,
      onSampling: (sampling) => {
        model.spent(sampling.promptTokens, sampling.completionTokens);
        figures.sampled(sampling);
      },
    });
    this.#worker = new RequestWorker({
      name: SERENGPT_WORKER,
      handler: regenerationRequests((request, signal) => generating.answer(request, signal)),
      concurrency,
      log,
      serdes,
      options,
      metrics,
      requestMetrics: new RequestMetrics(registry, SERENGPT_WORKER, concurrency),
      logger,
      drainMs,
      now,
      random: given.random ?? Math.random,
      onFatal,
    });
  }

  /** Topics that it reads and writes. */
  static topics(): string[] {
    return [REGENERATION_REQUESTS.topic, GENERATIONS.topic, `${SERENGPT_WORKER}.dlq`];
  }

  /** Resolves when it has its first partitions, or was stopped. Whatever it throws, `stop` is still to be called. */
  start(): Promise<void> {
    return this.#worker.start();
  }

  status(): WorkerStatus {
    return this.#worker.status();
  }

  /** Idempotent. */
  stop(): Promise<void> {
    return this.#worker.stop();
  }
}

/** The requests of the regeneration topology, answered by whatever `handle` is. */
export const regenerationRequests = (
  handle: RequestHandler<RegenerationRequest, Generation>['handle'],
): RequestHandler<RegenerationRequest, Generation> => ({
  requests: REGENERATION_REQUESTS,
  answers: GENERATIONS,
  check: checkAsked,
  expiresAt: (request) => request.expires_at,
  handle,
});
