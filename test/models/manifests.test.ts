import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const models = join(import.meta.dirname, '../../models');
const folders = readdirSync(models, { withFileTypes: true }).filter((one) => one.isDirectory());
const read = (...path: string[]): Buffer => readFileSync(join(models, ...path));

test.each(folders.map(({ name }) => name))('%s holds the files that its manifest vouches for', (folder) => {
  const manifest = JSON.parse(read(folder, 'model.json').toString()) as { name: string; files: Record<string, string> };
  expect(manifest.name).toBe(folder);
  for (const [file, sum] of Object.entries(manifest.files)) {
    expect(createHash('sha256').update(read(folder, file)).digest('hex'), file).toBe(sum);
  }
});

test.each(['serengpt-small', 'embedder-small'])('the card of %s says what the manifest says', (folder) => {
  const card = read(folder, 'CARD.md').toString();
  const { files } = JSON.parse(read(folder, 'model.json').toString()) as { files: Record<string, string> };
  for (const sum of Object.values(files)) expect(card).toContain(sum);
  expect(card).toMatch(/research and education/);
});
