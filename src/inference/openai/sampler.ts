/**
 * A `Sampler` over any server that speaks OpenAI's completions: vLLM in production, which reads the prompt once for all
 * samples. Poorer servers exist: what one refuses or ignores is noticed, remembered for a while, and done without.
 *
 *   a field that is not OpenAI's (repetition_penalty) or logprobs are refused   the request goes out without
 *   `n` is ignored, or bounded                                                  the rest is asked for in further requests
 */
import type { Sampled, Sampler, SampleRequest } from '../sampler.ts';
import { AttemptFailed, sampledOf } from './answers.ts';
import { Endpoint, type EndpointOptions } from './endpoint.ts';

export interface OpenAiSamplerOptions extends EndpointOptions {
  /** `chat`: the prompt's two parts as messages, in the template that the server has of the model */
  endpoint: 'completions' | 'chat';
  /** ask for the probabilities of the tokens */
  logprobs: boolean;
}

/** A server that refuses something may be replaced by one that does not. */
const FORGET_AFTER_MS = 600_000;
/** Requests at a time that make up for one, where a server gives fewer samples than asked for. */
const AT_ONCE = 8;

interface Known {
  at: number;
  /** steps down the ladder of optional fields */
  without: number;
  /** samples that one request gives, at most */
  most: number;
}

export class OpenAiSampler implements Sampler {
  readonly name: string;
  readonly promptVersion = null;
  readonly #endpoint: Endpoint;
  readonly #options: OpenAiSamplerOptions;
  #known: Known | null = null;

  constructor(options: OpenAiSamplerOptions) {
    this.name = options.model;
    this.#options = options;
    this.#endpoint = new Endpoint(options);
  }

  async sample(request: SampleRequest, signal: AbortSignal): Promise<Sampled> {
    const { samples } = request;
    const deadline = this.#endpoint.deadline();
    // sample i goes by seed + i, which is how a server with `n` does it: nothing changes where one does not
    const ask = (first: number, count: number) =>
      this.#endpoint.request((limited) => this.#post(request, first, count, limited), signal, deadline);
    const asked = Math.min(samples, this.#recall().most);
    const parts = [await ask(0, asked)];
    let got = parts[0]!.samples.length;
    if (got < asked) this.#remember({ most: got });
    while (got < samples) {
      const each = Math.min(got, this.#recall().most);
      const turn: Promise<Sampled>[] = [];
      for (let first = got; first < samples && turn.length < AT_ONCE; first += each) {
        turn.push(ask(first, Math.min(each, samples - first)));
      }
      const more = await Promise.all(turn);
      parts.push(...more);
      got += more.reduce((sum, part) => sum + part.samples.length, 0);
    }
    const total = (what: 'promptTokens' | 'completionTokens') => parts.reduce((sum, part) => sum + part[what], 0);
    return {
      samples: parts.flatMap((part) => part.samples).slice(0, samples),
      promptTokens: total('promptTokens'),
      completionTokens: total('completionTokens'),
    };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** With the optional fields that the server takes. */
  async #post(request: SampleRequest, first: number, count: number, signal: AbortSignal): Promise<Sampled> {
    const ladder = this.#optional(request);
    let refusal: AttemptFailed | null = null;
    for (let without = Math.min(this.#recall().without, ladder.length - 1); ; without++) {
      try {
        const sampled = await this.#postWith(ladder[without]!, request, first, count, signal);
        if (refusal !== null) this.#remember({ without });
        return sampled;
      } catch (error) {
        const refused = error instanceof AttemptFailed && (error.status === 400 || error.status === 422);
        if (!refused || without === ladder.length - 1) throw refusal ?? error;
        refusal ??= error;
      }
    }
  }

  /** From all of them down to none. */
  #optional({ repetitionPenalty }: SampleRequest): object[] {
    const { endpoint, logprobs } = this.#options;
    const penalty = repetitionPenalty === 1 ? [] : [{ repetition_penalty: repetitionPenalty }];
    const probabilities = logprobs ? [{ logprobs: endpoint === 'chat' ? true : 0 }] : [];
    const all = [...penalty, ...probabilities];
    return all.map((_, i) => Object.assign({}, ...all.slice(0, all.length - i))).concat({});
  }

  async #postWith(
    optional: object,
    { system, prompt, temperature, maxTokens, seed }: SampleRequest,
    first: number,
    count: number,
    signal: AbortSignal,
  ): Promise<Sampled> {
    const chat = this.#options.endpoint === 'chat';
    const fields = {
      ...(chat
        ? {
            messages: [
              ...(system === null || system === '' ? [] : [{ role: 'system', content: system }]),
              { role: 'user', content: prompt },
            ],
          }
        : { prompt: system === null || system === '' ? prompt : `${system}\n\n${prompt}\n` }),
      n: count,
      temperature,
      max_tokens: maxTokens,
      seed: seed + first,
      ...optional,
    };
    const path = chat ? '/chat/completions' : '/completions';
    const said = system === null ? [prompt] : [system, prompt];
    const sampled = sampledOf(await this.#endpoint.post(path, fields, said, signal));
    return { ...sampled, samples: sampled.samples.slice(0, count) };
  }

  #recall(): Known {
    if (this.#known !== null && this.#endpoint.elapsed() - this.#known.at > FORGET_AFTER_MS) this.#known = null;
    return this.#known ?? { at: 0, without: 0, most: Infinity };
  }

  #remember(what: Partial<Known>): void {
    this.#known = { ...this.#recall(), ...what, at: this.#endpoint.elapsed() };
  }
}
