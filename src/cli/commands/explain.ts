import type { Command } from 'commander';
import { formatOption, positive, print, using } from '../options.ts';

interface Options {
  limit: number;
  format: 'text' | 'json';
}

/** `seral explain USER [ITEM]`: why a label is what it is, from the published labels. */
export function explainCommand(program: Command): void {
  program
    .command('explain')
    .description("why a user's labels are what they are, a sentence each, in order of time")
    .argument('<user>', 'the user_id')
    .argument('[item]', 'only clicks on this item_id')
    .option('--limit <n>', 'only the last n labels', positive, 20)
    .addOption(formatOption(['text', 'json']))
    .action(async (user: string, item: string | undefined, { limit, format }: Options, command: Command) => {
      const { configOf } = await import('../load-config.ts');
      const { openLog, openSerdes } = await import('../environment.ts');
      const { labelsOf, LABELS_TOPIC } = await import('../labels-of.ts');
      const { explainLabel, plain } = await import('../words.ts');

      const config = configOf(command);
      const { labels, unreadable } = await using(await openLog(config), async (log) =>
        using(await openSerdes(config), (serdes) => labelsOf(log, serdes, user, item)),
      );
      if (unreadable > 0) process.stderr.write(`${unreadable} record(s) of ${plain(user)} could not be read\n`);
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
