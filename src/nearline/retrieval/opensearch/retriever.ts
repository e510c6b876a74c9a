/**
 * The retriever for catalogs that no machine holds: keyword and nearest neighbours in one OpenSearch index, asked for all
 * texts of a request in one multi-search. Cosines are computed here, of the documents' own vectors; a keyword score is
 * BM25's as a share of the best one, times how much of the text that best one has, so that a text of which little is known
 * scores little. indexer.ts keeps the index at the catalog.
 */
import { InferenceError } from '../../../errors.ts';
import { cosine, type Embedder } from '../../../inference/embedder.ts';
import type { GeneratedText } from '../../../serengpt/records.ts';
import type { Found, Retrieval, Retriever, RetrieverStatus, ShopItem } from '../../retriever.ts';
import { fuse } from '../fusion.ts';
import { hasDirection, queryText, queryWords } from '../item-text.ts';
import { TopItems, type Scored } from '../top-items.ts';
import type { OpenSearchClient } from './client.ts';
import { ensureIndex, itemOf, SOURCE } from './documents.ts';
import type { OpenSearchSettings } from './settings.ts';

export interface OpenSearchRetrieverOptions {
  client: OpenSearchClient;
  settings: OpenSearchSettings;
  embedder: Embedder;
}

interface Hit {
  _id: string;
  _score: number;
  _source: Record<string, unknown>;
}

/** One search of the multi-search; null: there is nothing to search for. */
type Query = object | null;

export class OpenSearchRetriever implements Retriever {
  readonly name: string;
  readonly #options: OpenSearchRetrieverOptions;

  constructor(options: OpenSearchRetrieverOptions) {
    this.#options = options;
    this.name = `opensearch-1+${options.embedder.name}`;
  }

  /** Makes the index where it is not there. Throws InferenceError INDEX_MISMATCH and RETRIEVER_REFUSED. */
  async prepare(signal: AbortSignal): Promise<void> {
    const { client, settings, embedder } = this.#options;
    try {
      await ensureIndex(client, settings, embedder, signal);
    } catch (error) {
      // of an engine that is away, requests say so as they come
      if (!(error instanceof InferenceError) || !error.retriable) throw error;
    }
  }

  async retrieve(texts: readonly GeneratedText[], k: number, signal: AbortSignal): Promise<Retrieval> {
    const words = texts.map(({ text }) => queryWords(text));
    const vectors = await this.#options.embedder.embed(texts.map(({ text }) => queryText(text)));
    const items = new Map<string, ShopItem>();
    const note = ({ _id, _source }: Hit): void => {
      if (!items.has(_id)) items.set(_id, itemOf(_id, _source));
    };
    const asked = [
      ...words.map((list) => keywordQuery(list, k)),
      ...vectors.map((vector, i) => (words[i]!.length === 0 ? null : vectorQuery(vector, k))),
    ];
    const { hits, took } = await this.#search(asked, signal);
    const keyword = words.map((list, i) => keywordScores(hits[i]!, list));
    const vector = vectors.map((one, i) => {
      const found = hits[words.length + i]!;
      found.forEach(note);
      return vectorScores(found, one, items);
    });
    hits.slice(0, words.length).forEach((found) => found.forEach(note));
    const found = fuse(texts, { keyword, vector }).map(({ item_id, ...leads }): Found => ({
      item: items.get(item_id)!,
      ...leads,
    }));
    return {
      found,
      seconds: { keyword: slowest(took.slice(0, words.length)), vector: slowest(took.slice(words.length)) },
    };
  }

  /** Hits of each query, and the milliseconds that OpenSearch says it took. */
  async #search(queries: readonly Query[], signal: AbortSignal): Promise<{ hits: Hit[][]; took: number[] }> {
    const { client, settings } = this.#options;
    const asked = queries.filter((query) => query !== null);
    const empty = { hits: queries.map(() => []), took: queries.map(() => 0) };
    if (asked.length === 0) return empty;
    const path = `/${settings.index}/_msearch`;
    const { body } = await client.call({ method: 'POST', path, body: asked.flatMap((query) => [{}, query]) }, signal);
    const responses: any[] = body?.responses ?? [];
    if (responses.length !== asked.length) {
      throw new InferenceError('RETRIEVER_REFUSED', `${responses.length} answers to ${asked.length} searches`);
    }
    const failed = responses.find((one) => one.error !== undefined);
    if (failed !== undefined) {
      const why = JSON.stringify(failed.error).slice(0, 500);
      throw new InferenceError('RETRIEVER_REFUSED', `OpenSearch refuses a search (${failed.status}): ${why}`);
    }
    let next = 0;
    const of = queries.map((query) => (query === null ? null : responses[next++]));
    return { hits: of.map((one) => one?.hits?.hits ?? []), took: of.map((one) => one?.took ?? 0) };
  }

  async items(ids: readonly string[], signal: AbortSignal): Promise<Map<string, ShopItem>> {
    const known = new Map<string, ShopItem>();
    if (ids.length === 0) return known;
    const { client, settings } = this.#options;
    const path = `/${settings.index}/_mget?_source_includes=${SOURCE.join(',')}`;
    const { body } = await client.call({ method: 'POST', path, body: { ids } }, signal);
    for (const { _id, found, _source } of body?.docs ?? []) if (found === true) known.set(_id, itemOf(_id, _source));
    return known;
  }

  status(): RetrieverStatus {
    return { items: null, bytes: null, pending: 0, currentAt: null };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

const IN_STOCK = { term: { available: true } };

function keywordQuery(words: readonly string[], k: number): Query {
  if (words.length === 0) return null;
  return {
    size: k,
    _source: [...SOURCE, 'words'],
    query: { bool: { must: { match: { words: words.join(' ') } }, filter: IN_STOCK } },
  };
}

function vectorQuery(vector: Int8Array, k: number): Query {
  if (!hasDirection(vector)) return null;
  return { size: k, _source: SOURCE, query: { knn: { embedding: { vector: [...vector], k, filter: IN_STOCK } } } };
}

/** Ties by id, as everywhere. */
function keywordScores(hits: readonly Hit[], words: readonly string[]): Scored[] {
  const [best] = hits;
  const top = new TopItems(hits.length);
  if (best === undefined || !(best._score > 0)) return [];
  const has = new Set(String(best._source['words']).split(' '));
  const share = words.filter((word) => has.has(word)).length / words.length;
  for (const { _id, _score } of hits) top.offer(_id, (_score / best._score) * share);
  return top.list();
}

function vectorScores(hits: readonly Hit[], vector: Int8Array, items: ReadonlyMap<string, ShopItem>): Scored[] {
  const top = new TopItems(hits.length);
  for (const { _id } of hits) {
    const other = items.get(_id)!.vector;
    const score = other === null ? 0 : cosine(vector, other);
    if (score > 0) top.offer(_id, Math.min(score, 1));
  }
  return top.list();
}

/** Searches of a multi-search run beside each other. */
const slowest = (milliseconds: readonly number[]): number => Math.max(0, ...milliseconds) / 1000;
