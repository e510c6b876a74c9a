import { Reader, Writer } from '../stream/bytes.ts';
import type { Codec, Processor, ProcessorContext, Store, StreamRecord, Want } from '../stream/topology.ts';

/** Serendipity metrics of a day and an arm (paper, Section 5.1.3). Counts; S-PVR is s_exposures / exposures, and so on. */
export interface MetricsDay {
  day: string;
  arm: string | null;
  exposures: number;
  s_exposures: number;
  clicks: number;
  s_clicks: number;
  purchases: number;
  s_purchases: number;
  /** users with any event */
  users: number;
  /** users with more than 200 valid exposures */
  uv3: number;
}

export const metricsKey = (day: string, arm: string | null): string => (arm === null ? day : `${day}|${arm}`);

export const FIELDS = [
  'exposures',
  's_exposures',
  'clicks',
  's_clicks',
  'purchases',
  's_purchases',
  'users',
  'uv3',
] as const;
export type Counts = Pick<MetricsDay, (typeof FIELDS)[number]>;

export const NOTHING: Counts = {
  exposures: 0,
  s_exposures: 0,
  clicks: 0,
  s_clicks: 0,
  purchases: 0,
  s_purchases: 0,
  users: 0,
  uv3: 0,
};

const writer = new Writer();

/** Rows of counts, the last revision seen first where there is one. */
export function countsCodec<T extends Counts>(fields: readonly (keyof T & string)[]): Codec<T> {
  return {
    encode(value) {
      writer.byte(1);
      for (const field of fields) writer.int(value[field] as number);
      return writer.take();
    },
    decode(bytes) {
      const reader = new Reader(bytes);
      reader.byte();
      return Object.fromEntries(fields.map((field) => [field, reader.int()])) as unknown as T;
    },
    size: () => 200,
  };
}

export const totalsCodec = countsCodec<Counts>(FIELDS);

/** Adds differences up, and says a day's row once a commit. */
export class Totals implements Processor<MetricsDay> {
  readonly #context: ProcessorContext;
  readonly #totals: Store<Counts>;
  #changed = new Map<string, MetricsDay>();

  constructor(context: ProcessorContext) {
    this.#context = context;
    this.#totals = context.store('totals');
  }

  keys({ key }: StreamRecord<MetricsDay>, want: Want): void {
    want('totals', key);
  }

  process({ key, value: delta }: StreamRecord<MetricsDay>): void {
    const total = { ...(this.#totals.get(key) ?? NOTHING) };
    for (const field of FIELDS) total[field] += delta[field];
    this.#totals.put(key, total);
    this.#changed.set(key, { day: delta.day, arm: delta.arm, ...total });
  }

  flush(): void {
    for (const [key, row] of this.#changed) this.#context.forward('daily', key, row);
    this.#changed = new Map();
  }
}
