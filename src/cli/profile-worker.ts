/** `seral worker profile`: the profile worker in a process of its own, and what watches it. */
import { collectDefaultMetrics, Registry } from 'prom-client';
import { SeralError, messageOf } from '../errors.ts';
import type { Log } from '../log/port.ts';
import type { Serdes } from '../log/serde.ts';
import { ProfileWorker, type ProfileWorkerOptions } from '../profile/worker/profile-worker.ts';
import { PROFILE_WORKER_DEFAULTS } from '../profile/worker/settings.ts';
import { Metrics } from '../stream/metrics.ts';
import { OpenAiGenerator } from '../inference/openai/client.ts';
import type { Config } from './config.ts';
import { profileApiKey } from './environment.ts';
import { opsServer } from './http.ts';
import type { Logger } from './logging.ts';
import { stopAll } from './run-topologies.ts';
import { runtimeOptions } from './runtime-options.ts';

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
  const { config, log, serdes, logger, stop } = options;
  await checkTopics(log, config);

  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const ended = Promise.withResolvers<void>();
  stop.addEventListener('abort', () => ended.resolve(), { once: true });
  if (stop.aborted) ended.resolve();
  const worker = new ProfileWorker({
    ...profileWorkerOptions(config),
    log,
    serdes,
    registry,
    metrics: new Metrics(registry),
    logger,
    onFatal: (error) => ended.reject(error),
  });
  // before it: whoever asks while the catalog is read gets an answer, and it is "not yet"
  const server = await opsServer({ ...config.http, registry, status: () => [worker.status()] });
  let failure: unknown = null;
  try {
    const { engine, model, concurrency } = config.profileWorker;
    logger.info({ url: server.url, worker: 'profile', engine, model, concurrency }, 'started');
    options.onListening?.(server.url);
    worker.start().catch((error: unknown) => ended.reject(error));
    await ended.promise;
    logger.info({ deadlineMs: config.runtime.stopDeadline }, 'stopping');
  } catch (error) {
    failure = error;
    logger.error({ error: messageOf(error) }, 'stopping: the worker has failed');
  }
  try {
    await stopAll([worker], config.runtime.stopDeadline);
  } finally {
    await server.close();
  }
  if (failure !== null) throw failure;
  logger.info({}, 'stopped');
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

async function checkTopics(log: Log, config: Config): Promise<void> {
  const admin = log.admin();
  try {
    const wanted = ProfileWorker.topics(config.profileWorker.engine === 'extractive');
    const found = await admin.describe(wanted);
    const missing = wanted.filter((_, i) => found[i] === null);
    if (missing.length === 0) return;
    throw new SeralError('MISSING_TOPICS', `${missing.join(', ')}: not there. Run \`seral topics apply profiles\``, {
      fatal: true,
    });
  } finally {
    await admin.close();
  }
}
