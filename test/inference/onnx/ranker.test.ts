import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OnnxRanker } from '../../../src/inference/onnx/ranker.ts';
import { linearModel } from '../../support/onnx-model.ts';
import { inModelFolder } from '../../support/model-folder.ts';

const WEIGHTS = [0.5, -1, 2];
const MANIFEST = {
  kind: 'ranker',
  name: 'linear',
  version: '1',
  features: ['a', 'b', 'c'],
  input: 'rows',
  output: 'scores',
};
const FILES = { 'model.onnx': linearModel(WEIGHTS) };

const refused = (files: Record<string, Uint8Array | string>, manifest: object | string) =>
  inModelFolder(files, manifest, (folder) =>
    OnnxRanker.fromFolder(folder).then(
      async (ranker) => {
        await ranker.close();
        throw new Error('it was taken');
      },
      (error: unknown) => error,
    ),
  );

describe('a ranker that is an ONNX model', () => {
  it('gives each row the score that the model computes', async () => {
    await inModelFolder(FILES, MANIFEST, async (folder) => {
      const ranker = await OnnxRanker.fromFolder(folder);
      try {
        expect([ranker.name, ranker.features]).toEqual(['linear-1', ['a', 'b', 'c']]);
        const part = fc.float({ min: -5, max: 5, noNaN: true });
        await fc.assert(
          fc.asyncProperty(fc.array(fc.tuple(part, part, part), { maxLength: 40 }), async (rows) => {
            const scores = await ranker.score(Float32Array.from(rows.flat()));
            expect(scores).toHaveLength(rows.length);
            rows.forEach((row, i) => {
              const sum = row.reduce((all, value, k) => all + value * WEIGHTS[k]!, 0);
              expect(scores[i]).toBeCloseTo(1 / (1 + Math.exp(-sum)), 5);
            });
          }),
          { numRuns: 30 },
        );
      } finally {
        await ranker.close();
      }
    });
  });

  it('leaves the rows to whoever gave them, and refuses values that fill no row', async () => {
    await inModelFolder(FILES, MANIFEST, async (folder) => {
      const ranker = await OnnxRanker.fromFolder(folder);
      const rows = Float32Array.of(1, 2, 3);
      await ranker.score(rows);
      expect([...rows]).toEqual([1, 2, 3]);
      await expect(ranker.score(Float32Array.of(1, 2))).rejects.toMatchObject({ code: 'BAD_INPUT' });
      await ranker.close();
    });
  });

  it('refuses a folder that is not what its manifest says, and says what is wrong', async () => {
    const cases: [Record<string, Uint8Array | string>, object | string, RegExp][] = [
      [FILES, '{', /not JSON/],
      [FILES, { ...MANIFEST, kind: 'sampler' }, /kind sampler/],
      [FILES, { ...MANIFEST, features: [] }, /features/],
      [FILES, { ...MANIFEST, files: { 'model.onnx': '0'.repeat(64) } }, /sha256/],
      [FILES, { ...MANIFEST, files: { '../model.onnx': '0'.repeat(64) } }, /files/],
      [FILES, { ...MANIFEST, input: 'other' }, /no input other/],
      [FILES, { ...MANIFEST, output: 'other' }, /no output other/],
      [FILES, { ...MANIFEST, features: ['a'] }, /reads 3 features/],
      [{ 'model.onnx': 'no model' }, MANIFEST, /cannot be used/],
    ];
    for (const [files, manifest, why] of cases) {
      const error = await refused(files, manifest);
      expect(error).toMatchObject({ code: 'BAD_MODEL', fatal: true, message: expect.stringMatching(why) });
    }
  });

  it('refuses a folder that is not there', async () => {
    await expect(OnnxRanker.fromFolder('/nowhere/at/all')).rejects.toMatchObject({ code: 'BAD_MODEL' });
  });
});
