import { Option, type Command } from 'commander';
import type { ProfileOf } from '../profile-of.ts';
import { formatOption, positive, print, using } from '../options.ts';

interface Options {
  limit: number;
  only?: 'profile' | 'labels';
  format: 'text' | 'json';
}

/** `seral explain USER [ITEM]`: why a label or a tag is what it is, from what was published. */
export function explainCommand(program: Command): void {
  program
    .command('explain')
    .description(
      "why a user's profile and labels are what they are: each tag with its evidence, each label in a sentence",
    )
    .argument('<user>', 'the user_id')
    .argument('[item]', 'only the labels of clicks on this item_id')
    .option('--limit <n>', 'only the last n labels', positive, 20)
    .addOption(new Option('--only <what>', 'leave the other out').choices(['profile', 'labels']))
    .addOption(formatOption(['text', 'json']))
    .action(async (user: string, item: string | undefined, { limit, only, format }: Options, command: Command) => {
      const { configOf } = await import('../load-config.ts');
      const { openLog, openSerdes } = await import('../environment.ts');
      const { labelsOf, LABELS_TOPIC } = await import('../labels-of.ts');
      const { profileOf } = await import('../profile-of.ts');
      const { explainLabel, plain } = await import('../words.ts');

      const config = configOf(command);
      const about = only ?? (item === undefined ? 'both' : 'labels');
      const { labels, profile, unreadable } = await using(await openLog(config), async (log) =>
        using(await openSerdes(config), async (serdes) => {
          const labels = about === 'profile' ? { labels: [], unreadable: 0 } : await labelsOf(log, serdes, user, item);
          const profile = about === 'labels' ? nothing : await profileOf(log, serdes, user);
          return { labels: labels.labels, profile, unreadable: labels.unreadable + profile.unreadable };
        }),
      );
      if (unreadable > 0) process.stderr.write(`${unreadable} record(s) of ${plain(user)} could not be read\n`);
      if (about !== 'labels') await tellProfile(profile, user, format, config.labels.timeZone);
      if (about === 'profile') return;
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
