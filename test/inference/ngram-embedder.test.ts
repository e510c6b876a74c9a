import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytesOf, cosine, quantize, vectorOf } from '../../src/inference/embedder.ts';
import { NgramEmbedder } from '../../src/inference/ngram-embedder.ts';

const embedder = new NgramEmbedder();
const likeness = (a: string, b: string): number => cosine(embedder.embedNow(a), embedder.embedNow(b));

describe('the embedded embedder', () => {
  test('puts spellings of a word near each other and unlike words apart', () => {
    expect(likeness('frozen vegetables', 'frozen vegetable')).toBeGreaterThan(0.99);
    expect(likeness('frozen vegetables', 'frzn vegetabl')).toBeGreaterThan(
      likeness('frozen vegetables', 'paper towels'),
    );
    expect(likeness('cat food', 'motor oil')).toBeLessThan(0.3);
    expect(likeness('露營裝備', '露营装备')).toBeCloseTo(1);
  });

  test('gives a text without words no direction', () => {
    expect([...embedder.embedNow(' -- ')].every((part) => part === 0)).toBe(true);
    expect(likeness('', 'tent')).toBe(0);
  });

  test('gives the same vector each time, of the length it says', async () => {
    const [a, b] = await embedder.embed(['camping', 'camping']);
    expect(a).toEqual(b);
    expect(a).toHaveLength(embedder.dimensions);
  });
});

test('a cosine lies within -1 and 1 and is that of the vectors it was made from, about', () => {
  const vector = fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 8, maxLength: 8 });
  fc.assert(
    fc.property(vector, vector, (a, b) => {
      const [x, y] = [quantize(Float64Array.from(a)), quantize(Float64Array.from(b))];
      const found = cosine(x, y);
      expect(Math.abs(found)).toBeLessThanOrEqual(1 + 1e-9);
      const dot = a.reduce((sum, part, i) => sum + part * b[i]!, 0);
      const norm = Math.hypot(...a) * Math.hypot(...b);
      if (norm > 1e-3) expect(Math.abs(found - dot / norm)).toBeLessThan(0.05);
    }),
  );
});

test('vectors of unlike lengths have nothing in common', () => {
  expect(cosine(Int8Array.of(1, 2), Int8Array.of(1, 2, 3))).toBe(0);
});

test('a vector survives its way through bytes', () => {
  const vector = embedder.embedNow('snack crackers');
  expect(vectorOf(bytesOf(vector))).toEqual(vector);
});
