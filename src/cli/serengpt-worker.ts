/** `seral worker serengpt`: the SerenGPT worker in a process of its own, and what watches it. */
import { join } from 'node:path';
import { collectDefaultMetrics, Registry } from 'prom-client';
import type { ModelMetrics } from '../inference/model-metrics.ts';
import { OnnxSampler } from '../inference/onnx/sampler.ts';
import { OpenAiSampler } from '../inference/openai/sampler.ts';
import type { Sampler } from '../inference/sampler.ts';
import type { Log } from '../log/port.ts';
import type { Serdes } from '../log/serde.ts';
import { SerengptWorker, type SerengptWorkerOptions } from '../serengpt/worker/serengpt-worker.ts';
import type { SERENGPT_WORKER_DEFAULTS } from '../serengpt/worker/settings.ts';
import { Metrics } from '../stream/metrics.ts';
import type { Config } from './config.ts';
import { apiKeyOf, blockedPhrases } from './environment.ts';
import type { Logger } from './logging.ts';
import { checkTopics, watch } from './watch.ts';
import { serverOptions, workerRuntime } from './worker-options.ts';

export interface RunSerengptWorkerOptions {
  config: Config;
  log: Log;
  serdes: Serdes;
  logger: Logger;
  /** aborted when it is to end */
  stop: AbortSignal;
  /** told where the HTTP server listens */
  onListening?: (url: string) => void;
}

const shippedModel = join(import.meta.dirname, '../../models/serengpt-small');

/** Resolves when it was told to stop and has; throws where it died, or did not end by its deadline. */
export async function runSerengptWorker(options: RunSerengptWorkerOptions): Promise<void> {
  const { config, log, serdes, logger } = options;
  const { engine, model, concurrency } = config.serengptWorker;
  await checkTopics(log, SerengptWorker.topics(), ['regeneration']);
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const metrics = new Metrics(registry);
  await usingSampler(config, (sampler) =>
    watch({
      ...options,
      registry,
      what: { worker: 'serengpt', engine, model, concurrency },
      make: (onFatal) => [
        new SerengptWorker({
          ...serengptWorkerOptions(config),
          sampler,
          log,
          serdes,
          registry,
          metrics,
          logger,
          onFatal,
        }),
      ],
    }),
  );
}

/** Opens the model that the configuration names, for as long as `use` takes. Throws InferenceError BAD_MODEL, NO_ENGINE. */
export async function usingSampler<T>(
  config: Config,
  use: (sampler: (metrics: ModelMetrics) => Sampler) => Promise<T>,
): Promise<T> {
  const { engine, modelFolder, threads, endpoint, logprobs } = config.serengptWorker;
  if (engine === 'openai') {
    const apiKey = apiKeyOf('serengptWorker', config);
    return use(
      (metrics) => new OpenAiSampler({ ...serverOptions(config.serengptWorker, apiKey, metrics), endpoint, logprobs }),
    );
  }
  const sampler = await OnnxSampler.fromFolder(modelFolder ?? shippedModel, { threads });
  try {
    return await use(() => sampler);
  } finally {
    await sampler.close();
  }
}

/** What of a worker the configuration says: for whoever runs one beside other things in a process. */
export function serengptWorkerOptions(
  config: Config,
): Pick<SerengptWorkerOptions, 'options' | 'drainMs' | keyof typeof SERENGPT_WORKER_DEFAULTS> {
  const { serengptWorker: given } = config;
  const { concurrency, temperature, repetitionPenalty, maxTokens, queryPromptVersion, promptFolder } = given;
  const { longestText, scripts, priceIn, priceOut } = given;
  return {
    concurrency,
    temperature,
    repetitionPenalty,
    maxTokens,
    queryPromptVersion,
    promptFolder,
    longestText,
    scripts,
    blocked: blockedPhrases(config),
    priceIn,
    priceOut,
    ...workerRuntime(config, given.requestTimeout),
  };
}
