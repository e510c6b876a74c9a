import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { createProgram, main } from '../../src/cli/main.ts';
import { seral } from '../support/seral.ts';

let folder: string;
let out: string;
let err: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seral-main-'));
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(() => {
  out = err = '';
  for (const name of Object.keys(process.env)) if (name.startsWith('SERAL_')) vi.stubEnv(name, undefined);
  vi.stubEnv('SERAL_LOG_KIND', 'embedded');
  vi.stubEnv('SERAL_EMBEDDED_PATH', join(folder, 'log'));
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => ((out += String(chunk)), true));
  vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => ((err += String(chunk)), true));
});
afterEach(() => {
  process.exitCode = undefined;
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

const commandLines = [
  [],
  ...createProgram().commands.flatMap((command) => [
    [command.name()],
    ...command.commands.map((inner) => [command.name(), inner.name()]),
  ]),
];

describe('every command', () => {
  it.each(commandLines.map((line) => line.join(' ')))(
    '"%s" has help, and refuses an option it does not know',
    async (line) => {
      const words = line === '' ? [] : line.split(' ');
      expect(await main([...words, '--help'])).toBe(0);
      expect(out).toContain(`Usage: seral ${line}`.trimEnd());
      expect(await main([...words, '--no-such-option'])).toBe(2);
      expect(err).toContain('error: ');
    },
  );
});

describe('wrong use ends with 2', () => {
  it.each([
    [[], 'Usage'],
    [['bogus'], "unknown command 'bogus'"],
    [['topics'], 'Usage'],
    [['topics', 'aply'], 'apply'],
    [['run'], 'topologies'],
    [['run', 'label'], 'did you mean labels?'],
    [['describe', 'nothing-like-it'], 'there are labels, metrics'],
    [['describe', '--format', 'png'], 'text, mermaid'],
    [['topics', 'plan', 'metric'], 'did you mean metrics?'],
    [['schemas', 'register', 'metric'], 'did you mean metrics?'],
    [['config', 'check', 'extra'], 'too many arguments'],
    [['config', 'check', '--config', '/no/such/file.yaml'], 'is not there'],
    [['replay', 'labels'], '--input'],
    [['explain'], 'user'],
  ] as [string[], string][])('%j', async (argv, said) => {
    expect(await main(argv)).toBe(2);
    expect(err).toContain(said);
  });
});

describe('config check', () => {
  it('names every problem and ends with 1', async () => {
    const file = join(folder, 'wrong.yaml');
    await writeFile(file, 'ap: x\nlabels: { grace: 10 }\nkafka: { ssl: { enabled: true, caFile: /no/such.pem } }\n');
    expect(await main(['config', 'check', '--config', file])).toBe(1);
    expect(out).toContain('2 problems');
    expect(out).toContain('did you mean app?');
    await writeFile(file, 'kafka: { ssl: { enabled: true, caFile: /no/such.pem } }\n');
    process.exitCode = undefined;
    expect(await main(['config', 'check', '--config', file])).toBe(1);
    expect(out).toContain('kafka.ssl.caFile: ENOENT');
  });

  it('prints what is in force, but no secret', async () => {
    vi.stubEnv('SERAL_LABELS_VISIT_DAYS', '3');
    vi.stubEnv('SERAL_KAFKA_SASL_PASSWORD', 'hunter2');
    expect(await main(['config', 'check', '--print'])).toBe(0);
    expect(out).toContain('visitDays: 3');
    expect(out).not.toContain('hunter2');
  });
});

describe('errors', () => {
  it('are one line with a code, and a stack where it is asked for', async () => {
    expect(await main(['run', 'labels'])).toBe(1);
    expect(err).toMatch(/^error MISSING_TOPICS: .*`seral topics apply labels`\n$/);
    expect(await main(['run', 'labels', '--verbose'])).toBe(1);
    expect(err).toContain('run-topologies.ts');
  });
});

describe('topics', () => {
  it('are created, then left; a changed retention is applied to our own only; partitions never change', async () => {
    vi.stubEnv('SERAL_EMBEDDED_PATH', join(folder, 'topics-log'));
    expect(await main(['topics', 'plan'])).toBe(0);
    expect(out).toMatch(/create +behavior\.events +12/);
    out = '';
    expect(await main(['topics', 'apply'])).toBe(0);
    expect(out).toContain('created 50, changed 0, left 0');
    out = '';
    vi.stubEnv('SERAL_TOPICS_RETENTION_SOURCES', '1d');
    vi.stubEnv('SERAL_TOPICS_RETENTION_OUTPUTS', 'forever');
    expect(await main(['topics', 'apply'])).toBe(0);
    expect(out).toMatch(/keep +behavior\.events +12 +left to its owner: retention\.ms 30d -> 1d/);
    expect(out).toMatch(/change +serendipity\.labels +12 +retention\.ms 30d -> forever/);
    out = '';
    vi.stubEnv('SERAL_TOPICS_PARTITIONS', '6');
    expect(await main(['topics', 'apply'])).toBe(1);
    expect(err).toContain('error PARTITIONS_DIFFER: nothing was changed');
    expect(await main(['topics', 'plan'])).toBe(1);
  });
});

it('is a program: the exit code is the process’s, data goes to stdout', async () => {
  vi.restoreAllMocks();
  const described = await seral(['describe', 'metrics', '--format', 'mermaid'], {}, folder);
  expect(described).toMatchObject({ code: 0, stderr: '' });
  expect(described.stdout).toContain('flowchart LR');
  expect((await seral(['bogus'], {}, folder)).code).toBe(2);
  const wrong = await seral(['describe'], { SERAL_LABELS_GRACE: 'soon' }, folder);
  expect(wrong).toMatchObject({ code: 1, stdout: '' });
  expect(wrong.stderr).toContain('labels.grace (SERAL_LABELS_GRACE)');
});
