/**
 * Who says the words of a tag. Categories and brands with an id are the shop's words, a query is the user's own: one of
 * them is enough. A title, tags and a brand without an id are the seller's, who may write anything: several have to say it,
 * in texts that are no copies of each other.
 */

/** What two texts' words have in common, from which on one is a copy of the other. */
const COPY = 0.7;
/** Units, as titles have them. */
const MEASURES = new Set(
  'oz fl lb kg mg ml cl cm mm km in ft ct pk pc pcs pack packs count inch gal gallon qt liter litre gram ounce pound cup size g l m x'.split(
    ' ',
  ),
);

/** Whether a word says what a thing is: numbers and measures say how much of it. */
export const tells = (word: string): boolean => /\p{L}/u.test(word) && !MEASURES.has(word);

/** A seller's text. */
export interface Voice {
  author: string;
  words: ReadonlySet<string>;
}

/** Collects who says the words of one tag. */
export class Saying {
  readonly #sellers: number;
  /** per word: null once the shop or the user has said it, or sellers enough */
  readonly #voices = new Map<string, Voice[] | null>();

  /** `sellers`: how many have to say a word. */
  constructor(sellers: number) {
    this.#sellers = sellers;
  }

  certain(word: string): void {
    this.#voices.set(word, null);
  }

  claimed(word: string, voice: Voice): void {
    const voices = this.#voices.get(word);
    if (voices === null) return;
    const others = voices ?? [];
    if (others.every((other) => other.author !== voice.author && !copies(other.words, voice.words))) others.push(voice);
    this.#voices.set(word, others.length >= this.#sellers ? null : others);
  }

  /** Whoever says it. */
  says = (word: string): boolean => this.#voices.has(word);

  /** It is beyond a doubt that it was said. */
  stands = (word: string): boolean => this.#voices.get(word) === null;
}

function copies(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  let shared = 0;
  let all = b.size;
  for (const word of a) {
    if (!tells(word)) continue;
    if (b.has(word)) shared++;
    else all++;
  }
  for (const word of b) if (!tells(word)) all--;
  return all === 0 || shared / all >= COPY;
}
