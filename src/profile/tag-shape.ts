/**
 * What a tag may look like: the name of a taste, in words that a person reads as they stand there. Signs beside the words
 * would be shown with the tag, and no evidence speaks for them: so there are none but those that names have.
 */
import { lengthOf, meaningOf } from '../inference/words.ts';

/** Of what is looked at, far above what a tag may have. */
const LONGEST = 500;
const NAME = /^[\p{L}\p{N}][\p{L}\p{M}\p{N} '’‐/&.,+%·・ー():-]*$/u;
const END = /[\p{L}\p{M}\p{N}+%)ー]$/u;
// letters that are not seen; host names, escapes, entities, piled-up marks, signs for show
const NEVER = [
  /\p{Default_Ignorable_Code_Point}/u,
  /\p{L}\.\p{L}{2}/u,
  /%[0-9a-f]{2}/i,
  /\p{M}{3}|(^|\s)\p{M}/u,
  /(^|\P{L})['’]|(?<!s)['’](\P{L}|$)/iu,
  /[^\p{L}\p{M}\p{N} ] ?[^\p{L}\p{M}\p{N} (]/u,
];
/** Scripts whose letters pass for one another's. */
const LOOKALIKES = [
  /\p{Script=Latin}/u,
  /\p{Script=Cyrillic}/u,
  /\p{Script=Greek}/u,
  /\p{Script=Armenian}/u,
  /\p{Script=Cherokee}/u,
  /\p{Script=Coptic}/u,
  /\p{Script=Lisu}/u,
];

/** As it is shown: in plain letters, with single spaces, and without what a sentence or a list left at its ends. */
export const plainTag = (text: string): string =>
  text
    .slice(0, LONGEST)
    .toWellFormed()
    .normalize('NFKC')
    .replace(/\p{Zs}+/gu, ' ')
    .replace(/^[ ,.:;&/'’"–—-]+|[ ,.:;&/'’"–—-]+$/g, '');

/** Whether a plain tag has the shape of one, of at most so many characters. */
export function isTag(text: string, most: number): boolean {
  if (lengthOf(text) > most || meaningOf(text) === '' || !/\p{L}/u.test(text)) return false;
  if (!NAME.test(text) || !END.test(text) || NEVER.some((pattern) => pattern.test(text))) return false;
  return text.split(/[^\p{L}\p{M}\p{N}]+/u).every((word) => scripts(word) <= 1);
}

const scripts = (word: string): number => LOOKALIKES.filter((script) => script.test(word)).length;
