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
  userDays?: string;
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
  replayProfilesCommand(replay);
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
    .option(
      '--user-days <file>',
      'also write the counts of each user, day and arm, .ndjson, for `seral report --input`',
    )
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
      const { input, output, catalog = null, metrics = null, userDays = null, refused = null } = options;
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
          userDays,
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

interface ReplayProfilesCommand {
  input: string;
  output: string;
  catalog?: string;
  users?: string;
  answers?: string;
  record?: string;
  history: boolean;
  cache?: number;
}

function replayProfilesCommand(replay: Command): void {
  replay
    .command('profiles')
    .description('profiles over a file: the last short-term and long-term profile of each user')
    .requiredOption('--input <file>', 'behaviour events, .ndjson or .ndjson.gz; - for standard input')
    .requiredOption('--output <file>', 'profiles, .ndjson; - for standard output')
    .option('--catalog <file>', 'items, .ndjson or .ndjson.gz: titles, categories, brands, tags')
    .option('--users <file>', "users' attributes, .ndjson: for the static profile")
    .option('--answers <file>', 'recorded answers of a profile worker; without it the extractive profiler answers')
    .option('--record <file>', 'write the answers, for --answers of another replay')
    .option('--history', 'every profile in the order in which they were given', false)
    .option('--cache <size>', 'memory for state, such as 128MB; the rest lies on disk', size)
    .addHelpText(
      'after',
      `
Each request is answered before the log goes on; there is no budget, and nothing expires. The same events and the same
answers give the same profiles. The rest is taken from the configuration (profiles.*).`,
    )
    .action(async (options: ReplayProfilesCommand, command: Command) => {
      const files = [options.input, options.catalog, options.users, options.answers];
      if (files.filter((file) => file === '-').length > 1) throw new UsageError('only one file can be standard input');
      const { config } = await contextOf(command);
      const { recordedAnswers, replayProfiles } = await import('../replay-profiles.ts');
      const { profilesOptions } = await import('../profiles-options.ts');
      const { answerExtractively } = await import('../../profile/worker/answering.ts');
      const { CatalogWords } = await import('../../profile/worker/catalog-words.ts');
      const { NgramEmbedder } = await import('../../inference/ngram-embedder.ts');
      const { sizeOf } = await import('../../log/ndjson.ts');
      const recorded = options.answers === undefined ? null : await recordedAnswers(options.answers);
      const words = new CatalogWords();
      const embedder = new NgramEmbedder();
      const { same } = config.profiles.approval;
      const begun = performance.now();
      const bar = progress('replay profiles', await sizeOf(options.input), 'bytes');
      let done;
      try {
        done = await replayProfiles({
          input: options.input,
          output: options.output,
          catalog: options.catalog ?? null,
          users: options.users ?? null,
          history: options.history,
          record: options.record ?? null,
          options: profilesOptions(config),
          answer: (request) =>
            recorded === null
              ? answerExtractively(request, words, { embedder, same, at: request.asked_at })
              : (recorded.get(request.request_id) ?? null),
          onItem: (item) => words.add(CatalogWords.row(item)),
          cacheBytes: options.cache ?? config.runtime.cache,
          onProgress: bar.update,
        });
      } catch (error) {
        bar.stop();
        throw error;
      }
      bar.stop(
        `${humanCount(done.profiles)} profiles of ${humanCount(done.users)} users, by ${humanCount(done.requests)} requests, ` +
          `of ${humanCount(done.events)} events in ${humanDuration(performance.now() - begun)}`,
      );
      if (done.unanswered > 0)
        process.stderr.write(`${humanCount(done.unanswered)} requests have no recorded answer\n`);
      for (const [code, count] of done.refused)
        process.stderr.write(`refused ${humanCount(count)} records as ${code}\n`);
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
