/**
 * Logs: JSON lines on stderr, for machines; on a terminal the same for eyes. Written synchronously, so that the last
 * words of a process that dies are there.
 */
import { createHash } from 'node:crypto';
import { pino, type DestinationStream, type Logger } from 'pino';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

export interface LoggingOptions {
  level: LogLevel;
  /** default: where stderr is a terminal */
  pretty?: boolean;
  /** the fields that hold a user's id show a hash of it: the same user is still the same, but not named */
  hashUserIds?: boolean;
  /** default: stderr */
  destination?: DestinationStream;
}

const STDERR = 2;
/** Fields that may hold a user's id; records of user-keyed topics have it as their key. */
const USER_FIELDS = ['user', 'user_id', 'userId', 'key'];

const hashed = (value: unknown): unknown =>
  value == null ? value : createHash('sha256').update(String(value)).digest('hex').slice(0, 12);

export async function createLogger(given: LoggingOptions): Promise<Logger> {
  const { level, pretty = process.stderr.isTTY === true, hashUserIds = false } = given;
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: hashUserIds ? Object.fromEntries(USER_FIELDS.map((field) => [field, hashed])) : {},
  };
  const stream = given.destination ?? (pretty ? await prettyStream() : null);
  return pino(options, stream ?? pino.destination({ fd: STDERR, sync: true }));
}

/** Null where the package, which only development needs, is not installed. */
async function prettyStream() {
  try {
    const { build } = await import('pino-pretty');
    return build({
      colorize: true,
      destination: STDERR,
      sync: true,
      singleLine: true,
      translateTime: 'SYS:HH:MM:ss.l',
    });
  } catch {
    return null;
  }
}

export type { Logger };
