/**
 * Text as its words, so that case, plural, width, accents of form (NFKC) and traditional or simplified Chinese make no
 * difference. Words of scripts with spaces are put into the singular; a run of Chinese, Japanese or Korean characters, which
 * has none, gives its pairs of neighbours.
 */
import { Converter } from 'opencc-js/t2cn';
import pluralize from 'pluralize';

const simplified = Converter({ from: 't', to: 'cn' });
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u;
const HAN = /\p{Script=Han}/u;
const PIECES =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}ー]+|(?:(?![\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}])[\p{L}\p{M}\p{N}])+/gu;
/** they say nothing of what a thing is */
const EMPTY_WORDS = new Set(['a', 'an', 'and', 'at', 'by', 'for', 'from', 'in', 'of', 'on', 'or', 'the', 'to', 'with']);

const ROOM = 50_000;
const MOST_STEPS = 5;
const known = new Map<string, string>();

/** One form for singular and plural of an English word. It need not be a word itself. */
function singular(word: string): string {
  let form: string | undefined = known.get(word);
  if (form === undefined) {
    form = word;
    // to where another step changes nothing ("wes", "we", "i"), so that what is folded stays as it is
    for (let step = 0; step < MOST_STEPS; step++) {
      // cookies is taken for the plural of "cooky", cookie is left alone: both are to meet. Of "s" nothing would be left
      const next: string = pluralize.singular(form).replace(/ie$/, 'y') || form;
      if (next === form) break;
      form = next;
    }
    if (known.size >= ROOM) known.clear();
    known.set(word, form);
  }
  return form;
}

/** The pieces of a text in order: words in the singular, whole runs of unspaced characters. */
function pieces(text: string): string[] {
  const plain = text.normalize('NFKC').toLowerCase().replace(/['’]/g, '');
  return (plain.match(PIECES) ?? []).map((piece) => {
    if (!UNSPACED.test(piece)) return singular(piece);
    // piece by piece: signs that describe a character keep the converter from the one they stand before
    return HAN.test(piece) ? simplified(piece) : piece;
  });
}

/** Whether a text has a run of a script without spaces, in which words are not told apart. */
export const isUnspaced = (text: string): boolean => UNSPACED.test(text);

/** What two tags have in common when only case, plural, width, spaces, punctuation or the kind of Chinese differ. */
export const meaningOf = (text: string): string => pieces(text).join(' ');

/** The distinct words that say something, in order. */
export function wordsOf(text: string): string[] {
  const words = new Set<string>();
  for (const piece of pieces(text)) {
    if (!UNSPACED.test(piece)) {
      if (!EMPTY_WORDS.has(piece)) words.add(piece);
      continue;
    }
    const characters = [...piece];
    if (characters.length === 1) words.add(piece);
    for (let i = 1; i < characters.length; i++) words.add(characters[i - 1]! + characters[i]!);
  }
  return [...words];
}

/** What of a text is in none of the words said: words, and of unspaced runs the characters that are in no pair said. */
export function unsaidOf(text: string, said: (word: string) => boolean): string[] {
  const unsaid: string[] = [];
  for (const piece of pieces(text)) {
    if (!UNSPACED.test(piece)) {
      if (!EMPTY_WORDS.has(piece) && !said(piece)) unsaid.push(piece);
      continue;
    }
    const characters = [...piece];
    const pairs = characters.slice(1).map((one, i) => said(characters[i]! + one));
    const missing = characters.filter(
      (one, i) => pairs[i - 1] !== true && pairs[i] !== true && !(pairs.length === 0 && said(one)),
    );
    if (missing.length > 0) unsaid.push(missing.join(''));
  }
  return unsaid;
}

/** How many words a reader sees in a text of these: two characters of an unspaced one are about one. */
export const amountOf = (words: Iterable<string>): number => {
  let amount = 0;
  for (const word of words) amount += UNSPACED.test(word) ? 0.5 : 1;
  return amount;
};

/** Characters as a reader counts them. */
export const lengthOf = (text: string): number => [...text].length;
