/**
 * The retriever in this process: BM25 and a graph of vectors over the whole catalog, which it is told of change by change.
 * What is out of stock leaves both; what is known of it stays, for users who bought it. 100,000 items are at home in it
 * (docs/retrieval.md has figures), tens of millions are not: for those there is opensearch.ts.
 */
import { vectorOf, type Embedder } from '../../inference/embedder.ts';
import type { Logger } from '../../stream/logger.ts';
import type { CatalogItem } from '../../shop/catalog.ts';
import type { GeneratedText } from '../../serengpt/records.ts';
import type { CatalogIndex, Found, Retrieval, Retriever, RetrieverStatus, ShopItem } from '../retriever.ts';
import { Bm25Index } from './bm25.ts';
import { EmbeddingQueue } from './embedding-queue.ts';
import { fuse } from './fusion.ts';
import { hasDirection, itemText, itemWords, queryText, queryWords } from './item-text.ts';
import { Same } from './same.ts';
import { VectorIndex } from './vector-index.ts';

export interface EmbeddedRetrieverOptions {
  embedder: Embedder;
  logger: Logger;
  now: () => number;
}

interface Row extends ShopItem {
  /** what its vector is made of; null: of nothing, or the catalog has brought it */
  text: string | null;
  available: boolean;
}

export class EmbeddedRetriever implements Retriever, CatalogIndex {
  readonly name: string;
  readonly #options: EmbeddedRetrieverOptions;
  readonly #rows = new Map<string, Row>();
  readonly #keyword = new Bm25Index();
  readonly #vector: VectorIndex;
  readonly #queue: EmbeddingQueue;
  readonly #same = new Same();
  #currentAt: number | null = null;

  constructor(options: EmbeddedRetrieverOptions) {
    const { embedder, logger } = options;
    this.#options = options;
    this.name = `bm25-1+${embedder.name}`;
    this.#vector = new VectorIndex(embedder.dimensions);
    this.#queue = new EmbeddingQueue({ embedder, logger, embedded: (entries) => this.#embedded(entries) });
  }

  prepare(): Promise<void> {
    return Promise.resolve();
  }

  put(item: CatalogItem): void {
    const before = this.#rows.get(item.item_id);
    const available = item.available !== false;
    const given = this.#givenVector(item);
    const text = given === null ? itemText(item) : null;
    const kept = given === null && text !== null && before?.text === text ? before.vector : null;
    const row: Row = {
      item_id: item.item_id,
      title: item.title,
      category_id: this.#same.text(item.category_id),
      category_path: this.#same.texts(item.category_path),
      brand_id: this.#same.text(item.brand_id),
      seller_id: this.#same.text(item.seller_id),
      price: item.price,
      vector: given ?? kept,
      text,
      available,
    };
    this.#rows.set(row.item_id, row);
    if (available) this.#keyword.put(row.item_id, itemWords(item));
    else this.#keyword.remove(row.item_id);
    this.#placeVector(before, row);
    this.#tellTime();
  }

  remove(item_id: string): void {
    this.#rows.delete(item_id);
    this.#queue.forget(item_id);
    this.#keyword.remove(item_id);
    this.#vector.remove(item_id);
    this.#tellTime();
  }

  settled(): Promise<void> {
    return this.#queue.settled();
  }

  async retrieve(texts: readonly GeneratedText[], k: number, signal: AbortSignal): Promise<Retrieval> {
    const begun = performance.now();
    const words = texts.map(({ text }) => queryWords(text));
    const keyword = words.map((list) => this.#keyword.search(list, k));
    const between = performance.now();
    const vectors = await this.#options.embedder.embed(texts.map(({ text }) => queryText(text)));
    signal.throwIfAborted();
    const vector = this.#vector.search(vectors, k).map((found, i) => (words[i]!.length === 0 ? [] : found));
    const ended = performance.now();
    const found = fuse(texts, { keyword, vector }).flatMap(({ item_id, ...leads }): Found[] => {
      const item = this.#rows.get(item_id);
      // it may have gone while the texts were embedded
      return item === undefined || !item.available ? [] : [{ item, ...leads }];
    });
    return { found, seconds: { keyword: (between - begun) / 1000, vector: (ended - between) / 1000 } };
  }

  items(ids: readonly string[]): Promise<Map<string, ShopItem>> {
    const known = new Map<string, ShopItem>();
    for (const id of ids) {
      const row = this.#rows.get(id);
      if (row !== undefined) known.set(id, row);
    }
    return Promise.resolve(known);
  }

  status(): RetrieverStatus {
    return {
      items: { keyword: this.#keyword.size, vector: this.#vector.size },
      bytes: { keyword: this.#keyword.bytes, vector: this.#vector.bytes },
      pending: this.#queue.size,
      currentAt: this.#queue.size === 0 ? this.#options.now() : this.#currentAt,
    };
  }

  close(): Promise<void> {
    return this.#queue.close();
  }

  #givenVector({ embedding, embedder }: CatalogItem): Int8Array | null {
    const { name, dimensions } = this.#options.embedder;
    if (embedding == null || embedder !== name || embedding.length !== dimensions) return null;
    // a copy: the bytes are part of a batch that would be held whole
    const vector = vectorOf(Buffer.from(embedding)).slice();
    return hasDirection(vector) ? vector : null;
  }

  #placeVector(before: Row | undefined, row: Row): void {
    const { item_id, vector, text, available } = row;
    if (vector === null && text !== null) this.#queue.want(item_id, text);
    else this.#queue.forget(item_id);
    if (vector === null || !available) this.#vector.remove(item_id);
    else if (before?.vector !== vector || !before.available) this.#vector.put([{ id: item_id, vector }]);
  }

  #embedded(entries: { id: string; vector: Int8Array }[]): void {
    const found: { id: string; vector: Int8Array }[] = [];
    for (const { id, vector } of entries) {
      const row = this.#rows.get(id);
      if (row === undefined || !hasDirection(vector)) continue;
      row.vector = vector;
      if (row.available) found.push({ id, vector });
    }
    this.#vector.put(found);
    this.#tellTime();
  }

  #tellTime(): void {
    if (this.#queue.size === 0) this.#currentAt = this.#options.now();
  }
}
