/**
 * How likely the model holds each of some titles, given a prompt: what it knows, without the chance of thirty samples. It has
 * to read every candidate, which the channel never does; it stands beside the samples to show what they lose.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { CachedModel } from '../src/inference/onnx/cached-model.ts';

export class Likelihood {
  readonly #model: CachedModel;
  readonly #tokenizer: Tokenizer;
  readonly #begin: number;
  readonly #end: number;
  readonly #context: number;

  private constructor(session: InferenceSession, folder: string) {
    const json = (file: string): any => JSON.parse(readFileSync(join(folder, file), 'utf8'));
    const { begin, end, contextTokens } = json('model.json') as { begin: string; end: string; contextTokens: number };
    this.#model = new CachedModel(session, Tensor);
    this.#tokenizer = new Tokenizer(json('tokenizer.json'), {});
    this.#begin = this.#tokenizer.token_to_id(begin)!;
    this.#end = this.#tokenizer.token_to_id(end)!;
    this.#context = contextTokens;
  }

  static async fromFolder(folder: string): Promise<Likelihood> {
    const options = { intraOpNumThreads: 1, interOpNumThreads: 1 };
    return new Likelihood(await InferenceSession.create(join(folder, 'model.onnx'), options), folder);
  }

  /** Logarithms, one a title. */
  async of(prompt: string, titles: readonly string[]): Promise<number[]> {
    const encoded = (text: string): number[] => this.#tokenizer.encode(text, { add_special_tokens: false }).ids;
    const read = await this.#model.step(
      [this.#begin, ...encoded(prompt).slice(1 - this.#context)],
      this.#model.empty(),
    );
    const rows = titles.map((title) => [...encoded(` ${title}`), this.#end]);
    const totals = rows.map((row) => logprob(read.logits, row[0]!));
    let cache = this.#model.rows(read.cache, new Array<number>(rows.length).fill(0));
    let left = [...rows.keys()];
    for (let at = 1; ; at++) {
      const going = left.map((row, place) => ({ row, place })).filter(({ row }) => at < rows[row]!.length);
      if (going.length === 0) return totals;
      if (going.length < left.length) {
        cache = this.#model.rows(
          cache,
          going.map(({ place }) => place),
        );
      }
      left = going.map(({ row }) => row);
      const step = await this.#model.step(
        left.map((row) => rows[row]![at - 1]!),
        cache,
      );
      cache = step.cache;
      left.forEach((row, place) => {
        const logits = step.logits.subarray(place * step.vocabulary, (place + 1) * step.vocabulary);
        totals[row]! += logprob(logits, rows[row]![at]!);
      });
    }
  }
}

function logprob(logits: Float32Array, token: number): number {
  let most = -Infinity;
  for (const logit of logits) most = Math.max(most, logit);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - most);
  return logits[token]! - most - Math.log(sum);
}
