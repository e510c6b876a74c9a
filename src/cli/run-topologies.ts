/** The continuous job: a worker for each topology in one process, and what watches them. */
import { collectDefaultMetrics, Registry } from 'prom-client';
import type { Log } from '../log/port.ts';
import type { Serdes } from '../log/serde.ts';
import { Metrics } from '../stream/metrics.ts';
import type { Topology } from '../stream/topology.ts';
import { Worker } from '../stream/worker.ts';
import type { Config } from './config.ts';
import type { Logger } from './logging.ts';
import { runtimeOptions } from './runtime-options.ts';
import { wantedTopics } from './topic-plan.ts';
import { checkTopics, watch } from './watch.ts';

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
  const { config, topologies, log, serdes, logger } = options;
  const names = topologies.map(({ name }) => name);
  await checkTopics(
    log,
    wantedTopics(topologies, config).map(({ topic }) => topic),
    names,
  );
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const metrics = new Metrics(registry);
  await watch({
    ...options,
    registry,
    what: { topologies: names },
    make: (onFatal) =>
      topologies.map(
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
            onFatal,
          }),
      ),
  });
}
