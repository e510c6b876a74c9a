/** The real baskets that come with the project, as tests want them. */
import { join } from 'node:path';
import { encodeKey } from '../../src/log/keys.ts';
import { partitionOf } from '../../src/log/murmur2.ts';
import { readLines } from '../../src/log/ndjson.ts';
import { eventFromJson, type BehaviorEvent } from '../../src/shop/behaviour.ts';
import type { CatalogItem } from '../../src/shop/catalog.ts';
import type { CatalogEntry, RawEvent } from '../oracle/oracle.ts';
import { randomFrom } from '../oracle/random-logs.ts';

const folder = join(import.meta.dirname, '../../data/completejourney');

async function all<T>(file: string, most = Infinity): Promise<T[]> {
  const found: T[] = [];
  for await (const lines of readLines(join(folder, file))) {
    for (const { value } of lines) if (found.length < most) found.push(value as T);
    if (found.length >= most) break;
  }
  return found;
}

export interface Sample {
  /** in the order of time */
  events: RawEvent[];
  /** of the items that occur in them */
  catalog: CatalogItem[];
}

/** The first events; some items have lost what the catalog knows of them. */
export async function sample(count: number, seed: number): Promise<Sample> {
  const events = await all<RawEvent>('events.ndjson.gz', count);
  const seen = new Set(events.flatMap(({ items }) => (items ?? []).map(({ item_id }) => item_id)));
  const catalog = (await all<CatalogItem>('catalog.ndjson.gz')).filter(({ item_id }) => seen.has(item_id));
  const random = randomFrom(seed);
  for (const { items } of events) {
    for (const item of items ?? []) {
      if (random() < 0.3) item.category_id = null;
      if (random() < 0.3) delete item.brand_id;
    }
  }
  return { events, catalog };
}

export const entriesOf = (catalog: readonly CatalogItem[]): Map<string, CatalogEntry> =>
  new Map(catalog.map((item) => [item.item_id, item]));

/** Visits that come last, one in each partition: nobody's click waits for its exposure any longer. */
export function closing(events: readonly RawEvent[], partitions: number, graceMs: number, name = 'last'): RawEvent[] {
  const time = events.reduce((newest, { event_time }) => Math.max(newest, event_time), 0) + 2 * graceMs;
  const visits: RawEvent[] = [];
  for (let partition = 0; partition < partitions; partition++) {
    let n = 0;
    while (partitionOf(encodeKey(`${name}-${n}`), partitions) !== partition) n++;
    visits.push({ event_id: `${name}-${n}`, event_type: 'visit', event_time: time, user_id: `${name}-${n}` });
  }
  return visits;
}

/** With the defaults filled in, as a producer sends it. */
export const eventOf = (raw: RawEvent): BehaviorEvent => eventFromJson(structuredClone(raw));
