import type { Command } from 'commander';
import { contextOf } from '../context.ts';
import { using } from '../options.ts';

export function runCommand(program: Command): void {
  program
    .command('run')
    .description('run topologies until told to stop (SIGTERM, Ctrl-C); exit code 1 where one fails')
    .argument('<topologies...>')
    .addHelpText('after', '\nServes /live, /ready and /metrics on http.host and http.port.')
    .action(async (names: string[], _options: object, command: Command) => {
      const { buildTopologies } = await import('../topologies.ts');
      const { config, logger } = await contextOf(command);
      const topologies = buildTopologies(names, config);
      const { openLog, openSerdes } = await import('../environment.ts');
      const { runTopologies } = await import('../run-topologies.ts');
      const { stopSignal } = await import('../signals.ts');
      process.on('uncaughtExceptionMonitor', (error) =>
        logger.error({ error: error.message, stack: error.stack }, 'a bug'),
      );
      const { signal, release } = stopSignal();
      try {
        await using(await openLog(config, logger), async (log) =>
          using(await openSerdes(config), (serdes) =>
            runTopologies({ config, topologies, log, serdes, logger, stop: signal }),
          ),
        );
      } finally {
        release();
      }
    });
}
