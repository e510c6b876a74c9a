/**
 * Titles, queries and category labels as the phrases that may become tags: one to three whole words that stand together,
 * without sizes. Scripts without spaces are cut into words by Intl.Segmenter.
 */
import { lengthOf, meaningOf, wordsOf } from '../../inference/words.ts';

const MOST_WORDS = 3;
/** A size behind the last comma: ", 14 oz", ", 4-3.5 oz", ", .5 l". */
const SIZE = /,\s*[\d.][^,]*$/;
const UNITS = new Set(
  'oz lb lbs ct g gr gm kg mg ml l lt ltr liter litre gal qt pt pk pkg pack dz doz in inch ft fl cm mm m cl'.split(' '),
);
/** Words that begin or end no phrase. */
const CONNECTING = new Set(
  'a all an and any at by ex for from in incl misc new no not of on only or other the to under w with'.split(' '),
);
/** Titles come again with every user who has the product. */
const ROOM = 20_000;
const known = new Map<string, Phrase[]>();
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u;
const segmenter = new Intl.Segmenter('und', { granularity: 'word' });

/** A label without its size and what else has digits. */
export const plainLabel = (text: string): string =>
  piecesOf(text)
    .map((words) => words.map(({ text }) => text).join(' '))
    .join(', ');

/** How much of a piece (what stands between commas, slashes and brackets) a phrase is. */
export type Extent =
  /** all of it: a name */
  | 'whole'
  /** its end, where most languages here say what the thing is: "chips" of "potato chips" */
  | 'end'
  /** two words or more of its beginning or middle */
  | 'part';

export interface Phrase {
  text: string;
  meaning: string;
  words: readonly string[];
  extent: Extent;
  /** which piece: the first says what a thing is, later ones which */
  piece: number;
}

/** Every phrase of a text that has at most so many characters, each once. */
export function phrasesOf(text: string, longest: number): readonly Phrase[] {
  const key = `${longest} ${text}`;
  let phrases = known.get(key);
  if (phrases === undefined) {
    phrases = findPhrases(text, longest);
    if (known.size >= ROOM) known.clear();
    known.set(key, phrases);
  }
  return phrases;
}

function findPhrases(text: string, longest: number): Phrase[] {
  const found = new Map<string, Phrase>();
  for (const [piece, words] of piecesOf(text).entries()) {
    for (let from = 0; from < words.length; from++) {
      for (let to = from + 1; to <= Math.min(from + MOST_WORDS, words.length); to++) {
        const extent = to < words.length ? 'part' : from === 0 ? 'whole' : 'end';
        if (extent === 'part' && to - from === 1) continue;
        if (CONNECTING.has(words[from]!.text) || CONNECTING.has(words[to - 1]!.text)) continue;
        const phrase = joined(words.slice(from, to));
        if (lengthOf(phrase) > longest) break;
        const meaning = meaningOf(phrase);
        if (meaning !== '' && found.get(meaning)?.extent !== 'whole') {
          found.set(meaning, { text: phrase, meaning, words: wordsOf(phrase), extent, piece });
        }
      }
    }
  }
  return [...found.values()];
}

interface Word {
  text: string;
  /** no space belongs before it */
  close: boolean;
}

function piecesOf(text: string): Word[][] {
  const plain = text.normalize('NFKC').toLowerCase().replace(SIZE, '');
  return plain
    .split(/[,/:;()[\]{}|&+"“”、，。·]| - |-(?=\s)|\s{2,}/u)
    .flatMap(runsIn)
    .filter((words) => words.length > 0);
}

/** Words that stand together: a number or a unit between them parts them. */
function runsIn(piece: string): Word[][] {
  const runs: Word[][] = [[]];
  const part = () => runs.push([]);
  for (const given of piece.split(/\s+/)) {
    if (!UNSPACED.test(given)) {
      const word = given.replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, '');
      if (saysSomething(word)) runs.at(-1)!.push({ text: word, close: false });
      else part();
      continue;
    }
    let close = false;
    let counted = false;
    for (const { segment, isWordLike } of segmenter.segment(given)) {
      // one character behind a number counts something: "2人"
      const says = isWordLike === true && saysSomething(segment) && !(counted && lengthOf(segment) === 1);
      if (says) runs.at(-1)!.push({ text: segment, close });
      else part();
      close = says;
      counted = /\p{N}/u.test(segment);
    }
  }
  return runs;
}

/** What has digits is a size or a number, and so are units; a letter alone is what was left of a word. */
const saysSomething = (word: string): boolean =>
  /\p{L}/u.test(word) && !/\p{N}/u.test(word) && !UNITS.has(word) && !/^[a-z]$/.test(word);

const joined = (words: readonly Word[]): string =>
  words.map(({ text, close }, i) => (i === 0 || close ? text : ` ${text}`)).join('');
