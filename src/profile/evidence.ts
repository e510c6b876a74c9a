/**
 * The behavioural posterior check (paper, 4.2.2): how well what a user searched for and touched bears a tag out. Lexically,
 * by the share of the tag's words; by embedding, by the cosine.
 *
 * Every word of the tag has to be said by something that bears it out, and who wrote it decides what it proves (saying.ts):
 * "milk casino" is not half true. A title of dozens of words says little with each. Vectors add weight, and vouch for no
 * word: those of our own embedder know of spelling alone, those that an answer brings may be forged.
 */
import { cosine } from '../inference/embedder.ts';
import { unsaidOf, wordsOf } from '../inference/words.ts';
import type { Table } from '../stream/topology.ts';
import type { ApprovalOptions } from './options.ts';
import type { CategoryFacts, Product, ProductReader } from './products.ts';
import { lastUpTo, newestOf, type Search, type Touched } from './recent.ts';
import type { TagEvidence } from './records.ts';
import { Saying, tells, type Voice } from './saying.ts';

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
  /** only one seller says it, or a word of it: then the posterior is 0 */
  uncorroborated: boolean;
  /** words of the tag that nothing says which bears it out: then the posterior is 0 too */
  unsaid: string[];
  /** share of the leaf categories touched that it fits */
  breadth: number;
}

interface Witness {
  touched: Touched;
  title: string | null;
  factWords: ReadonlySet<string>;
  category: CategoryFacts;
  /** the seller's words, and what each of them weighs */
  voice: Voice;
  focus: number;
  vector: Int8Array | null;
}

const NOTHING: ReadonlySet<string> = new Set();
/** Fewer categories than this cannot show that a tag is too general. */
const FEWEST_CATEGORIES = 8;
/** Where neither a seller nor a brand is known, all may be of one hand. */
const NOBODY = '?';
/** Words of a brand: a longer one is a seller's text. */
const LONGEST_BRAND = 5;

/** What one user did up to a time, made ready to be held against tags. */
export class Behaviour {
  readonly #options: ApprovalOptions;
  readonly #reader: ProductReader;
  readonly #embedder: string | null;
  readonly #queries: { query: string; time: number; words: ReadonlySet<string> }[];
  readonly #witnesses: Witness[];
  readonly #categories: number;
  readonly #from: number;
  readonly #until: number;

  /**
   * `done`: what was touched in the window, of which only times after `from` and not after `until` count (event times).
   * Vectors are compared where `embedder` made both.
   */
  constructor(
    done: { searches: readonly Search[]; products: readonly Touched[] },
    from: number,
    until: number,
    catalog: Table<Product>,
    reader: ProductReader,
    embedder: string | null,
    options: ApprovalOptions,
  ) {
    this.#options = options;
    this.#reader = reader;
    this.#embedder = embedder;
    this.#from = from;
    this.#until = until;
    this.#queries = done.searches.map(({ query, time }) => ({ query, time, words: new Set(wordsOf(query)) }));
    this.#witnesses = done.products.map((touched) => this.#witness(touched, catalog.get(touched.item)));
    this.#categories = new Set(this.#witnesses.map(({ category }) => category.id)).size;
  }

  /** A tag's vector: of our own making where we can, whatever the answer brought; else what it brought. */
  vectorOf(tag: string, brought: Int8Array | null): Int8Array | null {
    return this.#own ? this.#reader.vectorOf(tag) : brought;
  }

  get #own(): boolean {
    return this.#embedder !== null && this.#reader.embedder === this.#embedder;
  }

  /** Whether an answer's vector may say a word. */
  get #believed(): boolean {
    const { believedEmbedder } = this.#options;
    return believedEmbedder !== null && believedEmbedder === this.#embedder && !this.#own;
  }

  #witness(touched: Touched, product: Product | undefined): Witness {
    const title = product?.title ?? touched.title;
    const category = product?.category ?? this.#reader.category(touched.category);
    const brandId = product === undefined ? touched.brand : product.brandId;
    const brandWords = wordsOf(product?.brand ?? '');
    // an id is the shop's, and so is the name that goes with it
    const registered = brandId !== null && brandWords.length <= LONGEST_BRAND;
    const brand = [...wordsOf(brandId ?? ''), ...(registered ? brandWords : [])];
    const claims = [...(registered ? [] : [product?.brand ?? '']), ...(product?.tags ?? [])].filter(Boolean);
    const said =
      title === null && claims.length === 0 ? null : this.#reader.title([title ?? '', ...claims].join(' | '));
    const brought = product?.embedder === this.#embedder && !this.#own ? (product?.embedding ?? null) : null;
    return {
      touched,
      title,
      factWords: brand.length === 0 ? category.words : new Set([...category.words, ...brand]),
      category: this.#own ? category : { ...category, vector: null },
      voice: {
        author: product?.seller ?? touched.seller ?? brandId ?? NOBODY,
        words: said?.words ?? NOTHING,
      },
      focus: Math.min(this.#options.titleWords / Math.max(said?.amount ?? 0, 1), 1),
      vector: brought ?? (this.#own && title !== null ? this.#reader.title(title).vector : null),
    };
  }

  judge(tag: string, vector: Int8Array | null): Judgement {
    const { relevant, titleWeight, searchWeight, sellers } = this.#options;
    const all = wordsOf(tag);
    const words = all.filter(tells);
    const saying = new Saying(sellers);
    // most products share their category, many their title, with others
    const likenesses = new Map<Int8Array, number>();
    const like = (other: Int8Array | null): number => {
      if (vector === null || other === null) return 0;
      let likeness = likenesses.get(other);
      if (likeness === undefined) likenesses.set(other, (likeness = cosine(vector, other)));
      return likeness;
    };
    const found: { evidence: TagEvidence; weight: number }[] = [];
    const fits = new Set<string | null>();

    for (const { query, time, words: said } of this.#queries) {
      const relevance = shareOf(words, said);
      if (relevance < relevant) continue;
      const evidence: TagEvidence = { kind: 'search', text: query, item_id: null, time, by: 'query', relevance };
      found.push({ evidence, weight: searchWeight * relevance });
      for (const word of all) if (said.has(word)) saying.certain(word);
    }
    for (const witness of this.#witnesses) {
      const { by, relevance, inWords } = this.#relevance(words, like, witness);
      if (relevance < relevant) continue;
      const { touched, category, factWords, voice } = witness;
      fits.add(category.id);
      const bought = lastUpTo(touched.purchases, this.#until);
      const evidence: TagEvidence = {
        kind: bought > this.#from ? 'purchase' : 'click',
        text: witness.title ?? category.label ?? touched.item,
        item_id: touched.item,
        time: newestOf(touched, this.#until),
        by,
        relevance,
      };
      const bySeller = by === 'title' || by === 'embedding';
      found.push({ evidence, weight: relevance * this.#weightOf(touched) * (bySeller ? titleWeight : 1) });
      for (const word of all) {
        if (inWords && factWords.has(word)) saying.certain(word);
        else if (inWords ? voice.words.has(word) : this.#believed) saying.claimed(word, voice);
      }
    }

    const unsaid = unsaidOf(tag, saying.says);
    const uncorroborated = unsaid.length === 0 && found.length > 0 && unsaidOf(tag, saying.stands).length > 0;
    let doubt = 1;
    let newest = -Infinity;
    for (const { weight, evidence } of found) {
      doubt *= 1 - weight;
      newest = Math.max(newest, evidence.time);
    }
    found.sort((a, b) => b.weight - a.weight || b.evidence.time - a.evidence.time);
    return {
      posterior: uncorroborated || unsaid.length > 0 ? 0 : 1 - doubt,
      support: found.length,
      newest,
      evidence: found.slice(0, TOLD).map(({ evidence }) => evidence),
      uncorroborated,
      unsaid,
      breadth: this.#categories < FEWEST_CATEGORIES ? 0 : fits.size / this.#categories,
    };
  }

  /** Whether a click or a purchase bears the tag out. `brought`: as the pool has it. */
  touches(tag: string, brought: Int8Array | null): boolean {
    const words = wordsOf(tag).filter(tells);
    const vector = this.#own || this.#believed ? this.vectorOf(tag, brought) : null;
    const like = (other: Int8Array | null) => (vector === null || other === null ? 0 : cosine(vector, other));
    return this.#witnesses.some((one) => this.#relevance(words, like, one).relevance >= this.#options.relevant);
  }

  #relevance(
    words: readonly string[],
    like: (other: Int8Array | null) => number,
    witness: Witness,
  ): { by: TagEvidence['by']; relevance: number; inWords: boolean } {
    const { relevant, similar } = this.#options;
    const facts = shareOf(words, witness.factWords);
    if (facts >= relevant) return { by: 'facts', relevance: facts, inWords: true };
    const title = facts + (shareOf(words, witness.factWords, witness.voice.words) - facts) * witness.focus;
    const inWords = title >= relevant;
    const kinship = like(witness.category.vector);
    if (kinship >= similar && kinship >= relevant) return { by: 'facts', relevance: kinship, inWords };
    const likeness = like(witness.vector);
    if (inWords || likeness < similar) return { by: 'title', relevance: title, inWords };
    return { by: 'embedding', relevance: likeness, inWords };
  }

  #weightOf({ clicks, purchases }: Touched): number {
    const { clickWeight, purchaseWeight } = this.#options;
    const clicked = Math.min(countWithin(clicks, this.#from, this.#until), TIMES_THAT_COUNT);
    const bought = Math.min(countWithin(purchases, this.#from, this.#until), TIMES_THAT_COUNT);
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

function countWithin(times: readonly number[], from: number, until: number): number {
  let count = 0;
  for (const time of times) if (time > from && time <= until) count++;
  return count;
}
