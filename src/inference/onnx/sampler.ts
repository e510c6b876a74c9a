/**
 * A `Sampler` that is an ONNX model in a thread of its own: one prompt, read once, and all its samples together.
 * The same request gives the same samples, on the same machine and with the same model.
 */
import type { Tokenizer } from '@huggingface/tokenizers';
import { z } from 'zod';
import { InferenceError } from '../../errors.ts';
import type { Sampled, SampleRequest, Sampler } from '../sampler.ts';
import { OnnxHost, type HostOptions } from './host.ts';
import type { Decoded, Port } from './jobs.ts';
import { badModel, readModelFolder } from './model-folder.ts';
import { idOf, tokenizerOf } from './tokens.ts';

/** Of a manifest of the kind `sampler`. What the model reads and gives is in cached-model.ts. */
const shape = z.object({
  /** the prompt that the model was trained on; null: any */
  promptVersion: z.string().nullable().default(null),
  /** tokens of a prompt; of a longer one the end is read */
  contextTokens: z.int().min(8).max(1_000_000),
  /** stands before a prompt; null: nothing does */
  begin: z.string().nullable().default(null),
  /** ends a sample */
  end: z.string(),
  /** never sampled */
  never: z.array(z.string()).default([]),
});

/** A request beyond these would hold the thread, or the memory of a cache a row, for all others. */
const MOST_SAMPLES = 256;
const MOST_TOKENS = 4096;

interface Special {
  begin: number | null;
  end: number;
  never: number[];
}

export class OnnxSampler implements Sampler {
  readonly name: string;
  readonly promptVersion: string | null;
  readonly #host: OnnxHost;
  readonly #tokenizer: Tokenizer;
  readonly #contextTokens: number;
  readonly #special: Special;

  private constructor(
    name: string,
    manifest: z.infer<typeof shape>,
    tokenizer: Tokenizer,
    special: Special,
    host: OnnxHost,
  ) {
    this.name = name;
    this.promptVersion = manifest.promptVersion;
    this.#contextTokens = manifest.contextTokens;
    this.#tokenizer = tokenizer;
    this.#special = special;
    this.#host = host;
  }

  /** Throws InferenceError BAD_MODEL, NO_ENGINE. */
  static async fromFolder(folder: string, options: Omit<HostOptions, 'model'> = {}): Promise<OnnxSampler> {
    const model = await readModelFolder(folder, 'sampler', shape);
    const { manifest } = model;
    const tokenizer = tokenizerOf(folder, model);
    const special = {
      begin: manifest.begin === null ? null : idOf(folder, tokenizer, manifest.begin),
      end: idOf(folder, tokenizer, manifest.end),
      never: manifest.never.map((token) => idOf(folder, tokenizer, token)),
    };
    const host = await OnnxHost.open({ ...options, model: model.path });
    const problem = problemOf(host);
    if (problem !== null) {
      await host.close();
      throw badModel(folder, problem);
    }
    return new OnnxSampler(model.name, manifest, tokenizer, special, host);
  }

  async sample(request: SampleRequest, signal: AbortSignal): Promise<Sampled> {
    signal.throwIfAborted();
    check(request);
    const { samples, temperature, repetitionPenalty, maxTokens, seed } = request;
    const { end, never } = this.#special;
    const prompt = this.#tokensOf(request);
    const decoded = await this.#host.run(
      { kind: 'decode', prompt, samples, temperature, repetitionPenalty, maxTokens, seed, ends: [end], never },
      signal,
    );
    return {
      samples: decoded.map((one) => ({
        text: this.#textOf(one),
        logprob: one.logprob,
        finished: one.finished,
      })),
      promptTokens: prompt.length,
      completionTokens: decoded.reduce((sum, { tokens, finished }) => sum + tokens.length + (finished ? 1 : 0), 0),
    };
  }

  close(): Promise<void> {
    return this.#host.close();
  }

  #tokensOf({ system, prompt }: SampleRequest): number[] {
    const text = system === null || system === '' ? prompt : `${system}\n\n${prompt}`;
    const { ids } = this.#tokenizer.encode(text, { add_special_tokens: false });
    const { begin } = this.#special;
    // cut at the front: what was done last stands at the end
    if (begin === null) return ids.slice(-this.#contextTokens);
    return [begin, ...ids.slice(1 - this.#contextTokens)];
  }

  #textOf({ tokens }: Decoded): string {
    return tokens.length === 0 ? '' : this.#tokenizer.decode(tokens, { skip_special_tokens: true }).trim();
  }
}

/** Throws InferenceError BAD_INPUT. */
function check({ samples, temperature, repetitionPenalty, maxTokens, seed }: SampleRequest): void {
  const whole = (value: number, most: number): boolean => Number.isInteger(value) && value >= 1 && value <= most;
  const problem = !whole(samples, MOST_SAMPLES)
    ? `samples are 1 to ${MOST_SAMPLES}`
    : !whole(maxTokens, MOST_TOKENS)
      ? `maxTokens are 1 to ${MOST_TOKENS}`
      : !(temperature >= 0 && Number.isFinite(temperature))
        ? 'a temperature is 0 or more'
        : !(repetitionPenalty > 0 && Number.isFinite(repetitionPenalty))
          ? 'a repetition penalty is more than 0'
          : !Number.isSafeInteger(seed)
            ? 'a seed is a whole number'
            : null;
  if (problem !== null) throw new InferenceError('BAD_INPUT', `the request cannot be sampled: ${problem}`);
}

/** Of a model that is no language model with a cache; null where all is there. */
function problemOf({ inputs, outputs }: OnnxHost): string | null {
  const past = inputs.filter(({ name }) => name.startsWith('past_key_values.'));
  const there = new Set([...inputs, ...outputs].map(({ name }) => name));
  for (const name of ['input_ids', 'attention_mask', 'logits']) {
    if (!there.has(name)) return `it has no ${name}`;
  }
  if (past.length === 0) return 'it has no cache of keys and values';
  const fixed = ({ type, shape }: Port): boolean =>
    type === 'float32' && typeof shape[1] === 'number' && typeof shape[3] === 'number';
  const open = past.find((port) => !fixed(port));
  if (open !== undefined) return `${open.name} is no float32 with a number of heads and a width`;
  const missing = past.map(({ name }) => name.replace('past_key_values.', 'present.')).find((name) => !there.has(name));
  return missing === undefined ? null : `it has no ${missing}`;
}
