import type { Command } from 'commander';
import { contextOf } from '../context.ts';
import { formatOption, print } from '../options.ts';

export function describeCommand(program: Command): void {
  program
    .command('describe')
    .description('what a topology reads, keeps and writes; all of them where none is named')
    .argument('[topology]')
    .addOption(formatOption(['text', 'mermaid']))
    .action(async (name: string | undefined, options: { format: 'text' | 'mermaid' }, command: Command) => {
      const { buildTopologies } = await import('../topologies.ts');
      const { describeMermaid, describeText } = await import('../../stream/describe.ts');
      const { config } = await contextOf(command);
      const { app } = config;
      const topologies = buildTopologies(name === undefined ? [] : [name], config);
      if (options.format === 'text') {
        print(topologies.map((topology) => describeText(topology, { app })).join('\n'));
      } else if (topologies.length === 1) {
        print(describeMermaid(topologies[0]!, { app }));
      } else {
        // several drawings are a page: Markdown, as code hosts show it
        const page = topologies.map(
          (topology) => `## ${topology.name}\n\n\`\`\`mermaid\n${describeMermaid(topology, { app })}\`\`\`\n`,
        );
        print(page.join('\n'));
      }
    });
}
