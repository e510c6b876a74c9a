import { BadRecordError } from '../../src/errors.ts';
import { Topology, type Processor, type ProcessorContext } from '../../src/stream/topology.ts';
import { jsonCodec } from './json-codec.ts';

export interface Click {
  at: number;
  do?: 'throw' | 'throw-in-timer' | 'pad' | 'timer' | 'wall';
  pad?: number;
}

interface Count {
  n: number;
  pad?: string;
}

interface CountingOptions {
  ttlMs?: number;
  name?: string;
  /** of its topics, where a log is shared with other tests */
  prefix?: string;
}

/**
 * Counts clicks of a key: `counted` gets each new count. What a click asks for (`do`) makes it break, grow its state or
 * set a timer, which says the count of then.
 */
export const counting = ({ name = 'counting', prefix = '', ...options }: CountingOptions = {}): Topology =>
  new Topology(name)
    .source<Click>({
      name: 'clicks',
      topic: `${prefix}clicks`,
      schema: 'Click',
      time: (click) => click.at,
      check: (click) => {
        if (click.at < 0) throw new BadRecordError('NEGATIVE_TIME', 'before 1970');
      },
    })
    .store<Count>({ name: 'counts', codec: jsonCodec<Count>(), ...options })
    .processor({
      name: 'count',
      from: ['clicks'],
      stores: ['counts'],
      create: (context: ProcessorContext): Processor<Click> => {
        const counts = context.store<Count>('counts');
        return {
          keys: (record, want) => want('counts', record.key),
          process: ({ key, value, time }) => {
            const count = counts.get(key) ?? { n: 0 };
            count.n++;
            if (value.do === 'pad') count.pad = 'x'.repeat(value.pad!);
            counts.put(key, count);
            context.count('clicks', 1, { kind: value.do ?? 'plain' });
            context.forward('counted', key, count.n);
            if (value.do === 'throw') throw new BadRecordError('REFUSED', 'half done');
            if (value.do === 'timer' || value.do === 'throw-in-timer') {
              context.timers.set({ kind: value.do, key, due: time + 1000, clock: 'event', atEnd: true });
            }
            if (value.do === 'wall') context.timers.set({ kind: 'wall', key, due: context.now() + 100, clock: 'wall' });
          },
          timerKeys: (timer, want) => want('counts', timer.key),
          timer: ({ key, kind }) => {
            context.forward('counted', key, `${kind} at ${counts.get(key)!.n}`);
            if (kind === 'throw-in-timer') throw new Error('a timer broke');
          },
        };
      },
    })
    .sink({ name: 'counted', from: ['count'], topic: `${prefix}counted`, schema: 'Counted' });
