import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { CatalogItem } from '../../src/shop/catalog.ts';

const file = join(import.meta.dirname, '../../data/completejourney/catalog.ndjson.gz');

/** The shipped sample's catalog: real titles, categories and makers. */
export const sampleCatalog = (): CatalogItem[] =>
  gunzipSync(readFileSync(file))
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => ({ price: null, ...(JSON.parse(line) as Omit<CatalogItem, 'price'>) }));
