/**
 * From a request to the generation that answers it: titles, and search queries where the request wants some. A model that
 * could not be asked, or said nothing usable, is an answer too, `failed`: the user's state waits for nothing longer than it
 * must.
 */
import { InferenceError } from '../../errors.ts';
import type { Prompts } from '../../inference/prompts.ts';
import type { Sampled, Sampler } from '../../inference/sampler.ts';
import { hashId } from '../../shop/behaviour.ts';
import type { Failure } from '../../stream/dead-letters.ts';
import type { Logger } from '../../stream/logger.ts';
import type { Handled } from '../../stream/request-worker.ts';
import { promptOf } from '../prompt.ts';
import type { GeneratedText, Generation, RegenerationRequest, RuleCount } from '../records.ts';
import { Filter } from './filter.ts';
import type { SerengptWorkerSettings } from './settings.ts';

type Kind = GeneratedText['kind'];

/** What one sampling took and gave. */
export interface Sampling {
  kind: Kind;
  samples: number;
  texts: number;
  dropped: RuleCount[];
  promptTokens: number;
  completionTokens: number;
}

export interface GeneratingOptions extends SerengptWorkerSettings {
  sampler: Sampler;
  prompts: Prompts;
  logger: Logger;
  now: () => number;
  onSampling?: (sampling: Sampling) => void;
}

/** Of a kind that was asked for and could not be had, while the other was. */
const QUERIES_FAILED = 'queries_failed';
const SEEDS = 2 ** 31;

export class Generating {
  readonly #options: GeneratingOptions;
  readonly #filter: Filter;

  constructor(options: GeneratingOptions) {
    this.#options = options;
    this.#filter = new Filter(options);
  }

  /** Throws the signal's reason, and what is a bug. */
  async answer(request: RegenerationRequest, signal: AbortSignal): Promise<Handled<Generation>> {
    const { sampler } = this.#options;
    const promptVersion = sampler.promptVersion ?? request.prompt_version;
    const parts: Part[] = [];
    let failure: Failure | null = null;
    try {
      parts.push(await this.#part('title', promptVersion, request, request.samples, signal));
      if (parts[0]!.texts.length === 0) failure = NOTHING_USABLE;
      // a model that was trained on a prompt of its own knows of no other
      else if (request.queries > 0 && sampler.promptVersion === null) parts.push(await this.#queries(request, signal));
    } catch (error) {
      if (signal.aborted || !(error instanceof InferenceError)) throw error;
      failure = { code: error.code, error: error.message };
    }
    const answer = this.#answerOf(request, promptVersion, failure, parts);
    return failure === null ? { answer } : { answer, failure };
  }

  async #queries(request: RegenerationRequest, signal: AbortSignal): Promise<Part> {
    const { queryPromptVersion, logger } = this.#options;
    try {
      return await this.#part('query', queryPromptVersion, request, request.queries, signal);
    } catch (error) {
      if (signal.aborted || !(error instanceof InferenceError)) throw error;
      logger.warn({ code: error.code, error: error.message }, 'the titles go without search queries');
      return {
        texts: [],
        dropped: [{ rule: QUERIES_FAILED, count: request.queries }],
        promptTokens: 0,
        completionTokens: 0,
      };
    }
  }

  async #part(
    kind: Kind,
    promptVersion: string,
    request: RegenerationRequest,
    samples: number,
    signal: AbortSignal,
  ): Promise<Part> {
    const { sampler, prompts, temperature, repetitionPenalty, maxTokens, onSampling } = this.#options;
    const { system, user } = promptOf(prompts, promptVersion, request);
    const sampled: Sampled = await sampler.sample(
      {
        system: system === '' ? null : system,
        prompt: user,
        samples,
        temperature,
        repetitionPenalty,
        maxTokens,
        seed: seedOf(`${request.request_id} ${request.attempt} ${kind}`, samples),
      },
      signal,
    );
    const known = request.history.map(({ text }) => text);
    const { texts, dropped } = this.#filter.settle(sampled.samples, kind, known);
    const { promptTokens, completionTokens } = sampled;
    onSampling?.({
      kind,
      samples: sampled.samples.length,
      texts: texts.length,
      dropped,
      promptTokens,
      completionTokens,
    });
    return { texts, dropped, promptTokens, completionTokens };
  }

  #answerOf(
    { request_id, user_id, round, attempt, asked_at, expires_at, valid_until, tags, history }: RegenerationRequest,
    promptVersion: string,
    failure: Failure | null,
    parts: readonly Part[],
  ): Generation {
    const sum = (what: 'promptTokens' | 'completionTokens') => parts.reduce((total, part) => total + part[what], 0);
    return {
      request_id,
      user_id,
      round,
      attempt,
      asked_at,
      expires_at,
      valid_until,
      generated_at: this.#options.now(),
      outcome: failure === null ? 'generated' : 'failed',
      error: failure?.code ?? null,
      model: this.#options.sampler.name,
      prompt_version: promptVersion,
      texts: failure === null ? parts.flatMap(({ texts }) => texts) : [],
      dropped: summed(parts.flatMap(({ dropped }) => dropped)),
      prompt_tokens: sum('promptTokens'),
      completion_tokens: sum('completionTokens'),
      tags,
      history,
    };
  }
}

interface Part {
  texts: GeneratedText[];
  dropped: RuleCount[];
  promptTokens: number;
  completionTokens: number;
}

const NOTHING_USABLE: Failure = { code: 'NO_USABLE_TEXT', error: 'every sample was dropped' };

function summed(counts: readonly RuleCount[]): RuleCount[] {
  const sums = new Map<string, number>();
  for (const { rule, count } of counts) sums.set(rule, (sums.get(rule) ?? 0) + count);
  return [...sums].map(([rule, count]) => ({ rule, count }));
}

/**
 * The same for the same text, so that who is asked twice says the same; else so far from any other that the seeds of `stride`
 * samples in a row are of one request alone.
 */
export const seedOf = (text: string, stride: number): number =>
  ((hashId(text) >>> 0) % Math.floor(SEEDS / stride)) * stride;
