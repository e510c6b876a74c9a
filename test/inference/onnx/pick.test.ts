import fc from 'fast-check';
import { expect, test } from 'vitest';
import { pick, randomOf } from '../../../src/inference/onnx/pick.ts';

const SIZE = 6;
const logits = fc.array(fc.double({ min: -8, max: 8, noNaN: true }), { minLength: SIZE, maxLength: SIZE });
const mask = fc.array(fc.constantFrom(0, 1), { minLength: SIZE, maxLength: SIZE });
const none = Uint8Array.from(new Array<number>(SIZE).fill(0));

/** By the definition of the penalty that vLLM and transformers share, and the softmax written out. */
function chances(
  values: readonly number[],
  seen: readonly number[],
  never: readonly number[],
  penalty: number,
  t: number,
) {
  const weights = values.map((value, i) => {
    if (never[i] === 1) return 0;
    const score = seen[i] === 1 ? (value > 0 ? value / penalty : value * penalty) : value;
    return Math.exp(score / t);
  });
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

test('a token is taken where the chance falls in the penalised and tempered distribution', () => {
  fc.assert(
    fc.property(
      logits,
      mask,
      mask.filter((never) => never.includes(0)),
      fc.double({ min: 1, max: 2, noNaN: true }),
      fc.double({ min: 0.5, max: 2, noNaN: true }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (values, seen, never, repetitionPenalty, temperature, chance) => {
        const single = Float32Array.from(values);
        const { token } = pick(single, {
          temperature,
          repetitionPenalty,
          seen: Uint8Array.from(seen),
          never: Uint8Array.from(never),
          random: () => chance,
        });
        const shares = chances([...single], seen, never, repetitionPenalty, temperature);
        const below = shares.slice(0, token).reduce((a, b) => a + b, 0);
        expect(never[token]).toBe(0);
        expect(below).toBeLessThanOrEqual(chance + 1e-9);
        expect(below + shares[token]!).toBeGreaterThanOrEqual(chance - 1e-9);
      },
    ),
  );
});

test('at temperature 0 the likeliest token after the penalty is taken', () => {
  fc.assert(
    fc.property(logits, mask, fc.double({ min: 1, max: 2, noNaN: true }), (values, seen, repetitionPenalty) => {
      const single = Float32Array.from(values);
      const options = {
        temperature: 0,
        repetitionPenalty,
        seen: Uint8Array.from(seen),
        never: none,
        random: () => 0.5,
      };
      const shares = chances([...single], seen, [...none], repetitionPenalty, 1);
      expect(shares[pick(single, options).token]).toBeCloseTo(Math.max(...shares), 12);
    }),
  );
});

test("a token's logprob is the model's own, before penalty and temperature", () => {
  fc.assert(
    fc.property(logits, mask, (values, seen) => {
      const single = Float32Array.from(values);
      const options = {
        temperature: 3,
        repetitionPenalty: 2,
        seen: Uint8Array.from(seen),
        never: none,
        random: () => 0.7,
      };
      const { token, logprob } = pick(single, options);
      expect(Math.exp(logprob)).toBeCloseTo(chances([...single], [], [], 1, 1)[token]!, 6);
    }),
  );
});

test('a model that gives no number is refused', () => {
  const options = { temperature: 1, repetitionPenalty: 1, seen: none, never: none, random: () => 0.5 };
  expect(() => pick(new Float32Array(SIZE).fill(NaN), options)).toThrow('no token');
});

test('numbers of a seed and row are the same each time, other ones for another row or seed, and even', () => {
  const drawn = (seed: number, row: number): number[] => {
    const random = randomOf(seed, row);
    return Array.from({ length: 2000 }, random);
  };
  expect(drawn(7, 3)).toEqual(drawn(7, 3));
  const firsts = [drawn(7, 3), drawn(7, 4), drawn(8, 3), drawn(7 + 2 ** 32, 3)].map(([first]) => first);
  expect(new Set(firsts).size).toBe(4);
  const tenths = new Array<number>(10).fill(0);
  for (let row = 0; row < 10; row++) for (const one of drawn(1, row)) tenths[Math.floor(one * 10)]!++;
  for (const count of tenths) expect(Math.abs(count - 2000)).toBeLessThan(200);
});
