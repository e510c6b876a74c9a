/**
 * `seral serve`: the nearline cache, what fills it, and the API in front of it.
 *
 *   new → starting (the disk is opened) → serving, ready once the cache is → stopping (what was asked is answered, triggers
 *   that wait are sent) → stopped
 */
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Registry } from 'prom-client';
import { ConfigError, messageOf } from '../../errors.ts';
import type { Log } from '../../log/port.ts';
import { readSchema } from '../../log/schemas.ts';
import type { Serdes } from '../../log/serde.ts';
import type { Logger } from '../../stream/logger.ts';
import { compileOptions, type RuntimeOptions } from '../../stream/options.ts';
import type { WorkerStatus } from '../../stream/worker.ts';
import { CANDIDATES } from '../records.ts';
import { serveApi, type ApiOptions } from './api.ts';
import { CandidateCache } from './cache.ts';
import { EntryCodec } from './entry.ts';
import { CandidateFollower, type FollowerStatus } from './follower.ts';
import { ServeMetrics } from './metrics.ts';
import { TriggerSender } from './triggers.ts';

export interface ServerOptions extends Pick<
  ApiOptions,
  'arms' | 'auth' | 'tls' | 'limits' | 'triggerEveryMs' | 'now' | 'version'
> {
  log: Log;
  serdes: Serdes;
  registry: Registry;
  logger: Logger;
  host: string;
  /** 0: any free one */
  port: number;
  /** of the cache; null: all of it is in memory */
  path: string | null;
  memoryBytes: number;
  lookupMs: number;
  staleAfterMs: number;
  bufferedTriggers: number;
  runtime: RuntimeOptions;
  /** the wall clock, by which what is on the disk is dated */
  wall: () => number;
  random: () => number;
  /** throws where topics are not there, or a retriable error where that cannot be said */
  check: () => Promise<void>;
  onFatal: (error: Error) => void;
  /** told where the API listens */
  onServing?: (url: string) => void;
}

export interface ServeStatus extends WorkerStatus {
  cache: FollowerStatus | null;
}

/** So much of the time to stop is for the triggers that wait. */
const LAST_TRIGGERS_MS = 2000;

export class NearlineServer {
  readonly #options: ServerOptions;
  #api: FastifyInstance | null = null;
  #follower: CandidateFollower | null = null;
  #cache: CandidateCache | null = null;
  #triggers: TriggerSender | null = null;
  #fatal: Error | null = null;
  #serving = false;
  #starting: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | null = null;

  constructor(options: ServerOptions) {
    this.#options = options;
  }

  /** Resolves when it serves, ready or not. Throws ConfigError, StoreError STORE_LOCKED, or that it cannot listen. */
  start(): Promise<void> {
    return (this.#starting = this.#start());
  }

  async #start(): Promise<void> {
    const { host, port, logger, onServing, runtime, wall, random, now } = this.#options;
    const { log, serdes, registry, memoryBytes, lookupMs, path, staleAfterMs, check, onFatal } = this.#options;
    const { options: compiled, problems } = compileOptions(runtime);
    if (problems.length > 0) throw new ConfigError(problems);
    const clock = { now: wall, checkNow: wall, elapsed: () => performance.now(), random };
    const codec = new EntryCodec(await readSchema(CANDIDATES.schema));
    const metrics = new ServeMetrics(registry, () => this.#figures());
    const onBroken = (error: Parameters<CandidateFollower['broken']>[0]) => follower.broken(error);
    const cache = new CandidateCache({ codec, memoryBytes, lookupMs, now, metrics, onBroken });
    const follower = new CandidateFollower({
      ...{ log, serdes, cache, codec, path, staleAfterMs, clock, logger, metrics, check },
      runtime: compiled,
      onFatal: (error) => {
        this.#fatal = error;
        onFatal(error);
      },
    });
    const triggers = new TriggerSender({
      ...{ log, serdes, clock, now, logger, metrics },
      everyMs: this.#options.triggerEveryMs,
      buffered: this.#options.bufferedTriggers,
      runtime: compiled,
    });
    await follower.open();
    this.#follower = follower;
    this.#cache = cache;
    this.#triggers = triggers;
    this.#api = await serveApi({ ...this.#options, cache, triggers, metrics });
    triggers.start();
    follower.run();
    await this.#api.listen({ host, port });
    this.#serving = true;
    const { port: taken } = this.#api.server.address() as AddressInfo;
    const url = `${this.#options.tls === null ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${taken}`;
    logger.info({ url, auth: this.#options.auth.kind }, 'serving');
    onServing?.(url);
  }

  status(): ServeStatus {
    const cache = this.#follower?.status() ?? null;
    return {
      topology: 'serve',
      live: this.#fatal === null,
      ready: this.#serving && this.#fatal === null && cache !== null && cache.ready,
      tables: [],
      tasks: [],
      standbys: [],
      error: this.#fatal === null ? null : messageOf(this.#fatal),
      cache,
    };
  }

  /** Idempotent. */
  stop(): Promise<void> {
    return (this.#stopped ??= this.#stop());
  }

  async #stop(): Promise<void> {
    await this.#starting.catch(() => {});
    this.#serving = false;
    if (this.#api !== null) await close(this.#api);
    await this.#triggers?.close(LAST_TRIGGERS_MS);
    await this.#follower?.stop();
  }

  #figures() {
    const cache = this.#follower?.status();
    const current = cache?.currentAt ?? null;
    return {
      lag: cache?.lag ?? 0,
      behindSeconds: current === null ? Infinity : Math.max(0, (this.#options.wall() - current) / 1000),
      memoryBytes: this.#cache?.memoryBytes ?? 0,
      stale: cache?.stale ?? false,
      waitingTriggers: this.#triggers?.waiting ?? 0,
    };
  }
}

/** What was asked is answered first. Node closes the connections that are idle now, and not those that will be. */
async function close(api: FastifyInstance): Promise<void> {
  const closing = setInterval(() => api.server.closeIdleConnections(), 20);
  try {
    await api.close();
  } finally {
    clearInterval(closing);
  }
}
