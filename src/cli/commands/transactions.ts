import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { SeralError, UsageError } from '../../errors.ts';
import type { LogAdmin } from '../../log/port.ts';
import { type Context, contextOf } from '../context.ts';
import { formatOption, print, using } from '../options.ts';
import type { Abort, TransactionRow } from '../transactions.ts';

interface ListOptions {
  format: 'table' | 'json';
  hanging?: boolean;
}

interface AbortOptions {
  hanging?: boolean;
  force?: boolean;
  yes?: boolean;
}

/** `seral transactions list|abort`: what the application has open, and the way out of what hangs. */
export function transactionsCommand(program: Command): void {
  const transactions = program
    .command('transactions')
    .description("the application's transactions: what is open, what hangs");
  transactions
    .command('list')
    .description('every transactional id, what it has open, and whom that holds back')
    .option('--hanging', 'only what will not end by itself')
    .addOption(formatOption(['table', 'json']))
    .action(async ({ format, hanging }: ListOptions, command: Command) => {
      await withAdmin(await contextOf(command), async (admin, context) => {
        const rows = (await rowsOf(admin, context)).filter((row) => hanging !== true || row.hanging !== null);
        if (format === 'json') for (const row of rows) print(JSON.stringify(await asJson(row)));
        else await show(rows, context.config.app);
      });
    });
  transactions
    .command('abort')
    .description('aborts transactions, so that readers go on; asks before it does')
    .argument('[ids...]', 'as `transactions list` names them')
    .option('--hanging', 'all that hang')
    .option('--force', "also one that may be a running task's, or another application's")
    .option('--yes', 'does not ask')
    .action(async (ids: string[], options: AbortOptions, command: Command) => {
      if ((ids.length === 0) === (options.hanging !== true)) throw new UsageError('name some, or say --hanging');
      await withAdmin(await contextOf(command), (admin, context) => abort(admin, context, ids, options));
    });
}

async function withAdmin(context: Context, use: (admin: LogAdmin, context: Context) => Promise<void>): Promise<void> {
  const { openLog } = await import('../environment.ts');
  await using(await openLog(context.config, context.logger), (log) =>
    using(log.admin(), (admin) => use(admin, context)),
  );
}

async function rowsOf(admin: LogAdmin, { config }: Context): Promise<TransactionRow[]> {
  const { buildTopologies } = await import('../topologies.ts');
  const { gatherTransactions, judgeTransactions, oursOf } = await import('../transactions.ts');
  const ours = oursOf(buildTopologies([], config), config.app);
  return judgeTransactions(await gatherTransactions(admin, ours), ours);
}

async function asJson(row: TransactionRow): Promise<object> {
  const { nameOf } = await import('../transactions.ts');
  const { open: _open, ...rest } = row;
  const startedAt = row.startedAt === null ? null : new Date(row.startedAt).toISOString();
  return { name: nameOf(row), ...rest, startedAt };
}

async function show(rows: readonly TransactionRow[], app: string): Promise<void> {
  if (rows.length === 0) {
    print(`no transactions of ${app}`);
    return;
  }
  const { table } = await import('../table.ts');
  const { inWords, nameOf } = await import('../transactions.ts');
  const { humanDuration } = await import('../units.ts');
  const { plain } = await import('../words.ts');
  const lines = rows.map((row) => [
    plain(nameOf(row)),
    row.phase,
    row.producerId === null ? `${row.epoch}` : `${row.producerId}:${row.epoch}`,
    row.startedAt === null ? '' : new Date(row.startedAt).toISOString(),
    row.ageMs === null ? '' : humanDuration(row.ageMs),
    row.partitions.map(({ topic, partition }) => `${plain(topic)}/${partition}`).join(' '),
    row.hanging ?? '',
    row.held.map(inWords).join(', '),
  ]);
  print(table(['ID', 'STATE', 'PRODUCER', 'STARTED', 'AGE', 'PARTITIONS', 'HANGING', 'HOLDS BACK'], lines));
}

async function abort(admin: LogAdmin, context: Context, ids: string[], options: AbortOptions): Promise<void> {
  const { nameOf, planAbort } = await import('../transactions.ts');
  const planned = async (): Promise<Abort[]> => {
    const rows = await rowsOf(admin, context);
    const unknown = ids.filter((id) => !rows.some((row) => nameOf(row) === id));
    if (unknown.length > 0) {
      throw new UsageError(`${unknown.join(', ')}: no transaction of ${context.config.app} has this name`);
    }
    const chosen = rows.filter((row) => (options.hanging === true ? row.hanging !== null : ids.includes(nameOf(row))));
    return chosen.map((row) => planAbort(row, options.force === true));
  };
  let plan = await planned();
  if (options.yes !== true && plan.some(({ how }) => how !== 'refused')) {
    await confirm(
      plan.filter(({ how }) => how !== 'refused'),
      nameOf,
    );
    // what was hanging when it was asked about may have ended since, and a task may have begun the next one
    const agreed = new Set(plan.map(({ row }) => transactionOf(row)));
    plan = (await planned()).filter(({ row }) => agreed.has(transactionOf(row)));
  }
  const refused = plan.filter(({ how }) => how === 'refused');
  const todo = plan.filter(({ how }) => how !== 'refused');
  for (const { row, why } of refused) print(`${nameOf(row)} left: ${why}`);
  for (const { row, how } of todo) {
    if (how === 'coordinator') await admin.abortTransaction(row.transactionalId!);
    else await admin.abortOnPartition(row.open!);
    print(`${nameOf(row)} aborted`);
  }
  print(`${todo.length} aborted, ${refused.length} left`);
  if (refused.length > 0) process.exitCode = 1;
}

/** Tells one transaction from the next under the same id. */
const transactionOf = ({ transactionalId, producerId, epoch, startedAt, open }: TransactionRow): string =>
  [transactionalId, producerId, epoch, startedAt, open?.topic, open?.partition, open?.from].join(' ');

async function confirm(todo: readonly Abort[], nameOf: (row: TransactionRow) => string): Promise<void> {
  if (process.stdin.isTTY !== true) throw new UsageError('there is no terminal to ask on: --yes says yes');
  for (const { row, why } of todo) process.stderr.write(`${nameOf(row)}: ${why}\n`);
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await lines.question(`abort ${todo.length}? [y/N] `);
    if (!/^y(es)?$/i.test(answer.trim())) throw new SeralError('NOT_CONFIRMED', 'nothing was aborted');
  } finally {
    lines.close();
  }
}
