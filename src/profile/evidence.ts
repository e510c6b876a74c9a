/**
 * The behavioural posterior check (paper, 4.2.2): how well what a user searched for and touched bears a tag out. Lexically,
 * by the share of the tag's words; by embedding, by the cosine.
 *
 * Who wrote the words decides what they prove. Categories, the catalog's tags and brands are the shop's, a query is the
 * user's own; a title is its seller's, who may write anything into it. So what only titles say counts when products of two
 * sellers (or brands, where no seller is known) say it.
 */
import { cosine } from '../inference/embedder.ts';
import { wordsOf } from '../inference/words.ts';
import type { Table } from '../stream/topology.ts';
import type { ApprovalOptions } from './options.ts';
import type { CategoryFacts, Product, ProductReader } from './products.ts';
import { lastUpTo, newestOf, type Search, type Touched } from './recent.ts';
import type { TagEvidence } from './records.ts';

/** Evidence that is published with a tag. */
const TOLD = 3;
/** One product bought over and over is one preference, and a strong one. */
const TIMES_THAT_COUNT = 3;

export interface Judgement {
  /** 0 to 1: chances that it is not by accident, added up */
  posterior: number;
  /** searches and products that bear it out */
  support: number;
  /** event time of the newest of them; -Infinity where there is none */
  newest: number;
  /** the strongest first */
  evidence: TagEvidence[];
  /** only titles of one seller say it: then the posterior is 0 */
  uncorroborated: boolean;
  /** share of the leaf categories touched that it fits */
  breadth: number;
}

interface Witness {
  touched: Touched;
  title: string | null;
  titleWords: ReadonlySet<string>;
  factWords: ReadonlySet<string>;
  category: CategoryFacts;
  /** whose words the title is */
  author: string;
  vector: Int8Array | null;
}

const NOTHING: ReadonlySet<string> = new Set();
/** Fewer categories than this cannot show that a tag is too general. */
const FEWEST_CATEGORIES = 8;

/** What one user did up to a time, made ready to be held against tags. */
export class Behaviour {
  readonly #options: ApprovalOptions;
  readonly #queries: { query: string; time: number; words: ReadonlySet<string> }[];
  readonly #witnesses: Witness[];
  readonly #categories: number;
  readonly #until: number;

  /** `done`: what lies in the window that ends with `until`. Vectors are compared where `embedder` made both. */
  constructor(
    done: { searches: readonly Search[]; products: readonly Touched[] },
    until: number,
    catalog: Table<Product>,
    reader: ProductReader,
    embedder: string | null,
    options: ApprovalOptions,
  ) {
    this.#options = options;
    this.#until = until;
    this.#queries = done.searches.map(({ query, time }) => ({ query, time, words: new Set(wordsOf(query)) }));
    this.#witnesses = done.products.map((touched) => {
      const product = catalog.get(touched.item);
      const title = product?.title ?? touched.title;
      const category = product?.category ?? reader.category(touched.category);
      const brand = product === undefined ? touched.brand : (product.brand ?? product.brandId);
      const brandWords = [product?.brand, product?.brandId ?? touched.brand].flatMap((text) => wordsOf(text ?? ''));
      const read = title === null ? null : reader.title(title);
      const comparable = embedder !== null && reader.embedder === embedder;
      const brought = product?.embedder === embedder ? (product?.embedding ?? null) : null;
      return {
        touched,
        title,
        titleWords: read?.words ?? NOTHING,
        factWords: brandWords.length === 0 ? category.words : new Set([...category.words, ...brandWords]),
        category: comparable ? category : { ...category, vector: null },
        author: product?.seller ?? touched.seller ?? brand ?? `item ${touched.item}`,
        vector: brought ?? (comparable ? (read?.vector ?? null) : null),
      };
    });
    this.#categories = new Set(this.#witnesses.map(({ category }) => category.id)).size;
  }

  judge(tag: string, vector: Int8Array | null): Judgement {
    const { relevant } = this.#options;
    const words = wordsOf(tag);
    // most products share their category, many their title, with others
    const likenesses = new Map<Int8Array, number>();
    const like = (other: Int8Array | null): number => {
      if (vector === null || other === null) return 0;
      let likeness = likenesses.get(other);
      if (likeness === undefined) likenesses.set(other, (likeness = cosine(vector, other)));
      return likeness;
    };
    const found: { evidence: TagEvidence; weight: number; author: string | null }[] = [];
    const fits = new Set<string | null>();

    for (const { query, time, words: said } of this.#queries) {
      const relevance = shareOf(words, said);
      if (relevance < relevant) continue;
      const evidence: TagEvidence = { kind: 'search', text: query, item_id: null, time, by: 'query', relevance };
      found.push({ evidence, weight: this.#options.searchWeight * relevance, author: null });
    }
    for (const witness of this.#witnesses) {
      const { by, relevance } = this.#relevance(words, like, witness);
      if (relevance < relevant) continue;
      const { touched, category, author } = witness;
      fits.add(category.id);
      const bought = lastUpTo(touched.purchases, this.#until);
      const evidence: TagEvidence = {
        kind: bought > -Infinity ? 'purchase' : 'click',
        text: witness.title ?? category.label ?? touched.item,
        item_id: touched.item,
        time: newestOf(touched, this.#until),
        by,
        relevance,
      };
      found.push({
        evidence,
        weight: relevance * this.#weightOf(touched),
        author: by === 'title' || by === 'embedding' ? author : null,
      });
    }

    const own = found.some(({ author }) => author === null);
    const authors = new Set(found.map(({ author }) => author));
    const uncorroborated = found.length > 0 && !own && authors.size < 2;
    let doubt = 1;
    let newest = -Infinity;
    for (const { weight, evidence } of found) {
      doubt *= 1 - weight;
      newest = Math.max(newest, evidence.time);
    }
    found.sort((a, b) => b.weight - a.weight || b.evidence.time - a.evidence.time);
    return {
      posterior: uncorroborated ? 0 : 1 - doubt,
      support: found.length,
      newest,
      evidence: found.slice(0, TOLD).map(({ evidence }) => evidence),
      uncorroborated,
      breadth: this.#categories < FEWEST_CATEGORIES ? 0 : fits.size / this.#categories,
    };
  }

  /** Whether a click or a purchase bears the tag out. */
  touches(tag: string, vector: Int8Array | null): boolean {
    const words = wordsOf(tag);
    const like = (other: Int8Array | null) => (vector === null || other === null ? 0 : cosine(vector, other));
    return this.#witnesses.some((one) => this.#relevance(words, like, one).relevance >= this.#options.relevant);
  }

  #relevance(
    words: readonly string[],
    like: (other: Int8Array | null) => number,
    witness: Witness,
  ): { by: TagEvidence['by']; relevance: number } {
    const { relevant, similar } = this.#options;
    const facts = shareOf(words, witness.factWords);
    if (facts >= relevant) return { by: 'facts', relevance: facts };
    const kinship = like(witness.category.vector);
    if (kinship >= similar && kinship >= relevant) return { by: 'facts', relevance: kinship };
    const title = shareOf(words, witness.factWords, witness.titleWords);
    const likeness = like(witness.vector);
    if (title >= relevant || likeness < similar) return { by: 'title', relevance: title };
    return { by: 'embedding', relevance: likeness };
  }

  #weightOf({ clicks, purchases }: Touched): number {
    const { clickWeight, purchaseWeight } = this.#options;
    const clicked = Math.min(countUpTo(clicks, this.#until), TIMES_THAT_COUNT);
    const bought = Math.min(countUpTo(purchases, this.#until), TIMES_THAT_COUNT);
    // a product that is bought was clicked on the way: that is one sign, not two
    return bought > 0 ? 1 - (1 - purchaseWeight) ** bought : 1 - (1 - clickWeight) ** clicked;
  }
}

/** Share of a tag's words that are among those of one or two texts. */
function shareOf(words: readonly string[], a: ReadonlySet<string>, b: ReadonlySet<string> = NOTHING): number {
  if (words.length === 0) return 0;
  let shared = 0;
  for (const word of words) if (a.has(word) || b.has(word)) shared++;
  return shared / words.length;
}

function countUpTo(times: readonly number[], until: number): number {
  let count = 0;
  for (const time of times) if (time <= until) count++;
  return count;
}
