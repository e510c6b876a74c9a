import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OnnxSampler } from '../../../src/inference/onnx/sampler.ts';
import type { SampleRequest } from '../../../src/inference/sampler.ts';
import { linearModel } from '../../support/onnx-model.ts';
import { inModelFolder } from '../../support/model-folder.ts';
import { modelOf } from '../../support/shipped-model.ts';

let sampler: OnnxSampler;
beforeAll(async () => {
  sampler = await OnnxSampler.fromFolder(modelOf('serengpt-small').folder);
});
afterAll(() => sampler.close());

const request = (given: Partial<SampleRequest> = {}): SampleRequest => ({
  system: null,
  prompt: 'likes: bread; bananas\ndid: fluid milk, 1 gal; eggs - large, 1 dz\nnext:',
  samples: 30,
  temperature: 0.95,
  repetitionPenalty: 1.05,
  maxTokens: 24,
  seed: 7,
  ...given,
});
const patient = new AbortController().signal;

describe('a sampler that is an ONNX model', () => {
  it('says who it is and which prompt it was trained on', () => {
    expect([sampler.name, sampler.promptVersion]).toEqual([
      `serengpt-small-${modelOf('serengpt-small').manifest.version}`,
      'serengpt-compact-1',
    ]);
  });

  it('gives as many samples as were asked for, of plain text, and counts the tokens', async () => {
    for (const samples of [1, 7, 30]) {
      const sampled = await sampler.sample(request({ samples }), patient);
      expect(sampled.samples).toHaveLength(samples);
      for (const { text, logprob } of sampled.samples) {
        expect(text).not.toMatch(/<\/?s>|<pad>/);
        expect(text).toBe(text.trim());
        expect(logprob).toBeLessThan(0);
      }
      expect(sampled.promptTokens).toBeGreaterThan(10);
      expect(sampled.completionTokens).toBeGreaterThanOrEqual(samples);
    }
  });

  it('gives equal samples for equal seeds, and others for another', async () => {
    const texts = async (seed: number) => (await sampler.sample(request({ seed }), patient)).samples;
    const [first, again, other] = [await texts(7), await texts(7), await texts(8)];
    expect(again).toEqual(first);
    expect(other).not.toEqual(first);
  });

  it('says the same thirty times where nothing is left to chance', async () => {
    const { samples } = await sampler.sample(request({ temperature: 0 }), patient);
    expect(new Set(samples.map(({ text }) => text)).size).toBe(1);
  });

  it('reads the end of a prompt that is too long', async () => {
    const long = await sampler.sample(request({ prompt: `${'bread; '.repeat(3000)}\nnext:`, samples: 2 }), patient);
    expect(long.promptTokens).toBe(modelOf('serengpt-small').manifest.contextTokens);
  });

  it('ends with the reason of its signal', async () => {
    const abort = new AbortController();
    const given = sampler.sample(request({ maxTokens: 4000, temperature: 2, samples: 100 }), abort.signal);
    setImmediate(() => abort.abort(new Error('enough')));
    await expect(given).rejects.toThrow('enough');
    await expect(sampler.sample(request(), patient)).resolves.toBeDefined();
  });

  it('refuses what would hold it for all others, and what is no request', async () => {
    for (const wrong of [{ samples: 0 }, { samples: 1e6 }, { maxTokens: 1e9 }, { temperature: NaN }, { seed: 0.5 }]) {
      await expect(sampler.sample(request(wrong), patient)).rejects.toMatchObject({ code: 'BAD_INPUT' });
    }
  });

  it('refuses a model that is no language model', async () => {
    const tokenizer = readFileSync(join(modelOf('serengpt-small').folder, 'tokenizer.json'));
    const files = { 'model.onnx': linearModel([1]), 'tokenizer.json': tokenizer };
    const manifest = { kind: 'sampler', name: 'none', version: '1', contextTokens: 64, end: '</s>' };
    const opened = (given: object, all: Record<string, Uint8Array | string> = files) =>
      inModelFolder(all, { ...manifest, ...given }, (folder) => OnnxSampler.fromFolder(folder));
    await expect(opened({})).rejects.toMatchObject({ code: 'BAD_MODEL', message: expect.stringMatching(/input_ids/) });
    await expect(opened({ end: '<|end|>' })).rejects.toMatchObject({ message: expect.stringMatching(/no token/) });
    await expect(opened({}, { 'model.onnx': files['model.onnx'] })).rejects.toMatchObject({ code: 'BAD_MODEL' });
  });
});
