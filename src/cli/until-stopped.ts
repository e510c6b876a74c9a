import type { Command } from 'commander';
import type { Log } from '../log/port.ts';
import type { Serdes } from '../log/serde.ts';
import type { Config } from './config.ts';
import { contextOf } from './context.ts';
import type { Logger } from './logging.ts';
import { using } from './options.ts';

type Run = (given: { config: Config; log: Log; serdes: Serdes; logger: Logger; stop: AbortSignal }) => Promise<void>;

/** Runs what goes on until it is told to stop (SIGTERM, Ctrl-C), with the log and the registry of the configuration. */
export async function untilStopped(command: Command, run: Run): Promise<void> {
  const { config, logger } = await contextOf(command);
  const { openLog, openSerdes } = await import('./environment.ts');
  const { stopSignal } = await import('./signals.ts');
  process.on('uncaughtExceptionMonitor', (error) =>
    logger.error({ error: error.message, stack: error.stack }, 'a bug'),
  );
  const { signal, release } = stopSignal();
  try {
    await using(await openLog(config, logger), async (log) =>
      using(await openSerdes(config), (serdes) => run({ config, log, serdes, logger, stop: signal })),
    );
  } finally {
    release();
  }
}
