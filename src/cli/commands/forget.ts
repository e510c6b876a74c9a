import { createInterface } from 'node:readline/promises';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { SeralError, UsageError } from '../../errors.ts';
import { contextOf } from '../context.ts';
import { formatOption, print, using } from '../options.ts';
import { parseDuration } from '../units.ts';

interface Options {
  yes?: boolean;
  check?: boolean;
  timeout: number;
  format: 'text' | 'json';
}

function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new InvalidArgumentError('a duration such as 90s or 2m is expected.');
  return ms;
}

/** `seral forget USER`: erases a user everywhere, and proves it. */
export function forgetCommand(program: Command): void {
  program
    .command('forget')
    .description('erases a user from every store and compacted topic, and shows what is left; exit code 1 where it is')
    .argument('<user>', 'the user_id')
    .option('--yes', 'does not ask')
    .option('--check', 'erases nothing, only shows what is left')
    .addOption(
      new Option('--timeout <duration>', 'how long to wait for the topologies')
        .argParser(duration)
        .default(120_000, '2m'),
    )
    .addOption(formatOption(['text', 'json']))
    .action(async (user: string, { yes, check, timeout, format }: Options, command: Command) => {
      const { plain } = await import('../words.ts');
      const { config, logger } = await contextOf(command);
      if (user === '') throw new UsageError('a user_id is not empty');
      if (check !== true && yes !== true) await confirm(plain(user));
      const { openLog, openSerdes } = await import('../environment.ts');
      const { buildTopologies } = await import('../topologies.ts');
      const { checkForgotten, forget } = await import('../forget.ts');
      const { asJson, page } = await import('../forget-page.ts');

      const bars = await progressBars();
      const topologies = buildTopologies([], config);
      const report = await using(await openLog(config, logger), async (log) =>
        using(await openSerdes(config), (serdes) => {
          const options = { log, serdes, topologies, app: config.app, user, ...bars };
          return check === true ? checkForgotten(options) : forget({ ...options, timeoutMs: timeout });
        }),
      ).finally(() => bars.stop());
      print(format === 'json' ? JSON.stringify(asJson(report)) : page(report));
      if (!report.erased) process.exitCode = 1;
    });
}

async function confirm(user: string): Promise<void> {
  if (process.stdin.isTTY !== true) throw new UsageError('there is no terminal to ask on: --yes says yes');
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await lines.question(`erase all that is kept of ${user}? It cannot be undone. [y/N] `);
    if (!/^y(es)?$/i.test(answer.trim())) throw new SeralError('NOT_CONFIRMED', 'nothing was erased');
  } finally {
    lines.close();
  }
}

/** First the waiting, then the looking. */
async function progressBars() {
  const { progress } = await import('../progress.ts');
  let shown: { what: string; bar: ReturnType<typeof progress> } | null = null;
  const show = (what: string, unit: string) => (done: number, of: number) => {
    if (shown?.what !== what) {
      shown?.bar.stop();
      shown = { what, bar: progress(what, of, unit) };
    }
    shown.bar.update(done);
  };
  return {
    onWait: show('erasing', 'topologies'),
    onTopic: show('looking', 'topics'),
    stop: () => shown?.bar.stop(),
  };
}
