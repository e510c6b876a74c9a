/** What models cost, for Prometheus: by the tokens that the servers say they took. */
import { Counter, type Registry } from 'prom-client';

export interface Prices {
  /** of a million tokens that go in, and that come out; in whatever money the dashboards are in */
  priceIn: number;
  priceOut: number;
}

export class ModelMetrics {
  readonly #labels: { worker: string };
  readonly #prices: Prices;
  readonly #retries: Counter<'worker' | 'code'>;
  readonly #tokens: Counter<'worker' | 'kind'>;
  readonly #cost: Counter<'worker'>;

  constructor(registry: Registry, worker: string, prices: Prices) {
    const registers = [registry];
    this.#labels = { worker };
    this.#prices = prices;
    this.#retries = new Counter({
      name: 'seral_model_retries_total',
      help: 'attempts made again, by what the last one failed of',
      labelNames: ['worker', 'code'],
      registers,
    });
    this.#tokens = new Counter({
      name: 'seral_model_tokens_total',
      help: 'tokens that model servers say they read and wrote',
      labelNames: ['worker', 'kind'],
      registers,
    });
    this.#cost = new Counter({
      name: 'seral_model_cost_total',
      help: 'what those tokens cost at the prices of the configuration',
      labelNames: ['worker'],
      registers,
    });
    this.#tokens.inc({ ...this.#labels, kind: 'prompt' }, 0);
    this.#tokens.inc({ ...this.#labels, kind: 'completion' }, 0);
    this.#cost.inc(this.#labels, 0);
  }

  retried(code: string): void {
    this.#retries.inc({ ...this.#labels, code });
  }

  spent(promptTokens: number, completionTokens: number): void {
    const { priceIn, priceOut } = this.#prices;
    this.#tokens.inc({ ...this.#labels, kind: 'prompt' }, promptTokens);
    this.#tokens.inc({ ...this.#labels, kind: 'completion' }, completionTokens);
    this.#cost.inc(this.#labels, (promptTokens * priceIn + completionTokens * priceOut) / 1e6);
  }
}
