/**
 * What all requests together may spend on second attempts: a share of the requests, and a trickle so that a worker with
 * few of them is not left without. While a server is down it is so asked little more often than if nobody tried again,
 * and whoever finds the bucket empty waits for the trickle, which slows the whole worker down to it.
 */
export interface RetryBudgetOptions {
  /** retries earned by each request */
  share: number;
  /** retries earned by each second */
  perSecond: number;
  /** retries that may be saved up */
  most: number;
  /** monotonic milliseconds */
  elapsed: () => number;
}

export class RetryBudget {
  readonly #options: RetryBudgetOptions;
  #tokens: number;
  #filledAt: number;

  constructor(options: RetryBudgetOptions) {
    this.#options = options;
    this.#tokens = options.most;
    this.#filledAt = options.elapsed();
  }

  /** A request begins. */
  earn(): void {
    this.#add(this.#options.share);
  }

  /** Takes a retry: 0, or the milliseconds after which to ask again. */
  take(): number {
    const now = this.#options.elapsed();
    this.#add(((now - this.#filledAt) / 1000) * this.#options.perSecond);
    this.#filledAt = now;
    if (this.#tokens < 1) return Math.max(((1 - this.#tokens) / this.#options.perSecond) * 1000, 1);
    this.#tokens -= 1;
    return 0;
  }

  #add(tokens: number): void {
    this.#tokens = Math.min(this.#tokens + tokens, this.#options.most);
  }
}
