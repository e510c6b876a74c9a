/** Who makes tags of a request: a model behind the `Generator` port, or the extractive profiler. */
import { InferenceError } from '../../errors.ts';
import type { Generator } from '../../inference/generator.ts';
import type { Failure } from '../../stream/dead-letters.ts';
import type { CatalogWords } from './catalog-words.ts';
import { EXTRACTIVE, extract } from './extractive.ts';
import { readAnswer, type Dropped, type Proposal } from './parse-answer.ts';
import type { Prompts } from '../../inference/prompts.ts';
import { ANSWER_SCHEMA, messagesOf } from './prompt.ts';
import type { ProfileProposals, ProfileRequest } from '../records.ts';

/** What a maker says, before tags of one meaning are folded and the number is cut. */
export interface Proposed {
  outcome: ProfileProposals['outcome'];
  /** where it failed */
  failure: Failure | null;
  proposals: Proposal[];
  dropped: Dropped;
  promptTokens: number;
  completionTokens: number;
}

export interface TagMaker {
  /** whose tags they are, wherever they show */
  readonly name: string;
  /** Throws InferenceError, or the signal's reason. */
  propose(request: ProfileRequest, signal: AbortSignal): Promise<Proposed>;
}

export class ModelTagMaker implements TagMaker {
  readonly name: string;
  readonly #generator: Generator;
  readonly #prompts: Prompts;
  readonly #options: { temperature: number; maxTokens: number };

  constructor(generator: Generator, prompts: Prompts, options: { temperature: number; maxTokens: number }) {
    this.name = generator.name;
    this.#generator = generator;
    this.#prompts = prompts;
    this.#options = options;
  }

  async propose(request: ProfileRequest, signal: AbortSignal): Promise<Proposed> {
    const messages = messagesOf(this.#prompts, request);
    const { temperature, maxTokens } = this.#options;
    const generated = await this.#generator.generate(
      { messages, schema: ANSWER_SCHEMA, temperature, maxTokens },
      signal,
    );
    const { text, promptTokens, completionTokens } = generated;
    try {
      return { ...readAnswer(text, request.tag_length), failure: null, promptTokens, completionTokens };
    } catch (error) {
      if (!(error instanceof InferenceError)) throw error;
      const failure = { code: error.code, error: error.message };
      return { outcome: 'failed', failure, proposals: [], dropped: {}, promptTokens, completionTokens };
    }
  }
}

export class ExtractiveTagMaker implements TagMaker {
  readonly name = EXTRACTIVE;
  readonly #catalog: CatalogWords;
  /** the end of the one before */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(catalog: CatalogWords) {
    this.#catalog = catalog;
  }

  /** One at a time, with the event loop's other work between: it computes, and waits for nothing. */
  propose(request: ProfileRequest, signal: AbortSignal): Promise<Proposed> {
    const mine = this.#turn
      .then(() => new Promise((resolve) => setImmediate(resolve)))
      .then(() => {
        signal.throwIfAborted();
        return { ...extract(request, this.#catalog), failure: null, promptTokens: 0, completionTokens: 0 };
      });
    this.#turn = mine.catch(() => {});
    return mine;
  }
}
