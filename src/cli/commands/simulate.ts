import { InvalidArgumentError, type Command } from 'commander';
import { SeralError, UsageError } from '../../errors.ts';
import type { Config } from '../config.ts';
import { day, positive, print, using } from '../options.ts';
import { progress } from '../progress.ts';
import type { Days, SimulatedLog } from '../simulated-log.ts';
import { humanCount, parseDuration } from '../units.ts';

interface Options {
  hours: number[];
  input?: string;
  from?: string;
  to?: string;
  workers: number;
  secondsPerGeneration: number;
  queue: number;
  deadline?: number;
  budget?: number;
  attempts?: number;
  scale: number;
  shift: number;
  json?: string;
}

/** `seral simulate cache`: what a cache age costs and buys (paper, Figure 4). */
export function simulateCommand(program: Command): void {
  const simulate = program.command('simulate').description('what settings would cost, over a recorded log');
  simulate
    .command('cache')
    .description('cache age T against QPS and E-QPS, and against the pages that find valid candidates')
    .option('--hours <list>', 'values of T, in hours, with commas', hours, [6, 12, 24])
    .option(
      '--input <file>',
      'behaviour events, .ndjson or .ndjson.gz; - for stdin (default: the topic behavior.events)',
    )
    .option('--from <day>', 'first day, YYYY-MM-DD', day)
    .option('--to <day>', 'last day', day)
    .option('--workers <n>', 'generations at once (default: as many as are asked for)', positive, Infinity)
    .option('--seconds-per-generation <s>', 'how long one takes a worker, retrieval included', seconds, 1)
    .option(
      '--queue <n>',
      'requests that may wait for a worker; more fail at once (default: no limit)',
      whole,
      Infinity,
    )
    .option('--deadline <duration>', 'from a request to its answer (default: of the configuration)', duration)
    .option(
      '--budget <qps>',
      'requests a second that the topology sends at most (default: of the configuration)',
      seconds,
    )
    .option('--attempts <n>', 'of one request (default: of the configuration)', positive)
    .option('--scale <k>', 'the log with k times its users', positive, 1)
    .option('--shift <duration>', 'over which the k copies of a user are spread', duration, 3_600_000)
    .option('--json <file>', 'write the figures as JSON; - for standard output')
    .addHelpText('after', '\nWhat is counted, and how: docs/simulate.md')
    .action(async (options: Options, command: Command) => {
      if (options.from !== undefined && options.to !== undefined && options.from > options.to)
        throw new UsageError(`--from ${options.from} is after --to ${options.to}`);
      const { configOf } = await import('../load-config.ts');
      const { scaled } = await import('../simulated-log.ts');
      const { simulateCache } = await import('../simulate-cache.ts');
      const { simulationJson, simulationPage } = await import('../simulation-page.ts');
      const { regenerationOptions } = await import('../regeneration-options.ts');
      const { writeFile } = await import('node:fs/promises');

      const config = configOf(command);
      const { events, refused } = await logOf(config, options);
      if (refused > 0) process.stderr.write(`${humanCount(refused)} events could not be read\n`);
      if (events.length === 0) throw new SeralError('NO_DATA', 'there is no event in that time');
      const usual = regenerationOptions(config);
      const workers = {
        workers: options.workers,
        serviceMs: Math.round(options.secondsPerGeneration * 1000),
        queue: options.queue,
      };
      const regeneration = {
        ...usual,
        deadline: options.deadline ?? usual.deadline,
        requestsPerSecond: options.budget ?? usual.requestsPerSecond,
        attempts: options.attempts ?? usual.attempts,
      };
      const rows = options.hours.map((hours) => {
        const bar = progress(`T = ${hours}h`, events.length * options.scale, 'events');
        const figures = simulateCache(scaled(events, options.scale, options.shift), {
          regeneration: { ...regeneration, maxAge: Math.round(hours * 3_600_000) },
          workers,
          onProgress: bar.update,
        });
        bar.stop();
        return { hours, ...figures };
      });
      const { deadline, requestsPerSecond, attempts, spread } = regeneration;
      const settings = { ...workers, deadline, requestsPerSecond, attempts, spread, scale: options.scale };
      if (options.json !== undefined && options.json !== '-')
        await writeFile(options.json, simulationJson(rows, settings));
      print(options.json === '-' ? simulationJson(rows, settings) : simulationPage(rows));
    });
}

async function logOf(config: Config, { input, from, to }: Options): Promise<SimulatedLog> {
  const { eventsOfFile, eventsOfLog } = await import('../simulated-log.ts');
  const days: Days = { from: from ?? null, to: to ?? null, timeZone: config.labels.timeZone };
  const bar = progress('read', null, input === undefined ? 'records' : 'bytes');
  try {
    if (input !== undefined) return await eventsOfFile(input, days, bar.update);
    const { openLog, openSerdes } = await import('../environment.ts');
    return await using(await openLog(config), async (log) =>
      using(await openSerdes(config), (serdes) => eventsOfLog(log, serdes, days, bar.update)),
    );
  } finally {
    bar.stop();
  }
}

function hours(text: string): number[] {
  const values = text.split(',').map((one) => (one.trim() === '' ? NaN : Number(one)));
  if (!values.every((value) => value > 0 && value <= 100_000))
    throw new InvalidArgumentError('hours such as 6,12,24 are expected.');
  return values;
}

function seconds(text: string): number {
  const value = text.trim() === '' ? NaN : Number(text);
  if (!(value > 0 && value < 1e9)) throw new InvalidArgumentError('a number above 0 is expected.');
  return value;
}

function whole(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('a whole number is expected.');
  return Number(text);
}

function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms < 1) throw new InvalidArgumentError('a duration such as 30s is expected.');
  return ms;
}
