import type { Command } from 'commander';
import { print } from '../options.ts';

export function demoCommand(program: Command): void {
  program
    .command('demo')
    .description(
      'the whole flow on this machine over a year of real baskets: labels, metrics, profiles, and why each is what it is',
    )
    .option('--once', 'end after the summary', false)
    .option('--folder <folder>', 'where the log and the state are put, anew', '.seral/demo')
    .addHelpText(
      'after',
      `
What the demo wrote can be asked about afterwards:
  SERAL_LOG_KIND=embedded SERAL_EMBEDDED_PATH=.seral/demo/log seral explain h993`,
    )
    .action(async ({ once, folder }: { once: boolean; folder: string }, command: Command) => {
      const { demo } = await import('../demo.ts');
      const { createLogger } = await import('../logging.ts');
      const { stopSignal } = await import('../signals.ts');
      const { verbose } = command.optsWithGlobals<{ verbose?: boolean }>();
      // what the job logs of itself is for operators; a newcomer reads the summary
      const logger = await createLogger({ level: verbose === true ? 'debug' : 'warn', hashUserIds: false });
      const { signal, release } = stopSignal();
      try {
        await demo({ folder, once, stop: signal, logger, print });
      } finally {
        release();
      }
    });
}
