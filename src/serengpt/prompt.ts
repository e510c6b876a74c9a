/**
 * A regeneration request as what a model is asked (paper, 4.3.2: the three profiles and recent behaviour, then the next
 * serendipitous item; Appendix F: the next search query).
 */
import { cleaned, quoted, type Prompt, type Prompts } from '../inference/prompts.ts';
import type { ChannelBehaviour, RegenerationRequest } from './records.ts';

/** Of the compact prompt, whose model reads a few hundred tokens. The best tags and the newest behaviour count. */
const COMPACT_TAGS = 8;
const COMPACT_HISTORY = 12;
const MOST_TAGS = 50;
const MOST_BEHAVIOURS = 50;
/** characters of a title or query that a model is to keep to */
export const LONGEST_GENERATED = 80;

const DONE: Record<ChannelBehaviour['kind'], string> = {
  click: 'looked at',
  purchase: 'bought',
  search: 'searched for',
};

type Asking = Pick<RegenerationRequest, 'static_profile' | 'tags' | 'history'>;

/** `version`: a file of prompts/. Throws InferenceError UNKNOWN_PROMPT, BAD_PROMPT. */
export const promptOf = (prompts: Prompts, version: string, request: Asking): Prompt =>
  prompts.render(version, viewOf(request));

function viewOf({ static_profile, tags, history }: Asking) {
  const shortTerm = tags.filter(({ long_term }) => !long_term).slice(0, MOST_TAGS);
  const longTerm = tags.filter(({ long_term }) => long_term).slice(0, MOST_TAGS);
  const recent = history.slice(-MOST_BEHAVIOURS);
  return {
    longest: LONGEST_GENERATED,
    staticProfile: static_profile === null ? null : quoted(static_profile),
    plainStaticProfile: static_profile === null ? null : plain(static_profile),
    shortTerm: shortTerm.map(({ tag }) => quoted(tag)),
    plainShortTerm: listed(shortTerm.slice(0, COMPACT_TAGS).map(({ tag }) => tag)),
    hasShortTerm: shortTerm.length > 0,
    longTerm: longTerm.map(({ tag }) => quoted(tag)),
    plainLongTerm: listed(longTerm.slice(0, COMPACT_TAGS).map(({ tag }) => tag)),
    hasLongTerm: longTerm.length > 0,
    history: recent.map(({ kind, text }) => `${DONE[kind]} ${quoted(text)}`),
    plainHistory: listed(newestOf(recent).slice(-COMPACT_HISTORY)),
    hasHistory: recent.length > 0,
  };
}

/** Each text once, in its newest place: what was looked at and then bought is one thing to a model with little room. */
const newestOf = (recent: readonly ChannelBehaviour[]): string[] =>
  [...new Set(recent.map(({ text }) => text).reverse())].reverse();

const listed = (texts: readonly string[]): string => texts.map(plain).join('; ');

/** One text of a list in the compact prompt: in small letters, without the signs that part one from the next. */
const plain = (text: string): string => cleaned(text).replaceAll(';', ',').toLowerCase();
