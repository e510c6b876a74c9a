import { InvalidArgumentError, type Command } from 'commander';
import { UsageError } from '../../errors.ts';
import type { Config } from '../config.ts';
import { day, positive, print, using } from '../options.ts';
import { progress } from '../progress.ts';
import type { RowsFrom } from '../report-days.ts';

interface Options {
  from?: string;
  to?: string;
  baseline?: string;
  input?: string;
  json?: string;
  csv?: string;
  bootstrap?: number;
  seed: number;
}

/** `seral report`: the paper's online table (Tables 3 and 4). */
export function reportCommand(program: Command): void {
  program
    .command('report')
    .description("S-PVR, S-Click, S-TV, CTR, TV and UV3 of each arm, and each arm's lifts with confidence intervals")
    .option('--from <day>', 'first day, YYYY-MM-DD (default: of the last days with data, report.days of them)', day)
    .option('--to <day>', 'last day (default: the last one with data)', day)
    .option('--baseline <arm>', 'the arm that the others are compared with (default: report.baseline)')
    .option(
      '--input <file>',
      "users' days, .ndjson or .ndjson.gz, as `replay labels --user-days` writes them; - for stdin",
    )
    .option('--json <file>', 'write it as JSON; - for standard output')
    .option('--csv <file>', 'write it as CSV; - for standard output')
    .option('--bootstrap <n>', 'also resample users n times, to check the intervals', positive)
    .option('--seed <n>', 'of the resampling', seed, 1)
    .addHelpText(
      'after',
      '\nWithout --input it reads serendipity.user-days and metrics.daily. Formulas: docs/report.md',
    )
    .action(async (options: Options, command: Command) => {
      const { input, json, csv } = options;
      if (json === '-' && csv === '-') throw new UsageError('only one of --json and --csv can be standard output');
      if (options.from !== undefined && options.to !== undefined && options.from > options.to)
        throw new UsageError(`--from ${options.from} is after --to ${options.to}`);
      if (input === '-' && (options.from === undefined || options.to === undefined))
        throw new UsageError('standard input can be read once only, so --from and --to are needed');
      const { configOf } = await import('../load-config.ts');
      const { makeReport } = await import('../report.ts');
      const { reportCsv, reportJson, reportPage } = await import('../report-page.ts');
      const { warningsOf } = await import('../../report/warnings.ts');
      const { plain } = await import('../words.ts');
      const { writeFile } = await import('node:fs/promises');

      const config = configOf(command);
      const { baseline: usualBaseline, ...usual } = config.report;
      const { report, unreadable } = await withRows(config, input, async (rows) => {
        const report = await makeReport(rows, {
          from: options.from ?? null,
          to: options.to ?? null,
          baseline: options.baseline,
          usualBaseline,
          ...usual,
          resamples: options.bootstrap ?? 0,
          seed: options.seed,
        });
        return { report, unreadable: rows.unreadable };
      });
      const warnings = warningsOf(report);
      if (unreadable > 0) warnings.push({ code: 'UNREADABLE', text: `${unreadable} records could not be read` });
      if (report.to >= (await today(config))) {
        warnings.push({ code: 'DAY_NOT_OVER', text: `${report.to} is not over: its counts still grow` });
      }
      for (const { code, text } of warnings) process.stderr.write(`warning ${code}: ${plain(text)}\n`);
      for (const [file, text] of [
        [json, () => reportJson(report, warnings)],
        [csv, () => reportCsv(report)],
      ] as const) {
        if (file === '-') print(text());
        else if (file !== undefined) await writeFile(file, text());
      }
      if (json !== '-' && csv !== '-') print(reportPage(report));
    });
}

async function withRows<T>(config: Config, input: string | undefined, use: (rows: RowsFrom) => Promise<T>): Promise<T> {
  const { rowsOfFile, rowsOfLog } = await import('../report-days.ts');
  const bar = progress('report', null, input === undefined ? 'records' : 'bytes');
  try {
    if (input !== undefined) return await use(rowsOfFile(input, bar.update));
    const { openLog, openSerdes } = await import('../environment.ts');
    return await using(await openLog(config), async (log) =>
      using(await openSerdes(config), async (serdes) => use(await rowsOfLog(log, serdes, bar.update))),
    );
  } finally {
    bar.stop();
  }
}

/** Late events still change the day that ended a moment ago. */
async function today({ labels }: Config): Promise<string> {
  const { Calendar, dayName } = await import('../../serendipity/calendar.ts');
  return dayName(new Calendar(labels.timeZone).dayOf(Date.now() - labels.grace));
}

function seed(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 0xffff_ffff)
    throw new InvalidArgumentError('a whole number below 2^32 is expected.');
  return value;
}
