import type { Command } from 'commander';
import type { RegistryOptions, TopicSchema } from '../../log/registry/confluent.ts';
import { contextOf } from '../context.ts';
import { print } from '../options.ts';
import { table } from '../table.ts';

const HEADER = ['STATE', 'SUBJECT', 'SCHEMA', 'ID'];

export function schemasCommand(program: Command): void {
  const schemas = program.command('schemas').description("the schemas of schemas/ and the registry's");
  schemas
    .command('check')
    .description('can these schemas read all that was ever registered? exit code 1 where one cannot')
    .argument('[topologies...]', 'default: all')
    .action(async (names: string[], _options: object, command: Command) => {
      const at = await registryOf(names, command);
      if (at === null) return;
      const { checkCompatibility } = await import('../../log/registry/confluent.ts');
      const checks = await checkCompatibility(at.options, at.wanted);
      print(
        table(
          HEADER,
          checks.map(({ subject, schema, state, id }) => [state, subject, schema, id === null ? '' : `${id}`]),
        ),
      );
      for (const { subject, problems } of checks) for (const problem of problems) print(`${subject}: ${problem}`);
      if (checks.some(({ state }) => state === 'incompatible')) process.exitCode = 1;
    });
  schemas
    .command('register')
    .description('register them under <topic>-value, held to BACKWARD_TRANSITIVE; none where one is incompatible')
    .argument('[topologies...]', 'default: all')
    .action(async (names: string[], _options: object, command: Command) => {
      const at = await registryOf(names, command);
      if (at === null) return;
      const { registerSchemas } = await import('../../log/registry/confluent.ts');
      const done = await registerSchemas(at.options, at.wanted);
      print(
        table(
          HEADER,
          done.map(({ subject, schema, id, added }) => [added ? 'added' : 'there', subject, schema, `${id}`]),
        ),
      );
    });
}

/** Null, said, where there is no registry to ask: the embedded log reads schemas/ itself. */
async function registryOf(
  names: string[],
  command: Command,
): Promise<{ options: RegistryOptions; wanted: TopicSchema[] } | null> {
  const { registryOptions } = await import('../environment.ts');
  const { buildTopologies, topicSchemas } = await import('../topologies.ts');
  const { config } = await contextOf(command);
  const wanted = topicSchemas(buildTopologies(names, config), config);
  if (config.log.kind === 'kafka') return { options: registryOptions(config), wanted };
  print('log.kind is embedded: its registry is the folder schemas/, there is nothing to check or register');
  return null;
}
