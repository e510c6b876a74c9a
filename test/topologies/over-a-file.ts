import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { replayLabels } from '../../src/cli/replay-labels.ts';
import type { CatalogItem } from '../../src/shop/catalog.ts';
import { LABELS_DEFAULTS } from '../../topologies/labels.ts';
import type { Label, MetricsRow, RawEvent } from '../oracle/oracle.ts';

const linesOf = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

/** What `seral replay labels` makes of the same arrivals. */
export async function overAFile(input: {
  arrivals: readonly RawEvent[];
  catalog: readonly CatalogItem[];
}): Promise<{ labels: Label[]; metrics: MetricsRow[] }> {
  const folder = await mkdtemp(join(tmpdir(), 'seral-over-a-file-'));
  const at = (name: string): string => join(folder, name);
  try {
    await writeFile(at('events.ndjson'), linesOf(input.arrivals));
    await writeFile(at('catalog.ndjson'), linesOf(input.catalog));
    await replayLabels({
      input: at('events.ndjson'),
      output: at('labels.ndjson'),
      catalog: at('catalog.ndjson'),
      metrics: at('metrics.json'),
      refused: null,
      rules: LABELS_DEFAULTS,
      cacheBytes: 16 << 20,
    });
    const labels = (await readFile(at('labels.ndjson'), 'utf8')).trimEnd().split('\n');
    return {
      labels: labels.map((line): Label => JSON.parse(line)),
      metrics: JSON.parse(await readFile(at('metrics.json'), 'utf8')),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
