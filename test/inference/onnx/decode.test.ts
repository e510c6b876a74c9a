import { createRequire } from 'node:module';
import type { InferenceSession, TensorConstructor } from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CachedModel, type Cache, type Step } from '../../../src/inference/onnx/cached-model.ts';
import { decode, type Stepping } from '../../../src/inference/onnx/decode.ts';
import type { DecodeJob } from '../../../src/inference/onnx/jobs.ts';
import { modelOf } from '../../support/shipped-model.ts';

const ort = createRequire(import.meta.url)('onnxruntime-node') as {
  InferenceSession: { create(path: string, options: object): Promise<InferenceSession> };
  Tensor: TensorConstructor;
};

let session: InferenceSession;
let model: CachedModel;
beforeAll(async () => {
  session = await ort.InferenceSession.create(modelOf('serengpt-small').path, { intraOpNumThreads: 1 });
  model = new CachedModel(session, ort.Tensor);
});
afterAll(() => session.release());

const END = 2;
const PROMPT = [1, 300, 410, 500, 320, 700, 410, 290];
const job = (given: Partial<DecodeJob>): DecodeJob => ({
  kind: 'decode',
  prompt: PROMPT,
  samples: 1,
  temperature: 0,
  repetitionPenalty: 1,
  maxTokens: 12,
  seed: 7,
  ends: [END],
  never: [0, 1],
  ...given,
});
const never = (): boolean => false;

/** Beside each step with the cache, the same read anew: all of a row's tokens, no cache, no batch. */
class Compared implements Stepping {
  /** the farthest that a logit lies from what it is without cache and batch */
  apart = 0;
  readonly sizes: number[] = [];
  #said: number[][] = [[]];

  empty(): Cache {
    return model.empty();
  }

  async step(tokens: readonly number[], cache: Cache): Promise<Step> {
    const { rows } = cache;
    const fresh = tokens.length / rows;
    const step = await model.step(tokens, cache);
    for (let row = 0; row < rows; row++) {
      this.#said[row]!.push(...tokens.slice(row * fresh, (row + 1) * fresh));
      const { logits, vocabulary } = await model.step(this.#said[row]!, model.empty());
      logits.forEach((logit, i) => {
        this.apart = Math.max(this.apart, Math.abs(logit - step.logits[row * vocabulary + i]!));
      });
    }
    this.sizes.push(rows);
    return step;
  }

  rows(cache: Cache, which: readonly number[]): Cache {
    this.#said = which.map((row) => [...this.#said[row]!]);
    return model.rows(cache, which);
  }
}

describe('many continuations of a prompt', () => {
  it('foresees with cache and batch what it does without, while rows leave the batch', async () => {
    const compared = new Compared();
    // a quarter of all tokens ends a row: what the model was trained on does not matter
    const ends = Array.from({ length: 400 }, (_, i) => 4 * i + 2);
    await decode(compared, job({ samples: 8, temperature: 1.5, maxTokens: 20, seed: 3, ends }), never);
    expect(compared.sizes.length).toBeGreaterThan(3);
    expect(new Set(compared.sizes).size).toBeGreaterThan(2);
    // in units of a logit; weights and what they meet are int8
    expect(compared.apart).toBeLessThan(0.1);
  });

  it('says at temperature 0 what reading everything anew for each token says', async () => {
    const [said] = await decode(model, job({ ends: [] }), never);
    const { tokens } = said!;
    const anew: number[] = [];
    while (anew.length < tokens.length) {
      const { logits } = await model.step([...PROMPT, ...anew], model.empty());
      logits[0] = logits[1] = -Infinity;
      anew.push(logits.indexOf(Math.max(...logits)));
    }
    expect(tokens).toEqual(anew);
  });

  it('gives a row the same tokens however many others there are', async () => {
    const few = await decode(model, job({ samples: 3, temperature: 1 }), never);
    const many = await decode(model, job({ samples: 9, temperature: 1 }), never);
    expect(many.slice(0, 3).map(({ tokens }) => tokens)).toEqual(few.map(({ tokens }) => tokens));
  });

  it('cuts a sample at its most tokens, says so, and never says what it is not to say', async () => {
    const samples = await decode(model, job({ samples: 20, temperature: 2, maxTokens: 3 }), never);
    for (const { tokens, finished, logprob } of samples) {
      expect(tokens.length).toBeLessThanOrEqual(finished ? 2 : 3);
      if (!finished) expect(tokens).toHaveLength(3);
      for (const token of tokens) expect([0, 1, END]).not.toContain(token);
      expect(logprob).toBeLessThanOrEqual(0);
    }
    expect(samples.some(({ finished }) => !finished)).toBe(true);
  });

  it('stops between two steps when nobody waits any more', async () => {
    let asked = 0;
    const samples = await decode(model, job({ temperature: 1, maxTokens: 1000, ends: [] }), () => ++asked > 3);
    expect(samples[0]!.tokens).toHaveLength(4);
  });
});
