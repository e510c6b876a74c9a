/** A worker that answers `{ n }` with `{ n, twice }`, and what a test wants to know of it. */
import { Metrics } from '../../src/stream/metrics.ts';
import type { RuntimeOptions } from '../../src/stream/options.ts';
import { RequestMetrics } from '../../src/stream/request-metrics.ts';
import { RequestWorker, type RequestHandler, type RequestWorkerOptions } from '../../src/stream/request-worker.ts';
import type { Log } from '../../src/log/port.ts';
import { Registry } from 'prom-client';
import { BadRecordError } from '../../src/errors.ts';
import { jsonSerdes, type Bench } from './bench.ts';

export interface Question {
  n: number;
  expires?: number;
}
export interface Reply {
  n: number;
  twice: number;
}

export const doubling = (
  handle: RequestHandler<Question, Reply>['handle'] = async ({ n }) => ({ answer: { n, twice: 2 * n } }),
  prefix = '',
): RequestHandler<Question, Reply> => ({
  requests: { topic: `${prefix}questions`, schema: 'Question' },
  answers: { topic: `${prefix}replies`, schema: 'Reply' },
  check({ n }) {
    if (typeof n !== 'number') throw new BadRecordError('NO_NUMBER', 'there is no number');
  },
  expiresAt: ({ expires }) => expires ?? Infinity,
  handle,
});

/** Workers of one test, each with metrics of its own; all are stopped after it. */
export class Asking<L extends Log> {
  readonly #bench: Bench<L>;
  readonly #name: string;
  readonly #workers = new Set<RequestWorker<Question, Reply>>();

  constructor(bench: Bench<L>, name = 'doubler') {
    this.#bench = bench;
    this.#name = name;
  }

  async topics(partitions: number, prefix = ''): Promise<void> {
    const admin = this.#bench.log.admin();
    const topics = [`${prefix}questions`, `${prefix}replies`, `${this.#name}.dlq`];
    await admin.create(topics.map((topic) => ({ topic, partitions })));
    await admin.close();
  }

  async start(
    given: Partial<RequestWorkerOptions<Question, Reply>> = {},
    options: Partial<RuntimeOptions> = {},
  ): Promise<{ worker: RequestWorker<Question, Reply>; metric: (name: string, labels?: object) => Promise<number> }> {
    const registry = new Registry();
    const concurrency = given.concurrency ?? 4;
    const worker = new RequestWorker<Question, Reply>({
      name: this.#name,
      handler: doubling(),
      concurrency,
      log: this.#bench.log,
      serdes: jsonSerdes,
      metrics: new Metrics(registry),
      requestMetrics: new RequestMetrics(registry, this.#name, concurrency),
      logger: this.#bench.logger,
      drainMs: 5000,
      now: Date.now,
      random: Math.random,
      onFatal: (error) => this.#bench.fatal.push(error),
      ...given,
      options: {
        app: 'test',
        stateDir: 'none',
        commitIntervalMs: 20,
        rebuildBackoffMs: 5,
        rebuildBackoffMaxMs: 50,
        fencedRetryMs: 50,
        ...options,
      },
    });
    this.#workers.add(worker);
    await worker.start();
    const metric = async (name: string, labels: object = {}) => {
      const { values } = await registry.getSingleMetric(`seral_${name}`)!.get();
      return values
        .filter((value) => Object.entries(labels).every(([k, v]) => value.labels[k] === v))
        .filter((value) => !('metricName' in value) || String(value.metricName).endsWith('_sum'))
        .reduce((sum, { value }) => sum + value, 0);
    };
    return { worker, metric };
  }

  async stop(worker: RequestWorker<Question, Reply>): Promise<void> {
    await worker.stop();
    this.#workers.delete(worker);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#workers].map((worker) => worker.stop()));
  }
}
