/**
 * A causal language model with a cache of keys and values, as the model builder of onnxruntime-genai exports it: inputs
 * `input_ids`, `attention_mask`, perhaps `position_ids`, `past_key_values.<layer>.key|value`; outputs `logits` and
 * `present.<layer>.key|value`. All rows of a batch have the same length.
 */
import type { InferenceSession, Tensor, TensorConstructor } from 'onnxruntime-node';

const PAST = 'past_key_values.';
const PRESENT = 'present.';

/** What a batch has been told so far. */
export interface Cache {
  rows: number;
  /** tokens of each row */
  length: number;
  /** by name of the input; [rows, heads, length, width] */
  past: Map<string, Tensor>;
}

export interface Step {
  /** rows × vocabulary: of each row's next token */
  logits: Float32Array;
  vocabulary: number;
  cache: Cache;
}

export class CachedModel {
  readonly #session: InferenceSession;
  readonly #Tensor: TensorConstructor;
  readonly #past: string[];

  constructor(session: InferenceSession, tensor: TensorConstructor) {
    this.#session = session;
    this.#Tensor = tensor;
    this.#past = session.inputNames.filter((name) => name.startsWith(PAST));
  }

  /** One row of nothing. */
  empty(): Cache {
    const past = new Map<string, Tensor>();
    for (const one of this.#session.inputMetadata) {
      if (!one.isTensor || !one.name.startsWith(PAST)) continue;
      const dims = [1, Number(one.shape[1]), 0, Number(one.shape[3])];
      past.set(one.name, new this.#Tensor('float32', new Float32Array(0), dims));
    }
    return { rows: 1, length: 0, past };
  }

  /** `tokens`: of each row the same number, row after row. */
  async step(tokens: readonly number[], cache: Cache): Promise<Step> {
    const { rows, length, past } = cache;
    const fresh = tokens.length / rows;
    const total = length + fresh;
    const feeds: Record<string, Tensor> = {
      input_ids: this.#whole(tokens.map(BigInt), [rows, fresh]),
      attention_mask: this.#whole(new Array<bigint>(rows * total).fill(1n), [rows, total]),
    };
    if (this.#session.inputNames.includes('position_ids')) {
      const positions = Array.from({ length: rows * fresh }, (_, i) => BigInt(length + (i % fresh)));
      feeds.position_ids = this.#whole(positions, [rows, fresh]);
    }
    for (const [name, tensor] of past) feeds[name] = tensor;
    const given = await this.#session.run(feeds);
    const { data, dims } = given.logits!;
    const [, said = 1, vocabulary = 0] = dims;
    const logits = new Float32Array(rows * vocabulary);
    for (let row = 0; row < rows; row++) {
      const last = ((row + 1) * said - 1) * vocabulary;
      logits.set((data as Float32Array).subarray(last, last + vocabulary), row * vocabulary);
    }
    const present = new Map(this.#past.map((name) => [name, given[PRESENT + name.slice(PAST.length)]!]));
    return { logits, vocabulary, cache: { rows, length: total, past: present } };
  }

  /** The cache of other rows, each of them one of these, as often as it is named. */
  rows(cache: Cache, which: readonly number[]): Cache {
    const past = new Map<string, Tensor>();
    for (const [name, { data, dims }] of cache.past) {
      const size = data.length / cache.rows;
      const chosen = new Float32Array(size * which.length);
      which.forEach((row, to) => chosen.set((data as Float32Array).subarray(row * size, (row + 1) * size), to * size));
      past.set(name, new this.#Tensor('float32', chosen, [which.length, ...dims.slice(1)]));
    }
    return { rows: which.length, length: cache.length, past };
  }

  #whole(values: bigint[], dims: number[]): Tensor {
    return new this.#Tensor('int64', BigInt64Array.from(values), dims);
  }
}
