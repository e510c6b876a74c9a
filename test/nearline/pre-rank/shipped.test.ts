import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { OnnxEmbedder } from '../../../src/inference/onnx/embedder.ts';
import { OnnxRanker } from '../../../src/inference/onnx/ranker.ts';
import { FEATURES } from '../../../src/nearline/pre-rank/features.ts';
import { SwappingRanker } from '../../../src/nearline/pre-rank/swapping.ts';
import { silent } from '../../../src/stream/logger.ts';

const root = join(import.meta.dirname, '../../..');
const folder = join(root, 'models/pre-rank');

it('the model that comes with Seral is taken into use', async () => {
  const refused: string[] = [];
  const embedder = await OnnxEmbedder.fromFolder(join(root, 'models/embedder-small'));
  const ranker = new SwappingRanker({
    folder,
    load: (at) => OnnxRanker.fromFolder(at),
    embedder: embedder.name,
    pollMs: 3_600_000,
    logger: silent,
    observer: { inUse: () => {}, swapped: () => {}, refused: (code) => refused.push(code) },
  });
  await ranker.start();
  expect(refused).toEqual([]);
  expect(ranker.name).toMatch(/^pre-rank-/);
  const { scores } = (await ranker.score(new Float32Array(3 * FEATURES.length).fill(0.5)))!;
  expect(new Set(scores).size).toBe(1);
  await ranker.close();
  await embedder.close();
});

it('docs/pre-rank.md has each feature, and none that is not there', async () => {
  const page = await readFile(join(root, 'docs/pre-rank.md'), 'utf8');
  expect([...page.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name)).toEqual([...FEATURES]);
});
