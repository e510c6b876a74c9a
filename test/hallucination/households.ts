/**
 * Households of the sample: what they did in four weeks, and what is known to be true and false of them. True is a category
 * bought in those weeks and again in the 60 days that follow; false is a category or a maker that they never buy in the
 * year, and whose words nothing says together that they ever buy.
 */
import { join } from 'node:path';
import { meaningOf, wordsOf } from '../../src/inference/words.ts';
import { readLines } from '../../src/log/ndjson.ts';
import { eventFromJson, type BehaviorEvent, type BehaviorItem } from '../../src/shop/behaviour.ts';
import { catalogFromJson, type CatalogItem } from '../../src/shop/catalog.ts';

const DAY = 86_400_000;
export const BEGIN = Date.UTC(2017, 2, 1);
/** what is fed; the profiles are asked for after it */
export const END = BEGIN + 27 * DAY;
const AHEAD = END + 60 * DAY;
const TAG_LENGTH = 16;
const DATA = join(import.meta.dirname, '../../data/completejourney');

export interface Household {
  id: string;
  events: BehaviorEvent[];
  truths: string[];
  lies: string[];
}

async function* rows(file: string): AsyncGenerator<unknown> {
  for await (const lines of readLines(join(DATA, file))) for (const { value } of lines) yield value;
}

/** The first so many, by id, that have enough truths; and the catalog of what they touch in those weeks. */
export async function households(count: number, truths: number): Promise<{ all: Household[]; catalog: CatalogItem[] }> {
  const catalog = new Map<string, CatalogItem>();
  for await (const row of rows('catalog.ndjson.gz')) {
    const item = catalogFromJson(row);
    catalog.set(item.item_id, item);
  }
  const events = new Map<string, BehaviorEvent[]>();
  for await (const row of rows('events.ndjson.gz')) {
    const event = eventFromJson(row);
    const own = events.get(event.user_id) ?? [];
    own.push(event);
    events.set(event.user_id, own);
  }
  const all: Household[] = [];
  for (const id of [...events.keys()].sort()) {
    const own = events.get(id)!;
    const labels = truthsOf(own, catalog);
    if (labels.length < truths || all.length === count) continue;
    const fed = own.filter(({ event_time }) => event_time >= BEGIN && event_time < END);
    const seed = all.length;
    all.push({ id, events: fed, truths: labels.slice(0, truths), lies: liesOf(own, catalog, truths, seed) });
  }
  const touched = new Set(all.flatMap(({ events: fed }) => fed.flatMap((event) => itemsOf(event).map(idOf))));
  return { all, catalog: [...catalog.values()].filter((item) => touched.has(item.item_id)) };
}

const itemsOf = (event: BehaviorEvent): BehaviorItem[] => event.items as BehaviorItem[];
const idOf = ({ item_id }: BehaviorItem): string => item_id;

function bought(own: BehaviorEvent[], from: number, until: number, catalog: Map<string, CatalogItem>): CatalogItem[] {
  const ids = own
    .filter(({ event_type, event_time }) => event_type === 'purchase' && event_time >= from && event_time < until)
    .flatMap((event) => itemsOf(event).map(idOf));
  return [...new Set(ids)].flatMap((id) => catalog.get(id) ?? []);
}

/** Names of leaf categories, by how many of their items were bought. */
function truthsOf(own: BehaviorEvent[], catalog: Map<string, CatalogItem>): string[] {
  const later = new Set(bought(own, END, AHEAD, catalog).map(({ category_id }) => category_id));
  const counts = new Map<string, number>();
  for (const { category_id, category_path } of bought(own, BEGIN, END, catalog)) {
    const tag = tagOf(category_path.at(-1) ?? '');
    if (tag !== null && later.has(category_id)) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).map(([tag]) => tag);
}

function liesOf(own: BehaviorEvent[], catalog: Map<string, CatalogItem>, count: number, seed: number): string[] {
  const said = bought(own, 0, Infinity, catalog).map(
    ({ title, category_path, brand_id, brand_name }) =>
      new Set([title ?? '', ...category_path, brand_id ?? '', brand_name ?? ''].flatMap(wordsOf)),
  );
  const isTrue = (tag: string) => said.some((words) => wordsOf(tag).every((word) => words.has(word)));
  const items = [...catalog.values()];
  const lies: string[] = [];
  for (let i = 0; lies.length < count; i++) {
    const item = items[(seed * 7919 + i * 104_729) % items.length]!;
    const tag = i % 4 === 3 ? item.brand_id : tagOf(item.category_path.at(-1) ?? '');
    if (tag !== null && !lies.includes(tag) && !isTrue(tag)) lies.push(tag);
  }
  return lies;
}

/** The whole of a label that is short enough for a tag and has nothing but words. */
function tagOf(label: string): string | null {
  const plain = /^[\p{L}\s&/-]+$/u.test(label) && meaningOf(label) !== '' && label.length <= TAG_LENGTH;
  return plain ? label : null;
}
