import { type Command, InvalidArgumentError, Option } from 'commander';
import { Calendar } from '../../serendipity/calendar.ts';
import { contextOf } from '../context.ts';
import { positive } from '../options.ts';
import { parseDuration, parseSize, humanCount, humanDuration } from '../units.ts';
import { progress } from '../progress.ts';
import { UsageError } from '../../errors.ts';

interface ReplayLabelsOptions {
  input: string;
  output: string;
  catalog?: string;
  metrics?: string;
  refused?: string;
  visitDays?: number;
  today?: 'included' | 'excluded';
  timeZone?: string;
  attributionWindow?: number;
  grace?: number;
  cache?: number;
}

export function replayCommand(program: Command): void {
  const replay = program.command('replay').description('a topology over what was recorded, beside the live job');
  replay
    .command('labels')
    .description('Definition 1 over a file: the last revision of each label, sorted by label_id')
    .requiredOption('--input <file>', 'behaviour events, .ndjson or .ndjson.gz; - for standard input')
    .requiredOption('--output <file>', 'labels, .ndjson; - for standard output')
    .option(
      '--catalog <file>',
      'items, .ndjson or .ndjson.gz: fills categories, brands and sellers that events leave out',
    )
    .option('--metrics <file>', 'also write the metrics of each day and arm, as one JSON array')
    .option('--refused <file>', 'also write the records that were refused, each with its code')
    .option('--visit-days <n>', 'N: days with visits that a window holds', visitDays)
    .addOption(
      new Option('--today <reading>', 'whether the day of an exposure is one of the N').choices([
        'included',
        'excluded',
      ]),
    )
    .option('--time-zone <zone>', 'business time zone, an IANA name', zone)
    .option('--attribution-window <duration>', 'how long an exposure may be clicked, such as 24h', duration)
    .option('--grace <duration>', 'how late an event may come, such as 10m', duration)
    .option('--cache <size>', 'memory for state, such as 128MB; the rest lies on disk', size)
    .addHelpText('after', '\nWhat is not given is taken from the configuration (labels.*).')
    .action(async (options: ReplayLabelsOptions, command: Command) => {
      if (options.input === '-' && options.catalog === '-')
        throw new UsageError('only one of --input and --catalog can be standard input');
      const { config } = await contextOf(command);
      const { input, output, catalog = null, metrics = null, refused = null } = options;
      const given = {
        visitDays: options.visitDays,
        today: options.today,
        timeZone: options.timeZone,
        attributionWindow: options.attributionWindow,
        grace: options.grace,
      };
      const rules = {
        ...config.labels,
        ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
      };
      const { replayLabels } = await import('../replay-labels.ts');
      const { sizeOf } = await import('../../log/ndjson.ts');
      const begun = performance.now();
      const bar = progress('replay labels', await sizeOf(input), 'bytes');
      let done;
      try {
        done = await replayLabels({
          input,
          output,
          catalog,
          metrics,
          refused,
          rules,
          cacheBytes: options.cache ?? config.runtime.cache,
          onProgress: bar.update,
        });
      } catch (error) {
        bar.stop();
        throw error;
      }
      const ms = performance.now() - begun;
      bar.stop(
        `${humanCount(done.labels)} labels of ${humanCount(done.events)} events (${humanCount(done.exposures)} item exposures) in ${humanDuration(ms)}, ` +
          `${humanCount(Math.round((done.exposures / ms) * 1000))} item exposures a second`,
      );
      for (const [code, count] of done.refused) {
        const where = refused === null ? ' (--refused FILE keeps them)' : `: see ${refused}`;
        process.stderr.write(`refused ${humanCount(count)} records as ${code}${where}\n`);
      }
    });
}

function visitDays(text: string): number {
  const days = positive(text);
  if (days > 366) throw new InvalidArgumentError('expected a whole number from 1 to 366');
  return days;
}

function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new InvalidArgumentError('expected a duration such as 24h, 10m or 0');
  return ms;
}

function size(text: string): number {
  const bytes = parseSize(text);
  if (bytes === undefined || bytes < 1 << 20)
    throw new InvalidArgumentError('expected a size of at least 1MB, such as 128MB');
  return bytes;
}

function zone(text: string): string {
  try {
    new Calendar(text);
    return text;
  } catch {
    throw new InvalidArgumentError('expected the IANA name of a time zone, such as Europe/Berlin');
  }
}
