/** What a cache age costs and buys (paper, 5.3.3 and Figure 4), counted along a log. Times are ms. */
import type { Asking } from './asking.ts';
import type { Outcome } from './simulated-workers.ts';

const MINUTE = 60_000;

export interface CacheFigures {
  /** asked of SerenGPT, further attempts included */
  requests: number;
  /** of them, by what came of them; `open` had neither an answer nor a missed deadline when the log ended */
  done: number;
  late: number;
  dropped: number;
  refused: number;
  open: number;
  /** a second, over the whole log */
  qps: number;
  /** of the busiest minute */
  peakQps: number;
  /** failed requests a second: late, dropped or refused */
  eqps: number;
  /** pages shown: exposure events */
  pages: number;
  /** of the pages: with candidates that were valid; without, but some were being made; without any of it */
  valid: number;
  waiting: number;
  without: number;
  /** of the candidates of valid pages, since their visit; null where there were none */
  meanAgeMs: number | null;
}

export class CacheTally {
  readonly #outcomes: Record<Outcome, number> = { done: 0, late: 0, dropped: 0, refused: 0 };
  readonly #pages = { valid: 0, waiting: 0, without: 0 };
  #requests = 0;
  #age = 0;
  #minute = -1;
  #inMinute = 0;
  #peak = 0;

  asked(now: number): void {
    this.#requests++;
    const minute = Math.floor(now / MINUTE);
    if (minute !== this.#minute) [this.#minute, this.#inMinute] = [minute, 0];
    this.#peak = Math.max(this.#peak, ++this.#inMinute);
  }

  ended(outcome: Outcome): void {
    this.#outcomes[outcome]++;
  }

  /** `asking`: where the page's user stands, before the page itself asks for anything. */
  page(asking: Asking | undefined, now: number): void {
    if (asking !== undefined && asking.validUntil > now) {
      this.#pages.valid++;
      this.#age += now - asking.generatedAt;
    } else if (asking !== undefined && (asking.pending !== null || asking.dueAt !== 0)) this.#pages.waiting++;
    else this.#pages.without++;
  }

  figures(spanMs: number): CacheFigures {
    const { done, late, dropped, refused } = this.#outcomes;
    const { valid, waiting, without } = this.#pages;
    const failed = late + dropped + refused;
    const seconds = Math.max(spanMs, 1000) / 1000;
    return {
      requests: this.#requests,
      done,
      late,
      dropped,
      refused,
      open: this.#requests - done - failed,
      qps: this.#requests / seconds,
      peakQps: this.#peak / (MINUTE / 1000),
      eqps: failed / seconds,
      pages: valid + waiting + without,
      valid,
      waiting,
      without,
      meanAgeMs: valid === 0 ? null : this.#age / valid,
    };
  }
}
