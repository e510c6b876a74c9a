/**
 * The index and its documents. Words are made here (item-text.ts) and only split there, so that both engines find by the
 * same words; a document carries what a worker needs of an item, so that no worker holds the catalog.
 */
import { InferenceError } from '../../../errors.ts';
import { bytesOf, vectorOf, type Embedder } from '../../../inference/embedder.ts';
import type { CatalogItem } from '../../../shop/catalog.ts';
import type { ShopItem } from '../../retriever.ts';
import { hasDirection, itemWords } from '../item-text.ts';
import type { OpenSearchClient } from './client.ts';
import type { OpenSearchSettings } from './settings.ts';

/** Raised when documents are made in another way: such an index is not mixed with an old one. */
const FORMAT = 1;
/** OpenSearch's own bound, in bytes. */
const LONGEST_ID = 512;

export interface Document {
  words: string;
  available: boolean;
  title: string | null;
  category_id: string | null;
  category_path: readonly string[];
  brand_id: string | null;
  seller_id: string | null;
  price: number | null;
  /** for the graph; left out where it has no direction, which cosines do not take */
  embedding?: number[];
  /** the same, for whoever reads the document: a fifth of the characters */
  vector?: string;
}

export const mayBeId = (id: string): boolean => Buffer.byteLength(id) <= LONGEST_ID && !id.startsWith(POSITION_PREFIX);

/** Of the indexer's positions, which lie in the index that they are about: who deletes one deletes both. */
const POSITION_PREFIX = '$seral-position-';
export const positionId = (partition: number): string => `${POSITION_PREFIX}${partition}`;

export function indexBody({ shards, replicas }: OpenSearchSettings, { name, dimensions }: Embedder): object {
  const kept = { index: false, doc_values: false };
  return {
    settings: { index: { knn: true, number_of_shards: shards, number_of_replicas: replicas } },
    mappings: {
      dynamic: false,
      _meta: { seral: { format: FORMAT, embedder: name, dimensions } },
      properties: {
        words: { type: 'text', analyzer: 'whitespace' },
        available: { type: 'boolean' },
        title: { type: 'keyword', ...kept },
        category_id: { type: 'keyword', ...kept },
        category_path: { type: 'keyword', ...kept },
        brand_id: { type: 'keyword', ...kept },
        seller_id: { type: 'keyword', ...kept },
        price: { type: 'double', ...kept },
        vector: { type: 'keyword', ...kept },
        position: { type: 'long', ...kept },
        embedding: {
          type: 'knn_vector',
          dimension: dimensions,
          data_type: 'byte',
          method: { name: 'hnsw', engine: 'lucene', space_type: 'cosinesimil' },
        },
      },
    },
  };
}

/**
 * Makes the index where it is not there. Throws InferenceError INDEX_MISMATCH where it is another embedder's or of another
 * format, and what the client throws.
 */
export async function ensureIndex(
  client: OpenSearchClient,
  settings: OpenSearchSettings,
  embedder: Embedder,
  signal: AbortSignal,
): Promise<void> {
  const path = `/${settings.index}`;
  let found = await client.call({ method: 'GET', path: `${path}/_mapping`, also: [404] }, signal);
  if (found.status === 404) {
    // 400: another process was faster
    const made = await client.call({ method: 'PUT', path, body: indexBody(settings, embedder), also: [400] }, signal);
    if (made.status === 200) return;
    found = await client.call({ method: 'GET', path: `${path}/_mapping`, also: [404] }, signal);
    if (found.status === 404) {
      const why = JSON.stringify(made.body?.error ?? null).slice(0, 500);
      throw new InferenceError('RETRIEVER_REFUSED', `the index ${settings.index} cannot be made: ${why}`, {
        fatal: true,
      });
    }
  }
  // behind an alias the name is another
  const [mapping] = Object.values<any>(found.body ?? {});
  const { format, embedder: name, dimensions } = mapping?.mappings?._meta?.seral ?? {};
  if (format === FORMAT && name === embedder.name && dimensions === embedder.dimensions) return;
  throw new InferenceError(
    'INDEX_MISMATCH',
    `the index ${settings.index} is ${name === undefined ? 'none of ours' : `of ${name}, format ${format}`}, and ` +
      `${embedder.name}, format ${FORMAT}, is wanted: name another index (retrievalWorker.openSearch.index)`,
    { fatal: true },
  );
}

export function documentOf(item: CatalogItem, vector: Int8Array | null): Document {
  const { title, category_id, category_path, brand_id, seller_id, price } = item;
  const directed = vector !== null && hasDirection(vector) ? vector : null;
  return {
    words: itemWords(item).join(' '),
    available: item.available !== false,
    title,
    category_id,
    category_path,
    brand_id,
    seller_id,
    price,
    ...(directed === null ? {} : { embedding: [...directed], vector: bytesOf(directed).toString('base64') }),
  };
}

/** What of a document an item is made of. */
export const SOURCE = ['title', 'category_id', 'category_path', 'brand_id', 'seller_id', 'price', 'vector'];

export function itemOf(item_id: string, source: Partial<Document>): ShopItem {
  return {
    item_id,
    title: source.title ?? null,
    category_id: source.category_id ?? null,
    category_path: source.category_path ?? [],
    brand_id: source.brand_id ?? null,
    seller_id: source.seller_id ?? null,
    price: source.price ?? null,
    vector: source.vector === undefined ? null : vectorOf(Buffer.from(source.vector, 'base64')).slice(),
  };
}
