/** A profile in words: each tag with its evidence and history, each refused one with the reason. */
import type {
  JudgedTag,
  LongTermProfile,
  LongTermTag,
  ProfileTag,
  RefusedTag,
  ShortTermProfile,
  TagEvidence,
} from '../profile/records.ts';
import { dayOf, plain } from './words.ts';

const BY: Record<TagEvidence['by'], string> = {
  facts: 'by its category, tags or brand',
  title: 'by its title',
  query: 'in its words',
  embedding: 'by likeness',
};
const KIND: Record<TagEvidence['kind'], string> = { search: 'searched for', click: 'clicked', purchase: 'bought' };

const NOT_ADMITTED_TOLD = 5;

export function explainShortTerm(profile: ShortTermProfile, timeZone: string): string[] {
  const { tags, refused } = profile;
  const lines = [
    `short-term profile of ${dayOf(profile.refreshed_at, timeZone)}: ${count(tags.length, 'tag')} approved, ` +
      `${refused.length} refused. ${proposedBy(profile)}; this was refresh ${profile.refresh}`,
  ];
  if (profile.static_profile !== null) lines.push(`static profile: ${plain(profile.static_profile)}`);
  for (const tag of tags) lines.push(...tagLines(tag, historyOf(tag, timeZone), timeZone));
  lines.push(...refusedLines(refused, timeZone));
  return lines;
}

export function explainLongTerm(profile: LongTermProfile, timeZone: string): string[] {
  const { tags, refused } = profile;
  const by = profile.profiler === 'none' ? 'No tag was stable enough to ask a model about' : proposedBy(profile);
  const lines = [
    `long-term profile of ${dayOf(profile.refreshed_at, timeZone)}: ${count(tags.length, 'tag')} approved, ${refused.length} refused. ${by}`,
  ];
  for (const tag of tags) lines.push(...tagLines(tag, stability(tag, timeZone), timeZone));
  lines.push(...refusedLines(refused, timeZone));
  return lines;
}

const proposedBy = ({ profiler, prompt_version }: { profiler: string; prompt_version: string }): string =>
  profiler === 'extractive'
    ? 'Proposed by the extractive profiler (no model: words of what the user did)'
    : `Proposed by ${plain(profiler)} with prompt ${plain(prompt_version)}`;

function tagLines(tag: JudgedTag, history: string, timeZone: string): string[] {
  const lines = [`  + ${plain(tag.tag)} (${tag.group}), score ${figure(tag.score)}: ${partsOf(tag)}; ${history}`];
  for (const one of tag.evidence) lines.push(`      ${evidence(one, timeZone)}`);
  if (tag.support > tag.evidence.length) lines.push(`      and ${tag.support - tag.evidence.length} more`);
  return lines;
}

function refusedLines(refused: readonly RefusedTag[], timeZone: string): string[] {
  // of a year's tags most were never meant for the long term: the best of them say enough
  const others = refused.filter(({ code }) => code === 'NOT_ADMITTED');
  const told = refused.filter((tag) => tag.code !== 'NOT_ADMITTED' || others.indexOf(tag) < NOT_ADMITTED_TOLD);
  const lines = told.flatMap((tag) => [
    `  - ${plain(tag.tag)} (${tag.group}) refused, ${tag.code}: ${plain(tag.why)}`,
    ...tag.evidence.map((one) => `      ${evidence(one, timeZone)}`),
  ]);
  if (refused.length > told.length)
    lines.push(`  - ${refused.length - told.length} more were not admitted (--format json)`);
  return lines;
}

const partsOf = ({ prior, posterior, support, recency }: JudgedTag): string =>
  `prior ${figure(prior)}, posterior ${figure(posterior)} by ${count(support, 'sign')}, recency ${figure(recency)}`;

function historyOf({ first_given, times_given, times_proposed, given_at }: ProfileTag, timeZone: string): string {
  if (times_given === 1) return times_proposed === 1 ? 'new' : `new, proposed ${count(times_proposed, 'time')}`;
  const before = given_at.slice(0, -1).map((at) => dayOf(at, timeZone));
  return `given ${count(times_given, 'time')} since ${dayOf(first_given, timeZone)}, before this on ${before.join(', ')}`;
}

const stability = ({ frequency, regularity, effectiveness, first_given }: LongTermTag, timeZone: string): string =>
  `frequency ${figure(frequency)}, regularity ${figure(regularity)}, effectiveness ${figure(effectiveness)}, ` +
  `since ${dayOf(first_given, timeZone)}`;

const evidence = ({ kind, text, time, by, relevance }: TagEvidence, timeZone: string): string =>
  `${KIND[kind]} ${dayOf(time, timeZone)}: '${plain(text)}', ${figure(relevance)} ${BY[by]}`;

const figure = (x: number): string => x.toFixed(2);
const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;
