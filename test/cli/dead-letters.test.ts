import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { placeOf, readDeadLetters, replayDeadLetters, type DeadLetter } from '../../src/cli/dead-letters.ts';
import { UsageError } from '../../src/errors.ts';
import { embeddedLog } from '../../src/log/embedded/index.ts';
import { partitionOf } from '../../src/log/murmur2.ts';
import type { Log, LogRecord, OutRecord } from '../../src/log/port.ts';
import { embeddedSerdes } from '../../src/log/registry/embedded.ts';
import { deadRecord, deadTimer } from '../../src/stream/dead-letters.ts';

const DLQ = 'labels.dlq';
const SOURCE = 'behavior.events';
let path: string;
let log: Log;

beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'seral-dead-letters-'));
  log = await embeddedLog({ path });
  const admin = log.admin();
  await admin.create([
    { topic: DLQ, partitions: 2 },
    { topic: SOURCE, partitions: 4 },
  ]);
  await admin.close();
});

afterEach(async () => {
  await log.close();
  await rm(path, { recursive: true });
});

async function write(records: OutRecord[]): Promise<void> {
  const producer = log.producer();
  await producer.open();
  await producer.send(records);
  await producer.close();
}

async function read(topic: string, partition: number): Promise<LogRecord[]> {
  const reader = log.reader();
  const all: LogRecord[] = [];
  for await (const { records } of reader.read({ topic, partition }, 0)) all.push(...records);
  await reader.close();
  return all;
}

/** As the runtime writes one. */
const dead = (offset: number, code: string, value = `bad ${offset}`, maxBytes = 1000): OutRecord => ({
  ...deadRecord(
    SOURCE,
    { offset, timestamp: 5, key: Buffer.from('u1'), value: Buffer.from(value) },
    { code, error: `because of ${code}` },
    { to: DLQ, partition: 3, now: 1000 + offset, maxBytes },
  ),
  partition: 1,
});

async function all(selection = {}): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = [];
  for await (const letter of readDeadLetters(log, DLQ, selection)) letters.push(letter);
  return letters;
}

describe('dead letters', () => {
  test('say where they came from and what was wrong', async () => {
    await write([dead(7, 'MALFORMED')]);
    expect(await all()).toEqual([
      {
        partition: 1,
        offset: 0,
        code: 'MALFORMED',
        error: 'because of MALFORMED',
        time: 1007,
        source: { topic: SOURCE, partition: 3, offset: 7 },
        timer: null,
        truncated: null,
        key: Buffer.from('u1'),
        value: Buffer.from('bad 7'),
      },
    ]);
  });

  test('are selected by code and by place', async () => {
    await write([dead(1, 'A'), dead(2, 'B'), dead(3, 'A'), dead(4, 'A')]);
    expect((await all({ code: 'A' })).map(placeOf)).toEqual(['1:0', '1:2', '1:3']);
    expect((await all({ places: ['1:3', '1:1'] })).map(placeOf)).toEqual(['1:1', '1:3']);
    expect((await all({ code: 'A', places: ['1:3', '1:1'] })).map(placeOf)).toEqual(['1:3']);
    expect(await all({ places: ['0:0', '1:99'] })).toEqual([]);
    await expect(all({ places: ['1-3'] })).rejects.toThrow(UsageError);
  });

  test('go back to their partition with the same key and value', async () => {
    await write([dead(1, 'A'), dead(2, 'B')]);
    const report = await replayDeadLetters(log, DLQ, { code: 'B' });
    expect(report.sent.map(({ letter, to }) => [placeOf(letter), to])).toEqual([['1:1', SOURCE]]);
    const back = await read(SOURCE, 3);
    expect(back.map(({ key, value }) => [key!.toString(), value!.toString()])).toEqual([['u1', 'bad 2']]);
  });

  test('go back once, unless asked again', async () => {
    await write([dead(1, 'A'), dead(2, 'A')]);
    await replayDeadLetters(log, DLQ, { places: ['1:0'] });
    const second = await replayDeadLetters(log, DLQ);
    expect(second.sent.map(({ letter }) => placeOf(letter))).toEqual(['1:1']);
    expect(second.skipped.map(({ letter, why }) => [placeOf(letter), why])).toEqual([
      ['1:0', 'it was replayed before'],
    ]);
    expect(await read(SOURCE, 3)).toHaveLength(2);
    await replayDeadLetters(log, DLQ, { again: true });
    expect(await read(SOURCE, 3)).toHaveLength(4);
  });

  test('stay where nothing could be sent: a timer, and a value that was cut', async () => {
    const timer = { kind: 'wait', key: 'u1', due: 9, clock: 'event' as const };
    const broken = deadTimer(
      { processor: 'label', timer } as Parameters<typeof deadTimer>[0],
      { code: 'PROCESSOR_FAILED', error: 'e' },
      { to: DLQ, partition: 1, now: 1, maxBytes: 1000 },
    );
    await write([{ ...broken, partition: 0 }, dead(1, 'A', 'x'.repeat(50), 10)]);
    const { sent, skipped } = await replayDeadLetters(log, DLQ);
    expect(sent).toEqual([]);
    expect(skipped.map(({ why }) => why)).toEqual(['it is a timer', 'its value was cut: it had 50 bytes']);
  });

  test('can be mended with a value given as JSON', async () => {
    await write([dead(1, 'MALFORMED'), dead(2, 'MALFORMED')]);
    const serdes = await embeddedSerdes();
    const schemaOf = (topic: string): string | undefined => (topic === SOURCE ? 'BehaviorEvent' : undefined);
    // fields with defaults may be left out
    const value = { event_id: 'e1', event_type: 'visit', event_time: 1, user_id: 'u1' };
    const mended = { value, schemaOf, serdes };
    await expect(replayDeadLetters(log, DLQ, { mended })).rejects.toThrow('2 are selected');
    await expect(
      replayDeadLetters(log, DLQ, { mended: { ...mended, value: { event_id: 3 } }, places: ['1:0'] }),
    ).rejects.toThrow('does not fit the schema BehaviorEvent');
    expect(await read(SOURCE, 3)).toEqual([]);

    await replayDeadLetters(log, DLQ, { mended, places: ['1:0'] });
    const [back] = await read(SOURCE, 3);
    const serde = await serdes.serde<Record<string, unknown>>(SOURCE, 'BehaviorEvent');
    expect(serde.decode(back!.value)).toMatchObject({ ...value, items: [], query: null });
    await serdes.close();
  });

  test('can be given another key, which picks the partition', async () => {
    await write([dead(1, 'KEY_MISMATCH')]);
    await replayDeadLetters(log, DLQ, { key: 'u2' });
    const partition = partitionOf(Buffer.from('u2'), 4);
    expect((await read(SOURCE, partition)).map(({ key }) => key!.toString())).toEqual(['u2']);
  });

  test('are none where the topic is not there', async () => {
    expect(await replayDeadLetters(log, 'other.dlq')).toEqual({ sent: [], skipped: [] });
  });
});
