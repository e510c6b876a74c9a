import { vectorOf } from '../inference/embedder.ts';
import { NgramEmbedder } from '../inference/ngram-embedder.ts';
import { wordsOf } from '../inference/words.ts';
import type { CatalogItem } from '../shop/catalog.ts';

/** What every product of a leaf category shares; one object for all of them. */
export interface CategoryFacts {
  id: string | null;
  /** what a person calls it */
  label: string | null;
  /** of the category's path and of the tags that the catalog gives */
  words: ReadonlySet<string>;
  /** of the label; null where no embedder is set */
  vector: Int8Array | null;
}

/** What the catalog says of a product, as the approval needs it: the row of the table, held in memory by the process. */
export interface Product {
  title: string | null;
  category: CategoryFacts;
  brand: string | null;
  brandId: string | null;
  seller: string | null;
  /** as the catalog brings it; null where it brings none */
  embedding: Int8Array | null;
  embedder: string | null;
}

/** Reads catalog rows for the approval. `embedder`: what makes vectors where the catalog brings none. */
export class ProductReader {
  readonly #categories = new Map<string, CategoryFacts>();
  readonly #own: NgramEmbedder | null;
  readonly #titles = new Map<string, { words: ReadonlySet<string>; vector: Int8Array | null }>();

  constructor(embedder: 'ngram' | 'none') {
    this.#own = embedder === 'ngram' ? new NgramEmbedder() : null;
  }

  get embedder(): string | null {
    return this.#own?.name ?? null;
  }

  read(item: CatalogItem): Product {
    return {
      title: item.title || null,
      category: this.category(item.category_id || null, item.category_path, item.tags),
      brand: item.brand_name || null,
      brandId: item.brand_id || null,
      seller: item.seller_id || null,
      embedding: item.embedding == null ? null : Int8Array.from(vectorOf(item.embedding)),
      embedder: item.embedder ?? null,
    };
  }

  category(id: string | null, path: readonly string[] = [], tags: readonly string[] = []): CategoryFacts {
    const key = JSON.stringify([id, path, tags]);
    let facts = this.#categories.get(key);
    if (facts === undefined) {
      const label = path.at(-1) ?? id;
      facts = {
        id,
        label,
        words: new Set([...path, ...tags, ...(path.length === 0 && id !== null ? [id] : [])].flatMap(wordsOf)),
        vector: label === null ? null : (this.#own?.embedNow(label) ?? null),
      };
      this.#categories.set(key, facts);
    }
    return facts;
  }

  /** Words and vector of a title: most of a user's products are asked about at each refresh. */
  title(text: string): { words: ReadonlySet<string>; vector: Int8Array | null } {
    let read = this.#titles.get(text);
    if (read === undefined) {
      read = { words: new Set(wordsOf(text)), vector: this.#own?.embedNow(text) ?? null };
      if (this.#titles.size >= 20_000) this.#titles.clear();
      this.#titles.set(text, read);
    }
    return read;
  }
}
