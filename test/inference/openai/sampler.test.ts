import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { InferenceError } from '../../../src/errors.ts';
import { OpenAiSampler, type OpenAiSamplerOptions } from '../../../src/inference/openai/sampler.ts';
import type { SampleRequest } from '../../../src/inference/sampler.ts';
import { ModelServer, type Act } from '../../support/model-server.ts';

const ask: SampleRequest = {
  system: 'You name products.',
  prompt: 'They bought "a tent for two in the mountains".',
  samples: 30,
  temperature: 0.95,
  repetitionPenalty: 1.05,
  maxTokens: 40,
  seed: 7000,
};
const forever = new AbortController().signal;

describe('a sampler over an OpenAI-compatible server', () => {
  let server: ModelServer;
  let retries: string[];
  let elapsed: number;
  /** as a server does that honours n: sample i by its seed */
  const full = ({ body }: { body: any }): Act => ({
    texts: Array.from({ length: body.n }, (_, i) => `by seed ${body.seed + i}`),
  });
  const one = ({ body }: { body: any }): Act => ({ texts: [`by seed ${body.seed}`] });
  const expected = Array.from({ length: 30 }, (_, i) => `by seed ${7000 + i}`);
  beforeEach(async () => {
    server = await ModelServer.start(full);
    retries = [];
    elapsed = 0;
  });
  afterEach(() => server.close());

  const sampler = (options: Partial<OpenAiSamplerOptions> = {}) =>
    new OpenAiSampler({
      url: server.url,
      model: 'stub-1',
      apiKey: null,
      endpoint: 'completions',
      logprobs: false,
      requestTimeoutMs: 5000,
      attemptTimeoutMs: 2000,
      attempts: 3,
      retryShare: 0.2,
      maxAnswerBytes: 256 * 1024,
      backoffMs: 1,
      onRetry: (code) => retries.push(code),
      ...options,
    });
  const failing = (options: Partial<OpenAiSamplerOptions> = {}): Promise<InferenceError> =>
    sampler(options)
      .sample(ask, forever)
      .then(
        () => expect.unreachable(),
        (error: InferenceError) => error,
      );

  it('asks for all samples of a prompt at once', async () => {
    const { samples, promptTokens, completionTokens } = await sampler().sample(ask, forever);
    expect(samples.map(({ text }) => text)).toEqual(expected);
    expect(samples[0]).toEqual({ text: 'by seed 7000', logprob: null, finished: true });
    expect({ promptTokens, completionTokens }).toEqual({ promptTokens: 10, completionTokens: 60 });
    expect(server.asked.map(({ path, body }) => [path, body])).toEqual([
      [
        '/v1/completions',
        {
          model: 'stub-1',
          prompt: 'You name products.\n\nThey bought "a tent for two in the mountains".\n',
          n: 30,
          temperature: 0.95,
          max_tokens: 40,
          seed: 7000,
          repetition_penalty: 1.05,
        },
      ],
    ]);
  });

  it('leaves a prompt alone that has one part', async () => {
    for (const system of [null, '']) await sampler().sample({ ...ask, system, prompt: 'next:' }, forever);
    expect(server.asked.map(({ body }) => body.prompt)).toEqual(['next:', 'next:']);
  });

  it('may ask in a chat, and for logprobs', async () => {
    server.script = () => ({ texts: ['a', 'b'], logprobs: [-0.5, -2], finish: 'length' });
    const chat = await sampler({ endpoint: 'chat', logprobs: true }).sample({ ...ask, samples: 2 }, forever);
    expect(chat.samples).toEqual([
      { text: 'a', logprob: -0.5, finished: false },
      { text: 'b', logprob: -2, finished: false },
    ]);
    expect(server.asked[0]).toMatchObject({
      path: '/v1/chat/completions',
      body: { messages: [{ role: 'system' }, { role: 'user', content: ask.prompt }], n: 2, logprobs: true },
    });
    const plain = await sampler({ logprobs: true }).sample({ ...ask, samples: 2 }, forever);
    expect(plain.samples.map(({ logprob }) => logprob)).toEqual([-0.5, -2]);
    expect(server.asked[1]!.body.logprobs).toBe(0);
  });

  it.each([400, 422])(
    'does without the repetition penalty where it is refused, and remembers it: %i',
    async (status) => {
      server.script = (asked) => ('repetition_penalty' in asked.body ? { status } : full(asked));
      const one = sampler({ elapsed: () => elapsed });
      for (let i = 0; i < 2; i++) expect((await one.sample(ask, forever)).samples).toHaveLength(30);
      expect(server.asked.map(({ body }) => 'repetition_penalty' in body)).toEqual([true, false, false]);
      expect(retries).toEqual([]);
      elapsed = 700_000;
      server.script = full;
      await one.sample(ask, forever);
      expect(server.asked.at(-1)!.body.repetition_penalty).toBe(1.05);
    },
  );

  it('gives up the logprobs first', async () => {
    server.script = (asked) => ('logprobs' in asked.body ? { status: 422 } : full(asked));
    await sampler({ logprobs: true }).sample(ask, forever);
    expect(server.asked.at(-1)!.body.repetition_penalty).toBe(1.05);
  });

  it('does not take a refusal for one of a field when it meets every request', async () => {
    server.script = () => ({ status: 400, body: '{"error": "the prompt is too long"}' });
    const error = await failing();
    expect(error).toMatchObject({ code: 'MODEL_REFUSED', retriable: false });
    expect(error.message).toContain('too long');
    expect(server.asked).toHaveLength(2);
  });

  it('makes up for a server that ignores n, sample by sample with seeds of their own', async () => {
    server.script = one;
    const stub = sampler();
    const { samples, promptTokens } = await stub.sample(ask, forever);
    expect(samples.map(({ text }) => text)).toEqual(expected);
    expect(promptTokens).toBe(300);
    expect(server.asked).toHaveLength(30);
    expect(server.mostRunning).toBeLessThanOrEqual(8);
    await stub.sample(ask, forever);
    expect(server.asked.slice(30).map(({ body }) => body.n)).toEqual(Array(30).fill(1));
  });

  it('makes up for one that bounds n, and takes no more than it asked for', async () => {
    server.script = (asked) => {
      const act = full(asked) as { texts: string[] };
      return { texts: asked.body.n > 8 ? act.texts.slice(0, 8) : [...act.texts, 'one too many'] };
    };
    const { samples } = await sampler().sample(ask, forever);
    expect(samples.map(({ text }) => text)).toEqual(expected);
    expect(server.asked.map(({ body }) => body.n)).toEqual([30, 8, 8, 6]);
  });

  it.each([
    ['429', { status: 429 }, 'MODEL_OVERLOADED'],
    ['500', { status: 500 }, 'MODEL_UNAVAILABLE'],
    ['a response that breaks off', { cutAfter: 60, text: 'half of it' }, 'MODEL_UNAVAILABLE'],
    ['a body that is no JSON', { raw: '<html>' }, 'MODEL_UNAVAILABLE'],
    ['a body without choices', { raw: '{"choices": {}}' }, 'MODEL_UNAVAILABLE'],
    ['choices without texts', { raw: '{"choices": [{"text": 7}, null]}' }, 'MODEL_UNAVAILABLE'],
  ] as [string, Act, string][])('tries again after %s', async (_, act, code) => {
    server.script = (asked) => (asked.number === 1 ? act : full(asked));
    expect((await sampler().sample(ask, forever)).samples).toHaveLength(30);
    expect(retries).toEqual([code]);
  });

  it('bounds an attempt that is silent, and refuses an answer of 1 MB at its bound', async () => {
    server.script = () => ({ silence: true });
    expect((await failing({ attemptTimeoutMs: 60, attempts: 2 })).code).toBe('MODEL_TIMEOUT');
    server.script = () => ({ bytes: 1_000_000 });
    expect((await failing({ maxAnswerBytes: 64 * 1024 })).code).toBe('ANSWER_TOO_LARGE');
  });

  it('keeps the prompt out of what it says of a refusal', async () => {
    server.script = () => ({ status: 404, body: 'no such thing as They bought "a tent for two in' });
    expect((await failing()).message).not.toContain('tent');
  });
});
