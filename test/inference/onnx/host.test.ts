import { spawnSync } from 'node:child_process';
import { writeFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OnnxHost } from '../../../src/inference/onnx/host.ts';
import type { RunJob } from '../../../src/inference/onnx/jobs.ts';
import { modelOf } from '../../support/shipped-model.ts';
import { linearModel } from '../../support/onnx-model.ts';

let folder: string;
let model: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seral-host-'));
  model = join(folder, 'model.onnx');
  await writeFile(model, linearModel([1]));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const job = (value: number): RunJob => ({
  kind: 'run',
  inputs: { rows: { type: 'float32', data: Float32Array.of(value), dims: [1, 1] } },
  outputs: ['scores'],
});
/** Threads of the process, as Node counts what keeps it alive. */
const threads = (): number => process.getActiveResourcesInfo().filter((one) => one === 'MessagePort').length;

describe('the host of a model', () => {
  it('says what the model reads and gives', async () => {
    const host = await OnnxHost.open({ model });
    expect(host.inputs).toEqual([{ name: 'rows', type: 'float32', shape: ['n', 1] }]);
    expect(host.outputs).toEqual([{ name: 'scores', type: 'float32', shape: ['n', 1] }]);
    await host.close();
  });

  it('answers each job with its own result, in order', async () => {
    const host = await OnnxHost.open({ model });
    const order: number[] = [];
    const results = await Promise.all(
      [-2, 0, 3].map(async (value) => {
        const { scores } = await host.run(job(value));
        order.push(value);
        return scores!.data[0]!;
      }),
    );
    expect(order).toEqual([-2, 0, 3]);
    results.forEach((score, i) => expect(score).toBeCloseTo(1 / (1 + Math.exp(-[-2, 0, 3][i]!)), 5));
    await host.close();
  });

  it('refuses a job when as many wait as may', async () => {
    const host = await OnnxHost.open({ model, queue: 1 });
    const [running, waiting, refused] = await Promise.allSettled([1, 2, 3].map((value) => host.run(job(value))));
    expect([running!.status, waiting!.status]).toEqual(['fulfilled', 'fulfilled']);
    expect(refused).toMatchObject({ reason: { code: 'MODEL_OVERLOADED', retriable: true } });
    await host.close();
  });

  it('gives up a job whose signal aborts, running or waiting, and goes on with the next', async () => {
    const host = await OnnxHost.open({ model });
    const abort = new AbortController();
    const given = [host.run(job(1), abort.signal), host.run(job(2), abort.signal), host.run(job(0))];
    abort.abort(new Error('enough'));
    const [first, second, third] = await Promise.allSettled(given);
    expect([first, second]).toMatchObject([{ reason: { message: 'enough' } }, { reason: { message: 'enough' } }]);
    expect(third).toMatchObject({ status: 'fulfilled' });
    await expect(host.run(job(1), abort.signal)).rejects.toThrow('enough');
    await host.close();
  });

  it('says that the model failed when it throws, and goes on', async () => {
    const host = await OnnxHost.open({ model });
    const wrong: RunJob = { ...job(1), outputs: ['nothing'] };
    await expect(host.run(wrong)).rejects.toMatchObject({ code: 'MODEL_FAILED' });
    await expect(host.run(job(1))).resolves.toBeDefined();
    await host.close();
  });

  it('ends what runs and what waits when it is closed, and leaves no thread', async () => {
    const before = threads();
    const host = await OnnxHost.open({ model });
    expect(threads()).toBeGreaterThan(before);
    const given = [host.run(job(1)), host.run(job(2))];
    const settled = Promise.allSettled(given);
    await host.close();
    for (const one of await settled) expect(one).toMatchObject({ reason: { code: 'MODEL_CLOSED' } });
    expect(threads()).toBe(before);
    await expect(host.run(job(1))).rejects.toMatchObject({ code: 'MODEL_CLOSED' });
    await host.close();
  });

  it('lets a process end with its own exit code while a model runs', async () => {
    const source = (file: string): string => join(import.meta.dirname, '../../../src/inference/onnx', file);
    const script = `
      import { OnnxSampler } from '${source('sampler.ts')}';
      const sampler = await OnnxSampler.fromFolder('${modelOf('serengpt-small').folder}');
      const request = { system: null, prompt: 'next:', samples: 200, temperature: 2, repetitionPenalty: 1, maxTokens: 200, seed: 1 };
      sampler.sample(request, new AbortController().signal).catch(() => {});
      setTimeout(() => process.exit(3), 20);`;
    const file = join(folder, 'ends.ts');
    await writeFile(file, script);
    const { status, stderr } = spawnSync(process.execPath, [file], { env: {} });
    expect([status, stderr.toString()]).toEqual([3, '']);
  });

  it('refuses a file that is no model, and leaves no thread', async () => {
    const before = threads();
    const file = join(folder, 'none.onnx');
    await writeFile(file, 'no model');
    await expect(OnnxHost.open({ model: file })).rejects.toMatchObject({ code: 'BAD_MODEL' });
    expect(threads()).toBe(before);
  });
});
