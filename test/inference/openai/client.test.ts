import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InferenceError } from '../../../src/errors.ts';
import { OpenAiGenerator, type OpenAiOptions } from '../../../src/inference/openai/client.ts';
import type { GenerateRequest } from '../../../src/inference/generator.ts';
import { ModelServer, type Act } from '../../support/model-server.ts';

const KEY = 'sk-very-secret';
const ask: GenerateRequest = {
  messages: [
    { role: 'system', content: 'You tell what a shopper likes.' },
    { role: 'user', content: 'They searched for "a tent for two in the mountains".' },
  ],
  schema: null,
  temperature: 0.3,
  maxTokens: 200,
};
const withSchema: GenerateRequest = { ...ask, schema: { name: 'tags', schema: { type: 'object' } } };
const forever = new AbortController().signal;

describe('a generator over an OpenAI-compatible server', () => {
  let server: ModelServer;
  let retries: string[];
  beforeEach(async () => {
    server = await ModelServer.start(() => ({ text: 'yes' }));
    retries = [];
  });
  afterEach(() => server.close());

  const generator = (options: Partial<OpenAiOptions> = {}) =>
    new OpenAiGenerator({
      url: server.url,
      model: 'stub-1',
      apiKey: KEY,
      structuredOutput: 'auto',
      requestTimeoutMs: 5000,
      attemptTimeoutMs: 2000,
      attempts: 3,
      retryShare: 0.2,
      maxAnswerBytes: 256 * 1024,
      backoffMs: 1,
      onRetry: (code) => retries.push(code),
      ...options,
    });
  const inTurn = (...acts: Act[]) => (server.script = ({ number }) => acts[Math.min(number, acts.length) - 1]!);
  const failing = async (options: Partial<OpenAiOptions> = {}, request = ask): Promise<InferenceError> => {
    const error = await generator(options)
      .generate(request, forever)
      .then(
        () => null,
        (error: unknown) => error,
      );
    expect(error).toBeInstanceOf(InferenceError);
    return error as InferenceError;
  };
  const formats = () => server.asked.map(({ body }) => body.response_format?.type ?? 'none');

  it('asks for a chat completion, and says what the answer cost', async () => {
    inTurn({ text: 'tents', promptTokens: 42, completionTokens: 7 });
    expect(await generator().generate({ ...ask, seed: 5 }, forever)).toEqual({
      text: 'tents',
      promptTokens: 42,
      completionTokens: 7,
      finishReason: 'stop',
    });
    const [{ body, headers }] = server.asked as [(typeof server.asked)[0]];
    expect(body).toEqual({ model: 'stub-1', messages: ask.messages, temperature: 0.3, max_tokens: 200, seed: 5 });
    expect(headers.authorization).toBe(`Bearer ${KEY}`);
  });

  it('says when an answer was cut at the tokens allowed', async () => {
    inTurn({ text: '{"a": [', finish: 'length' });
    expect((await generator().generate(ask, forever)).finishReason).toBe('length');
  });

  it.each([
    ['429', { status: 429 }, 'MODEL_OVERLOADED'],
    ['500', { status: 500 }, 'MODEL_UNAVAILABLE'],
    ['503', { status: 503 }, 'MODEL_UNAVAILABLE'],
    ['a response that breaks off', { cutAfter: 60, text: 'half of it' }, 'MODEL_UNAVAILABLE'],
    ['a body that is no JSON', { raw: '<html>' }, 'MODEL_UNAVAILABLE'],
    ['a body without choices', { raw: '{"choices": []}' }, 'MODEL_UNAVAILABLE'],
  ] as [string, Act, string][])('tries again after %s', async (_, act, code) => {
    inTurn(act, { text: 'yes' });
    expect((await generator().generate(ask, forever)).text).toBe('yes');
    expect(retries).toEqual([code]);
  });

  it.each([400, 401, 403, 404, 422])('does not try again after %i', async (status) => {
    inTurn({ status });
    expect(await failing()).toMatchObject({ code: 'MODEL_REFUSED', retriable: false });
    expect(server.asked).toHaveLength(1);
  });

  it('gives up after so many attempts, with the last failure', async () => {
    inTurn({ status: 503 });
    expect(await failing()).toMatchObject({ code: 'MODEL_UNAVAILABLE', retriable: true });
    expect(server.asked).toHaveLength(3);
  });

  it('waits as long as Retry-After says', async () => {
    inTurn({ status: 429, retryAfter: '0.3' }, { text: 'yes' });
    const begun = performance.now();
    await generator().generate(ask, forever);
    expect(performance.now() - begun).toBeGreaterThan(290);
  });

  it('does not wait for a Retry-After beyond its own time', async () => {
    inTurn({ status: 429, retryAfter: '60' });
    const begun = performance.now();
    expect((await failing()).code).toBe('MODEL_OVERLOADED');
    expect(performance.now() - begun).toBeLessThan(2000);
  });

  it('bounds an attempt that is silent, or drips', async () => {
    inTurn({ silence: true }, { dripMs: 5 });
    const error = await failing({ attemptTimeoutMs: 80, attempts: 2 });
    expect(error.code).toBe('MODEL_TIMEOUT');
    expect(server.asked).toHaveLength(2);
  });

  it('bounds the whole of a request', async () => {
    inTurn({ silence: true });
    const begun = performance.now();
    expect((await failing({ attemptTimeoutMs: 60, requestTimeoutMs: 150, attempts: 100 })).code).toBe('MODEL_TIMEOUT');
    expect(performance.now() - begun).toBeLessThan(1000);
  });

  it('refuses an answer of 1 MB at its bound', async () => {
    inTurn({ bytes: 1_000_000 });
    const before = process.memoryUsage().arrayBuffers;
    expect(await failing({ maxAnswerBytes: 64 * 1024 })).toMatchObject({ code: 'ANSWER_TOO_LARGE', retriable: false });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000);
    expect(server.asked).toHaveLength(1);
  });

  it('refuses one that says beforehand how large it is', async () => {
    inTurn({ raw: 'x'.repeat(100_000) });
    expect((await failing({ maxAnswerBytes: 1000 })).code).toBe('ANSWER_TOO_LARGE');
  });

  it('ends with the signal, whatever it waits for', async () => {
    for (const act of [{ silence: true }, { status: 429, retryAfter: '3' }] as Act[]) {
      inTurn(act);
      const stop = new AbortController();
      const asking = generator().generate(ask, stop.signal);
      setTimeout(() => stop.abort(new Error('stopping')), 50);
      await expect(asking).rejects.toThrow('stopping');
    }
  });

  it('says where there is no server', async () => {
    await server.close();
    const error = await failing({ attempts: 2 });
    expect(error.code).toBe('MODEL_UNAVAILABLE');
    expect(error.message).toContain('ECONNREFUSED');
    server = await ModelServer.start();
  });

  it('does not hammer a server that is down: all requests share the retries', async () => {
    inTurn({ status: 503 });
    const one = generator({ requestTimeoutMs: 300, attempts: 10 });
    await Promise.allSettled(Array.from({ length: 50 }, () => one.generate(ask, forever)));
    // 50 first attempts, ten saved up and a fifth of the requests beside
    expect(server.asked.length).toBeGreaterThan(55);
    expect(server.asked.length).toBeLessThanOrEqual(50 + 10 + 10 + 1);
  });

  it('keeps the key and the prompt out of what it says of a refusal', async () => {
    for (const echo of [KEY, 'input: They searched for "a tent for two"', 'x'.repeat(5000)]) {
      inTurn({ status: 400, body: JSON.stringify({ error: { message: `bad request, ${echo}` } }) });
      const { message } = await failing();
      expect(message).not.toContain(KEY);
      expect(message).not.toContain('tent for two');
      expect(message.length).toBeLessThan(250);
    }
    inTurn({ status: 400, body: JSON.stringify({ error: { message: 'the model stub-2 does not exist' } }) });
    expect((await failing()).message).toContain('the model stub-2 does not exist');
  });

  it('asks with the schema where the server takes it', async () => {
    await generator().generate(withSchema, forever);
    expect(server.asked[0]!.body.response_format).toMatchObject({
      type: 'json_schema',
      json_schema: { name: 'tags', schema: { type: 'object' } },
    });
  });

  it.each([400, 422, 500])('goes down to the format that the server takes, and remembers it: %i', async (status) => {
    server.script = ({ body }) => (body.response_format === undefined ? { text: 'yes' } : { status });
    const one = generator();
    for (let i = 0; i < 2; i++) expect((await one.generate(withSchema, forever)).text).toBe('yes');
    expect(formats()).toEqual(['json_schema', 'json_object', 'none', 'none']);
    expect(retries).toEqual([]);
  });

  it('does not take a refusal for one of the format when every format meets it', async () => {
    let broken = true;
    server.script = () => (broken ? { status: 400 } : { text: 'yes' });
    const one = generator();
    await expect(one.generate(withSchema, forever)).rejects.toMatchObject({ code: 'MODEL_REFUSED' });
    broken = false;
    await one.generate(withSchema, forever);
    expect(formats()).toEqual(['json_schema', 'json_object', 'none', 'json_schema']);
  });

  it('keeps to the format it was told', async () => {
    inTurn({ status: 400 });
    await failing({ structuredOutput: 'json_object' }, withSchema);
    expect(formats()).toEqual(['json_object']);
  });
});
