/**
 * An `Embedder` that is an ONNX model in a thread of its own. Texts are embedded once each while they are remembered:
 * the same tags and titles are asked for over and over.
 */
import type { Tokenizer } from '@huggingface/tokenizers';
import { z } from 'zod';
import { InferenceError } from '../../errors.ts';
import { quantize, type Embedder } from '../embedder.ts';
import { OnnxHost, type HostOptions } from './host.ts';
import type { RunJob } from './jobs.ts';
import { badModel, readModelFolder } from './model-folder.ts';
import { idOf, tokenizerOf } from './tokens.ts';

/** Of a manifest of the kind `embedder`: the model reads `input_ids` and `attention_mask` and gives [rows, dimensions]. */
const shape = z.object({
  dimensions: z.int().min(1).max(65_536),
  /** tokens of a text that are read */
  longestTokens: z.int().min(1).max(65_536),
  /** texts are put into small letters before */
  lowercase: z.boolean().default(false),
  /** fills up the shorter ones of a batch */
  pad: z.string(),
  output: z.string().min(1),
});

/** texts in one run: what runs cannot be stopped in between */
const BATCH = 64;
const REMEMBERED = 50_000;
/** characters of a text that are looked at: no token is longer than a few dozen */
const LONGEST_TEXT = 4096;

export interface OnnxEmbedderOptions extends Omit<HostOptions, 'model'> {
  /** texts whose vectors are kept */
  remembered?: number;
}

export class OnnxEmbedder implements Embedder {
  readonly name: string;
  readonly dimensions: number;
  readonly #manifest: z.infer<typeof shape>;
  readonly #tokenizer: Tokenizer;
  readonly #pad: number;
  readonly #host: OnnxHost;
  readonly #remembered: number;
  readonly #known = new Map<string, Promise<Int8Array>>();

  private constructor(
    name: string,
    manifest: z.infer<typeof shape>,
    tokenizer: Tokenizer,
    pad: number,
    host: OnnxHost,
    remembered: number,
  ) {
    this.name = name;
    this.dimensions = manifest.dimensions;
    this.#manifest = manifest;
    this.#tokenizer = tokenizer;
    this.#pad = pad;
    this.#host = host;
    this.#remembered = remembered;
  }

  /** Throws InferenceError BAD_MODEL, NO_ENGINE. */
  static async fromFolder(folder: string, options: OnnxEmbedderOptions = {}): Promise<OnnxEmbedder> {
    const { remembered = REMEMBERED, ...hosted } = options;
    const model = await readModelFolder(folder, 'embedder', shape);
    const { manifest } = model;
    const tokenizer = tokenizerOf(folder, model);
    const pad = idOf(folder, tokenizer, manifest.pad);
    const host = await OnnxHost.open({ ...hosted, model: model.path });
    const given = host.outputs.find(({ name }) => name === manifest.output);
    const reads = new Set(host.inputs.map(({ name }) => name));
    const width = given?.shape.at(-1);
    const problem = !reads.has('input_ids')
      ? 'it has no input_ids'
      : !reads.has('attention_mask')
        ? 'it has no attention_mask'
        : given === undefined
          ? `it has no output ${manifest.output}`
          : typeof width === 'number' && width !== manifest.dimensions
            ? `it gives ${width} dimensions, and model.json says ${manifest.dimensions}`
            : null;
    if (problem !== null) {
      await host.close();
      throw badModel(folder, problem);
    }
    return new OnnxEmbedder(model.name, manifest, tokenizer, pad, host, remembered);
  }

  /** Throws InferenceError MODEL_OVERLOADED, MODEL_FAILED, MODEL_UNAVAILABLE, MODEL_CLOSED. */
  async embed(texts: readonly string[]): Promise<Int8Array[]> {
    const vectors = new Map<string, Promise<Int8Array>>();
    const fresh: string[] = [];
    for (const text of new Set(texts)) {
      const known = this.#known.get(text);
      if (known === undefined) fresh.push(text);
      else {
        vectors.set(text, known);
        // the one asked for last is forgotten last
        this.#known.delete(text);
        this.#known.set(text, known);
      }
    }
    // like lengths together: a batch is as wide as its longest text
    const coded = fresh.map((text) => ({ text, ids: this.#idsOf(text) })).sort((a, b) => a.ids.length - b.ids.length);
    for (let from = 0; from < coded.length; from += BATCH) {
      const piece = coded.slice(from, from + BATCH);
      const run = this.#run(piece.map(({ ids }) => ids));
      piece.forEach(({ text }, row) => {
        const vector = run.then((all) => all[row]!);
        vectors.set(text, vector);
        this.#remember(text, vector);
      });
      // one batch at a time: a long list is not to fill the line of the model
      await run.catch(() => {});
    }
    return Promise.all(texts.map((text) => vectors.get(text)!));
  }

  close(): Promise<void> {
    return this.#host.close();
  }

  #idsOf(text: string): number[] {
    const { lowercase, longestTokens } = this.#manifest;
    const cut = text.slice(0, LONGEST_TEXT).toWellFormed();
    const { ids } = this.#tokenizer.encode(lowercase ? cut.toLowerCase() : cut, { add_special_tokens: false });
    return ids.length === 0 ? [this.#pad] : ids.slice(0, longestTokens);
  }

  async #run(rows: readonly number[][]): Promise<Int8Array[]> {
    const width = Math.max(...rows.map((ids) => ids.length));
    const dims = [rows.length, width];
    const ids = new BigInt64Array(rows.length * width).fill(BigInt(this.#pad));
    const mask = new BigInt64Array(rows.length * width);
    rows.forEach((row, number) =>
      row.forEach((id, i) => {
        ids[number * width + i] = BigInt(id);
        mask[number * width + i] = 1n;
      }),
    );
    const { output, dimensions } = this.#manifest;
    const job: RunJob = {
      kind: 'run',
      inputs: { input_ids: { type: 'int64', data: ids, dims }, attention_mask: { type: 'int64', data: mask, dims } },
      outputs: [output],
    };
    const { data } = (await this.#host.run(job))[output]!;
    if (data.length !== rows.length * dimensions || data.some((part) => !Number.isFinite(part))) {
      throw new InferenceError(
        'MODEL_FAILED',
        `the embedder ${this.name} gave no vector for each of ${rows.length} texts`,
      );
    }
    return rows.map((_, row) => quantize(data.subarray(row * dimensions, (row + 1) * dimensions)));
  }

  #remember(text: string, vector: Promise<Int8Array>): void {
    this.#known.set(text, vector);
    vector.catch(() => {
      if (this.#known.get(text) === vector) this.#known.delete(text);
    });
    if (this.#known.size > this.#remembered) this.#known.delete(this.#known.keys().next().value!);
  }
}
