/**
 * From a generation to the record that ends its way through the workers. What failed before is passed on as failed; what fails
 * here is an answer too, so that the user's state waits no longer than it must and asks again.
 */
import { InferenceError, SeralError, messageOf } from '../../errors.ts';
import type { Embedder } from '../../inference/embedder.ts';
import type { Generation, RetrievedItem, RetrievedItems, RuleCount } from '../../serengpt/records.ts';
import type { Failure } from '../../stream/dead-letters.ts';
import type { Logger } from '../../stream/logger.ts';
import type { Handled } from '../../stream/request-worker.ts';
import { contextOf, itemsNamed } from '../pre-rank/context.ts';
import { featuresOf } from '../pre-rank/features.ts';
import type { SwappingRanker } from '../pre-rank/swapping.ts';
import type { Found, Retriever } from '../retriever.ts';
import type { RetrievalMetrics } from './metrics.ts';
import { retrievalScore, selected } from './select.ts';
import { NO_RANKER, type RetrievalSettings } from './settings.ts';

/** However many a record brings. */
const MOST_TEXTS = 100;

export interface AnsweringOptions {
  retriever: Retriever;
  /** the retriever's */
  embedder: Embedder;
  ranker: Pick<SwappingRanker, 'score' | 'name'>;
  settings: RetrievalSettings;
  metrics: RetrievalMetrics;
  logger: Logger;
  now: () => number;
}

interface Ranked {
  ranker: string;
  items: RetrievedItem[];
  dropped: RuleCount[];
}

export class Answering {
  readonly #options: AnsweringOptions;

  constructor(options: AnsweringOptions) {
    this.#options = options;
  }

  /** Throws the signal's reason, and what is a bug. */
  async answer(generation: Generation, signal: AbortSignal): Promise<Handled<RetrievedItems>> {
    // its worker has counted it and has its dead letter: here it is no failure of ours
    if (generation.outcome === 'failed') return { answer: this.#failed(generation, generation.error ?? 'FAILED') };
    let ranked: Ranked;
    try {
      ranked = await this.#ranked(generation, signal);
    } catch (error) {
      if (signal.aborted || !(error instanceof InferenceError)) throw error;
      const failure: Failure = { code: error.code, error: error.message };
      return { answer: this.#failed(generation, failure.code), failure };
    }
    if (ranked.items.length > 0) return { answer: this.#record(generation, { outcome: 'retrieved', ...ranked }) };
    const failure = { code: 'NO_ITEMS', error: `${generation.texts.length} texts led to no item that may be shown` };
    return { answer: { ...this.#failed(generation, failure.code), dropped: ranked.dropped }, failure };
  }

  async #ranked(generation: Generation, signal: AbortSignal): Promise<Ranked> {
    const { retriever, embedder, settings, metrics } = this.#options;
    const told = { ...generation, texts: generation.texts.slice(0, MOST_TEXTS) };
    const { found, seconds } = await retriever.retrieve(told.texts, settings.perText, signal);
    metrics.retrieved(found, seconds);
    const known = await retriever.items(itemsNamed(told), signal);
    const context = await contextOf(told, known, embedder);
    signal.throwIfAborted();
    const { scores, name } = await this.#scores(found, featuresOf(context, found));
    const bought = new Set(
      generation.history.flatMap(({ kind, item_id }) => (kind === 'purchase' && item_id !== null ? [item_id] : [])),
    );
    const { items, dropped } = selected(found, scores, told.texts, bought, settings);
    metrics.answered(items, dropped);
    return { ranker: name, items, dropped };
  }

  /** All items in one batch. Where the model fails, this answer goes by the retrieval score: better than none. */
  async #scores(found: readonly Found[], rows: Float32Array): Promise<{ scores: ArrayLike<number>; name: string }> {
    const { ranker, metrics, logger } = this.#options;
    const begun = performance.now();
    try {
      const given = await ranker.score(rows);
      if (given !== null) {
        metrics.ranked((performance.now() - begun) / 1000);
        return given;
      }
    } catch (error) {
      if (!(error instanceof SeralError)) throw error;
      metrics.rankerFailed(error.code);
      logger.warn({ model: ranker.name, code: error.code, error: messageOf(error) }, 'the pre-ranking model failed');
    }
    return { scores: found.map(retrievalScore), name: NO_RANKER };
  }

  #failed(generation: Generation, error: string): RetrievedItems {
    const ranker = this.#options.ranker.name ?? NO_RANKER;
    return this.#record(generation, { outcome: 'failed', error, ranker, items: [], dropped: [] });
  }

  #record(
    { request_id, user_id, round, attempt, asked_at, expires_at, valid_until, ...generation }: Generation,
    ended: Ranked & { outcome: RetrievedItems['outcome']; error?: string },
  ): RetrievedItems {
    return {
      request_id,
      user_id,
      round,
      attempt,
      asked_at,
      expires_at,
      valid_until,
      generated_at: generation.generated_at,
      retrieved_at: this.#options.now(),
      model: generation.model,
      prompt_version: generation.prompt_version,
      retriever: this.#options.retriever.name,
      error: null,
      ...ended,
    };
  }
}
