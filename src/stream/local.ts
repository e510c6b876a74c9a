/**
 * Runs a topology over bounded input in this process, without a log: the file replay. State lies in a temporary
 * RocksDB, so memory stays within the cache however many users the file has.
 */
import { mkdtemp } from 'node:fs/promises';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { compile } from './compile.ts';
import { LocalTask, type LocalDeadLetter, type LocalRecord } from './local-task.ts';
import { StateDb } from './state-db.ts';
import { finish } from './steps.ts';
import type { Topology } from './topology.ts';

export interface LocalRunOptions {
  /** batches in order; one source after the other or mixed, as the caller has put them */
  inputs: AsyncIterable<readonly LocalRecord[]>;
  /** rows of global tables, projected */
  tables?: Record<string, Map<string, any>>;
  onOutput: (sink: string, key: string, value: any, time: number) => void;
  onDeadLetter: (letter: LocalDeadLetter) => void;
  /** an existing folder or one to be made; the run's own folder in it is removed at the end */
  stateDir: string;
  cacheBytes: number;
  now: () => number;
  /** records between two commits: what is retained to be run again if one breaks the topology */
  commitEveryRecords?: number;
}

export interface LocalRunStats {
  records: number;
  outputs: number;
  deadLetters: number;
  /** of the temporary state on disk */
  stateBytes: number;
  streamTime: number;
  /** what `context.count` added up to, by series */
  counts: Map<string, number>;
}

export async function runLocal(topology: Topology, options: LocalRunOptions): Promise<LocalRunStats> {
  const compiled = compile(topology);
  mkdirSync(options.stateDir, { recursive: true });
  const path = await mkdtemp(join(options.stateDir, `${topology.name}-`));
  const db = await StateDb.open(path, { writeBufferBytes: 16 * 1024 * 1024, lockRetries: 0, lockRetryMs: 0 });
  const stats = { records: 0, outputs: 0, deadLetters: 0 };
  try {
    const task = new LocalTask({
      topology: compiled,
      backend: db,
      cacheBytes: options.cacheBytes,
      tables: new Map(compiled.tables.map(({ name }) => [name, options.tables?.[name] ?? new Map()])),
      now: options.now,
      checkNow: () => Infinity,
      onOutput: (sink, key, value, time) => {
        stats.outputs++;
        options.onOutput(sink, key, value, time);
      },
      onDeadLetter: (letter) => {
        stats.deadLetters++;
        options.onDeadLetter(letter);
      },
    });
    await finish(task.open());
    const commitEvery = options.commitEveryRecords ?? 20_000;
    let uncommitted = 0;
    for await (const batch of options.inputs) {
      await finish(task.feed(batch));
      stats.records += batch.length;
      uncommitted += batch.length;
      // between commits nothing is evicted: a heavy batch ends the interval early
      if (uncommitted < commitEvery && task.state.bytes < options.cacheBytes * 1.5) continue;
      await finish(task.commit());
      uncommitted = 0;
    }
    await finish(task.end());
    return { ...stats, stateBytes: await db.size(), streamTime: task.streamTime, counts: task.counts };
  } finally {
    await db.close();
    await StateDb.wipe(path);
  }
}
