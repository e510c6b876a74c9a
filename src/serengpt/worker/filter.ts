/**
 * From samples to the texts that retrieval may search for. What a model says is untrusted text: each rule that drops a
 * sample has a name, and a count.
 */
import type { Sample } from '../../inference/sampler.ts';
import { isUnspaced, lengthOf, meaningOf } from '../../inference/words.ts';
import type { GeneratedText, RuleCount } from '../records.ts';

export interface FilterOptions {
  /** characters; a model is told fewer (LONGEST_GENERATED), and may not count well */
  longestText: number;
  /** Unicode scripts, such as Latin or Han, that letters may be of; none: any */
  scripts: string[];
  /** words and phrases that no text may hold, in any spelling that means the same */
  blocked: string[];
}

export const RULES = ['empty', 'markup', 'cut', 'too_long', 'script', 'blocked', 'owned'] as const;
export type Rule = (typeof RULES)[number];

/** Controls, turners of the direction of writing, private and broken characters: no shop writes them into a title. */
const CONTROLS = /[\p{Cc}\p{Co}\u202a-\u202e\u2066-\u2069\ufffd]/u;
/** Of chat templates, of the prompt's own blocks, of pages: copied, not said. */
const MARKS = /<\||\|>|<\/?[a-z!][^>]*>|\[\/?INST\]|```|={3,}|\{\{|\}\}|\\u[0-9a-f]{4}|https?:\/\//i;
/** Signs that nobody sees: a word with one in it is another word to whoever compares. */
const INVISIBLE = /\p{Cf}+/gu;
const QUOTED = /^(?:"(.*)"|“(.*)”|「(.*)」)$/u;

export class Filter {
  readonly #longest: number;
  readonly #foreign: RegExp | null;
  readonly #blocked: string[];

  /** Throws SyntaxError where there is no such script. */
  constructor({ longestText, scripts, blocked }: FilterOptions) {
    this.#longest = longestText;
    const allowed = ['Common', 'Inherited', ...scripts].map((script) => `\\p{scx=${script}}`).join('');
    this.#foreign = scripts.length === 0 ? null : new RegExp(`[^${allowed}]`, 'u');
    this.#blocked = blocked.map(meaningOf).filter((phrase) => phrase !== '');
  }

  /**
   * The texts by what they mean, the most often given first, then the likeliest; and what was dropped. `known`: texts of what
   * the user has done, which are nothing new.
   */
  settle(
    samples: readonly Sample[],
    kind: GeneratedText['kind'],
    known: readonly string[],
  ): { texts: GeneratedText[]; dropped: RuleCount[] } {
    const owned = new Set(known.map(meaningOf));
    const texts = new Map<string, GeneratedText>();
    const dropped = new Map<Rule, number>();
    for (const sample of samples) {
      const { text, rule } = this.#judge(sample, owned);
      if (rule !== null) {
        dropped.set(rule, (dropped.get(rule) ?? 0) + 1);
        continue;
      }
      const { logprob } = sample;
      const same = texts.get(meaningOf(text));
      if (same === undefined) texts.set(meaningOf(text), { text, kind, times: 1, logprob });
      else {
        same.times++;
        // the likeliest spelling stands for all of them
        if ((logprob ?? -Infinity) > (same.logprob ?? -Infinity)) Object.assign(same, { text, logprob });
      }
    }
    const likelihood = ({ logprob }: GeneratedText) => logprob ?? -Number.MAX_VALUE;
    return {
      texts: [...texts.values()].sort((a, b) => b.times - a.times || likelihood(b) - likelihood(a)),
      dropped: [...dropped].map(([rule, count]) => ({ rule, count })),
    };
  }

  #judge({ text: said, finished }: Sample, owned: ReadonlySet<string>): { text: string; rule: Rule | null } {
    const { line, whole } = firstLine(said);
    if (CONTROLS.test(line.replaceAll('\t', ' '))) return { text: '', rule: 'markup' };
    const plain = line.normalize('NFC').replace(INVISIBLE, '').replace(/\s+/gu, ' ').trim();
    const text = plain.replace(QUOTED, '$1$2$3').trim();
    return { text, rule: this.#ruleOn(text, finished || whole, owned) };
  }

  #ruleOn(text: string, whole: boolean, owned: ReadonlySet<string>): Rule | null {
    // before anything that costs more than its length
    if (text.length > this.#longest * 2 || lengthOf(text) > this.#longest) return whole ? 'too_long' : 'cut';
    if (!text.isWellFormed() || MARKS.test(text)) return 'markup';
    const meaning = meaningOf(text);
    if (meaning === '') return 'empty';
    if (!whole) return 'cut';
    if (this.#foreign?.test(text) === true) return 'script';
    const words = ` ${meaning} `;
    for (const phrase of this.#blocked) {
      if (words.includes(` ${phrase} `) || (isUnspaced(phrase) && meaning.includes(phrase))) return 'blocked';
    }
    return owned.has(meaning) ? 'owned' : null;
  }
}

/** A title is one line. `whole`: another line begins after it, so that nothing of it is missing. */
function firstLine(said: string): { line: string; whole: boolean } {
  const text = said.replace(/^\s+/u, '');
  const end = text.search(/[\r\n]/);
  return end < 0 ? { line: text, whole: false } : { line: text.slice(0, end), whole: true };
}
