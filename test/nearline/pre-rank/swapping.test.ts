import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OnnxRanker } from '../../../src/inference/onnx/ranker.ts';
import type { Ranker } from '../../../src/inference/ranker.ts';
import { FEATURES } from '../../../src/nearline/pre-rank/features.ts';
import { SwappingRanker, type LoadRanker } from '../../../src/nearline/pre-rank/swapping.ts';
import { silent } from '../../../src/stream/logger.ts';
import { eventually } from '../../stream/bench.ts';
import { linearModel } from '../../support/onnx-model.ts';

let folder: string;
let seen: string[];
let ranker: SwappingRanker;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seral-swapping-'));
  seen = [];
});
afterEach(async () => {
  await ranker.close();
  await rm(folder, { recursive: true });
});

const observer = {
  inUse: (model: string | null) => seen.push(`in use: ${model}`),
  swapped: () => seen.push('swapped'),
  refused: (code: string) => seen.push(`refused: ${code}`),
};
const open = (load: LoadRanker = (at) => OnnxRanker.fromFolder(at), pollMs = 3_600_000) =>
  (ranker = new SwappingRanker({ folder, load, embedder: 'mine-1', pollMs, logger: silent, observer }));

const WEIGHTS = FEATURES.map((_, i) => (i === 0 ? 1 : 0));
const GOOD = linearModel(WEIGHTS);
const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

async function put(version: string, model: Uint8Array = GOOD, given: object = { embedder: 'mine-1' }): Promise<void> {
  const files = { 'model.onnx': sha(model) };
  const manifest = { kind: 'ranker', name: 'linear', version, features: FEATURES, input: 'rows', output: 'scores' };
  await writeFile(join(folder, 'model.onnx'), model);
  await writeFile(join(folder, 'model.json'), JSON.stringify({ ...manifest, files, ...given }));
}
const row = (first: number) => Float32Array.from(FEATURES, (_, i) => (i === 0 ? first : 0.5));
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

describe('a pre-ranker that may be exchanged', () => {
  it('says that there is none until there is one, and takes it without a restart', async () => {
    open(undefined, 5);
    await ranker.start();
    expect(ranker.name).toBeNull();
    expect(await ranker.score(row(1))).toBeNull();
    await put('1');
    await eventually(() => expect(ranker.name).toBe('linear-1'));
    const given = await ranker.score(row(1));
    expect(given!.name).toBe('linear-1');
    expect(given!.scores[0]).toBeCloseTo(sigmoid(1), 5);
    expect(seen).toEqual(['in use: null', 'in use: linear-1', 'swapped']);
  });

  it('takes a new model in the place of the old one, and asks it from then on', async () => {
    await put('1');
    open();
    await ranker.start();
    await put('2', linearModel(WEIGHTS.map((weight) => 2 * weight)));
    await ranker.look();
    const given = await ranker.score(row(1));
    expect(given!.name).toBe('linear-2');
    expect(given!.scores[0]).toBeCloseTo(sigmoid(2), 5);
    await ranker.look();
    expect(seen.filter((what) => what === 'swapped')).toHaveLength(2);
  });

  it.each<[string, () => Promise<void>, string]>([
    ['half a file', () => put('2', GOOD.subarray(0, 50), { files: { 'model.onnx': sha(GOOD) } }), 'BAD_MODEL'],
    ['no ONNX', () => put('2', Buffer.from('nothing')), 'BAD_MODEL'],
    ['a manifest that is cut', () => writeFile(join(folder, 'model.json'), '{"kind": "ran'), 'BAD_MODEL'],
    ['another kind', () => put('2', GOOD, { kind: 'embedder' }), 'BAD_MODEL'],
    ['no model file', () => rm(join(folder, 'model.onnx')), 'BAD_MODEL'],
    ['other features', () => put('2', linearModel([1]), { features: ['colour'] }), 'UNKNOWN_FEATURE'],
    ['one beside another embedder', () => put('2', GOOD, { embedder: 'other-1' }), 'OTHER_EMBEDDER'],
    ['too few features', () => put('2', GOOD, { features: ['keyword'] }), 'BAD_MODEL'],
    ['the same score for all', () => put('2', linearModel(FEATURES.map(() => 0))), 'BAD_SCORES'],
    ['scores that are none', () => put('2', linearModel(FEATURES.map(() => NaN))), 'MODEL_FAILED'],
  ])('refuses %s, and goes on with the old one', async (_, spoil, code) => {
    await put('1');
    open();
    await ranker.start();
    seen.length = 0;
    await spoil();
    await ranker.look();
    await ranker.look();
    expect(seen).toEqual([`refused: ${code}`]);
    expect((await ranker.score(row(1)))!.scores[0]).toBeCloseTo(sigmoid(1), 5);
    await put('3');
    await ranker.look();
    expect(ranker.name).toBe('linear-3');
  });

  it('takes no model away where the folder is empty for a moment', async () => {
    await put('1');
    open();
    await ranker.start();
    await rm(join(folder, 'model.json'));
    await ranker.look();
    expect(ranker.name).toBe('linear-1');
  });

  it('goes on with what it has loaded, whatever becomes of the file', async () => {
    await put('1');
    open();
    await ranker.start();
    await writeFile(join(folder, 'model.onnx'), 'overwritten');
    expect((await ranker.score(row(1)))!.scores[0]).toBeCloseTo(sigmoid(1), 5);
    const copies = async () => (await readdir(tmpdir())).filter((name) => name.startsWith('seral-pre-rank-'));
    const before = await copies();
    await ranker.close();
    expect((await copies()).length).toBeLessThan(before.length);
  });

  it('closes an old model when its last batch is done, and not before', async () => {
    const gates = new Map<string, PromiseWithResolvers<void>>();
    const closed: string[] = [];
    let version = 0;
    const fake: LoadRanker = () => {
      const name = `fake-${++version}`;
      let smoked = false;
      const made: Ranker = {
        name,
        features: ['keyword'],
        async score(rows) {
          if (smoked) {
            const gate = Promise.withResolvers<void>();
            gates.set(name, gate);
            await gate.promise;
          }
          smoked = true;
          return rows;
        },
        close: () => Promise.resolve(void closed.push(name)),
      };
      return Promise.resolve(made);
    };
    await put('1');
    open(fake);
    await ranker.start();
    const first = ranker.score(row(0.25));
    await put('2');
    await ranker.look();
    expect(ranker.name).toBe('fake-2');
    const second = ranker.score(row(0.75));
    expect(closed).toEqual([]);
    gates.get('fake-1')!.resolve();
    expect(await first).toEqual({ name: 'fake-1', scores: Float32Array.of(0.25) });
    expect(closed).toEqual(['fake-1']);
    gates.get('fake-2')!.resolve();
    expect((await second)!.name).toBe('fake-2');
    await ranker.close();
    expect(closed).toEqual(['fake-1', 'fake-2']);
  });

  it('gives no scores for no rows, and refuses scores outside 0 to 1 at work too', async () => {
    let wrong = false;
    await put('1');
    open(() =>
      Promise.resolve({
        name: 'fake',
        features: ['keyword'],
        score: (rows) => Promise.resolve(wrong ? rows.map(() => 1.5) : rows),
        close: () => Promise.resolve(),
      }),
    );
    await ranker.start();
    expect((await ranker.score(new Float32Array(0)))!.scores).toHaveLength(0);
    wrong = true;
    await expect(ranker.score(row(1))).rejects.toMatchObject({ code: 'BAD_SCORES' });
  });
});
