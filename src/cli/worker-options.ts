/** What the workers that ask models have in common, from the configuration. */
import type { ModelMetrics } from '../inference/model-metrics.ts';
import type { EndpointOptions } from '../inference/openai/endpoint.ts';
import type { RuntimeOptions } from '../stream/options.ts';
import type { Config } from './config.ts';
import { runtimeOptions } from './runtime-options.ts';

/** So much of the stop's deadline is for the last commit and for leaving the group. */
const LEAVING_MS = 5000;
const DAY = 86_400_000;

/** `requestTimeout`: ms that one request may take. */
export function workerRuntime(
  { app, runtime }: Config,
  requestTimeout: number,
): { options: RuntimeOptions; drainMs: number } {
  return {
    // a request that is being answered is no standstill
    options: {
      ...runtimeOptions(app, runtime),
      wedgeMs: Math.min(Math.max(runtime.wedge, 2 * requestTimeout), DAY),
    },
    drainMs: Math.max(runtime.stopDeadline - LEAVING_MS, runtime.stopDeadline / 2),
  };
}

/** Of a worker whose engine is openai. */
export function serverOptions(
  worker: Config['profileWorker'] | Config['serengptWorker'],
  apiKey: string | null,
  metrics: ModelMetrics,
): EndpointOptions {
  return {
    url: worker.url!,
    model: worker.model!,
    apiKey,
    requestTimeoutMs: worker.requestTimeout,
    attemptTimeoutMs: worker.attemptTimeout,
    attempts: worker.attempts,
    retryShare: worker.retryBudget,
    maxAnswerBytes: worker.largestAnswer,
    onRetry: (code) => metrics.retried(code),
  };
}
