/**
 * A model's folder as it is now, copied aside: whoever writes the next model into the folder changes nothing of one that is
 * in use, nor between its check and its loading.
 */
import { copyFile, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceError, messageOf } from '../../errors.ts';
import { MODEL_FILE } from '../../inference/onnx/model-folder.ts';
import type { Ranker } from '../../inference/ranker.ts';

const MANIFEST = 'model.json';
const FILES = [MANIFEST, MODEL_FILE];
/** A pre-ranker is small; what is larger is not one. */
const MOST_BYTES = 64 << 20;

/** Changes with what lies in the folder; null: there is no manifest. */
export async function signatureOf(folder: string): Promise<string | null> {
  const parts: string[] = [];
  for (const name of FILES) {
    try {
      const { mtimeMs, size, ino } = await stat(join(folder, name));
      parts.push(`${name} ${ino} ${mtimeMs} ${size}`);
    } catch {
      if (name === MANIFEST) return null;
      parts.push(`${name} none`);
    }
  }
  return parts.join(', ');
}

export interface Loaded {
  /** of a copy, which is gone when it is closed */
  ranker: Ranker;
  /** the embedder's name, as the manifest says; null: it says nothing */
  trainedBeside: string | null;
}

/** What `load` makes of a copy. Throws InferenceError BAD_MODEL, and what `load` throws. */
export async function loadedAside(folder: string, load: (copy: string) => Promise<Ranker>): Promise<Loaded> {
  const copy = await mkdtemp(join(tmpdir(), 'seral-pre-rank-'));
  const remove = () => rm(copy, { recursive: true, force: true });
  try {
    for (const name of FILES) await copied(folder, copy, name);
    const ranker = await load(copy);
    const { embedder } = JSON.parse(await readFile(join(copy, MANIFEST), 'utf8')) as { embedder?: unknown };
    return {
      ranker: {
        name: ranker.name,
        features: ranker.features,
        score: (rows) => ranker.score(rows),
        close: () => ranker.close().finally(remove),
      },
      trainedBeside: typeof embedder === 'string' ? embedder : null,
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function copied(from: string, to: string, name: string): Promise<void> {
  try {
    const { size } = await stat(join(from, name));
    if (size > MOST_BYTES) throw new RangeError(`${size} bytes are more than a pre-ranker has`);
    await copyFile(join(from, name), join(to, name));
  } catch (error) {
    throw new InferenceError('BAD_MODEL', `the model in ${from} cannot be used: ${name}: ${messageOf(error)}`);
  }
}
