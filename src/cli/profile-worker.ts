/** `seral worker profile`: the profile worker in a process of its own, and what watches it. */
import { collectDefaultMetrics, Registry } from 'prom-client';
import type { Log } from '../log/port.ts';
import type { Serdes } from '../log/serde.ts';
import { ProfileWorker, type ProfileWorkerOptions } from '../profile/worker/profile-worker.ts';
import { PROFILE_WORKER_DEFAULTS } from '../profile/worker/settings.ts';
import { Metrics } from '../stream/metrics.ts';
import { OpenAiGenerator } from '../inference/openai/client.ts';
import type { Config } from './config.ts';
import { profileApiKey } from './environment.ts';
import type { Logger } from './logging.ts';
import { runtimeOptions } from './runtime-options.ts';
import { checkTopics, watch } from './watch.ts';

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

/** So much of the stop's deadline is for the last commit and for leaving the group. */
const LEAVING_MS = 5000;

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
  const { profileWorker: given, runtime } = config;
  const { concurrency, temperature, maxTokens, promptFolder, priceIn, priceOut } = given;
  const apiKey = profileApiKey(config);
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
              url: given.url!,
              model: given.model!,
              apiKey,
              structuredOutput: given.structuredOutput,
              requestTimeoutMs: given.requestTimeout,
              attemptTimeoutMs: given.attemptTimeout,
              attempts: given.attempts,
              retryShare: given.retryBudget,
              maxAnswerBytes: given.largestAnswer,
              onRetry: (code) => metrics.retried(code),
            }),
    // a request that is being answered is no standstill
    options: {
      ...runtimeOptions(config.app, runtime),
      wedgeMs: Math.min(Math.max(runtime.wedge, 2 * given.requestTimeout), 86_400_000),
    },
    drainMs: Math.max(runtime.stopDeadline - LEAVING_MS, runtime.stopDeadline / 2),
  };
}
