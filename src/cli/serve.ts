/** `seral serve`: the nearline server in a process of its own, and what watches it. */
import { join } from 'node:path';
import { collectDefaultMetrics, Registry } from 'prom-client';
import type { Log } from '../log/port.ts';
import type { Serdes } from '../log/serde.ts';
import type { FusionRule } from '../nearline/fuse.ts';
import { DEFAULT_ARM } from '../nearline/serve/api.ts';
import { CANDIDATES } from '../nearline/records.ts';
import { NearlineServer, type ServerOptions } from '../nearline/serve/server.ts';
import { TRIGGERS } from '../serengpt/records.ts';
import type { Config } from './config.ts';
import { serveAccess } from './environment.ts';
import type { Logger } from './logging.ts';
import { runtimeOptions } from './runtime-options.ts';
import { checkTopics, watch } from './watch.ts';

export interface RunServeOptions {
  config: Config;
  log: Log;
  serdes: Serdes;
  logger: Logger;
  version: string;
  /** aborted when it is to end */
  stop: AbortSignal;
  /** the clock that expiries are held against; default: the wall clock */
  now?: () => number;
  /** told where the probes and the metrics are */
  onListening?: (url: string) => void;
  /** told where the API is */
  onServing?: (url: string) => void;
}

/** Resolves when it was told to stop and has; throws where it died, or did not end by its deadline. */
export async function runServe(options: RunServeOptions): Promise<void> {
  const { config, log, serdes, logger, version, now, onServing } = options;
  const { host, port, store, auth } = config.serve;
  const given = serverOptions(config);
  if (auth === 'token' && given.tls === null && host !== '127.0.0.1') {
    logger.warn({ host }, 'tokens go over plain HTTP here: something in front is to end TLS');
  }
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  await watch({
    ...options,
    registry,
    what: { serve: `${host}:${port}`, auth, store },
    make: (onFatal) => [
      new NearlineServer({
        ...given,
        ...{ log, serdes, registry, logger, version, onFatal },
        check: () => checkTopics(log, [CANDIDATES.topic, TRIGGERS.topic], ['candidates', 'regeneration']),
        wall: Date.now,
        now: now ?? Date.now,
        random: Math.random,
        ...(onServing && { onServing }),
      }),
    ],
  });
}

/** What the configuration says of it. Throws ConfigError. */
export function serverOptions(
  config: Config,
): Omit<
  ServerOptions,
  'log' | 'serdes' | 'registry' | 'logger' | 'version' | 'check' | 'onFatal' | 'wall' | 'now' | 'random'
> {
  const { app, runtime, serve } = config;
  const rules = { [DEFAULT_ARM]: {}, ...serve.arms };
  return {
    ...serveAccess(config),
    host: serve.host,
    port: serve.port,
    arms: new Map(
      Object.entries(rules).map(([arm, rule]): [string, FusionRule] => [arm, { ...serve.fusion, ...rule }]),
    ),
    limits: {
      requests: serve.rateLimit.requests,
      refused: serve.rateLimit.refused,
      windowMs: serve.rateLimit.window,
    },
    path: serve.store === 'memory' ? null : join(runtime.stateDir, `${app}-serve`),
    memoryBytes: serve.cache,
    lookupMs: serve.lookupTimeout,
    staleAfterMs: serve.staleAfter,
    triggerEveryMs: serve.triggerEvery,
    bufferedTriggers: serve.triggersWaiting,
    runtime: runtimeOptions(app, runtime),
  };
}
