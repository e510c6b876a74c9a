import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runLocal } from '../../src/stream/local.ts';
import type { LocalDeadLetter, LocalRecord } from '../../src/stream/local-task.ts';
import { counting, type Click } from './counting.ts';

describe('a local run', () => {
  let stateDir: string;
  beforeEach(() => {
    stateDir = mkdtempSync(join(tmpdir(), 'seral-local-'));
  });
  afterEach(() => {
    rmSync(stateDir, { recursive: true });
  });

  const run = async (records: { key: string; value: Click }[], more: object = {}) => {
    const outputs: string[] = [];
    const letters: LocalDeadLetter[] = [];
    async function* inputs(): AsyncGenerator<LocalRecord[]> {
      for (let i = 0; i < records.length; i += 100) {
        yield records.slice(i, i + 100).map(({ key, value }) => ({ source: 'clicks', key, value }));
      }
    }
    const stats = await runLocal(counting(), {
      inputs: inputs(),
      onOutput: (_sink, key, value) => outputs.push(`${key} ${value}`),
      onDeadLetter: (letter) => letters.push(letter),
      stateDir,
      cacheBytes: 1_000_000,
      now: () => 0,
      ...more,
    });
    return { outputs, letters, stats };
  };

  it('is exact though its state is larger than its cache', async () => {
    const users = 3000;
    const records = Array.from({ length: users * 4 }, (_, i) => ({ key: `user-${i % users}`, value: { at: i } }));
    const { outputs, stats } = await run(records, { cacheBytes: 100_000, commitEveryRecords: 500 });
    expect(outputs).toEqual(records.map(({ key }, i) => `${key} ${Math.floor(i / users) + 1}`));
    expect(stats).toMatchObject({ records: users * 4, outputs: users * 4, deadLetters: 0, streamTime: users * 4 - 1 });
    expect(stats.counts.get('clicks{"kind":"plain"}')).toBe(users * 4);
  });

  it('steps over what breaks the topology, fires the rest at the end, and leaves nothing behind', async () => {
    const { outputs, letters } = await run([
      { key: 'a', value: { at: 1 } },
      { key: 'a', value: { at: 2, do: 'throw' } },
      { key: 'a', value: { at: 3, do: 'timer' } },
      { key: 'b', value: { at: 4, do: 'throw' } },
      { key: 'c', value: { at: 5, do: 'throw-in-timer' } },
      { key: 'd', value: { at: -6 } },
    ]);
    expect(outputs).toEqual(['a 1', 'a 2', 'c 1', 'a timer at 2']);
    expect(letters.map(({ key, code }) => `${key} ${code}`)).toEqual([
      'd NEGATIVE_TIME',
      'a REFUSED',
      'b REFUSED',
      'c PROCESSOR_FAILED',
    ]);
    expect(readdirSync(stateDir)).toEqual([]);
  });

  it('removes its state when its input fails', async () => {
    const failing = (async function* (): AsyncGenerator<LocalRecord[]> {
      yield [{ source: 'clicks', key: 'a', value: { at: 1 } }];
      throw new Error('unreadable file');
    })();
    await expect(run([], { inputs: failing })).rejects.toThrow('unreadable file');
    expect(existsSync(stateDir)).toBe(true);
    expect(readdirSync(stateDir)).toEqual([]);
  });
});
