/**
 * The approval of a model's tags (paper, 4.2.2). Nothing that a model says enters a profile without it.
 *
 *   historical prior      is the tag, or one equal in meaning, in the user's pool; how strong is it there by now
 *   behavioural posterior how well what the user searched for and touched bears it out (evidence.ts)
 *   credible              posterior >= `credible`, or prior >= `trusted` and posterior >= `weak`
 *   score                 shares of prior, posterior, support and recency
 *   profile               the best K of the credible ones
 *
 * All proposals come back: with score, evidence and reason, accepted or not.
 */
import { cosine, vectorOf } from '../inference/embedder.ts';
import { meaningOf } from '../inference/words.ts';
import type { Behaviour, Judgement } from './evidence.ts';
import type { ApprovalOptions } from './options.ts';
import { REMEMBERED, strengthOf, type Pool, type PoolTag } from './pool.ts';
import type { JudgedTag, RefusedTag, TagProposal } from './records.ts';
import { isTag, plainTag } from './tag-shape.ts';

export type RefusalCode =
  | 'NOT_A_TAG'
  | 'DUPLICATE'
  | 'NO_EVIDENCE'
  | 'WEAK_EVIDENCE'
  | 'PARTLY_SAID'
  | 'ONE_TITLE'
  | 'TOO_GENERAL'
  | 'BELOW_TOP';

/** A credible proposal. */
export interface Accepted extends JudgedTag {
  meaning: string;
  vector: Int8Array | null;
}

export interface Approval {
  /** the profile, best first */
  tags: Accepted[];
  /** credible, but K others scored higher; best first */
  belowTop: Accepted[];
  /** of all other proposals, in the order in which they were made */
  refused: RefusedTag[];
}

export interface ApprovalInput {
  proposals: readonly TagProposal[];
  /** what made the proposals' vectors */
  embedder: string | null;
  pool: Pool;
  behaviour: Behaviour;
  /** event time up to which all of it counts */
  at: number;
  /** characters a tag may have */
  tagLength: number;
  options: ApprovalOptions;
}

/** Longer than this a list of proposals is no answer to what was asked. */
const MOST_PROPOSALS = 200;
/** Of what is published of a model's inference. */
const LONGEST_REASON = 300;
/** Judges proposals against what is known of the user. Pure: the pool is read, not changed. */
export function approve(input: ApprovalInput): Approval {
  const { embedder, pool, behaviour, at, options } = input;
  const credible: Accepted[] = [];
  const refused: RefusedTag[] = [];
  const taken = new Map<string, string>();

  for (const proposal of input.proposals.slice(0, MOST_PROPOSALS)) {
    const { group, reason } = proposal;
    const given = plainTag(proposal.tag);
    const meaning = meaningOf(given);
    const blank = {
      tag: given.slice(0, 100),
      group,
      score: 0,
      prior: 0,
      posterior: 0,
      support: 0,
      recency: 0,
      evidence: [],
    };
    const refuse = (code: RefusalCode, why: string, judged: Partial<JudgedTag> = {}): void => {
      refused.push({ ...blank, reason: cut(reason), ...judged, code, why });
    };

    if (!isTag(given, input.tagLength)) {
      refuse('NOT_A_TAG', `it is empty, longer than ${input.tagLength} characters, or holds what no tag has`);
      continue;
    }
    const vector = behaviour.vectorOf(given, proposal.embedding === null ? null : vectorOf(proposal.embedding));
    const known = pool.find(meaning, vector, embedder, options.same);
    const identity = known?.meaning ?? meaning;
    // one that was refused takes nobody's place by its vector alone, which may be anybody's
    const twin = taken.get(identity) ?? credible.find((other) => alike(vector, other.vector, options.same))?.tag;
    if (twin !== undefined) {
      refuse('DUPLICATE', `it means the same as "${twin}"`);
      continue;
    }
    const tag = known?.tag ?? given;
    taken.set(identity, tag);

    const prior = known === undefined ? 0 : strengthOf(known, at, options);
    // what is shown is what is judged
    const judgement = behaviour.judge(tag, tag === given ? vector : behaviour.vectorOf(tag, known?.vector ?? null));
    const recency = 2 ** (-(at - judgement.newest) / options.recencyHalfLife);
    const judged: JudgedTag = {
      tag,
      group: known?.group ?? group,
      score: scoreOf(prior, judgement, recency, options),
      prior,
      posterior: judgement.posterior,
      support: judgement.support,
      recency,
      reason: cut(reason),
      evidence: judgement.evidence,
    };
    const refusal = whyNot(prior, judgement, options);
    if (refusal === null) credible.push({ ...judged, meaning: identity, vector });
    else refuse(refusal[0], refusal[1], judged);
  }

  credible.sort((a, b) => b.score - a.score || (a.meaning < b.meaning ? -1 : 1));
  return {
    tags: credible.slice(0, options.profileTags),
    belowTop: credible.slice(options.profileTags),
    refused,
  };
}

/** What is published of a credible tag for which there was no room. */
export const refusalOfBelowTop = (
  { meaning: _meaning, vector: _vector, ...judged }: Accepted,
  k: number,
): RefusedTag => ({
  ...judged,
  code: 'BELOW_TOP',
  why: `it is credible, but ${k} others score higher`,
});

/** Takes an approval into the pool: strengths, counts, who was given. Returns what left the pool, by why. */
export function remember(input: ApprovalInput, { tags, belowTop, refused }: Approval): Record<string, number> {
  const { pool, at, embedder, options } = input;
  let restarted = 0;
  if (embedder !== null && embedder !== pool.embedder) {
    // vectors of another embedder cannot be compared: the tags stay, known by their words
    if (pool.embedder !== null) {
      restarted = pool.tags.size;
      for (const tag of pool.tags.values()) tag.vector = null;
    }
    pool.embedder = embedder;
  }
  for (const accepted of [...tags, ...belowTop]) {
    const tag = pool.tags.get(accepted.meaning) ?? newTag(accepted, at);
    const strength = strengthOf(tag, at, options);
    tag.strength = strength + (1 - strength) * options.gain * accepted.posterior;
    tag.strengthAt = at;
    tag.timesProposed++;
    tag.vector ??= accepted.vector === null ? null : Int8Array.from(accepted.vector);
    pool.tags.set(tag.meaning, tag);
  }
  for (const { tag: text, code } of refused) {
    const tag = code === 'DUPLICATE' || code === 'NOT_A_TAG' ? undefined : pool.tags.get(meaningOf(text));
    if (tag === undefined) continue;
    tag.strength = strengthOf(tag, at, options) * options.afterRefusal;
    tag.strengthAt = at;
    tag.timesProposed++;
  }
  for (const { meaning } of tags) {
    const tag = pool.tags.get(meaning)!;
    tag.timesGiven++;
    if (tag.firstGiven === 0) tag.firstGiven = at;
    tag.givenAt.push(at);
    if (tag.givenAt.length > REMEMBERED) tag.givenAt.shift();
  }
  const { decayed, crowded } = pool.trim(at, options);
  return { decayed, crowded, vectors: restarted };
}

function newTag({ tag, meaning, group, vector }: Accepted, at: number): PoolTag {
  return {
    tag,
    meaning,
    group,
    strength: 0,
    strengthAt: at,
    timesProposed: 0,
    timesGiven: 0,
    firstGiven: 0,
    givenAt: [],
    vector: vector === null ? null : Int8Array.from(vector),
  };
}

function whyNot(prior: number, judgement: Judgement, options: ApprovalOptions): [RefusalCode, string] | null {
  const { posterior, support, breadth, uncorroborated, unsaid } = judgement;
  if (breadth > options.tooGeneral) {
    return ['TOO_GENERAL', `it fits ${percent(breadth)} of the categories that the user touched`];
  }
  if (posterior >= options.credible || (prior >= options.trusted && posterior >= options.weak)) return null;
  const past = prior > 0 ? `, and a standing of ${percent(prior)} in the pool does not make up for it` : '';
  if (uncorroborated) return ['ONE_TITLE', `only titles of one seller say so, who may write anything into them${past}`];
  if (support === 0)
    return ['NO_EVIDENCE', `nothing that the user searched for, clicked or bought bears it out${past}`];
  if (unsaid.length > 0) return ['PARTLY_SAID', `nothing that bears it out says "${unsaid.join(' ')}"${past}`];
  return [
    'WEAK_EVIDENCE',
    `what bears it out says ${percent(posterior)}, of ${percent(options.credible)} needed${past}`,
  ];
}

function scoreOf(prior: number, { posterior, support }: Judgement, recency: number, options: ApprovalOptions): number {
  const { priorShare, posteriorShare, supportShare, recencyShare, fullSupport } = options;
  const supported = Math.min(Math.log1p(support) / Math.log1p(fullSupport), 1);
  const sum = priorShare + posteriorShare + supportShare + recencyShare;
  return (priorShare * prior + posteriorShare * posterior + supportShare * supported + recencyShare * recency) / sum;
}

const alike = (a: Int8Array | null, b: Int8Array | null, same: number): boolean =>
  a !== null && b !== null && cosine(a, b) >= same;

const percent = (x: number): string => `${Math.round(100 * x)} %`;

const cut = (text: string | null): string | null =>
  text === null || text.length <= LONGEST_REASON ? text : text.slice(0, LONGEST_REASON).toWellFormed();
