/** A `Generator` over any server that speaks OpenAI's chat completions: vLLM in production. */
import type { Generated, GenerateRequest, Generator } from '../generator.ts';
import { AttemptFailed, generatedOf } from './answers.ts';
import { Endpoint, type EndpointOptions } from './endpoint.ts';
import { StructuredOutput, type OutputMode } from './structured-output.ts';

export interface OpenAiOptions extends EndpointOptions {
  structuredOutput: OutputMode | 'auto';
}

export class OpenAiGenerator implements Generator {
  readonly name: string;
  readonly #endpoint: Endpoint;
  readonly #output: StructuredOutput;

  constructor(options: OpenAiOptions) {
    this.name = options.model;
    this.#endpoint = new Endpoint(options);
    this.#output = new StructuredOutput(options.structuredOutput, this.#endpoint.elapsed);
  }

  generate(request: GenerateRequest, signal: AbortSignal): Promise<Generated> {
    return this.#endpoint.request((limited) => this.#inSomeFormat(request, limited), signal);
  }

  /** The richest format that the server takes. */
  async #inSomeFormat(request: GenerateRequest, signal: AbortSignal): Promise<Generated> {
    if (request.schema === null) return this.#post(request, 'none', signal);
    let refusal: AttemptFailed | null = null;
    for (const mode of this.#output.modes()) {
      try {
        const generated = await this.#post(request, mode, signal);
        if (refusal !== null) this.#output.remember(mode);
        return generated;
      } catch (error) {
        if (!(error instanceof AttemptFailed) || !StructuredOutput.mayBeRefused(error.status)) throw refusal ?? error;
        refusal ??= error;
        // a 500 is more often a server in trouble, which is not to be asked three times for each request
        if (error.status! >= 500 && this.#endpoint.budget.take() > 0) throw refusal;
      }
    }
    throw refusal!;
  }

  async #post(request: GenerateRequest, mode: OutputMode, signal: AbortSignal): Promise<Generated> {
    const { messages, temperature, maxTokens, seed, schema } = request;
    const fields = {
      messages,
      temperature,
      max_tokens: maxTokens,
      ...(seed === undefined ? {} : { seed }),
      ...(schema === null ? {} : StructuredOutput.field(mode, schema)),
    };
    const prompts = messages.map(({ content }) => content);
    return generatedOf(await this.#endpoint.post('/chat/completions', fields, prompts, signal));
  }
}
