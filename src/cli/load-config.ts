import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { SeralError, UsageError, messageOf } from '../errors.ts';
import { compileConfig, CONFIG_VARIABLE, type Config } from './config.ts';

const DEFAULT_FILE = 'seral.yaml';

export interface ConfigSource {
  /** null: there is no file, the defaults and the environment count alone */
  file: string | null;
  text: string | null;
}

/** `--config`'s file, else SERAL_CONFIG's, else seral.yaml. One that is named must be there; the default may be missing. */
export function readConfig(command: Command, env = process.env): ConfigSource {
  const { config: option } = command.optsWithGlobals<{ config?: string }>();
  const named = option ?? (env[CONFIG_VARIABLE] || undefined);
  const file = named ?? DEFAULT_FILE;
  try {
    return { file, text: readFileSync(file, 'utf8') };
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (missing && named === undefined) return { file: null, text: null };
    if (missing) throw new UsageError(`the configuration file ${file} is not there`);
    throw new SeralError('CONFIG_UNREADABLE', `the configuration file ${file} cannot be read: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** Throws ConfigError with every problem. */
export function configOf(command: Command, env = process.env): Config {
  return compileConfig(readConfig(command, env).text, env).config;
}
