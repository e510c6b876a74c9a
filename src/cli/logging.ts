/**
 * Logs: JSON lines on stderr, for machines; on a terminal the same for eyes. Written synchronously, so that the last
 * words of a process that dies are there.
 */
import { pino, type Logger } from 'pino';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

export interface LoggingOptions {
  level: LogLevel;
  /** default: where stderr is a terminal */
  pretty?: boolean;
}

const STDERR = 2;

export async function createLogger({ level, pretty = process.stderr.isTTY === true }: LoggingOptions): Promise<Logger> {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return pino(options, (pretty ? await prettyStream() : null) ?? pino.destination({ fd: STDERR, sync: true }));
}

/** Null where the package, which only development needs, is not installed. */
async function prettyStream() {
  try {
    const { build } = await import('pino-pretty');
    return build({ colorize: true, destination: STDERR, sync: true, translateTime: 'SYS:HH:MM:ss.l' });
  } catch {
    return null;
  }
}

export type { Logger };
