import { Option, type Command } from 'commander';
import type { CandidatesOf } from '../candidates-of.ts';
import type { ProfileOf } from '../profile-of.ts';
import { formatOption, positive, print, using } from '../options.ts';

const PARTS = ['profile', 'candidates', 'labels'] as const;
type Part = (typeof PARTS)[number];

interface Options {
  limit: number;
  only?: Part;
  format: 'text' | 'json';
}

/** `seral explain USER [ITEM]`: why a label, a tag or a candidate is what it is, from what was published. */
export function explainCommand(program: Command): void {
  program
    .command('explain')
    .description(
      "why a user's profile, candidates and labels are what they are: tags with their evidence, candidates with what is new of them, each label in a sentence",
    )
    .argument('<user>', 'the user_id')
    .argument('[item]', 'only this item_id: whether it is a candidate, and the labels of clicks on it')
    .option('--limit <n>', 'only the last n labels', positive, 20)
    .addOption(new Option('--only <what>', 'leave the others out').choices(PARTS))
    .addOption(formatOption(['text', 'json']))
    .action(async (user: string, item: string | undefined, { limit, only, format }: Options, command: Command) => {
      const { configOf } = await import('../load-config.ts');
      const { openLog, openSerdes } = await import('../environment.ts');
      const { labelsOf, LABELS_TOPIC } = await import('../labels-of.ts');
      const { candidatesOf } = await import('../candidates-of.ts');
      const { profileOf } = await import('../profile-of.ts');
      const { explainLabel, plain } = await import('../words.ts');

      const config = configOf(command);
      const tells = (part: Part): boolean =>
        only === undefined ? item === undefined || part !== 'profile' : part === only;
      const { labels, profile, candidates, unreadable } = await using(await openLog(config), async (log) =>
        using(await openSerdes(config), async (serdes) => {
          const labels = tells('labels') ? await labelsOf(log, serdes, user, item) : { labels: [], unreadable: 0 };
          const profile = tells('profile') ? await profileOf(log, serdes, user) : nothing;
          const candidates = tells('candidates') ? await candidatesOf(log, serdes, user, item) : none;
          const unreadable = labels.unreadable + profile.unreadable + candidates.unreadable;
          return { labels: labels.labels, profile, candidates, unreadable };
        }),
      );
      if (unreadable > 0) process.stderr.write(`${unreadable} record(s) of ${plain(user)} could not be read\n`);
      if (tells('profile')) await tellProfile(profile, user, format, config.labels.timeZone);
      if (tells('candidates')) await tellCandidates(candidates, user, item, format, config.labels.timeZone);
      if (!tells('labels')) return;
      const last = labels.slice(-limit);
      const { timeZone, visitDays } = config.labels;
      const words = (label: (typeof last)[number]): string => explainLabel(label, { timeZone, visitDays });
      if (format === 'json') {
        for (const label of last) print(JSON.stringify({ ...label, explanation: words(label) }));
        return;
      }
      if (last.length === 0) {
        const what = item === undefined ? '' : ` on ${plain(item)}`;
        print(
          `no labels of ${plain(user)}${what} in ${LABELS_TOPIC}: no click was labelled, or its record is no longer kept`,
        );
        return;
      }
      for (const label of last) print(words(label));
      if (labels.length > limit) process.stderr.write(`the last ${limit} of ${labels.length}: --limit shows more\n`);
    });
}

const nothing: ProfileOf = { shortTerm: null, longTerm: null, unreadable: 0 };
const none: CandidatesOf = { list: null, ended: false, leftOut: null, unreadable: 0 };

async function tellProfile(
  { shortTerm, longTerm }: ProfileOf,
  user: string,
  format: string,
  timeZone: string,
): Promise<void> {
  const { explainLongTerm, explainShortTerm } = await import('../profile-words.ts');
  const { plain } = await import('../words.ts');
  if (format === 'json') {
    for (const profile of [shortTerm, longTerm]) if (profile !== null) print(JSON.stringify(profile));
    return;
  }
  if (shortTerm === null) {
    print(`no profile of ${plain(user)}: none was asked for or approved yet, or the user was forgotten`);
  } else {
    for (const line of explainShortTerm(shortTerm, timeZone)) print(line);
  }
  if (longTerm !== null) for (const line of explainLongTerm(longTerm, timeZone)) print(line);
  print('');
}

async function tellCandidates(
  { list, ended, leftOut }: CandidatesOf,
  user: string,
  item: string | undefined,
  format: string,
  timeZone: string,
): Promise<void> {
  const { explainCandidates } = await import('../candidate-words.ts');
  const { plain } = await import('../words.ts');
  if (format === 'json') {
    if (list !== null) print(JSON.stringify(list));
    return;
  }
  if (list !== null) for (const line of explainCandidates(list, timeZone, item, leftOut)) print(line);
  else {
    const why = ended ? 'the last ones have expired, or the user was forgotten' : 'none were asked for or made yet';
    print(`no candidates of ${plain(user)}: ${why}`);
  }
  print('');
}
