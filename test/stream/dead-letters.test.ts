import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TaskError } from '../../src/errors.ts';
import { DeadLetterRate } from '../../src/stream/dead-letters.ts';
import { Bench, eventually } from './bench.ts';
import { counting } from './counting.ts';

describe('bad records', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await Bench.open();
  });
  afterEach(() => bench.close());

  const letters = async () =>
    (await bench.records('counting.dlq')).map(({ key, value, headers }) => ({
      key: key && String(key),
      value: value && String(value),
      headers: Object.fromEntries(Object.entries(headers!).map(([name, bytes]) => [name, String(bytes)])),
    }));
  const counted = async () => (await bench.read('counted')).map(([key, n]) => `${key} ${n}`);

  it('go to the dead-letter topic with where they came from, and the task goes on', async () => {
    const topology = counting();
    await bench.topics(topology);
    const producer = bench.log.producer();
    await producer.open();
    const raw = (key: Buffer | null, value: Buffer | null) => ({ topic: 'clicks', partition: 0, key, value });
    const good = Buffer.from('{"at":1}');
    await producer.send([
      raw(Buffer.from('a'), Buffer.from('{"at":')),
      raw(Buffer.from('b'), good),
      raw(Buffer.from('c'), Buffer.from('{"at":-5}')),
      raw(null, good),
      raw(Buffer.from([0xff, 0xfe]), good),
      raw(Buffer.from('d'), null),
      raw(Buffer.from('e'), Buffer.from('{"at":"x"}')),
      raw(Buffer.from('b'), good),
    ]);
    await producer.close();
    await bench.started(topology);
    await eventually(async () => expect(await counted()).toEqual(['b 1', 'b 2']));
    const found = await letters();
    expect(found.map(({ headers }) => [headers['seral.offset'], headers['seral.code']])).toEqual([
      ['0', 'MALFORMED'],
      ['2', 'NEGATIVE_TIME'],
      ['3', 'NULL_KEY'],
      ['4', 'INVALID_UTF8'],
      ['5', 'NULL_VALUE'],
      ['6', 'INVALID_TIME'],
    ]);
    expect(found[1]).toMatchObject({
      key: 'c',
      value: '{"at":-5}',
      headers: { 'seral.topic': 'clicks', 'seral.partition': '0', 'seral.error': 'before 1970' },
    });
    expect(await bench.metric('dead_letters_total', { code: 'MALFORMED' })).toBe(1);
  });

  it('leave no trace in state, timers or output when they break a processor half-way', async () => {
    const topology = counting();
    await bench.topics(topology);
    await bench.write('clicks', [
      { key: 'a', value: { at: 1 } },
      { key: 'a', value: { at: 2, do: 'throw' } },
      { key: 'b', value: { at: 3, do: 'throw' } },
      { key: 'a', value: { at: 4 } },
    ]);
    const worker = await bench.started(topology);
    await eventually(async () => expect(await counted()).toEqual(['a 1', 'a 2']));
    expect((await letters()).map(({ key, headers }) => [key, headers['seral.code']])).toEqual([
      ['a', 'REFUSED'],
      ['b', 'REFUSED'],
    ]);
    expect((await bench.records('test-counting-counts-changelog')).map(({ key }) => String(key))).toEqual(['a']);
    // each was met once, and neither counted among the clicks
    expect(worker.status().tasks[0]!.rebuilds).toBe(2);
    expect(await bench.metric('clicks_total')).toBe(2);
  });

  it('that are timers are stepped over too', async () => {
    const topology = counting();
    await bench.topics(topology);
    await bench.write('clicks', [
      { key: 'a', value: { at: 1, do: 'throw-in-timer' } },
      { key: 'b', value: { at: 1, do: 'timer' } },
      { key: 'c', value: { at: 5000 } },
    ]);
    const worker = await bench.started(topology);
    await eventually(async () => expect(await counted()).toEqual(['a 1', 'b 1', 'c 1', 'b timer at 1']));
    const [letter] = await letters();
    expect(letter!.headers).toMatchObject({ 'seral.code': 'PROCESSOR_FAILED', 'seral.timer': 'throw-in-timer' });
    expect(JSON.parse(letter!.value!)).toMatchObject({ processor: 'count', key: 'a', due: 1001, clock: 'event' });
    await bench.write('clicks', [{ key: 'c', value: { at: 6000 } }]);
    await eventually(async () => expect(await counted()).toHaveLength(5));
    expect(worker.status().tasks[0]!.rebuilds).toBe(1);
  });

  it('are cut where they are too large for the log, and say how large they were', async () => {
    const topology = counting();
    await bench.topics(topology);
    await bench.write('clicks', [
      { key: 'a', value: Buffer.alloc(5000, 'x') },
      { key: 'k'.repeat(800), value: Buffer.alloc(600, 'x') },
      { key: 'k'.repeat(800), value: Buffer.from('x') },
    ]);
    await bench.started(topology, { maxOutputBytes: 1000 });
    await eventually(async () => expect(await letters()).toHaveLength(3));
    // key and value together are what must fit
    expect(
      (await letters()).map(({ key, value, headers }) => [key!.length, value!.length, headers['seral.truncated']]),
    ).toEqual([
      [1, 899, '5000'],
      [450, 450, '600'],
      [450, 1, '1'],
    ]);
  });

  it('stop the task when they are too many, before the topic is drained', async () => {
    const topology = counting();
    await bench.topics(topology);
    const worker = await bench.started(topology, { deadLetterWindow: 100, deadLetterShare: 0.5, maxBatchRecords: 50 });
    await bench.write(
      'clicks',
      Array.from({ length: 90 }, (_, i) => ({ key: `u${i}`, value: { at: i } })),
    );
    await eventually(async () => expect(await counted()).toHaveLength(90));
    await bench.write(
      'clicks',
      Array.from({ length: 2000 }, () => ({ key: 'bad', value: Buffer.from('?') })),
    );
    await eventually(() => expect(bench.fatal).toHaveLength(1));
    expect(bench.fatal.splice(0)[0]).toMatchObject({ code: 'DEAD_LETTER_RATE' } satisfies Partial<TaskError>);
    expect(worker.live()).toBe(false);
    expect(worker.status()).toMatchObject({ ready: false, tasks: [{ state: 'failed' }] });
    await sleep(50);
    expect((await letters()).length).toBeLessThan(200);
  });

  it('are judged by their share among the last records', () => {
    const rate = new DeadLetterRate(0.5, 100);
    expect(rate.over(99, 99)).toBe(false);
    expect(rate.over(100, 51)).toBe(true);
    expect(rate.over(100, 50)).toBe(false);
    rate.add(10_000, 0);
    expect(rate.over(100, 100)).toBe(false);
    for (let i = 0; i < 20; i++) rate.add(10_000, 10_000);
    expect(rate.over(1, 1)).toBe(true);
  });
});
