import type { Command } from 'commander';
import { untilStopped } from '../until-stopped.ts';

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
      const { runServe } = await import('../serve.ts');
      const version = command.parent!.version()!;
      await untilStopped(command, (given) => runServe({ ...given, version }));
    });
}
