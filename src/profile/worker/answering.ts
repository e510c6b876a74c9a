/**
 * From a request to the record that answers it. A model that could not be asked, or said nothing usable, is an answer too,
 * `failed`: the user's state waits for nothing longer than it must. Where a tag's vector cannot be had, it goes without.
 */
import { InferenceError, messageOf } from '../../errors.ts';
import { bytesOf, type Embedder } from '../../inference/embedder.ts';
import type { NgramEmbedder } from '../../inference/ngram-embedder.ts';
import type { Failure } from '../../stream/dead-letters.ts';
import type { Logger } from '../../stream/logger.ts';
import type { Handled } from '../../stream/request-worker.ts';
import type { CatalogWords } from './catalog-words.ts';
import { EXTRACTIVE, extract } from './extractive.ts';
import { settle, type Dropped } from './parse-answer.ts';
import type { ProfileProposals, ProfileRequest } from '../records.ts';
import type { Proposed, TagMaker } from './tag-makers.ts';

export interface AnsweringOptions {
  maker: TagMaker;
  /** makes the tags' vectors; null: they go without */
  embedder: Embedder | null;
  /** cosine from which on two tags are one */
  same: number;
  logger: Logger;
  now: () => number;
  /** told of what each answer took, and dropped */
  onAnswer?: (proposed: Proposed) => void;
}

export class Answering {
  readonly #options: AnsweringOptions;

  constructor(options: AnsweringOptions) {
    this.#options = options;
  }

  /** Throws the signal's reason, and what is a bug. */
  async answer(request: ProfileRequest, signal: AbortSignal): Promise<Handled<ProfileProposals>> {
    const { maker, same, now, onAnswer } = this.#options;
    const proposed = await this.#proposed(request, signal);
    const vectors = await this.#vectors(proposed.proposals.map(({ tag }) => tag));
    const answer = answerOf(request, proposed, vectors, { profiler: maker.name, same, at: now() });
    onAnswer?.(proposed);
    if (answer.outcome !== 'failed') return { answer };
    return {
      answer,
      failure: proposed.failure ?? { code: answer.error!, error: 'every tag of the answer was dropped' },
    };
  }

  async #proposed(request: ProfileRequest, signal: AbortSignal): Promise<Proposed> {
    try {
      return await this.#options.maker.propose(request, signal);
    } catch (error) {
      if (signal.aborted || !(error instanceof InferenceError)) throw error;
      const failure: Failure = { code: error.code, error: error.message };
      return { outcome: 'failed', failure, proposals: [], dropped: {}, promptTokens: 0, completionTokens: 0 };
    }
  }

  async #vectors(tags: readonly string[]): Promise<Vectors> {
    const { embedder, logger } = this.#options;
    if (embedder === null || tags.length === 0) return null;
    try {
      return { embedder: embedder.name, vectors: await embedder.embed(tags) };
    } catch (error) {
      logger.warn({ embedder: embedder.name, error: messageOf(error) }, 'tags go without vectors');
      return null;
    }
  }
}

type Vectors = { embedder: string; vectors: Int8Array[] } | null;

/** The same at once and without a worker, for replays of files and demos: extractive, and pure. */
export function answerExtractively(
  request: ProfileRequest,
  catalog: CatalogWords,
  { embedder, same, at }: { embedder: NgramEmbedder | null; same: number; at: number },
): ProfileProposals {
  const proposed = { ...extract(request, catalog), failure: null, promptTokens: 0, completionTokens: 0 };
  const vectors =
    embedder === null
      ? null
      : { embedder: embedder.name, vectors: proposed.proposals.map(({ tag }) => embedder.embedNow(tag)) };
  return answerOf(request, proposed, vectors, { profiler: EXTRACTIVE, same, at });
}

function answerOf(
  request: ProfileRequest,
  { outcome, failure, proposals, dropped, promptTokens, completionTokens }: Proposed,
  vectors: Vectors,
  { profiler, same, at }: { profiler: string; same: number; at: number },
): ProfileProposals {
  const bounds = { numberOfTags: request.number_of_tags, tagLength: request.tag_length };
  const kept = settle(proposals, vectors?.vectors ?? null, bounds, same, dropped);
  // an answer without one usable tag is no profile of nothing
  const useless = outcome === 'proposed' && kept.length === 0;
  return {
    request_id: request.request_id,
    user_id: request.user_id,
    kind: request.kind,
    asked_at: request.asked_at,
    answered_at: at,
    outcome: useless ? 'failed' : outcome,
    error: useless ? 'NO_USABLE_TAG' : (failure?.code ?? null),
    profiler,
    prompt_version: request.prompt_version,
    embedder: kept.length === 0 ? null : (vectors?.embedder ?? null),
    proposals: kept.map(({ proposal, vector }) => ({
      ...proposal,
      embedding: vector === null ? null : bytesOf(vector),
    })),
    dropped: droppedOf(dropped),
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
  };
}

const droppedOf = (dropped: Dropped): ProfileProposals['dropped'] =>
  Object.entries(dropped).map(([rule, count]) => ({ rule, count }));
