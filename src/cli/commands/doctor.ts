import { type Command, InvalidArgumentError } from 'commander';
import { formatOption, print } from '../options.ts';
import { parseDuration } from '../units.ts';

export function doctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('what is wrong, and what to do about it; changes nothing; exit code 1 where there is an error')
    .option('--deadline <duration>', 'how long each question may take', deadline, 10_000)
    .addOption(formatOption(['text', 'json']))
    .action(async (options: { format: 'text' | 'json'; deadline: number }, command: Command) => {
      const { readConfig } = await import('../load-config.ts');
      const { gather } = await import('../doctor/gather.ts');
      const { exitCodeOf, judge } = await import('../doctor/judge.ts');
      const { page } = await import('../doctor/page.ts');
      const { file, text } = readConfig(command);
      const findings = judge(await gather({ configFile: file, text, env: process.env, withinMs: options.deadline }));
      if (options.format === 'json') for (const finding of findings) print(JSON.stringify(finding));
      else {
        const terminal = process.stdout.isTTY === true;
        print(page(findings, { terminal, width: terminal ? process.stdout.columns : null }));
      }
      process.exitCode = exitCodeOf(findings);
    });
}

function deadline(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms < 1 || ms > 600_000) throw new InvalidArgumentError('a duration such as 10s is expected.');
  return ms;
}
