import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Hands a folder with these files and a manifest that vouches for them, unless `manifest` says otherwise. */
export async function inModelFolder<T>(
  files: Record<string, Uint8Array | string>,
  manifest: object | string,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'seral-model-'));
  try {
    for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name), bytes);
    const sums = Object.entries(files).map(([name, bytes]) => [name, createHash('sha256').update(bytes).digest('hex')]);
    const whole =
      typeof manifest === 'string' ? manifest : JSON.stringify({ files: Object.fromEntries(sums), ...manifest });
    await writeFile(join(folder, 'model.json'), whole);
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
