/** Workers in one process and what watches them, from their start until they were told to stop and have. */
import { SeralError, messageOf } from '../errors.ts';
import type { Log } from '../log/port.ts';
import type { WorkerStatus } from '../stream/worker.ts';
import type { Registry } from 'prom-client';
import type { Config } from './config.ts';
import { opsServer } from './http.ts';
import type { Logger } from './logging.ts';
import { humanDuration } from './units.ts';

interface Watched {
  start(): Promise<void>;
  stop(): Promise<void>;
  status(): WorkerStatus;
}

export interface WatchOptions {
  config: Config;
  registry: Registry;
  logger: Logger;
  /** what is started, for the log */
  what: Record<string, unknown>;
  /** aborted when it is to end */
  stop: AbortSignal;
  /** told where the HTTP server listens */
  onListening?: (url: string) => void;
  /** Makes the workers; `onFatal` is for them to say that they have died. */
  make: (onFatal: (error: Error) => void) => readonly Watched[];
}

/** Resolves when they were told to stop and have; throws where one died, or did not end by its deadline. */
export async function watch(options: WatchOptions): Promise<void> {
  const { config, registry, logger, what, stop } = options;
  const ended = Promise.withResolvers<void>();
  stop.addEventListener('abort', () => ended.resolve(), { once: true });
  if (stop.aborted) ended.resolve();
  const workers = options.make((error) => ended.reject(error));
  // before the workers: whoever asks while a big catalog is read gets an answer, and it is "not yet"
  const server = await opsServer({ ...config.http, registry, status: () => workers.map((worker) => worker.status()) });
  let failure: unknown = null;
  try {
    logger.info({ url: server.url, ...what }, 'started');
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
async function stopAll(workers: readonly Watched[], deadlineMs: number): Promise<void> {
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

/** Throws SeralError MISSING_TOPICS that names all that is missing; `apply`: of which topologies it is to be made. */
export async function checkTopics(log: Log, wanted: string[], apply: readonly string[]): Promise<void> {
  const admin = log.admin();
  try {
    const found = await admin.describe(wanted);
    const missing = wanted.filter((_, i) => found[i] === null);
    if (missing.length === 0) return;
    throw new SeralError(
      'MISSING_TOPICS',
      `${missing.join(', ')}: not there. Run \`seral topics apply ${apply.join(' ')}\``,
      { fatal: true },
    );
  } finally {
    await admin.close();
  }
}
