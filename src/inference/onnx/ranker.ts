import { z } from 'zod';
import { InferenceError } from '../../errors.ts';
import type { Ranker } from '../ranker.ts';
import { OnnxHost, type HostOptions } from './host.ts';
import { badModel, readModelFolder } from './model-folder.ts';

/** Of a manifest of the kind `ranker`: the model reads [rows, features] and gives [rows] or [rows, 1], 0 to 1. */
const shape = z.object({
  features: z.array(z.string().min(1)).min(1),
  input: z.string().min(1),
  output: z.string().min(1),
});

/** A `Ranker` that is an ONNX model. */
export class OnnxRanker implements Ranker {
  readonly name: string;
  readonly features: readonly string[];
  readonly #host: OnnxHost;
  readonly #input: string;
  readonly #output: string;

  private constructor(name: string, { features, input, output }: z.infer<typeof shape>, host: OnnxHost) {
    this.name = name;
    this.features = features;
    this.#host = host;
    this.#input = input;
    this.#output = output;
  }

  /** Throws InferenceError BAD_MODEL, NO_ENGINE. */
  static async fromFolder(folder: string, options: Omit<HostOptions, 'model'> = {}): Promise<OnnxRanker> {
    const { name, manifest, path } = await readModelFolder(folder, 'ranker', shape);
    const host = await OnnxHost.open({ ...options, model: path });
    const { features, input, output } = manifest;
    const reads = host.inputs.find((one) => one.name === input);
    const problem =
      reads === undefined
        ? `it has no input ${input}`
        : !host.outputs.some((one) => one.name === output)
          ? `it has no output ${output}`
          : typeof reads.shape.at(-1) === 'number' && reads.shape.at(-1) !== features.length
            ? `it reads ${reads.shape.at(-1)} features a row, and model.json names ${features.length}`
            : null;
    if (problem !== null) {
      await host.close();
      throw badModel(folder, problem);
    }
    return new OnnxRanker(name, manifest, host);
  }

  async score(rows: Float32Array): Promise<Float32Array> {
    const width = this.features.length;
    const count = rows.length / width;
    if (!Number.isInteger(count)) {
      throw new InferenceError('BAD_INPUT', `${rows.length} values are no rows of ${width} features`);
    }
    if (count === 0) return new Float32Array(0);
    const given = await this.#host.run({
      kind: 'run',
      inputs: { [this.#input]: { type: 'float32', data: Float32Array.from(rows), dims: [count, width] } },
      outputs: [this.#output],
    });
    const scores = given[this.#output]!.data;
    if (scores.length !== count || scores.some((score) => !Number.isFinite(score))) {
      throw new InferenceError('MODEL_FAILED', `the ranker ${this.name} gave no score for each of ${count} rows`);
    }
    return scores;
  }

  close(): Promise<void> {
    return this.#host.close();
  }
}
