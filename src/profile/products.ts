import { vectorOf } from '../inference/embedder.ts';
import { NgramEmbedder } from '../inference/ngram-embedder.ts';
import { amountOf, wordsOf } from '../inference/words.ts';
import type { CatalogItem } from '../shop/catalog.ts';

/** What every product of a leaf category shares; one object for all of them. */
export interface CategoryFacts {
  id: string | null;
  /** what a person calls it */
  label: string | null;
  /** of the category's path */
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
  /** those that say more than the category's path does */
  tags: readonly string[];
  /** as the catalog brings it; null where it brings none */
  embedding: Int8Array | null;
  embedder: string | null;
}

/** A seller's text, read. */
export interface Read {
  words: ReadonlySet<string>;
  /** as a reader counts them */
  amount: number;
  vector: Int8Array | null;
}

const NO_TAGS: readonly string[] = [];

/** Reads catalog rows for the approval. `embedder`: what makes vectors where the catalog brings none. */
export class ProductReader {
  readonly #categories = new Map<string, CategoryFacts>();
  readonly #own: NgramEmbedder | null;
  readonly #titles = new Map<string, Read>();

  constructor(embedder: 'ngram' | 'none') {
    this.#own = embedder === 'ngram' ? new NgramEmbedder() : null;
  }

  get embedder(): string | null {
    return this.#own?.name ?? null;
  }

  /** A vector of its own making; null where it makes none. */
  vectorOf(text: string): Int8Array | null {
    return this.#own?.embedNow(text) ?? null;
  }

  read(item: CatalogItem): Product {
    const category = this.category(item.category_id || null, item.category_path);
    const tags = item.tags.filter((tag) => wordsOf(tag).some((word) => !category.words.has(word)));
    return {
      title: item.title || null,
      category,
      brand: item.brand_name || null,
      brandId: item.brand_id || null,
      seller: item.seller_id || null,
      tags: tags.length === 0 ? NO_TAGS : tags,
      embedding: item.embedding == null ? null : Int8Array.from(vectorOf(item.embedding)),
      embedder: item.embedder ?? null,
    };
  }

  category(id: string | null, path: readonly string[] = []): CategoryFacts {
    const key = JSON.stringify([id, path]);
    let facts = this.#categories.get(key);
    if (facts === undefined) {
      const label = path.at(-1) ?? id;
      facts = {
        id,
        label,
        words: new Set([...path, ...(path.length === 0 && id !== null ? [id] : [])].flatMap(wordsOf)),
        vector: label === null ? null : (this.#own?.embedNow(label) ?? null),
      };
      this.#categories.set(key, facts);
    }
    return facts;
  }

  /** Words and vector of a title: most of a user's products are asked about at each refresh. */
  title(text: string): Read {
    let read = this.#titles.get(text);
    if (read === undefined) {
      const words = wordsOf(text);
      read = { words: new Set(words), amount: amountOf(words), vector: this.#own?.embedNow(text) ?? null };
      if (this.#titles.size >= 20_000) this.#titles.clear();
      this.#titles.set(text, read);
    }
    return read;
  }
}
