import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StoreError } from '../../src/errors.ts';
import { type EmbeddedLog, embeddedLog } from '../../src/log/embedded/index.ts';
import type { Log, LogRecord, TopicPartition } from '../../src/log/port.ts';
import { eventually, logContract, refusal } from './contract.ts';

const folder = () => mkdtemp(join(tmpdir(), 'seral-log-'));

logContract('the embedded log', async () => {
  const path = await folder();
  const log = await embeddedLog({ path });
  return {
    log,
    trim: (partition, before) => log.trim(partition, before),
    close: () => rm(path, { recursive: true, force: true }),
  };
});

async function readAll(log: Log, at: TopicPartition, from = 0): Promise<LogRecord[]> {
  const reader = log.reader();
  const records: LogRecord[] = [];
  for await (const batch of reader.read(at, from)) records.push(...batch.records);
  await reader.close();
  return records;
}

describe('the embedded log', () => {
  let path: string;
  let log: EmbeddedLog;
  let now = 0;

  beforeEach(async () => {
    path = await folder();
    now = 1_000_000;
    log = await embeddedLog({ path, now: () => now });
  });

  afterEach(async () => {
    await log.close();
    await rm(path, { recursive: true, force: true });
  });

  const reopen = async (): Promise<void> => {
    await log.close();
    log = await embeddedLog({ path, now: () => now });
  };

  const topic = async (config: Record<string, string> = {}, partitions = 1): Promise<TopicPartition> => {
    await log.admin().create([{ topic: 't', partitions, config }]);
    return { topic: 't', partition: 0 };
  };

  const write = async (...records: [string | null, string | null][]): Promise<void> => {
    const producer = log.producer();
    await producer.open();
    const bytes = (text: string | null) => (text === null ? null : Buffer.from(text));
    await producer.send(
      records.map(([key, value]) => ({ topic: 't', partition: 0, key: bytes(key), value: bytes(value) })),
    );
    await producer.close();
  };

  const shown = (records: LogRecord[]) =>
    records.map((r): [number, string | undefined, string | undefined] => [
      r.offset,
      r.key?.toString(),
      r.value?.toString(),
    ]);

  describe('keeps what was committed', () => {
    it('when it is closed and opened again: topics, records, positions, settings', async () => {
      const at = await topic({ 'retention.ms': '-1' }, 3);
      const producer = log.transactionalProducer({ transactionalId: 'x' });
      await producer.open();
      await producer.send([
        { ...at, key: Buffer.from('k'), value: Buffer.from('v'), headers: { h: Buffer.from('1') } },
      ]);
      await producer.commit({ group: 'g', positions: [{ topic: 'source', partition: 4, position: 42 }] });
      await producer.send([{ ...at, key: null, value: Buffer.from('open') }]);
      await reopen();
      expect(await log.admin().describe(['t'])).toEqual([
        { topic: 't', partitions: 3, replication: 1, config: { 'retention.ms': '-1' } },
      ]);
      expect(await readAll(log, at)).toEqual([
        { offset: 0, timestamp: now, key: Buffer.from('k'), value: Buffer.from('v'), headers: { h: Buffer.from('1') } },
      ]);
      expect(await log.admin().committed('g', [{ topic: 'source', partition: 4 }])).toEqual([42]);
    });

    it('gives a removed and remade topic none of its old records', async () => {
      const at = await topic();
      await write(['a', '1']);
      await log.admin().remove(['t']);
      await topic();
      expect(await readAll(log, at)).toEqual([]);
      await reopen();
      expect(await log.admin().offsets('t')).toEqual([{ partition: 0, start: 0, end: 0 }]);
    });

    it('and never gives an offset anew that somebody may have passed', async () => {
      const at = await topic();
      const producer = log.transactionalProducer({ transactionalId: 'x' });
      await producer.open();
      await producer.send([{ ...at, key: null, value: Buffer.from('dropped') }]);
      await producer.abort();
      const [before] = await log.admin().offsets('t');
      expect(before!.end).toBe(1);
      await reopen();
      expect((await log.admin().offsets('t'))[0]!.end).toBe(1);
    });

    it(
      'after kill -9, again and again: whole transactions, each once, none missing that was reported',
      { timeout: 60_000 },
      async () => {
        await log.close();
        let reported = -1;
        for (let round = 0; round < 4; round++) {
          const child = spawn(process.execPath, [join(import.meta.dirname, 'embedded-writer.ts'), path], {
            stdio: ['ignore', 'pipe', 'inherit'],
          });
          const enough = reported + 400;
          let rest = '';
          let killed = false;
          for await (const data of child.stdout) {
            const lines = (rest + String(data)).split('\n');
            rest = lines.pop()!;
            if (lines.length > 0) reported = Number(lines.at(-1));
            if (reported >= enough && !killed) killed = child.kill('SIGKILL');
          }
          log = await embeddedLog({ path });
          const [position] = await log.admin().committed('writer', [{ topic: 'source', partition: 0 }]);
          expect(position).toBeGreaterThan(reported);
          for (const partition of [0, 1]) {
            const records = await readAll(log, { topic: 'killed', partition });
            const values = records.filter((r) => r.key!.toString() !== 'same').map((r) => Number(r.value));
            expect(values).toEqual(Array.from({ length: position! }, (_, i) => i));
          }
          await log.close();
        }
      },
    );
  });

  it('keeps what is sent while a commit is under way for the next transaction', async () => {
    const at = await topic();
    const producer = log.transactionalProducer({ transactionalId: 'x' });
    await producer.open();
    const send = (value: string) => producer.send([{ ...at, key: null, value: Buffer.from(value) }]);
    await send('one');
    const [first] = await Promise.all([producer.commit(null), send('two')]);
    expect(first.written).toEqual([{ ...at, position: 1 }]);
    expect(shown(await readAll(log, at)).map(([, , value]) => value)).toEqual(['one']);
    await producer.commit(null);
    await send('three');
    // a close decides whatever is under way: both or neither, and nothing is held back by it
    const last = producer.commit(null).catch(() => null);
    await producer.close();
    const committed = await last;
    const values = shown(await readAll(log, at)).map(([, , value]) => value);
    expect(values).toEqual(committed === null ? ['one', 'two'] : ['one', 'two', 'three']);
    expect(await log.admin().offsets('t')).toEqual(await log.admin().offsets('t', 'uncommitted'));
  });

  describe('fencing', () => {
    it('outlives a restart: the epoch of a transactional id only rises', async () => {
      const at = await topic();
      for (let i = 0; i < 3; i++) {
        const older = log.transactionalProducer({ transactionalId: 'x' });
        const newer = log.transactionalProducer({ transactionalId: 'x' });
        await older.open();
        await newer.open();
        expect(await refusal(older.send([{ ...at, key: null, value: null }]))).toMatchObject({ fenced: true });
        await newer.send([{ ...at, key: null, value: Buffer.from(String(i)) }]);
        await newer.commit(null);
        await reopen();
      }
      expect(shown(await readAll(log, at)).map(([, , value]) => value)).toEqual(['0', '1', '2']);
    });

    it('refuses a commit that was called in the same turn as the newer open', async () => {
      const at = await topic();
      const older = log.transactionalProducer({ transactionalId: 'x' });
      await older.open();
      await older.send([{ ...at, key: null, value: Buffer.from('older') }]);
      const newer = log.transactionalProducer({ transactionalId: 'x' });
      const opened = newer.open();
      expect(await refusal(older.commit(null))).toMatchObject({ code: 'FENCED', fenced: true });
      await opened;
      expect(await readAll(log, at)).toEqual([]);
      expect((await log.admin().offsets('t', 'uncommitted'))[0]!.end).toBe((await log.admin().offsets('t'))[0]!.end);
    });
  });

  describe('one owner', () => {
    it('refuses a folder that is open already, in words', async () => {
      const error = await embeddedLog({ path }).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(StoreError);
      expect(error).toMatchObject({ code: 'STORE_LOCKED', fatal: true });
      expect((error as Error).message).toContain(path);
    });

    it('refuses it to another process too, which says so and ends', async () => {
      const child = spawn(process.execPath, [join(import.meta.dirname, 'embedded-writer.ts'), path], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let stderr = '';
      for await (const data of child.stderr) stderr += String(data);
      expect(stderr).toContain('STORE_LOCKED');
      expect(child.exitCode).not.toBe(0);
    });

    it('closes with everything still in use, and refuses what comes after', async () => {
      const at = await topic();
      const reader = log.reader();
      const following = (async () => {
        for await (const _ of reader.read(at, 0, Infinity));
      })();
      const refused = refusal(following);
      const consumer = log.groupConsumer({ group: 'g', topics: ['t'] });
      await consumer.run({
        assigned: ({ partitions }) => setImmediate(() => consumer.start(partitions[0]!, 0)),
        batch: () => new Promise(() => {}),
        crashed: () => expect.fail('crashed'),
      });
      const producer = log.transactionalProducer({ transactionalId: 'x' });
      await producer.open();
      await producer.send([{ ...at, key: null, value: null }]);
      await write(['a', '1']);
      await log.close();
      expect((await refused).code).toBe('LOG_CLOSED');
      expect((await refusal(producer.commit(null))).code).toBe('LOG_CLOSED');
      expect((await refusal(log.admin().topics())).code).toBe('LOG_CLOSED');
      await producer.close();
      await consumer.stop();
    });
  });

  describe('group consumers', () => {
    it('crash where their position is no longer kept or their topic is removed', async () => {
      const at = await topic();
      await write(['a', '1'], ['b', '2']);
      await log.trim(at, 1);
      const crashes: Error[] = [];
      const consumers = ['g', 'h'].map((group) => log.groupConsumer({ group, topics: ['t'] }));
      for (const consumer of consumers) {
        await consumer.run({ assigned: () => {}, batch: async () => {}, crashed: (error) => crashes.push(error) });
      }
      consumers[0]!.start(at, 0);
      await eventually(() => expect(crashes).toMatchObject([{ code: 'OFFSET_OUT_OF_RANGE' }]));
      consumers[1]!.start(at, 2);
      await log.admin().remove(['t']);
      await eventually(() => expect(crashes.slice(1)).toMatchObject([{ code: 'UNKNOWN_TOPIC' }]));
    });

    it('crash with the error of a handler that fails', async () => {
      const at = await topic();
      await write(['a', '1']);
      const crashes: Error[] = [];
      const consumer = log.groupConsumer({ group: 'g', topics: ['t'] });
      await consumer.run({
        assigned: () => {},
        batch: () => Promise.reject(new Error('broken')),
        crashed: (error) => crashes.push(error),
      });
      consumer.start(at, 0);
      await eventually(() => expect(crashes.map((e) => e.message)).toEqual(['broken']));
    });
  });

  describe('compaction', () => {
    it('keeps the newest record of each key where it stood, and records without a key', async () => {
      const at = await topic({ 'cleanup.policy': 'compact' });
      await write(['a', '1'], ['b', '1'], [null, 'x'], ['a', '2']);
      await write(['c', '1'], ['b', '2'], ['c', '2']);
      await log.compact();
      const kept = [
        [2, undefined, 'x'],
        [3, 'a', '2'],
        [5, 'b', '2'],
        [6, 'c', '2'],
      ];
      expect(shown(await readAll(log, at))).toEqual(kept);
      await reopen();
      expect(shown(await readAll(log, at))).toEqual(kept);
      expect(shown(await readAll(log, at, 4))).toEqual(kept.slice(2));
      expect(await log.admin().offsets('t')).toEqual([{ partition: 0, start: 0, end: 7 }]);
    });

    it('forgets a tombstone only after delete.retention.ms, and a reader passes the hole that is left', async () => {
      const at = await topic({ 'cleanup.policy': 'compact', 'delete.retention.ms': '1000' });
      await write(['a', '1'], ['b', '1']);
      await write(['a', null], ['b', null]);
      await log.compact('t');
      expect(shown(await readAll(log, at))).toEqual([
        [2, 'a', undefined],
        [3, 'b', undefined],
      ]);
      now += 1000;
      await log.compact('t');
      const batches = [];
      for await (const batch of log.reader().read(at, 1)) batches.push(batch);
      expect(batches).toEqual([{ ...at, records: [], position: 4, end: 4 }]);
    });

    it('does not touch a topic that is not compacted', async () => {
      const at = await topic();
      await write(['a', '1'], ['a', '2']);
      await log.compact();
      expect((await readAll(log, at)).length).toBe(2);
    });

    it('keeps headers, timestamps and bytes, and merges what many small commits left', async () => {
      const at = await topic({ 'cleanup.policy': 'compact' });
      const producer = log.producer();
      await producer.open();
      const wanted: LogRecord[] = [];
      for (let i = 0; i < 300; i++) {
        const record = {
          key: Buffer.from([i % 150, 255]),
          value: Buffer.from([0, i % 256]),
          timestamp: i * 3,
          ...(i % 2 ? { headers: { n: Buffer.from([i % 256]) } } : {}),
        };
        await producer.send([{ ...at, ...record }]);
        if (i >= 150) wanted.push({ offset: i, ...record });
      }
      await log.compact();
      expect(await readAll(log, at)).toEqual(wanted);
      expect(await log.admin().offsetsAt('t', 600)).toEqual([{ partition: 0, position: 200 }]);
    });

    it('equals a simple model, with passes and restarts at any time', { timeout: 60_000 }, async () => {
      const step = fc.oneof(
        {
          weight: 8,
          arbitrary: fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.boolean()), {
            minLength: 1,
            maxLength: 5,
          }),
        },
        { weight: 2, arbitrary: fc.constant('compact' as const) },
        { weight: 1, arbitrary: fc.constant('reopen' as const) },
        { weight: 1, arbitrary: fc.constant('abort' as const) },
      );
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
          const at = await topic({ 'cleanup.policy': 'compact', 'delete.retention.ms': '0' });
          const live = new Map<string, string>();
          let n = 0;
          for (const one of steps) {
            if (one === 'compact') await log.compact();
            else if (one === 'reopen') await reopen();
            else if (one === 'abort') {
              const producer = log.transactionalProducer({ transactionalId: 'x' });
              await producer.open();
              await producer.send([{ ...at, key: Buffer.from('a'), value: Buffer.from('aborted') }]);
              await producer.close();
            } else {
              await write(
                ...one.map(([key, gone]): [string, string | null] => {
                  const value = gone ? null : String(n++);
                  if (value === null) live.delete(key);
                  else live.set(key, value);
                  return [key, value];
                }),
              );
            }
            const table = new Map<string, string>();
            let last = -1;
            for (const [offset, key, value] of shown(await readAll(log, at))) {
              expect(offset).toBeGreaterThan(last);
              last = offset;
              if (value === undefined) table.delete(key!);
              else table.set(key!, value);
            }
            expect(table).toEqual(live);
          }
          await log.compact();
          expect((await readAll(log, at)).length).toBe(live.size);
          await log.admin().remove(['t']);
        }),
        { numRuns: 40 },
      );
    });
  });

  it('forgets by retention.ms counted from the writing, not from the time of the record', async () => {
    const at = await topic({ 'retention.ms': '1000' });
    await write(['a', '1']);
    now += 600;
    await write(['b', '1']);
    now += 600;
    await log.compact();
    expect(await log.admin().offsets('t')).toEqual([{ partition: 0, start: 1, end: 2 }]);
    expect(shown(await readAll(log, at, 1))).toEqual([[1, 'b', '1']]);
    expect((await refusal(readAll(log, at))).code).toBe('OFFSET_OUT_OF_RANGE');
    now += 600;
    await log.compact();
    await reopen();
    expect(await log.admin().offsets('t')).toEqual([{ partition: 0, start: 2, end: 2 }]);
  });
});
