import type { Command } from 'commander';
import { SeralError } from '../../errors.ts';
import type { LogAdmin } from '../../log/port.ts';
import { type Context, contextOf } from '../context.ts';
import { print, using } from '../options.ts';
import type { PlannedTopic } from '../topic-plan.ts';

export function topicsCommand(program: Command): void {
  const topics = program.command('topics').description('the topics that the topologies need');
  topics
    .command('plan')
    .description('what apply would create, change and leave; exit code 1 where it would refuse')
    .argument('[topologies...]', 'default: all')
    .action(async (names: string[], _options: object, command: Command) => {
      const context = await contextOf(command);
      await withAdmin(context, async (admin) => {
        const plan = await planOf(admin, names, context);
        await show(plan);
        if (plan.some(({ action }) => action === 'refuse')) process.exitCode = 1;
      });
    });
  topics
    .command('apply')
    .description('create and change topics as plan says; nothing at all where it refuses one')
    .argument('[topologies...]', 'default: all')
    .action(async (names: string[], _options: object, command: Command) => {
      const context = await contextOf(command);
      await withAdmin(context, async (admin) => {
        const plan = await planOf(admin, names, context);
        await show(plan);
        refuse(plan);
        const created = plan.filter(({ action }) => action === 'create');
        const changed = plan.filter(({ action }) => action === 'change');
        if (created.length > 0) await admin.create(created.map(({ spec }) => spec));
        for (const { spec, change } of changed) await admin.configure(spec.topic, change);
        print(
          `created ${created.length}, changed ${changed.length}, left ${plan.length - created.length - changed.length}`,
        );
      });
    });
}

async function withAdmin({ config, logger }: Context, use: (admin: LogAdmin) => Promise<void>): Promise<void> {
  const { openLog } = await import('../environment.ts');
  await using(await openLog(config, logger), (log) => using(log.admin(), use));
}

async function planOf(admin: LogAdmin, names: string[], { config }: Context): Promise<PlannedTopic[]> {
  const { planTopics, rolesOf, wantedTopics } = await import('../topic-plan.ts');
  const { buildTopologies } = await import('../topologies.ts');
  const wanted = wantedTopics(buildTopologies(names, config), config);
  const found = await admin.describe(wanted.map(({ topic }) => topic));
  return planTopics(wanted, found, rolesOf(buildTopologies([], config), config));
}

async function show(plan: readonly PlannedTopic[]): Promise<void> {
  const { table } = await import('../table.ts');
  const rows = plan.map(({ spec, action, notes }) => [action, spec.topic, String(spec.partitions), notes.join('; ')]);
  print(table(['ACTION', 'TOPIC', 'PARTITIONS', ''], rows));
}

function refuse(plan: readonly PlannedTopic[]): void {
  const refused = plan.filter(({ action }) => action === 'refuse');
  if (refused.length === 0) return;
  const lines = refused.map(({ spec, notes }) => `  - ${spec.topic} ${notes.join('; ')}`);
  throw new SeralError(
    'PARTITIONS_DIFFER',
    `nothing was changed: the partitions of a topic that exists are never changed, since each user's state and history ` +
      `would stay in the old one.\n${lines.join('\n')}\nSet topics.partitions to what is there, or start a new ` +
      `application (another app, new topics) and replay the log into it.`,
  );
}
