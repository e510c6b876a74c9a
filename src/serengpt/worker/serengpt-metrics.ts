/** Figures of what SerenGPT says, for Prometheus. */
import { Counter, type Registry } from 'prom-client';
import type { Sampling } from './generating.ts';

export class SerengptMetrics {
  readonly #samples: Counter<'kind'>;
  readonly #texts: Counter<'kind'>;
  readonly #dropped: Counter<'kind' | 'rule'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#samples = new Counter({
      name: 'seral_samples_total',
      help: 'samples that the model gave',
      labelNames: ['kind'],
      registers,
    });
    this.#texts = new Counter({
      name: 'seral_texts_total',
      help: 'distinct texts among them that may be searched for',
      labelNames: ['kind'],
      registers,
    });
    this.#dropped = new Counter({
      name: 'seral_samples_dropped_total',
      help: 'samples that were dropped, by the rule that did',
      labelNames: ['kind', 'rule'],
      registers,
    });
  }

  sampled({ kind, samples, texts, dropped }: Sampling): void {
    this.#samples.inc({ kind }, samples);
    this.#texts.inc({ kind }, texts);
    for (const { rule, count } of dropped) this.#dropped.inc({ kind, rule }, count);
  }
}
