import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cosine } from '../../../src/inference/embedder.ts';
import { OnnxEmbedder } from '../../../src/inference/onnx/embedder.ts';
import { modelOf } from '../../support/shipped-model.ts';

const { folder, manifest } = modelOf('embedder-small');
let embedder: OnnxEmbedder;
beforeAll(async () => {
  embedder = await OnnxEmbedder.fromFolder(folder);
});
afterAll(() => embedder.close());

const near = async (a: string, b: string): Promise<number> => {
  const [one, other] = await embedder.embed([a, b]);
  return cosine(one!, other!);
};

describe('an embedder that is an ONNX model', () => {
  it('gives a vector of its dimensions for each text, in order, repeated ones too', async () => {
    const texts = ['bread', 'a much longer text about frozen pizza, 12 oz', 'bread', ''];
    const vectors = await embedder.embed(texts);
    expect(vectors.map((vector) => vector.length)).toEqual(texts.map(() => manifest.dimensions));
    expect(vectors[2]).toEqual(vectors[0]);
    expect(vectors[1]).not.toEqual(vectors[0]);
    expect(await embedder.embed([])).toEqual([]);
  });

  it('gives a text the same vector alone and among others', async () => {
    const texts = Array.from({ length: 150 }, (_, i) => `item ${i} of ${'a long list '.repeat(i % 5)}`);
    const [alone, together] = await Promise.all(
      [1, 150].map(async (size) => {
        const fresh = await OnnxEmbedder.fromFolder(folder);
        try {
          return size === 1 ? await fresh.embed([texts[149]!]) : await fresh.embed(texts);
        } finally {
          await fresh.close();
        }
      }),
    );
    expect(cosine(alone![0]!, together![149]!)).toBeGreaterThan(0.999);
  });

  it('knows of meaning beyond spelling', async () => {
    expect(await near('soft drinks', 'sft drnk 2 liter btl carb incl, 2 l')).toBeGreaterThan(
      await near('soft drinks', 'soft tortillas'),
    );
    expect(await near('cookies', 'COOKIES')).toBeCloseTo(1, 2);
  });

  it('asks the model once for a text that it remembers', async () => {
    const first = await embedder.embed(['remembered']);
    const again = await embedder.embed(['remembered']);
    expect(again[0]).toBe(first[0]);
  });

  it('ends with MODEL_CLOSED when it was closed, and leaves no thread', async () => {
    const before = process.getActiveResourcesInfo().filter((one) => one === 'MessagePort').length;
    const own = await OnnxEmbedder.fromFolder(folder);
    await own.close();
    await expect(own.embed(['never seen'])).rejects.toMatchObject({ code: 'MODEL_CLOSED' });
    expect(process.getActiveResourcesInfo().filter((one) => one === 'MessagePort')).toHaveLength(before);
  });
});
