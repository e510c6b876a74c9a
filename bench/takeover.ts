/**
 * node bench/takeover.ts [--users 1000000]: of two workers that share such a state one is killed with SIGKILL. How long
 * until the other commits its partitions' first new records: with a standby of them on its disk (runtime.standby: 1), and
 * with nothing? That it is dead is known when its session is over; what the takeover itself takes begins then.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { progress } from '../src/cli/progress.ts';
import { table } from '../src/cli/table.ts';
import { APP, createTopics, Job, progressOf, restoredIn, setting, touch } from './large-state.ts';

const { users, bytes, partitions: all, root, brokers, log, idle, end } = await setting('takeover');

const job = (folder: string, standbys: number): Job =>
  new Job(root, {
    brokers,
    bytes,
    runtime: { app: APP, stateDir: join(root, folder), sessionTimeoutMs: 6_000, restoreLogMs: 1_000, standbys },
  });

/** It has half of the partitions, and so many standbys of each of the others. */
const half = (worker: Job, standbys: number): Promise<unknown> =>
  worker.until('half of the partitions', () => {
    const { partitions = [], standbys: kept = [] } = worker.assigned ?? {};
    const shared = partitions.length === all / 2 && kept.length === (standbys * all) / 2;
    return (shared && worker.runningSince()) || undefined;
  });

interface Takeover {
  /** from the kill to the new assignment, and from there to the last first commit */
  noticed: number;
  seconds: number;
  restored: number;
}

/** Kills `victim`, whose partitions come to `heir`. */
async function takeover(victim: Job, heir: Job): Promise<Takeover> {
  const partitions = victim.assigned!.partitions!;
  const saidBefore = heir.lines().length;
  const killed = Date.now();
  await victim.kill();
  // from here on the old owner commits nothing
  const before = new Map((await progressOf(log)).map(({ partition, committed }) => [partition, committed]));
  let going = true;
  const feeding = (async () => {
    for (let from = 0; going; from += 200) {
      await touch(log, from % users, 200);
      await sleep(50);
    }
  })();
  const committed = await heir.until('the first commits', async () => {
    const now = await progressOf(log);
    const mine = now.filter(({ partition }) => partitions.includes(partition));
    return mine.every((one) => one.committed > before.get(one.partition)!) ? Date.now() : undefined;
  });
  going = false;
  await feeding;
  const lines = heir.lines().slice(saidBefore);
  const assigned = lines.find(
    (line) => line.msg === 'assigned' && partitions.every((p) => line.partitions!.includes(p)),
  )!;
  return {
    noticed: (assigned.at - killed) / 1000,
    seconds: (committed - assigned.at) / 1000,
    restored: restoredIn(lines),
  };
}

try {
  await createTopics(log, all);
  const bar = progress('loading', users, 'users');
  await touch(log, 0, users, (sent) => bar.update(sent));
  bar.stop(`${users} users`);
  process.stderr.write(
    'one worker makes the state, another comes, and each keeps a standby of what the other has ...\n',
  );
  const first = job('first', 1);
  await first.until('all processed', idle);
  const second = job('second', 1);
  await half(second, 1);
  // a standby that is behind says so each second
  await second.until('warm standbys', () => {
    const last = second.lines().findLast(({ msg }) => msg === 'a standby catches up');
    return last === undefined || Date.now() - last.at > 5_000 || undefined;
  });
  process.stderr.write('one is killed ...\n');
  const warm = await takeover(first, second);
  await second.until('all processed', idle);
  await second.kill();

  process.stderr.write('again, without standbys ...\n');
  const third = job('first', 0);
  await third.until('all running', () => third.runningSince());
  const fourth = job('empty', 0);
  await half(fourth, 0);
  process.stderr.write('one is killed ...\n');
  const cold = await takeover(third, fourth);
  await fourth.until('all processed', idle);
  await fourth.kill();

  process.stdout.write(
    table(
      [`${users} users of ${bytes} bytes`, 'until the session was over', 'then until the first commit', 'restored'],
      Object.entries({ 'with a standby': warm, 'from nothing': cold }).map(([name, { noticed, seconds, restored }]) => [
        name,
        `${noticed.toFixed(1)} s`,
        `${seconds.toFixed(1)} s`,
        restored.toLocaleString('en-US'),
      ]),
    ),
  );
} finally {
  await end();
}
