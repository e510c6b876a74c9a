import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TopologyTestDriver } from '../../src/stream/driver.ts';
import { Topology, type Processor, type ProcessorContext } from '../../src/stream/topology.ts';
import { jsonCodec } from './json-codec.ts';

interface Move {
  at: number;
  to?: string;
}

/**
 * Each key points at another one (`to`), and a record without `to` follows the pointer: what it reads depends on state
 * that an earlier record of the same batch may have changed. A second stage keeps the last of what the first forwards
 * and of the records themselves.
 */
const chain = () =>
  new Topology('chain')
    .source<Move>({ name: 'moves', topic: 'moves', schema: 'Move', time: (move) => move.at })
    .store<{ to: string; hits: number }>({ name: 'nodes', codec: jsonCodec<{ to: string; hits: number }>(), ttlMs: 40 })
    .store<string>({ name: 'last', codec: jsonCodec<string>() })
    .processor({
      name: 'walk',
      from: ['moves'],
      stores: ['nodes'],
      create: (context: ProcessorContext): Processor<Move> => {
        const nodes = context.store<{ to: string; hits: number }>('nodes');
        return {
          keys: ({ key }, want) => {
            want('nodes', key);
            const node = nodes.peek(key);
            if (node !== undefined) want('nodes', node.to);
          },
          process: ({ key, value }) => {
            const node = nodes.get(key);
            if (value.to !== undefined) {
              nodes.put(key, { to: value.to, hits: node?.hits ?? 0 });
              return;
            }
            const target = node && nodes.get(node.to);
            if (target === undefined) context.forward('found', key, 'nothing');
            else {
              target.hits++;
              nodes.put(node!.to, target);
              context.forward('remember', node!.to, `${key}>${node!.to} ${target.hits}`);
            }
          },
        };
      },
    })
    .processor({
      name: 'remember',
      from: ['walk', 'moves'],
      stores: ['last'],
      create: (context: ProcessorContext): Processor<string | Move> => {
        const last = context.store<string>('last');
        return {
          keys: ({ key }, want) => want('last', key),
          process: ({ key, value }) => {
            const text = typeof value === 'string' ? value : `move ${value.at}`;
            context.forward('found', key, `${last.get(key) ?? '-'} | ${text} | ${context.streamTime()}`);
            last.put(key, text);
          },
        };
      },
    })
    .sink({ name: 'found', from: ['walk', 'remember'], topic: 'found', schema: 'Found' });

const letter = fc.constantFrom('a', 'b', 'c', 'd');
const move = fc.record({
  key: letter,
  value: fc.record({ at: fc.nat(100), to: fc.option(letter, { nil: undefined }) }),
});

describe('the engine', () => {
  it('gives the same whatever the cut of its input into batches', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(move, { maxLength: 8, size: 'max' }), { maxLength: 12, size: 'max' }),
        (batches) => {
          const whole = new TopologyTestDriver(chain());
          const single = new TopologyTestDriver(chain());
          for (const batch of batches) {
            whole.pipeAll(batch.map(({ key, value }) => ({ source: 'moves', key, value })));
            for (const { key, value } of batch) single.pipe('moves', key, value);
          }
          // one processor's outputs keep their order; stages may overtake each other within a batch
          const byStage = (driver: TopologyTestDriver) => {
            const outputs = driver.read<string>('found');
            return [outputs.filter((o) => o.value === 'nothing'), outputs.filter((o) => o.value !== 'nothing')];
          };
          expect(byStage(whole)).toEqual(byStage(single));
          expect(whole.store('nodes')).toEqual(single.store('nodes'));
          expect(whole.store('last')).toEqual(single.store('last'));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('names further keys from what the first ones hold, before it processes', () => {
    const driver = new TopologyTestDriver(chain());
    driver.pipe('moves', 'a', { at: 1, to: 'b' });
    driver.pipe('moves', 'b', { at: 2, to: 'c' });
    driver.read('found');
    driver.pipe('moves', 'a', { at: 3 });
    expect(driver.read('found').map((o) => o.value)).toEqual(['move 1 | move 3 | 3', 'move 2 | a>b 1 | 3']);
  });

  const one = (processor: (context: ProcessorContext) => Processor<any>) =>
    new Topology('one')
      .source<Move>({ name: 'in', topic: 'in', schema: 'X', time: (v) => v.at })
      .store<number>({ name: 's', codec: jsonCodec<number>() })
      .processor({ name: 'p', from: ['in'], stores: ['s'], create: processor })
      .sink({ name: 'out', from: ['p'], topic: 'out', schema: 'X', key: (value: string) => `key of ${value}` });

  it('gives up on a processor that names new keys for ever', () => {
    let n = 0;
    const driver = new TopologyTestDriver(one(() => ({ keys: (_, want) => want('s', `k${n++}`), process: () => {} })));
    // an empty store answers without a fetch
    driver.pipe('in', 'a', { at: 1 });
    expect(() => driver.pipe('in', 'a', { at: 2 })).toThrow(expect.objectContaining({ code: 'KEYS_ENDLESS' }));
  });

  it('refuses targets, stores and tables that the topology does not give a processor', () => {
    const use = (what: (context: ProcessorContext) => void) => () =>
      new TopologyTestDriver(one((context) => ({ process: () => what(context) }))).pipe('in', 'a', { at: 1 });
    expect(use((context) => context.forward('p', 'k', 1))).toThrow(expect.objectContaining({ code: 'NO_SUCH_TARGET' }));
    expect(use((context) => context.store('other'))).toThrow(expect.objectContaining({ code: 'STATE_NOT_DECLARED' }));
    expect(use((context) => context.table('t'))).toThrow(expect.objectContaining({ code: 'STATE_NOT_DECLARED' }));
  });

  it("calls flush once a commit, and takes a sink's own key", () => {
    let batch: string[] = [];
    const topology = one((context) => ({
      process: ({ key }) => void batch.push(key),
      flush: () => {
        if (batch.length > 0) context.forward('out', 'ignored', batch.join());
        batch = [];
      },
    }));
    const driver = new TopologyTestDriver(topology, { commitEach: false });
    driver.pipe('in', 'a', { at: 1 });
    driver.pipe('in', 'b', { at: 2 });
    expect(driver.read('out')).toEqual([]);
    driver.commit();
    expect(driver.read('out')).toEqual([{ key: 'key of a,b', value: 'a,b', time: 2 }]);
  });

  it('shows a value that was changed in place and not put', () => {
    const topology = new Topology('forgets')
      .source<Move>({ name: 'in', topic: 'in', schema: 'X', time: (v) => v.at })
      .store<{ n: number }>({ name: 's', codec: jsonCodec<{ n: number }>() })
      .processor({
        name: 'p',
        from: ['in'],
        stores: ['s'],
        create: (context: ProcessorContext): Processor<Move> => {
          const store = context.store<{ n: number }>('s');
          return {
            keys: ({ key }, want) => want('s', key),
            process: ({ key }) => {
              const value = store.get(key);
              if (value === undefined) store.put(key, { n: 1 });
              else value.n++;
            },
          };
        },
      });
    const driver = new TopologyTestDriver(topology);
    for (let i = 0; i < 3; i++) driver.pipe('in', 'a', { at: i });
    expect(driver.store('s').get('a')).toEqual({ n: 1 });
  });
});
