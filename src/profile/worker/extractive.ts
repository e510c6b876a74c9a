/**
 * The profiler that needs no model: tags out of the user's own titles, queries, categories and brands, by how often and how
 * lately they occur there, and how rarely in the catalog. It is named `extractive` wherever its output shows: it infers
 * nothing, and says only what was there.
 */
import type { CatalogWords } from './catalog-words.ts';
import type { ParsedAnswer, Proposal } from './parse-answer.ts';
import { phrasesOf, type Phrase } from './phrases.ts';
import type { ProfileRequest, TagGroup } from '../records.ts';

export const EXTRACTIVE = 'extractive';

const DAY = 86_400_000;
const HALF_LIFE = 14 * DAY;
/** One product bought over and over is one preference. */
const TIMES_THAT_COUNT = 3;
const TOLD = 3;
/** What a place in a behaviour is worth. The shop's own categories come first: whoever wrote a title may have raved. */
const WORTH = { category: 1.5, brand: 1.5, query: 1.5, title: 1 };
/** A phrase that is all of its piece is a name; one cut out of it may be half of one. */
const EXTENT = { whole: 2, end: 1, part: 0.6 };
const LATER_PIECE = 0.7;
const FEWEST_OF_A_WORD = 2;

interface Candidate {
  phrase: Phrase;
  score: number;
  /** texts that have it */
  from: { text: string; weight: number }[];
  /** the strongest place of it, and what that is worth */
  kind: Place['kind'];
  worth: number;
  /** items of the catalog that have it, and what that says */
  count: number;
  salience: number;
}

/** Pure: the same request and catalog give the same tags. */
export function extract(request: ProfileRequest, catalog: CatalogWords): ParsedAnswer {
  const proposals = request.kind === 'long_term' ? admitted(request) : salient(request, catalog);
  return { outcome: proposals.length === 0 ? 'not_enough' : 'proposed', proposals, dropped: {} };
}

/** The candidates have passed the admission: there is nothing to refine without a model. */
function admitted({ candidates, number_of_tags }: ProfileRequest): Proposal[] {
  return candidates.slice(0, number_of_tags).map(({ tag, group, frequency, regularity, effectiveness }) => ({
    tag,
    group,
    reason:
      `given in ${percent(frequency)} of the last refreshes, evenness ${percent(regularity)}, ` +
      `borne out after ${percent(effectiveness)} of them`,
    behaviours: [],
  }));
}

function salient(request: ProfileRequest, catalog: CatalogWords): Proposal[] {
  const found = new Map<string, Candidate>();
  const recency = (time: number) => 2 ** (-Math.max(request.asked_at - time, 0) / HALF_LIFE);

  /** A text of one behaviour; a phrase that it has in several places counts once, by the best of them. */
  const take = (text: string, weight: number, places: readonly Place[]) => {
    const best = new Map<string, { place: Place; phrase: Phrase; worth: number }>();
    for (const place of places) {
      for (const phrase of phrasesOf(place.text, request.tag_length)) {
        // half of a brand is another brand, or none
        if (place.kind === 'brand' && phrase.extent !== 'whole') continue;
        const worth = WORTH[place.kind] * EXTENT[phrase.extent] * LATER_PIECE ** Math.min(phrase.piece, 3);
        if ((best.get(phrase.meaning)?.worth ?? 0) < worth) best.set(phrase.meaning, { place, phrase, worth });
      }
    }
    for (const [meaning, { place, phrase, worth }] of best) {
      let candidate = found.get(meaning);
      if (candidate === undefined) {
        const count = place.kind === 'brand' ? catalog.countOfBrand(meaning) : catalog.countOf(phrase.words);
        const salience = catalog.salience(count);
        candidate = { phrase, score: 0, kind: place.kind, from: [], worth, count, salience };
        found.set(meaning, candidate);
      }
      if (worth > candidate.worth) Object.assign(candidate, { phrase, worth, kind: place.kind });
      candidate.score += weight * worth * candidate.salience;
      candidate.from.push({ text, weight });
    }
  };
  for (const { query, time } of request.searches) take(query, recency(time), [{ kind: 'query', text: query }]);
  for (const { title, category, brand, time, times } of request.purchases) {
    take(title, recency(time) * Math.min(times, TIMES_THAT_COUNT), [
      ...(category === null ? [] : [{ kind: 'category', text: category } as const]),
      ...(brand === null ? [] : [{ kind: 'brand', text: brand } as const]),
      { kind: 'title', text: title },
    ]);
  }
  const candidates = [...found.values()].filter(tellsSomething);
  const behaviours = request.searches.length + request.purchases.length;
  return best(candidates, request.number_of_tags).map((candidate) => proposalOf(candidate, behaviours, catalog));
}

interface Place {
  kind: keyof typeof WORTH;
  text: string;
}

/** Two words do; one where the shop or the user names a thing by it alone, or several behaviours have it. */
const tellsSomething = ({ phrase, kind, from, salience }: Candidate): boolean => {
  if (salience === 0) return false;
  if (phrase.words.length > 1) return true;
  const named = phrase.extent === 'whole' && kind !== 'title';
  return phrase.piece === 0 && (named || from.length >= FEWEST_OF_A_WORD);
};

/** The highest scores, without those that say part of what a higher one says, or little more. */
function best(candidates: Candidate[], most: number): Candidate[] {
  candidates.sort((a, b) => b.score - a.score || (a.phrase.meaning < b.phrase.meaning ? -1 : 1));
  const chosen: Candidate[] = [];
  for (const candidate of candidates) {
    if (chosen.length >= most) break;
    const { words } = candidate.phrase;
    if (!chosen.some(({ phrase }) => within(words, phrase.words) || within(phrase.words, words)))
      chosen.push(candidate);
  }
  return chosen;
}

const within = (few: readonly string[], many: readonly string[]): boolean => few.every((word) => many.includes(word));

function groupOf({ kind, phrase: { meaning, words, piece } }: Candidate, catalog: CatalogWords): TagGroup {
  if (kind === 'brand' || catalog.isBrand(meaning)) return 'brand';
  if (piece > 0 && kind !== 'query') return 'attribute';
  if (kind === 'category' || catalog.ofCategories(words)) return 'category';
  return kind === 'query' ? 'interest' : 'attribute';
}

function proposalOf(candidate: Candidate, behaviours: number, catalog: CatalogWords): Proposal {
  const { phrase, from, count } = candidate;
  const texts = [...new Set(from.toSorted((a, b) => b.weight - a.weight).map(({ text }) => text))];
  const share = catalog.items === 0 ? 0 : (100 * count) / catalog.items;
  return {
    tag: phrase.text,
    group: groupOf(candidate, catalog),
    reason:
      `in ${from.length} of ${behaviours} searches and purchases, and in ${Number(share.toPrecision(2))} % of the ` +
      `shop's items`,
    behaviours: texts.slice(0, TOLD),
  };
}

const percent = (x: number): string => `${Math.round(100 * x)} %`;
