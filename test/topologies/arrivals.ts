import type { CatalogItem } from '../../src/shop/catalog.ts';
import { LABELS_DEFAULTS } from '../../topologies/labels.ts';
import { oracle, type Label, type MetricsRow, type RawEvent } from '../oracle/oracle.ts';
import { shuffleWithinGrace } from '../oracle/random-logs.ts';
import { closing, entriesOf, sample } from '../support/sample.ts';

const { grace } = LABELS_DEFAULTS;

export interface Arrivals {
  arrivals: RawEvent[];
  catalog: CatalogItem[];
  expected: { labels: Label[]; metrics: MetricsRow[] };
}

/** The first events of the sample out of order and some of them twice, and what the oracle says of them. */
export async function arrivalsOf(count: number, seed: number, partitions: number): Promise<Arrivals> {
  const { events, catalog } = await sample(count, seed);
  const last = closing(events, partitions, grace);
  const arrivals = [...shuffleWithinGrace(events, grace, seed, { repeats: 0.1 }), ...last];
  return { arrivals, catalog, expected: oracle([...events, ...last], { catalog: entriesOf(catalog) }) };
}
