/**
 * A model as a folder: `model.onnx`, what belongs to it (`tokenizer.json`), and `model.json`, the manifest that says what it
 * is and vouches for the other files with their sha256. A folder that is half copied, or of another kind, is refused
 * before anything runs.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { InferenceError, messageOf } from '../../errors.ts';

export const MODEL_FILE = 'model.onnx';
const MANIFEST = 'model.json';
export type ModelKind = 'sampler' | 'embedder' | 'ranker';

const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'letters, digits, dots, dashes, at most 100');
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, '64 hexadecimal digits');

/** What every manifest says. Further keys are of the kind, or for readers. */
const common = z.object({
  kind: z.enum(['sampler', 'embedder', 'ranker']),
  name,
  version: name,
  files: z.record(name, sha256).refine((files) => MODEL_FILE in files, `${MODEL_FILE} is not among them`),
});

export interface ModelFolder<T> {
  /** name and version */
  name: string;
  manifest: z.infer<typeof common> & T;
  /** where the model lies */
  path: string;
  /** A further file, which the manifest must list. Throws InferenceError BAD_MODEL. */
  json(file: string): unknown;
}

/** Throws InferenceError BAD_MODEL. */
export async function readModelFolder<T extends z.ZodObject>(
  folder: string,
  kind: ModelKind,
  shape: T,
): Promise<ModelFolder<z.infer<T>>> {
  const read = async (file: string): Promise<Buffer> => {
    try {
      return await readFile(join(folder, file));
    } catch (error) {
      throw badModel(folder, `${file} cannot be read: ${messageOf(error)}`, error);
    }
  };
  const parsed = (file: string, bytes: Buffer): unknown => {
    try {
      return JSON.parse(bytes.toString('utf8'));
    } catch (error) {
      throw badModel(folder, `${file} is not JSON: ${messageOf(error)}`, error);
    }
  };
  const manifest = held(folder, common, parsed(MANIFEST, await read(MANIFEST)));
  if (manifest.kind !== kind) throw badModel(folder, `it is of kind ${manifest.kind}, and a ${kind} is needed`);
  const own = held(folder, shape, parsed(MANIFEST, await read(MANIFEST)));
  const others = new Map<string, Buffer>();
  for (const [file, expected] of Object.entries(manifest.files)) {
    const bytes = await read(file);
    const actual = createHash('sha256').update(bytes).digest('hex');
    if (actual !== expected) {
      throw badModel(folder, `${file} is not what ${MANIFEST} says: sha256 ${actual} instead of ${expected}`);
    }
    if (file !== MODEL_FILE) others.set(file, bytes);
  }
  return {
    name: `${manifest.name}-${manifest.version}`,
    manifest: { ...manifest, ...own },
    path: join(folder, MODEL_FILE),
    json(file) {
      const bytes = others.get(file);
      if (bytes === undefined) throw badModel(folder, `${MANIFEST} does not list ${file} among its files`);
      return parsed(file, bytes);
    },
  };
}

function held<T extends z.ZodType>(folder: string, shape: T, value: unknown): z.infer<T> {
  const result = shape.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ path, message }) => `${path.join('.') || 'the whole'}: ${message}`);
  throw badModel(folder, `${MANIFEST} is wrong: ${problems.join('; ')}`);
}

export const badModel = (where: string, why: string, cause?: unknown): InferenceError =>
  new InferenceError('BAD_MODEL', `the model in ${where} cannot be used: ${why}`, { fatal: true, cause });
