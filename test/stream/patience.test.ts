import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RegistryError } from '../../src/errors.ts';
import { AvroSerde, WriterSchemas } from '../../src/log/avro.ts';
import type { Serde, Serdes } from '../../src/log/serde.ts';
import { Bench, eventually, jsonSerde, jsonSerdes } from './bench.ts';
import { counting } from './counting.ts';

describe('workers whose schema registry does not answer', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await Bench.open();
  });
  afterEach(() => bench.close());

  const expectExact = (clicks: number) =>
    eventually(async () =>
      expect((await bench.read('counted')).map(([, n]) => n as number)).toEqual(
        Array.from({ length: clicks }, (_, i) => i + 1),
      ),
    );
  const down = () => Promise.reject(new RegistryError('REGISTRY_UNAVAILABLE', 'down', { retriable: true }));

  it('wait for it without a rebuild while they run', async () => {
    const topology = counting();
    await bench.topics(topology);
    let failures = 5;
    const serde = {
      ...jsonSerde<any>(),
      prepare: () => (failures-- > 0 ? down() : undefined),
    };
    const serdes = { serde: () => Promise.resolve(serde), close: () => Promise.resolve() };
    const worker = await bench.started(topology, {}, { serdes });
    await bench.write('clicks', [{ key: 'a', value: { at: 1 } }]);
    await expectExact(1);
    expect(failures).toBeLessThan(0);
    expect(worker.status().tasks[0]!.rebuilds).toBe(0);
    expect(bench.saidThat('registry')).toHaveLength(5);
  });

  it('wait for it when they start', async () => {
    const topology = counting();
    await bench.topics(topology);
    let attempts = 0;
    const serdes: Serdes = { ...jsonSerdes, serde: (...of) => (++attempts < 4 ? down() : jsonSerdes.serde(...of)) };
    await bench.started(topology, {}, { serdes });
    await bench.write('clicks', [{ key: 'a', value: { at: 1 } }]);
    await expectExact(1);
    expect(bench.saidThat('registry')).toHaveLength(3);
  });

  it('start with an error once they have waited long enough', async () => {
    const topology = counting();
    await bench.topics(topology);
    const worker = bench.worker(topology, { registryPatienceMs: 50 }, { serdes: { ...jsonSerdes, serde: down } });
    await expect(worker.start()).rejects.toMatchObject({ code: 'REGISTRY_UNAVAILABLE' });
    await bench.stop(worker);
  });

  it('end at once when they are told to, at the start as later, with all that was processed committed', async () => {
    const topology = counting();
    await bench.topics(topology);
    const slow = { rebuildBackoffMs: 60_000, rebuildBackoffMaxMs: 60_000, revokeDeadlineMs: 120_000 };
    const waiting = bench.worker(topology, slow, { serdes: { ...jsonSerdes, serde: down } });
    const starting = waiting.start();
    await eventually(() => expect(bench.saidThat('registry')).toHaveLength(1));
    await bench.stop(waiting);
    await starting;

    let up = true;
    let asked = 0;
    const serde = { ...jsonSerde<any>(), prepare: () => (up ? void asked++ : down()) };
    const serdes: Serdes = { ...jsonSerdes, serde: () => Promise.resolve(serde) };
    const worker = await bench.started(topology, { ...slow, commitIntervalMs: 10_000 }, { serdes });
    await bench.write('clicks', [{ key: 'a', value: { at: 1 } }]);
    await eventually(() => expect([asked, worker.status().tasks[0]!.lag]).toEqual([1, 0]));
    up = false;
    await bench.write('clicks', [{ key: 'a', value: { at: 2 } }]);
    await eventually(() => expect(bench.saidThat('registry')).toHaveLength(2));
    await bench.stop(worker);
    expect(bench.saidThat('cut off')).toEqual([]);
    await expectExact(1);
  });

  it('send what cannot be read without it to the dead letters once they have waited long enough', async () => {
    const topology = counting();
    await bench.topics(topology);
    let answers = false;
    // the real serdes' ids, with values of our own behind them
    const writers = new WriterSchemas(() => (answers ? Promise.resolve('"string"') : down()));
    const avro = new AvroSerde<string>('"string"', 1, 'clicks-value', writers);
    const serdes: Serdes = {
      ...jsonSerdes,
      serde: <T>(topic: string, schema: string) =>
        topic === 'clicks'
          ? Promise.resolve({
              decode: (bytes: Buffer | null) => JSON.parse(avro.decode(bytes)) as T,
              encode: () => Buffer.alloc(0),
              prepare: (values: (Buffer | null)[]) => avro.prepare(values),
              giveUp: () => avro.giveUp(),
            } as unknown as Serde<T>)
          : jsonSerdes.serde<T>(topic, schema),
    };
    const worker = await bench.started(topology, { registryPatienceMs: 100 }, { serdes });
    const record = (id: number, at: number) => {
      const bytes = avro.encode(JSON.stringify({ at }));
      bytes.writeInt32BE(id, 1);
      return { key: 'a', value: bytes };
    };
    await bench.write('clicks', [record(1, 1), record(2, 2), record(1, 3)]);
    await expectExact(2);
    expect(await bench.metric('dead_letters_total', { code: 'SCHEMA_UNAVAILABLE' })).toBe(1);
    // of another writer: nobody waits a second time
    await bench.write('clicks', [record(3, 4), record(1, 5)]);
    await expectExact(3);
    expect(bench.saidThat('waited for long enough')).toHaveLength(1);
    answers = true;
    await bench.write('clicks', [record(4, 6)]);
    await expectExact(4);
    expect(worker.status().tasks[0]!.rebuilds).toBe(0);
  });
});
