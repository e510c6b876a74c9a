/**
 * node bench/restore.ts [--users 1000000]: a job that has the state of so many users is killed with SIGKILL in the middle
 * of its work. How long until it is ready again with the disk it had, and how fast is the same state restored from
 * nothing? Every figure counts only when the job then processes what comes.
 */
import { join } from 'node:path';
import { progress } from '../src/cli/progress.ts';
import { table } from '../src/cli/table.ts';
import type { RuntimeOptions } from '../src/stream/options.ts';
import { APP, createTopics, Job, progressOf, restoredIn, setting, touch, type Line } from './large-state.ts';

const { users, bytes, partitions, root, brokers, log, idle, end } = await setting('restore');

const job = (folder: string): Job => {
  const runtime: RuntimeOptions = {
    app: APP,
    stateDir: join(root, folder),
    sessionTimeoutMs: 6_000,
    restoreLogMs: 1_000,
    commitIntervalMs: 1_000,
  };
  return new Job(root, { brokers, bytes, runtime });
};
/** From its last assignment to the last of its tasks running. */
async function measured(running: Job): Promise<{ seconds: number; cpuSeconds: number; restored: number }> {
  const since = await running.until('all running', () => running.runningSince());
  const assigned = running.assigned!;
  const found = {
    seconds: (since.at - assigned.at) / 1000,
    cpuSeconds: since.cpu - assigned.cpu,
    restored: restoredIn(running.lines()),
  };
  await running.until('all processed', idle);
  return found;
}

try {
  await createTopics(log, partitions);
  const bar = progress('loading', users, 'users');
  await touch(log, 0, users, (sent) => bar.update(sent));
  bar.stop(`${users} users`);
  const first = job('disk');
  process.stderr.write('the job makes its state ...\n');
  await first.until('all processed', idle);
  // killed with a transaction open
  const [before] = await progressOf(log);
  const more = touch(log, 0, Math.min(users, 200_000));
  await first.until('a commit', async () => (await progressOf(log))[0]!.committed > before!.committed || undefined);
  await first.kill();
  await more;

  process.stderr.write('restarted on the disk it had ...\n');
  const again = job('disk');
  const warm = await measured(again);
  await again.kill();

  process.stderr.write('started on an empty disk ...\n');
  const empty = job('empty');
  const shown = new Set<string>();
  const say = ({ partition, percent, recordsPerSecond, secondsLeft }: Line): void => {
    const line = `  partition ${partition}: ${percent}%, ${recordsPerSecond} records/s, ${secondsLeft ?? '?'} s left\n`;
    if (!shown.has(line)) process.stderr.write(line);
    shown.add(line);
  };
  const showing = setInterval(
    () =>
      empty
        .lines()
        .filter(({ msg }) => msg === 'restoring')
        .forEach(say),
    1_000,
  );
  const cold = await measured(empty).finally(() => clearInterval(showing));
  await empty.kill();

  const figures = Object.entries({ 'restarted after kill -9': warm, 'on an empty disk': cold });
  process.stdout.write(
    table(
      [`${users} users of ${bytes} bytes`, 'ready after its assignment', 'restored', 'records/s', 'records/CPU s'],
      figures.map(([name, { seconds, cpuSeconds, restored }]) => [
        name,
        `${seconds.toFixed(1)} s`,
        ...[restored, restored / seconds, restored / cpuSeconds].map((n) => Math.round(n).toLocaleString('en-US')),
      ]),
    ),
  );
} finally {
  await end();
}
