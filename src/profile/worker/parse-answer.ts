/**
 * What a model answered, as proposals: strictly, since it may be anything. Nothing is mended that would make a tag which
 * the model did not give; what is dropped is counted by the rule that dropped it:
 *
 *   code_fence     the JSON stood between code fences            (the JSON counts)
 *   text_around    there was text before or after it             (the JSON counts)
 *   cut_off        it ended too early                            (the tags that were whole count)
 *   unknown_group  a key that is none of the five groups
 *   no_list        a group that is no list
 *   no_tag         an entry that is no object, or has no text as its tag
 *   empty_tag      a tag without a letter or digit, or "NA"
 *   long_tag       a tag of more characters than allowed
 *   duplicate      a tag that means what an earlier one means, by its words or by embedding
 *   too_many       tags beyond the number allowed
 */
import { InferenceError } from '../../errors.ts';
import { cosine } from '../../inference/embedder.ts';
import { lengthOf, meaningOf } from '../../inference/words.ts';
import { findJson } from './find-json.ts';
import { groupOf } from './groups.ts';
import type { TagGroup, TagProposal } from '../records.ts';

export type Rule =
  | 'code_fence'
  | 'text_around'
  | 'cut_off'
  | 'unknown_group'
  | 'no_list'
  | 'no_tag'
  | 'empty_tag'
  | 'long_tag'
  | 'duplicate'
  | 'too_many';

export type Proposal = Omit<TagProposal, 'embedding'>;
export type Dropped = Partial<Record<Rule, number>>;

export interface ParsedAnswer {
  /** `not_enough`: it said NA, or left every group empty */
  outcome: 'proposed' | 'not_enough';
  proposals: Proposal[];
  dropped: Dropped;
}

export interface TagBounds {
  numberOfTags: number;
  tagLength: number;
}

/** Entries that are looked at; a list of more is no answer to what was asked. */
const MOST_ENTRIES = 500;
const MOST_BEHAVIOURS = 10;
const LONGEST_BEHAVIOUR = 200;
const LONGEST_REASON = 500;

/** All of it, where no embedder is asked. Throws InferenceError BAD_ANSWER. */
export function parseAnswer(text: string, bounds: TagBounds): ParsedAnswer {
  const read = readAnswer(text, bounds.tagLength);
  return { ...read, proposals: settle(read.proposals, null, bounds, 1, read.dropped).map(({ proposal }) => proposal) };
}

/** The proposals as they stand there. Throws InferenceError BAD_ANSWER where it is neither JSON with a group, nor NA. */
export function readAnswer(text: string, tagLength: number): ParsedAnswer {
  const dropped: Dropped = {};
  // what a reasoning model thought aloud is not its answer
  const thought = text.lastIndexOf('</think>');
  const said = (thought < 0 ? text : text.slice(thought + 8)).trim();
  if (saysNothing(said)) return { outcome: 'not_enough', proposals: [], dropped };
  const found = findJson(said, (value) => Object.keys(value).some((key) => groupOf(key) !== undefined));
  if (found === null) {
    throw new InferenceError('BAD_ANSWER', `the model's answer of ${text.length} characters has no JSON of tags`);
  }
  const around = said.slice(0, found.start) + (found.cut ? '' : said.slice(found.end));
  if (around.includes('```')) count(dropped, 'code_fence');
  if (thought >= 0 || around.replace(/```(json)?/gi, '').trim() !== '') count(dropped, 'text_around');
  if (found.cut) count(dropped, 'cut_off');

  const proposals: Proposal[] = [];
  let entries = 0;
  for (const [key, list] of Object.entries(found.value)) {
    const group = groupOf(key);
    if (group === undefined) count(dropped, 'unknown_group');
    else if (!Array.isArray(list)) {
      if (typeof list !== 'string' || !saysNothing(list)) count(dropped, 'no_list');
    } else {
      for (const entry of list.slice(0, MOST_ENTRIES - entries)) {
        const proposal = proposalOf(entry, group, tagLength);
        if (typeof proposal === 'string') count(dropped, proposal);
        else proposals.push(proposal);
      }
      count(dropped, 'too_many', Math.max(list.length - (MOST_ENTRIES - entries), 0));
      entries = Math.min(entries + list.length, MOST_ENTRIES);
    }
  }
  const outcome = entries === 0 && dropped.no_list === undefined && !found.cut ? 'not_enough' : 'proposed';
  return { outcome, proposals, dropped };
}

/**
 * One of each meaning, and no more than allowed: what comes first stays. `vectors`: of the proposals' tags, in their
 * order; null where there is no embedder. `same`: the cosine from which on two tags are one.
 */
export function settle(
  proposals: readonly Proposal[],
  vectors: readonly Int8Array[] | null,
  { numberOfTags }: TagBounds,
  same: number,
  dropped: Dropped,
): { proposal: Proposal; vector: Int8Array | null }[] {
  const kept: { proposal: Proposal; vector: Int8Array | null }[] = [];
  const meanings = new Set<string>();
  for (const [i, proposal] of proposals.entries()) {
    const vector = vectors?.[i] ?? null;
    const meaning = meaningOf(proposal.tag);
    const alike = (other: Int8Array | null) => vector !== null && other !== null && cosine(vector, other) >= same;
    if (meanings.has(meaning) || kept.some((other) => alike(other.vector))) count(dropped, 'duplicate');
    else if (kept.length >= numberOfTags) count(dropped, 'too_many');
    else {
      meanings.add(meaning);
      kept.push({ proposal, vector });
    }
  }
  return kept;
}

function proposalOf(entry: unknown, group: TagGroup, tagLength: number): Proposal | Rule {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return 'no_tag';
  const given = fieldOf(entry, 'tag');
  if (typeof given !== 'string') return 'no_tag';
  if (given.length > tagLength * 20) return 'long_tag';
  const tag = given.toWellFormed().normalize('NFC').trim();
  if (meaningOf(tag) === '' || saysNothing(tag)) return 'empty_tag';
  if (lengthOf(tag) > tagLength) return 'long_tag';
  const inference = fieldOf(entry, 'inference');
  const behaviours = fieldOf(entry, 'behaviours');
  return {
    tag,
    group,
    reason: typeof inference === 'string' && inference !== '' ? cut(inference, LONGEST_REASON) : null,
    behaviours: (Array.isArray(behaviours) ? behaviours : [])
      .slice(0, MOST_BEHAVIOURS)
      .filter((text) => typeof text === 'string')
      .map((text) => cut(text, LONGEST_BEHAVIOUR)),
  };
}

/** An own property, whatever the case of its name. */
function fieldOf(entry: object, name: string): unknown {
  if (Object.hasOwn(entry, name)) return (entry as Record<string, unknown>)[name];
  return Object.entries(entry).find(([key]) => key.length === name.length && key.toLowerCase() === name)?.[1];
}

/** "NA", as models write it: in quotes, with a full stop, in small letters, with a reason behind it. */
const saysNothing = (text: string): boolean => {
  const plain = text.replace(/```\w*|["'`*_\s]/g, '');
  return /^n\/?a\.?$/i.test(plain) || (!text.includes('{') && /^["'`*\s]*n\/?a["'`*]*[.:,;!\n]/i.test(text));
};

const cut = (text: string, most: number): string => text.slice(0, most).toWellFormed();

function count(dropped: Dropped, rule: Rule, by = 1): void {
  if (by > 0) dropped[rule] = (dropped[rule] ?? 0) + by;
}
