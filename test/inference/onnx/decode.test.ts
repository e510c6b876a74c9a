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

/** Reads everything anew for each token: no cache, no batch. */
class Anew implements Stepping {
  readonly #said: number[][] = [];
  empty(): Cache {
    return { rows: 1, length: 0, past: new Map() };
  }
  async step(tokens: readonly number[], { rows }: Cache): Promise<Step> {
    const fresh = tokens.length / rows;
    const parts: Float32Array[] = [];
    let vocabulary = 0;
    for (let row = 0; row < rows; row++) {
      this.#said[row] = [...(this.#said[row] ?? []), ...tokens.slice(row * fresh, (row + 1) * fresh)];
      const whole = await model.step(this.#said[row]!, model.empty());
      parts.push(whole.logits);
      vocabulary = whole.vocabulary;
    }
    const logits = Float32Array.from(parts.flatMap((part) => [...part]));
    return { logits, vocabulary, cache: { rows, length: 0, past: new Map() } };
  }
  rows(_cache: Cache, which: readonly number[]): Cache {
    const said = which.map((row) => [...this.#said[row]!]);
    this.#said.splice(0, Infinity, ...said);
    return { rows: which.length, length: 0, past: new Map() };
  }
}

describe('many continuations of a prompt', () => {
  it('says with the cache what it says without it', async () => {
    const [cached] = await decode(model, job({ ends: [] }), never);
    const [anew] = await decode(new Anew(), job({ ends: [] }), never);
    expect(cached!.tokens).toHaveLength(12);
    expect(cached!.tokens).toEqual(anew!.tokens);
    expect(cached!.logprob).toBeCloseTo(anew!.logprob, 2);
  });

  it('says row for row what it says without cache and batch, while rows leave the batch', async () => {
    const given = { samples: 6, temperature: 0.9, repetitionPenalty: 1.2, maxTokens: 20, seed: 3 };
    const cached = await decode(model, job(given), never);
    const anew = await decode(new Anew(), job(given), never);
    expect(new Set(cached.map(({ tokens }) => tokens.length)).size).toBeGreaterThan(1);
    expect(cached.map(({ tokens }) => tokens)).toEqual(anew.map(({ tokens }) => tokens));
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
