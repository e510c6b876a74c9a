import type { Command } from 'commander';
import type { Config } from '../config.ts';
import { print } from '../options.ts';

export function configCommand(program: Command): void {
  const config = program.command('config').description('the configuration');
  config
    .command('check')
    .description('name every problem of the file and the environment at once; exit code 1 where there is one')
    .option('--print', 'print what is in force: the file, the environment and the defaults together')
    .action(async (options: { print?: boolean }, command: Command) => {
      const { readConfig } = await import('../load-config.ts');
      const { file, text } = readConfig(command);
      const where = file ?? 'no file, the defaults and the environment';
      const { config, problems } = await checked(text);
      if (problems.length > 0) {
        print(`${where}: ${problems.length} problem${problems.length === 1 ? '' : 's'}`);
        for (const problem of problems) print(`  - ${problem}`);
        process.exitCode = 1;
      } else if (options.print === true) {
        const { stringify } = await import('yaml');
        const { SECRETS } = await import('../config-schema.ts');
        print(stringify(withoutSecrets(config!, SECRETS)));
      } else print(`${where}: no problem found`);
    });
}

async function checked(text: string | null): Promise<{ config: Config | null; problems: readonly string[] }> {
  const { ConfigError } = await import('../../errors.ts');
  const { compileConfig } = await import('../config.ts');
  const { fileProblems } = await import('../environment.ts');
  try {
    const { config } = compileConfig(text, process.env);
    return { config, problems: fileProblems(config) };
  } catch (error) {
    if (error instanceof ConfigError) return { config: null, problems: error.problems };
    throw error;
  }
}

function withoutSecrets(config: Config, secrets: readonly string[]): Config {
  const shown = structuredClone(config);
  for (const path of secrets) {
    const parts = path.split('.');
    const last = parts.pop()!;
    const at = parts.reduce<any>((tree, part) => tree[part], shown);
    if (at[last] !== null) at[last] = '(set)';
  }
  return shown;
}
