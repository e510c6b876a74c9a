/** Figures of the retrieval worker, for Prometheus (docs/metrics.md). */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { RetrievedItem, RuleCount } from '../../serengpt/records.ts';
import type { SwapObserver } from '../pre-rank/swapping.ts';
import { CHANNELS, type Channel, type Found, type RetrieverStatus } from '../retriever.ts';
import { RULES } from './select.ts';

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
type Finder = Channel | 'both';

export class RetrievalMetrics implements SwapObserver {
  readonly #seconds: Histogram<'channel'>;
  readonly #items: Counter<'stage' | 'channel'>;
  readonly #dropped: Counter<'rule'>;
  readonly #rankSeconds: Histogram;
  readonly #model: Gauge<'model'>;
  readonly #fallback: Gauge;
  readonly #swaps: Counter;
  readonly #refused: Counter<'code'>;
  readonly #failed: Counter<'code'>;

  constructor(registry: Registry, status: () => RetrieverStatus, now: () => number) {
    const registers = [registry];
    this.#seconds = new Histogram({
      name: 'seral_retrieval_seconds',
      help: "time of one channel for all of a request's texts",
      labelNames: ['channel'],
      buckets: SECONDS,
      registers,
    });
    this.#items = new Counter({
      name: 'seral_retrieval_items_total',
      help: 'distinct items that were found, and those of them in answers, by the channels that found them',
      labelNames: ['stage', 'channel'],
      registers,
    });
    this.#dropped = new Counter({
      name: 'seral_retrieval_dropped_total',
      help: 'found items that are in no answer, by the rule that left them out',
      labelNames: ['rule'],
      registers,
    });
    this.#rankSeconds = new Histogram({
      name: 'seral_pre_rank_seconds',
      help: "time of the pre-ranking model for all of a request's items",
      buckets: SECONDS,
      registers,
    });
    this.#model = new Gauge({
      name: 'seral_pre_rank_model',
      help: '1 for the pre-ranking model in use',
      labelNames: ['model'],
      registers,
    });
    this.#fallback = new Gauge({
      name: 'seral_pre_rank_fallback',
      help: '1 while there is no pre-ranking model and items go by their retrieval score',
      registers,
    });
    this.#swaps = new Counter({
      name: 'seral_pre_rank_swaps_total',
      help: 'pre-ranking models that were taken into use',
      registers,
    });
    this.#refused = new Counter({
      name: 'seral_pre_rank_refused_total',
      help: 'pre-ranking models that were not taken into use, by why',
      labelNames: ['code'],
      registers,
    });
    this.#failed = new Counter({
      name: 'seral_pre_rank_failed_total',
      help: 'requests whose items went by their retrieval score because the model failed, by why',
      labelNames: ['code'],
      registers,
    });
    for (const rule of RULES) this.#dropped.inc({ rule }, 0);
    indexGauges(registry, status, now);
  }

  retrieved(found: readonly Found[], seconds: Record<Channel, number>): void {
    for (const channel of CHANNELS) this.#seconds.observe({ channel }, seconds[channel]);
    this.#count(
      'found',
      found.map((one) => CHANNELS.filter((channel) => one[channel] !== null)),
    );
  }

  answered(items: readonly RetrievedItem[], dropped: readonly RuleCount[]): void {
    this.#count(
      'answered',
      items.map(({ channels }) => channels as Channel[]),
    );
    for (const { rule, count } of dropped) this.#dropped.inc({ rule }, count);
  }

  ranked(seconds: number): void {
    this.#rankSeconds.observe(seconds);
  }

  rankerFailed(code: string): void {
    this.#failed.inc({ code });
  }

  inUse(model: string | null): void {
    this.#model.reset();
    if (model !== null) this.#model.set({ model }, 1);
    this.#fallback.set(model === null ? 1 : 0);
  }

  swapped(): void {
    this.#swaps.inc();
  }

  refused(code: string): void {
    this.#refused.inc({ code });
  }

  #count(stage: string, finders: readonly Channel[][]): void {
    const counts: Record<Finder, number> = { keyword: 0, vector: 0, both: 0 };
    for (const channels of finders) counts[channels.length > 1 ? 'both' : channels[0]!]++;
    for (const [channel, count] of Object.entries(counts)) this.#items.inc({ stage, channel }, count);
  }
}

/** Asked for when they are read: an index changes with every row of the catalog. */
function indexGauges(registry: Registry, status: () => RetrieverStatus, now: () => number): void {
  const registers = [registry];
  const byChannel = (name: string, help: string, of: 'items' | 'bytes'): void => {
    new Gauge({
      name,
      help,
      labelNames: ['channel'],
      registers,
      collect() {
        const figures = status()[of];
        if (figures !== null) for (const channel of CHANNELS) this.set({ channel }, figures[channel]);
      },
    });
  };
  byChannel('seral_retrieval_index_items', 'items in stock that may be found', 'items');
  byChannel('seral_retrieval_index_bytes', 'memory of the indexes, roughly', 'bytes');
  new Gauge({
    name: 'seral_retrieval_index_pending',
    help: 'changes of the catalog that are not in the indexes yet',
    registers,
    collect() {
      this.set(status().pending);
    },
  });
  new Gauge({
    name: 'seral_retrieval_index_age_seconds',
    help: 'time since the indexes had taken in all that was known of the catalog',
    registers,
    collect() {
      const { currentAt } = status();
      if (currentAt !== null) this.set(Math.max(now() - currentAt, 0) / 1000);
    },
  });
}
