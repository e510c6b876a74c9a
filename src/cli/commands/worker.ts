import type { Command } from 'commander';
import { untilStopped } from '../until-stopped.ts';

export function workerCommand(program: Command): void {
  const worker = program.command('worker').description('workers that answer the requests of topologies with a model');
  worker
    .command('profile')
    .description('make profile tags until told to stop (SIGTERM, Ctrl-C); exit code 1 where it fails')
    .addHelpText(
      'after',
      `
Answers profile.refresh-requests on profile.proposals, as the section profileWorker of the configuration says: by any
server that speaks OpenAI's chat completions, or without a model ("extractive"). More processes share the work.
Serves /live, /ready and /metrics on http.host and http.port.`,
    )
    .action(async (_options: object, command: Command) => {
      const { runProfileWorker } = await import('../profile-worker.ts');
      await untilStopped(command, runProfileWorker);
    });
  worker
    .command('serengpt')
    .description('sample titles until told to stop (SIGTERM, Ctrl-C); exit code 1 where it fails')
    .addHelpText(
      'after',
      `
Answers serengpt.regeneration-requests on serengpt.generations, as the section serengptWorker of the configuration says: by
a small model in this process ("onnx"), or by any server that speaks OpenAI's completions, such as vLLM ("openai"). More
processes share the work. Serves /live, /ready and /metrics on http.host and http.port.`,
    )
    .action(async (_options: object, command: Command) => {
      const { runSerengptWorker } = await import('../serengpt-worker.ts');
      await untilStopped(command, runSerengptWorker);
    });
  worker
    .command('retrieval')
    .description('find items for generated titles until told to stop (SIGTERM, Ctrl-C); exit code 1 where it fails')
    .addHelpText(
      'after',
      `
Answers serengpt.generations on serengpt.retrieved, as the section retrievalWorker of the configuration says: items of the
catalog by keywords and by vectors, in this process or in OpenSearch, ranked by a small model that may be exchanged while
it runs. More processes share the work. Serves /live, /ready and /metrics on http.host and http.port.`,
    )
    .action(async (_options: object, command: Command) => {
      const { runRetrievalWorker } = await import('../retrieval-worker.ts');
      await untilStopped(command, runRetrievalWorker);
    });
}
