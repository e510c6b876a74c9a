/**
 * What a tag may look like: the name of a taste, in words that a person reads as they stand there. What stands beside the
 * words is shown with the tag, and no evidence speaks for it: so there is none.
 */
import { lengthOf, meaningOf } from '../inference/words.ts';

// control characters and all that is not seen; pictures, currency and other signs; markup, templates, hash tags
const SIGNS = /[\p{C}\p{Default_Ignorable_Code_Point}\p{Zl}\p{Zp}\p{So}\p{Sc}\p{Sk}<>{}[\]\\|`_=*#^~@"“”«»]/u;
// addresses, escapes, entities, piled-up marks, punctuation for show
const PATTERNS = [
  /:\/\/|www\.|\p{L}\.\p{L}{2}/iu,
  /%[0-9a-f]{2}|&#|&\w+;/i,
  /\p{M}{3}|(^|\s)\p{M}/u,
  /([^\p{L}\p{M}\p{N}\s])\s*\1/u,
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

/** Whether it is the shape of a tag of at most so many characters. */
export function isTag(text: string, most: number): boolean {
  if (lengthOf(text) > most || meaningOf(text) === '' || !/\p{L}/u.test(text)) return false;
  if (SIGNS.test(text) || PATTERNS.some((pattern) => pattern.test(text))) return false;
  return text.split(/[^\p{L}\p{M}\p{N}]+/u).every((word) => scripts(word) <= 1);
}

const scripts = (word: string): number => LOOKALIKES.filter((script) => script.test(word)).length;
