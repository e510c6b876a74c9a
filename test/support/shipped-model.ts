import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A model of models/: its folder, the file of weights and the manifest. */
export function modelOf(name: string) {
  const folder = join(import.meta.dirname, '../../models', name);
  const manifest = JSON.parse(readFileSync(join(folder, 'model.json'), 'utf8')) as {
    version: string;
    files: Record<string, string>;
    [key: string]: unknown;
  };
  return { folder, path: join(folder, 'model.onnx'), manifest };
}
