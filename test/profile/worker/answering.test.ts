import { describe, expect, it } from 'vitest';
import { InferenceError } from '../../../src/errors.ts';
import { bytesOf } from '../../../src/inference/embedder.ts';
import type { Generated, GenerateRequest, Generator } from '../../../src/inference/generator.ts';
import { NgramEmbedder } from '../../../src/inference/ngram-embedder.ts';
import { Answering, answerExtractively, type AnsweringOptions } from '../../../src/profile/worker/answering.ts';
import { CatalogWords } from '../../../src/profile/worker/catalog-words.ts';
import { Prompts } from '../../../src/inference/prompts.ts';
import { ExtractiveTagMaker, ModelTagMaker } from '../../../src/profile/worker/tag-makers.ts';
import { silent } from '../../../src/stream/logger.ts';
import { bought, requestWith, searched } from './requests.ts';

const embedder = new NgramEmbedder();
const forever = new AbortController().signal;
const request = requestWith({ searches: [searched('frozen vegetables')], number_of_tags: 3 });

const modelThat = (generate: (asked: GenerateRequest) => Promise<Partial<Generated>>): Generator => ({
  name: 'stub-1',
  generate: async (asked) => ({
    text: 'NA',
    promptTokens: 30,
    completionTokens: 4,
    finishReason: 'stop',
    ...(await generate(asked)),
  }),
});
const answering = (generator: Generator, more: Partial<AnsweringOptions> = {}) =>
  new Answering({
    maker: new ModelTagMaker(generator, new Prompts(), { temperature: 0.3, maxTokens: 100 }),
    embedder,
    same: 0.5,
    logger: silent,
    now: () => 5000,
    ...more,
  });
const saying = (groups: object, more: Partial<AnsweringOptions> = {}) =>
  answering(
    modelThat(async () => ({ text: JSON.stringify(groups) })),
    more,
  );
const entries = (...tags: string[]) => tags.map((tag) => ({ behaviours: ['frozen vegetables'], inference: 'so', tag }));

describe('an answer of a model', () => {
  it('has its tags with vectors, and what it took', async () => {
    const { answer, failure } = await saying({ category: entries('frozen veg'), interest: entries('cooking') }).answer(
      request,
      forever,
    );
    expect(failure).toBeUndefined();
    expect(answer).toEqual({
      request_id: request.request_id,
      user_id: 'u1',
      kind: 'short_term',
      asked_at: 1000,
      answered_at: 5000,
      outcome: 'proposed',
      error: null,
      profiler: 'stub-1',
      prompt_version: 'short-term-1',
      embedder: 'ngram-256-1',
      proposals: [
        {
          tag: 'frozen veg',
          group: 'category',
          reason: 'so',
          behaviours: ['frozen vegetables'],
          embedding: bytesOf(embedder.embedNow('frozen veg')),
        },
        {
          tag: 'cooking',
          group: 'interest',
          reason: 'so',
          behaviours: ['frozen vegetables'],
          embedding: bytesOf(embedder.embedNow('cooking')),
        },
      ],
      dropped: [],
      prompt_tokens: 30,
      completion_tokens: 4,
    });
  });

  it('asks with the prompt of the request, a schema, and its bounds', async () => {
    let asked: GenerateRequest | null = null;
    await answering(modelThat(async (given) => ((asked = given), {}))).answer(request, forever);
    expect(asked).toMatchObject({ temperature: 0.3, maxTokens: 100, schema: { name: 'profile_tags' } });
    expect(asked!.messages[1]!.content).toContain('"frozen vegetables"');
  });

  it('folds tags that are alike by their vectors, then cuts their number', async () => {
    const { answer } = await saying({
      category: entries('frozen veggies', 'frozen veggiez', 'tents', 'boats', 'cars'),
    }).answer(request, forever);
    expect(answer.proposals.map(({ tag }) => tag)).toEqual(['frozen veggies', 'tents', 'boats']);
    expect(answer.dropped).toEqual([
      { rule: 'duplicate', count: 1 },
      { rule: 'too_many', count: 1 },
    ]);
  });

  it('is "not enough" where the model said so', async () => {
    const { answer, failure } = await answering(modelThat(async () => ({}))).answer(request, forever);
    expect([answer.outcome, answer.error, failure]).toEqual(['not_enough', null, undefined]);
  });

  it('is "failed" where it cannot be read, and says what it cost all the same', async () => {
    const { answer, failure } = await answering(modelThat(async () => ({ text: 'I would rather not.' }))).answer(
      request,
      forever,
    );
    expect(answer).toMatchObject({ outcome: 'failed', error: 'BAD_ANSWER', prompt_tokens: 30, proposals: [] });
    expect(failure).toMatchObject({ code: 'BAD_ANSWER' });
  });

  it('is "failed" where no tag of it can be used', async () => {
    const { answer, failure } = await saying({ category: entries('a tag of far too many characters') }).answer(
      request,
      forever,
    );
    expect(answer).toMatchObject({
      outcome: 'failed',
      error: 'NO_USABLE_TAG',
      dropped: [{ rule: 'long_tag', count: 1 }],
    });
    expect(failure!.code).toBe('NO_USABLE_TAG');
  });

  it.each([
    ['the model cannot be asked', requestWith(), 'MODEL_TIMEOUT'],
    ['its prompt is unknown', requestWith({ prompt_version: 'other' }), 'UNKNOWN_PROMPT'],
  ])('is "failed" where %s', async (_, request, code) => {
    const late = () => Promise.reject(new InferenceError('MODEL_TIMEOUT', 'late', { retriable: true }));
    const { answer, failure } = await answering(modelThat(late)).answer(request, forever);
    expect(answer).toMatchObject({ outcome: 'failed', error: code });
    expect(failure).toMatchObject({ code });
  });

  it('goes without vectors where the embedder fails', async () => {
    const broken = { name: 'broken', dimensions: 1, embed: () => Promise.reject(new Error('gone')) };
    const { answer } = await saying({ category: entries('tents') }, { embedder: broken }).answer(request, forever);
    expect(answer).toMatchObject({
      outcome: 'proposed',
      embedder: null,
      proposals: [{ tag: 'tents', embedding: null }],
    });
  });

  it('is none where the work was called off', async () => {
    const stop = new AbortController();
    const called = answering(
      modelThat(() => (stop.abort(new Error('off')), Promise.reject(stop.signal.reason as Error))),
    );
    await expect(called.answer(request, stop.signal)).rejects.toThrow('off');
  });

  it('tells of a bug instead of hiding it', async () => {
    const buggy = answering(modelThat(() => Promise.reject(new TypeError('a bug'))));
    await expect(buggy.answer(request, forever)).rejects.toThrow(TypeError);
  });
});

describe('an answer without a model', () => {
  const words = new CatalogWords();
  const own = requestWith({ purchases: [bought('snack crackers, 9 oz', { category: 'snack crackers' })] });

  it('is named extractive', async () => {
    const { answer } = await answering(
      modelThat(async () => ({})),
      { maker: new ExtractiveTagMaker(words) },
    ).answer(own, forever);
    expect(answer).toMatchObject({
      profiler: 'extractive',
      outcome: 'proposed',
      embedder: 'ngram-256-1',
      proposals: [{ tag: 'snack crackers', group: 'category' }],
      prompt_tokens: 0,
    });
  });

  it('can be had at once, and is the same', async () => {
    const { answer } = await answering(
      modelThat(async () => ({})),
      { maker: new ExtractiveTagMaker(words) },
    ).answer(own, forever);
    expect(answerExtractively(own, words, { embedder, same: 0.5, at: 5000 })).toEqual(answer);
  });
});
