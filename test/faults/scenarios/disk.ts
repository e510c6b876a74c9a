import { strict as assert } from 'node:assert';
import { closeSync, openSync, readdirSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { smallDisk, type SmallDisk } from '../../support/small-disk.ts';
import type { Job } from '../job.ts';
import type { Scenario } from '../scenario.ts';
import { Chain } from '../subject.ts';

const MB = 1 << 20;
const KEYS = 20_000;
const FOLDER = 'disk/state';
/** Half of what those keys come to, however they were batched: 1.9 MB and RocksDB's own files. */
const SMALL = MB;

/** Of every worker, by what it was asked to do. */
const said = (job: Job, code: string): number =>
  job.started.reduce((sum, worker) => sum + worker.lines().filter((line) => line.code === code).length, 0);
const untilSaid = (job: Job, code: string): Promise<void> => job.until(code, () => said(job, code) > 1);
const wipes = (job: Job): number => job.started.filter((worker) => worker.wiped).length;

async function full(job: Job, chain: Chain, disk: SmallDisk): Promise<void> {
  job.start(0, FOLDER);
  await job.feed(chain.next(KEYS));
  await untilSaid(job, 'STORE_DISK_FULL');
  await disk.resize(100 * MB);
  await job.settled();
  await job.stop(0);
}

async function readOnly(job: Job, chain: Chain, disk: SmallDisk): Promise<void> {
  await disk.readOnly(true);
  job.start(0, FOLDER);
  await job.feed(chain.next(1000));
  await untilSaid(job, 'STORE_READ_ONLY');
  await disk.readOnly(false);
  await job.settled();
  await job.stop(0);
}

/** A file of the state is not what was written: it is wiped, which is said as an error, and restored. */
async function corrupted(job: Job, chain: Chain, file: 'CURRENT' | '.sst'): Promise<void> {
  const before = wipes(job);
  const state = join(job.folder, FOLDER, job.names.folder(0));
  const files = readdirSync(state).filter((name) => name.endsWith(file));
  assert.ok(files.length > 0, `${file} is not among ${readdirSync(state).join()}`);
  for (const path of files.map((name) => join(state, name))) {
    if (file === 'CURRENT') writeFileSync(path, Buffer.alloc(16));
    else {
      const opened = openSync(path, 'r+');
      const size = statSync(path).size;
      // every block of it
      for (let at = 0; at + 2000 < size; at += 2000) writeSync(opened, Buffer.alloc(16, 0xa5), 0, 16, at);
      closeSync(opened);
    }
  }
  job.mayWipe = true;
  job.start(0, FOLDER);
  await job.feed(chain.next(KEYS));
  await job.settled();
  assert.equal(wipes(job), before + 1, `wiped ${wipes(job)} times`);
  await job.stop(0);
}

export const disk: Scenario = {
  name: 'disk',
  title: 'the disk of the state is full, is read-only at a start, has a broken table, a broken CURRENT',
  brokers: 1,
  faults: 4,
  round: (world, seed) =>
    world.with(
      (place) => new Chain(place, seed, { keys: KEYS }),
      {
        partitions: 1,
        commitIntervalMs: 200,
        writeBufferBytes: 256 * 1024,
        rebuildBackoffMs: 50,
        rebuildBackoffMaxMs: 500,
        rebuildBudget: 1000,
      },
      async (job, chain) => {
        let refused = '';
        const small = await smallDisk(join(job.folder, 'disk'), SMALL, (why) => (refused = why));
        try {
          if (small === null) {
            job.start(0, FOLDER);
            await job.feed(chain.next(KEYS));
            await job.settled();
            await job.stop(0);
          } else {
            await full(job, chain, small);
            await readOnly(job, chain, small);
          }
          assert.equal(wipes(job), 0);
          await corrupted(job, chain, '.sst');
          await corrupted(job, chain, 'CURRENT');
          job.start(0, FOLDER);
          await job.running();
          await job.feed(chain.next(1000));
          const { seen } = await job.finish();
          if (small !== null)
            return `${seen}; disk full ${said(job, 'STORE_DISK_FULL')} times said, ${wipes(job)} wiped`;
          const line = `NOT TRIED, a disk that is full or read-only: no tmpfs can be mounted here (${refused})`;
          console.error(`\n!!! ${line}\n`);
          return `${seen}; ${line}`;
        } finally {
          await Promise.all(job.alive.map((worker) => worker.kill()));
          await small?.remove();
        }
      },
    ),
};
