/** `seral worker profile`: the profile worker in a process of its own, and what watches it. */
import { collectDefaultMetrics, Registry } from 'prom-client';
import type { Log } from '../log/port.ts';
import type { Serdes } from '../log/serde.ts';
import { ProfileWorker, type ProfileWorkerOptions } from '../profile/worker/profile-worker.ts';
import { PROFILE_WORKER_DEFAULTS } from '../profile/worker/settings.ts';
import { Metrics } from '../stream/metrics.ts';
import { OpenAiGenerator } from '../inference/openai/client.ts';
import type { Config } from './config.ts';
import { apiKeyOf } from './environment.ts';
import type { Logger } from './logging.ts';
import { checkTopics, watch } from './watch.ts';
import { serverOptions, workerRuntime } from './worker-options.ts';

export interface RunProfileWorkerOptions {
  config: Config;
  log: Log;
  serdes: Serdes;
  logger: Logger;
  /** aborted when it is to end */
  stop: AbortSignal;
  /** told where the HTTP server listens */
  onListening?: (url: string) => void;
}

/** Resolves when it was told to stop and has; throws where it died, or did not end by its deadline. */
export async function runProfileWorker(options: RunProfileWorkerOptions): Promise<void> {
  const { config, log, serdes, logger } = options;
  const { engine, model, concurrency } = config.profileWorker;
  await checkTopics(log, ProfileWorker.topics(engine === 'extractive'), ['profiles']);
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const metrics = new Metrics(registry);
  await watch({
    ...options,
    registry,
    what: { worker: 'profile', engine, model, concurrency },
    make: (onFatal) => [
      new ProfileWorker({ ...profileWorkerOptions(config), log, serdes, registry, metrics, logger, onFatal }),
    ],
  });
}

/** What of a worker the configuration says: for whoever runs one beside other things in a process. */
export function profileWorkerOptions(
  config: Config,
): Pick<ProfileWorkerOptions, 'generator' | 'options' | 'drainMs' | keyof typeof PROFILE_WORKER_DEFAULTS> {
  const { profileWorker: given } = config;
  const { concurrency, temperature, maxTokens, promptFolder, priceIn, priceOut } = given;
  const apiKey = apiKeyOf('profileWorker', config);
  return {
    ...PROFILE_WORKER_DEFAULTS,
    same: config.profiles.approval.same,
    concurrency,
    temperature,
    maxTokens,
    promptFolder,
    priceIn,
    priceOut,
    generator:
      given.engine === 'extractive'
        ? null
        : (metrics) =>
            new OpenAiGenerator({
              ...serverOptions(given, apiKey, metrics),
              structuredOutput: given.structuredOutput,
            }),
    ...workerRuntime(config, given.requestTimeout),
  };
}
