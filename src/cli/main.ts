/**
 * The command line. What a command needs is imported when it runs, so that `--help` answers at once.
 * Exit codes: 0 done, 1 failed, 2 wrong use.
 */
import { Command, CommanderError } from 'commander';
import { SeralError, UsageError, messageOf } from '../errors.ts';
import { configCommand } from './commands/config.ts';
import { demoCommand } from './commands/demo.ts';
import { describeCommand } from './commands/describe.ts';
import { dlqCommand } from './commands/dlq.ts';
import { doctorCommand } from './commands/doctor.ts';
import { explainCommand } from './commands/explain.ts';
import { forgetCommand } from './commands/forget.ts';
import { replayCommand } from './commands/replay.ts';
import { reportCommand } from './commands/report.ts';
import { runCommand } from './commands/run.ts';
import { schemasCommand } from './commands/schemas.ts';
import { serveCommand } from './commands/serve.ts';
import { simulateCommand } from './commands/simulate.ts';
import { topicsCommand } from './commands/topics.ts';
import { transactionsCommand } from './commands/transactions.ts';
import { workerCommand } from './commands/worker.ts';
import { versionOf } from './version.ts';

/** In the order of `--help`: what a newcomer needs first comes first. */
const commands: ((program: Command) => void)[] = [
  demoCommand,
  replayCommand,
  runCommand,
  workerCommand,
  serveCommand,
  describeCommand,
  topicsCommand,
  schemasCommand,
  explainCommand,
  reportCommand,
  simulateCommand,
  forgetCommand,
  doctorCommand,
  dlqCommand,
  transactionsCommand,
  configCommand,
];

export function createProgram(): Command {
  const program = new Command('seral')
    .description('serendipity labels, profiles and candidates from a behaviour log, as a stream-processing job')
    .version(versionOf(), '--version')
    .option('--config <file>', 'configuration file (default: seral.yaml where there is one)')
    .option('--verbose', 'show the whole stack of an error, and debug logs')
    .configureHelp({ showGlobalOptions: true })
    .showSuggestionAfterError()
    // commands inherit what is set before they are made
    .exitOverride();
  for (const register of commands) register(program);
  return program;
}

/** Runs one command line; resolves to the exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    await createProgram().parseAsync(argv, { from: 'user' });
    // a command that did its work and found something wrong says so here
    return Number(process.exitCode ?? 0);
  } catch (error) {
    // commander has written its own message; help and version end by an error of exit code 0
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    report(error, argv.includes('--verbose'));
    return error instanceof UsageError ? 2 : 1;
  }
}

function report(error: unknown, verbose: boolean): void {
  const code = error instanceof SeralError ? error.code : (error as { code?: unknown } | null)?.code;
  const label = typeof code === 'string' ? `error ${code}` : 'error';
  process.stderr.write(`${label}: ${messageOf(error)}\n`);
  if (!verbose) return;
  for (let cause = error; cause instanceof Error; cause = cause.cause) process.stderr.write(`${cause.stack}\n`);
}

if (import.meta.main) {
  // `seral describe | head` is no failure
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  const code = await main(process.argv.slice(2));
  process.exitCode = code;
  // what a command forgot to close must not keep the process; what it wrote must be out
  process.stdout.write('', () => setTimeout(() => process.exit(code), 3000).unref());
}
