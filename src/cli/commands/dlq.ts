import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { UsageError, messageOf } from '../../errors.ts';
import type { Config } from '../config.ts';
import type { DeadLetter } from '../dead-letters.ts';
import { formatOption, positive, print, using } from '../options.ts';

interface ListOptions {
  limit: number;
  code?: string;
  format: 'table' | 'json';
}

interface ReplayOptions {
  code?: string;
  offset?: string[];
  valueFile?: string;
  key?: string;
  again?: boolean;
}

/** `seral dlq list|replay`: what a topology or a worker could not process, and the way back. */
export function dlqCommand(program: Command): void {
  const dlq = program.command('dlq').description('dead letters: records that a topology could not process');

  dlq
    .command('list')
    .description("a topology's dead letters, the newest last")
    .argument('<topology>', 'or a worker: profile-worker, serengpt-worker, retrieval-worker')
    .option('--limit <n>', 'only the last n', positive, 20)
    .option('--code <code>', 'only those of this error code')
    .addOption(formatOption(['table', 'json']))
    .action(list);

  dlq
    .command('replay')
    .description('sends dead letters back to the topic they came from, each once')
    .argument('<topology>', 'or a worker: profile-worker, serengpt-worker, retrieval-worker')
    .option('--code <code>', 'only those of this error code')
    .option('--offset <partition:offset...>', 'only these places of the dead-letter topic, as `dlq list` shows them')
    .option(
      '--value-file <file>',
      "sends this JSON, encoded with the topic's schema, in place of the value of the one selected",
    )
    .option('--key <key>', 'sends the one selected under this key')
    .option('--again', 'sends what was sent back before, too')
    .action(replay);
}

async function list(name: string, { limit, code, format }: ListOptions, command: Command): Promise<void> {
  const { configOf } = await import('../load-config.ts');
  const { openLog } = await import('../environment.ts');
  const { placeOf, readDeadLetters, replayedPlaces } = await import('../dead-letters.ts');
  const { table } = await import('../table.ts');

  const config = configOf(command);
  const { topic } = await topologyAt(name, config);
  let all = 0;
  let last: DeadLetter[] = [];
  const replayed = await using(await openLog(config), async (log) => {
    for await (const letter of readDeadLetters(log, topic, code === undefined ? {} : { code })) {
      all++;
      last.push(letter);
      // partitions come one after the other: what is kept is the newest of those seen
      if (last.length >= limit * 2 + 1000) last = newest(last, limit);
    }
    return replayedPlaces(log, topic);
  });
  last = newest(last, limit);
  if (format === 'json') {
    for (const letter of last) print(JSON.stringify(asJson(letter, replayed.has(placeOf(letter)))));
    return;
  }
  if (last.length === 0) {
    print(`no dead letters${code === undefined ? '' : ` of code ${code}`} in ${topic}`);
    return;
  }
  const rows = last.map((letter) => [
    placeOf(letter),
    new Date(letter.time).toISOString(),
    letter.code,
    letter.source === null ? `timer ${letter.timer}` : `${letter.source.topic} ${placeOf(letter.source)}`,
    letter.key?.toString() ?? '',
    replayed.has(placeOf(letter)) ? 'yes' : '',
    shortened(letter.error),
  ]);
  print(table(['place', 'time', 'code', 'source', 'key', 'replayed', 'error'], rows));
  if (all > last.length) process.stderr.write(`the last ${last.length} of ${all}: --limit shows more\n`);
}

function newest(letters: DeadLetter[], limit: number): DeadLetter[] {
  return letters.sort((a, b) => a.time - b.time || a.partition - b.partition || a.offset - b.offset).slice(-limit);
}

const shortened = (text: string): string => (text.length <= 100 ? text : `${text.slice(0, 99)}…`);

function asJson(letter: DeadLetter, replayed: boolean): object {
  const { key, value, time, ...rest } = letter;
  return {
    ...rest,
    time: new Date(time).toISOString(),
    key: key?.toString() ?? null,
    value_base64: value?.toString('base64') ?? null,
    replayed,
  };
}

async function replay(name: string, options: ReplayOptions, command: Command): Promise<void> {
  const { configOf } = await import('../load-config.ts');
  const { openLog, openSerdes } = await import('../environment.ts');
  const { placeOf, replayDeadLetters } = await import('../dead-letters.ts');

  const config = configOf(command);
  const { topic, schemaOf } = await topologyAt(name, config);
  const value = options.valueFile === undefined ? undefined : await jsonOf(options.valueFile);

  const report = await using(await openLog(config), async (log) =>
    using(await openSerdes(config), (serdes) =>
      replayDeadLetters(log, topic, {
        ...(options.code === undefined ? {} : { code: options.code }),
        ...(options.offset === undefined ? {} : { places: options.offset }),
        ...(options.key === undefined ? {} : { key: options.key }),
        ...(value === undefined ? {} : { mended: { value: value.json, schemaOf, serdes } }),
        again: options.again === true,
      }),
    ),
  );
  for (const { letter, to } of report.sent) print(`${placeOf(letter)} (${letter.code}) sent to ${to}`);
  for (const { letter, why } of report.skipped) print(`${placeOf(letter)} (${letter.code}) left: ${why}`);
  print(`${report.sent.length} sent back, ${report.skipped.length} left, of ${topic}`);
}

async function jsonOf(file: string): Promise<{ json: unknown }> {
  try {
    return { json: JSON.parse(await readFile(file, 'utf8')) };
  } catch (error) {
    throw new UsageError(`--value-file ${file}: ${messageOf(error)}`);
  }
}

interface TopologyAt {
  /** of its dead letters */
  topic: string;
  /** by the name of a source's topic */
  schemaOf(topic: string): string | undefined;
}

async function topologyAt(name: string, config: Config): Promise<TopologyAt> {
  const { WORKERS } = await import('../workers.ts');
  const { namesOf, requestNamesOf } = await import('../../stream/names.ts');
  const worker = WORKERS.find((one) => one.name === name);
  if (worker !== undefined) {
    const { topic, schema } = worker.requests;
    const { deadLetters } = requestNamesOf(name, { app: config.app });
    return { topic: deadLetters, schemaOf: (asked) => (asked === topic ? schema : undefined) };
  }
  const { buildTopology } = await import('../topologies.ts');
  const { name: topology, sources } = buildTopology(name, config);
  const names = namesOf(topology, { app: config.app });
  return {
    topic: names.deadLetters,
    schemaOf: (topic) => sources.find((spec) => names.source(spec) === topic)?.schema,
  };
}
