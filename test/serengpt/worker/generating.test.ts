import { describe, expect, test } from 'vitest';
import { InferenceError } from '../../../src/errors.ts';
import { Prompts } from '../../../src/inference/prompts.ts';
import type { Sampled, Sampler, SampleRequest } from '../../../src/inference/sampler.ts';
import { Generating, seedOf, type Sampling } from '../../../src/serengpt/worker/generating.ts';
import { SERENGPT_WORKER_DEFAULTS } from '../../../src/serengpt/worker/settings.ts';
import { silent } from '../../../src/stream/logger.ts';
import { requestWith } from './requests.ts';

const forever = new AbortController().signal;

class FakeSampler implements Sampler {
  readonly name = 'fake-1';
  readonly promptVersion: string | null;
  readonly asked: SampleRequest[] = [];
  readonly #say: (request: SampleRequest) => string[];

  constructor(say: (request: SampleRequest) => string[], promptVersion: string | null = null) {
    this.#say = say;
    this.promptVersion = promptVersion;
  }

  sample(request: SampleRequest, signal: AbortSignal): Promise<Sampled> {
    signal.throwIfAborted();
    this.asked.push(request);
    const samples = this.#say(request).map((text) => ({ text, logprob: -1, finished: true }));
    return Promise.resolve({ samples, promptTokens: 50, completionTokens: 4 * samples.length });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function generatingWith(sampler: Sampler) {
  const samplings: Sampling[] = [];
  const generating = new Generating({
    ...SERENGPT_WORKER_DEFAULTS,
    sampler,
    prompts: new Prompts(),
    logger: silent,
    now: () => 77,
    onSampling: (sampling) => samplings.push(sampling),
  });
  return { generating, samplings };
}
const isQuery = ({ prompt }: SampleRequest) => prompt.includes('only the query');

describe('a generation', () => {
  test('holds what was sampled, what was dropped, and all that the request carried on', async () => {
    const sampler = new FakeSampler(() => ['Head lamp', 'Rope', 'head lamps', 'TENTS', '']);
    const { generating, samplings } = generatingWith(sampler);
    const request = requestWith({ samples: 5 });
    const { answer, failure } = await generating.answer(request, forever);
    expect(failure).toBeUndefined();
    const { reason: _, samples: _s, queries: _q, static_profile: _p, ...carried } = request;
    expect(answer).toEqual({
      ...carried,
      generated_at: 77,
      outcome: 'generated',
      error: null,
      model: 'fake-1',
      texts: [
        { text: 'Head lamp', kind: 'title', times: 2, logprob: -1 },
        { text: 'Rope', kind: 'title', times: 1, logprob: -1 },
        { text: 'TENTS', kind: 'title', times: 1, logprob: -1 },
      ],
      dropped: [{ rule: 'empty', count: 1 }],
      prompt_tokens: 50,
      completion_tokens: 20,
    });
    expect(sampler.asked).toMatchObject([
      { samples: 5, temperature: 0.95, repetitionPenalty: 1.05, maxTokens: 48, system: expect.any(String) as string },
    ]);
    expect(sampler.asked[0]!.prompt).toContain('camping');
    expect(samplings).toMatchObject([{ kind: 'title', samples: 5, texts: 3 }]);
  });

  test('leaves out what the user has', async () => {
    const { generating } = generatingWith(new FakeSampler(() => ['a tents', 'Rope']));
    const { answer } = await generating.answer(requestWith(), forever);
    expect(answer.texts.map(({ text }) => text)).toEqual(['Rope']);
    expect(answer.dropped).toEqual([{ rule: 'owned', count: 1 }]);
  });

  test('has search queries where they are asked for', async () => {
    const sampler = new FakeSampler((request) => (isQuery(request) ? ['rope for climbing'] : ['Rope']));
    const { generating } = generatingWith(sampler);
    const { answer } = await generating.answer(requestWith({ queries: 3 }), forever);
    expect(answer.texts).toMatchObject([
      { text: 'Rope', kind: 'title' },
      { text: 'rope for climbing', kind: 'query' },
    ]);
    expect(answer).toMatchObject({ prompt_version: 'serengpt-1', prompt_tokens: 100, completion_tokens: 8 });
    expect(sampler.asked.map(({ samples }) => samples)).toEqual([30, 3]);
  });

  test('goes without queries where they cannot be had', async () => {
    const sampler = new FakeSampler((request) => {
      if (isQuery(request)) throw new InferenceError('MODEL_TIMEOUT', 'slow');
      return ['Rope'];
    });
    const { answer, failure } = await generatingWith(sampler).generating.answer(requestWith({ queries: 3 }), forever);
    expect(failure).toBeUndefined();
    expect(answer.dropped).toEqual([{ rule: 'queries_failed', count: 3 }]);
  });

  test('is by the prompt of a model that has its own, which is asked for no queries', async () => {
    const sampler = new FakeSampler(() => ['rope'], 'serengpt-compact-1');
    const { answer } = await generatingWith(sampler).generating.answer(requestWith({ queries: 3 }), forever);
    expect(answer.prompt_version).toBe('serengpt-compact-1');
    expect(sampler.asked).toMatchObject([{ system: null, prompt: 'likes: camping\ndid: a tent\nnext:' }]);
  });
});

describe('a failure', () => {
  test('is an answer, with what the model failed of', async () => {
    const sampler = new FakeSampler(() => {
      throw new InferenceError('MODEL_OVERLOADED', 'busy');
    });
    const { answer, failure } = await generatingWith(sampler).generating.answer(requestWith(), forever);
    expect(answer).toMatchObject({ outcome: 'failed', error: 'MODEL_OVERLOADED', texts: [], request_id: 'ann/1/1000' });
    expect(failure).toEqual({ code: 'MODEL_OVERLOADED', error: 'busy' });
  });

  test('is a generation of which nothing is left, and a prompt that is not there', async () => {
    const { generating } = generatingWith(new FakeSampler(() => ['', 'A tent']));
    const nothing = await generating.answer(requestWith({ queries: 2 }), forever);
    expect(nothing.answer).toMatchObject({
      outcome: 'failed',
      error: 'NO_USABLE_TEXT',
      dropped: [
        { rule: 'empty', count: 1 },
        { rule: 'owned', count: 1 },
      ],
      prompt_tokens: 50,
    });
    const unknown = await generating.answer(requestWith({ prompt_version: 'none-1' }), forever);
    expect(unknown.answer.error).toBe('UNKNOWN_PROMPT');
  });

  test('is none where the worker stops, or is broken', async () => {
    const stop = new AbortController();
    stop.abort(new Error('stopping'));
    const { generating } = generatingWith(new FakeSampler(() => ['Rope']));
    await expect(generating.answer(requestWith(), stop.signal)).rejects.toThrow('stopping');
    const broken = new FakeSampler(() => {
      throw new TypeError('a bug');
    });
    await expect(generatingWith(broken).generating.answer(requestWith(), forever)).rejects.toThrow('a bug');
  });
});

describe('seeds', () => {
  test('are the same for the same request, others for its next attempt, and strided by the samples', async () => {
    const sampler = new FakeSampler(() => ['Rope']);
    const { generating } = generatingWith(sampler);
    for (const attempt of [1, 1, 2]) await generating.answer(requestWith({ attempt }), forever);
    const [first, again, next] = sampler.asked.map(({ seed }) => seed);
    expect(first).toBe(again);
    expect(next).not.toBe(first);
    const seeds = Array.from({ length: 2000 }, (_, i) => seedOf(`user-${i}/1/1000 1 title`, 30));
    for (const seed of seeds) {
      expect(seed % 30).toBe(0);
      expect(seed).toBeGreaterThanOrEqual(0);
      expect(seed + 30).toBeLessThan(2 ** 31);
    }
    expect(new Set(seeds).size).toBeGreaterThan(1990);
  });
});
