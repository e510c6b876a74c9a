import type { Command } from 'commander';
import { contextOf } from '../context.ts';
import { using } from '../options.ts';

export function serveCommand(program: Command): void {
  program
    .command('serve')
    .description("serve users' candidates and their fusion over HTTP until told to stop; exit code 1 where it fails")
    .addHelpText(
      'after',
      `
Follows serengpt.candidates into a cache on the disk, and answers
  GET  /v1/users/{id}/candidates   a user's candidates, or that they were asked for
  POST /v1/fuse                    one ranked list of personalised items and the user's candidates
  GET  /v1/openapi.json            all of it described
on serve.host and serve.port, as the section serve of the configuration says. /live, /ready and /metrics are on http.host
and http.port. Every server has all users: start as many as the load needs.`,
    )
    .action(async (_options: object, command: Command) => {
      const { config, logger } = await contextOf(command);
      const { openLog, openSerdes } = await import('../environment.ts');
      const { runServe } = await import('../serve.ts');
      const { stopSignal } = await import('../signals.ts');
      const version = command.parent!.version()!;
      process.on('uncaughtExceptionMonitor', (error) =>
        logger.error({ error: error.message, stack: error.stack }, 'a bug'),
      );
      const { signal, release } = stopSignal();
      try {
        await using(await openLog(config, logger), async (log) =>
          using(await openSerdes(config), (serdes) => runServe({ config, log, serdes, logger, version, stop: signal })),
        );
      } finally {
        release();
      }
    });
}
