/** What a command's action begins with: the configuration, read and checked, and the logger. Loaded when it runs. */
import type { Command } from 'commander';
import type { Config } from './config.ts';
import type { Logger } from './logging.ts';

export interface Context {
  config: Config;
  logger: Logger;
}

export async function contextOf(command: Command): Promise<Context> {
  const { configOf } = await import('./load-config.ts');
  const { createLogger } = await import('./logging.ts');
  const config = configOf(command);
  const { verbose } = command.optsWithGlobals<{ verbose?: boolean }>();
  const { level, hashUserIds } = config.logging;
  const logger = await createLogger({ level: verbose === true && level !== 'trace' ? 'debug' : level, hashUserIds });
  return { config, logger };
}
