/** The continuous job: a worker for each topology in one process, and what watches them. */
import { collectDefaultMetrics, Registry } from 'prom-client';
import { SeralError, messageOf } from '../errors.ts';
import type { Log } from '../log/port.ts';
import type { Serdes } from '../log/serde.ts';
import { Metrics } from '../stream/metrics.ts';
import type { Topology } from '../stream/topology.ts';
import { Worker } from '../stream/worker.ts';
import type { Config } from './config.ts';
import { opsServer } from './http.ts';
import type { Logger } from './logging.ts';
import { runtimeOptions } from './runtime-options.ts';
import { wantedTopics } from './topic-plan.ts';
import { humanDuration } from './units.ts';

export interface RunOptions {
  config: Config;
  topologies: readonly Topology[];
  log: Log;
  serdes: Serdes;
  logger: Logger;
  /** aborted when it is to end */
  stop: AbortSignal;
  /** told where the HTTP server listens */
  onListening?: (url: string) => void;
}

/** Resolves when it was told to stop and has; throws where a worker died, or did not end by its deadline. */
export async function runTopologies(options: RunOptions): Promise<void> {
  const { config, topologies, log, serdes, logger, stop } = options;
  await checkTopics(log, topologies, config);

  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const metrics = new Metrics(registry);
  const ended = Promise.withResolvers<void>();
  stop.addEventListener('abort', () => ended.resolve(), { once: true });
  if (stop.aborted) ended.resolve();

  const workers = topologies.map(
    (topology) =>
      new Worker({
        topology,
        log,
        serdes,
        options: runtimeOptions(config.app, config.runtime),
        metrics,
        logger,
        now: Date.now,
        random: Math.random,
        onFatal: (error) => ended.reject(error),
      }),
  );
  // before the workers: whoever asks while a big catalog is read gets an answer, and it is "not yet"
  const server = await opsServer({
    ...config.http,
    registry,
    status: () => workers.map((worker) => worker.status()),
  });
  let failure: unknown = null;
  try {
    logger.info({ url: server.url, topologies: topologies.map(({ name }) => name) }, 'started');
    options.onListening?.(server.url);
    Promise.all(workers.map((worker) => worker.start())).catch((error: unknown) => ended.reject(error));
    await ended.promise;
    logger.info({ deadlineMs: config.runtime.stopDeadline }, 'stopping');
  } catch (error) {
    failure = error;
    logger.error({ error: messageOf(error) }, 'stopping: a worker has failed');
  }
  try {
    await stopAll(workers, config.runtime.stopDeadline);
  } finally {
    await server.close();
  }
  if (failure !== null) throw failure;
  logger.info({}, 'stopped');
}

/** All at once, by one deadline. */
export async function stopAll(workers: readonly { stop(): Promise<void> }[], deadlineMs: number): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () =>
      late.reject(
        new SeralError(
          'STOP_DEADLINE',
          `not everything had ended after ${humanDuration(deadlineMs)} (runtime.stopDeadline); what was not committed ` +
            `is done again at the next start`,
        ),
      ),
    deadlineMs,
  );
  try {
    await Promise.race([Promise.all(workers.map((worker) => worker.stop())), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** All that is missing, of all topologies, in one message that says what to do. */
async function checkTopics(log: Log, topologies: readonly Topology[], config: Config): Promise<void> {
  const admin = log.admin();
  try {
    const wanted = wantedTopics(topologies, config).map(({ topic }) => topic);
    const found = await admin.describe(wanted);
    const missing = wanted.filter((_, i) => found[i] === null);
    if (missing.length === 0) return;
    throw new SeralError(
      'MISSING_TOPICS',
      `${missing.join(', ')}: not there. Run \`seral topics apply ${topologies.map(({ name }) => name).join(' ')}\``,
      { fatal: true },
    );
  } finally {
    await admin.close();
  }
}
