import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Bench, eventually } from './bench.ts';
import { counting } from './counting.ts';

describe('a worker', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await Bench.open();
  });
  afterEach(() => bench.close());

  it('processes what is there and what comes', async () => {
    const topology = counting();
    await bench.topics(topology);
    await bench.write('clicks', [
      { key: 'a', value: { at: 1 } },
      { key: 'b', value: { at: 2 } },
    ]);
    const worker = await bench.started(topology);
    await eventually(async () =>
      expect(await bench.read('counted')).toEqual([
        ['a', 1],
        ['b', 1],
      ]),
    );
    await bench.write('clicks', [{ key: 'a', value: { at: 3 } }]);
    await eventually(async () => expect(await bench.read('counted')).toHaveLength(3));
    expect(worker.ready()).toBe(true);
    expect(worker.status().tasks).toMatchObject([{ partition: 0, state: 'running', lag: 0, rebuilds: 0 }]);
    expect(await bench.metric('records_total')).toBe(3);
    expect(await bench.metric('clicks_total', { kind: 'plain' })).toBe(3);
  });

  it('goes on where it was after a stop, with its state', async () => {
    const topology = counting();
    await bench.topics(topology);
    for (let i = 1; i <= 3; i++) {
      await bench.write('clicks', [{ key: 'a', value: { at: i } }]);
      const worker = await bench.started(topology);
      await eventually(async () => expect(await bench.read('counted')).toHaveLength(i));
      await bench.stop(worker);
    }
    expect((await bench.read('counted')).map(([, n]) => n)).toEqual([1, 2, 3]);
    expect(await bench.metric('restored_records_total')).toBe(0);
  });
});
