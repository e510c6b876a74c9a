/** Figures of the workers that answer requests, for Prometheus. They count work, whether or not it was committed in the end. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

const SECONDS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160];

export class RequestMetrics {
  readonly #labels: { worker: string };
  readonly #requests: Counter<'worker'>;
  readonly #failed: Counter<'worker' | 'code'>;
  readonly #inFlight: Gauge<'worker'>;
  readonly #waiting: Gauge<'worker'>;
  readonly #seconds: Histogram<'worker'>;

  constructor(registry: Registry, worker: string, concurrency: number) {
    const registers = [registry];
    const labelNames = ['worker'] as const;
    this.#labels = { worker };
    this.#requests = new Counter({
      name: 'seral_requests_total',
      help: 'requests that were taken up: its rate is the QPS',
      labelNames,
      registers,
    });
    this.#failed = new Counter({
      name: 'seral_requests_failed_total',
      help: 'requests without a good answer: its rate is the E-QPS',
      labelNames: ['worker', 'code'],
      registers,
    });
    this.#inFlight = new Gauge({
      name: 'seral_requests_in_flight',
      help: 'requests that are being answered',
      labelNames,
      registers,
    });
    this.#waiting = new Gauge({
      name: 'seral_requests_waiting',
      help: 'requests that were fetched and wait for their turn',
      labelNames,
      registers,
    });
    this.#seconds = new Histogram({
      name: 'seral_request_seconds',
      help: 'time from the turn of a request to its answer; the rate of its sum is how many are answered at a time',
      labelNames,
      buckets: SECONDS,
      registers,
    });
    new Gauge({
      name: 'seral_requests_limit',
      help: 'requests that may be answered at a time',
      labelNames,
      registers,
    }).set(this.#labels, concurrency);
    this.#requests.inc(this.#labels, 0);
  }

  begun(): void {
    this.#requests.inc(this.#labels);
    this.#inFlight.inc(this.#labels);
  }

  ended(seconds: number, failure: string | null): void {
    this.#inFlight.dec(this.#labels);
    this.#seconds.observe(this.#labels, seconds);
    if (failure !== null) this.#failed.inc({ ...this.#labels, code: failure });
  }

  /** Its work was called off: somebody else answers it. */
  calledOff(): void {
    this.#inFlight.dec(this.#labels);
  }

  /** Its time was over before its turn came, or it could not even be read. */
  refused(code: string): void {
    this.#requests.inc(this.#labels);
    this.#failed.inc({ ...this.#labels, code });
  }

  waiting(count: number): void {
    this.#waiting.set(this.#labels, count);
  }
}
