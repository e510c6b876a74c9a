/**
 * node bench/approval.ts: how well the approval tells true tags from false ones, on the real households.
 *
 * Every 15 days each household is proposed tags: leaf categories and makers. True is what it buys in the 60 days that
 * follow, false what it never buys in the whole year, as many of each as there are true ones (fewer where there are not so
 * many). Beside the approval as it is: the historical prior alone (is it in the pool, strong enough) and the behavioural
 * posterior alone (an empty pool each time).
 *
 * Thresholds were set on the even households; the odd ones are what counts.
 */
import { parseArgs } from 'node:util';
import { join } from 'node:path';
import { NgramEmbedder } from '../src/inference/ngram-embedder.ts';
import { bytesOf } from '../src/inference/embedder.ts';
import { meaningOf } from '../src/inference/words.ts';
import { table } from '../src/cli/table.ts';
import { readLines } from '../src/log/ndjson.ts';
import { approve, remember, type Approval } from '../src/profile/approval.ts';
import { Behaviour } from '../src/profile/evidence.ts';
import { PROFILES_DEFAULTS } from '../src/profile/options.ts';
import { Pool, strengthOf } from '../src/profile/pool.ts';
import { ProductReader, type Product } from '../src/profile/products.ts';
import { Recent } from '../src/profile/recent.ts';
import type { TagProposal } from '../src/profile/records.ts';
import { eventFromJson, type BehaviorEvent, type BehaviorItem } from '../src/shop/behaviour.ts';
import { catalogFromJson } from '../src/shop/catalog.ts';

const DAY = 86_400_000;
const AHEAD = 60 * DAY;
/** of each group, true and false, in one refresh */
const MOST = 20;
const DATA = join(import.meta.dirname, '../data/completejourney');

const { values: args } = parseArgs({ options: { set: { type: 'string' }, help: { type: 'boolean', default: false } } });
if (args.help) {
  process.stdout.write('node bench/approval.ts [--set name=value,...]   approval options to be tried\n');
  process.exit(0);
}

const options = { ...PROFILES_DEFAULTS, approval: { ...PROFILES_DEFAULTS.approval } };
for (const pair of args.set?.split(',') ?? []) {
  const [name, value] = pair.split('=');
  (options.approval as unknown as Record<string, number>)[name!] = Number(value);
}
// the ranking is not what is asked about here
options.approval.profileTags = Infinity;

interface Bought {
  time: number;
  category: string | null;
  maker: string | null;
}

const reader = new ProductReader(options.embedder);
const embedder = new NgramEmbedder();
const catalog = new Map<string, Product>();
/** leaf category -> the tag that names it */
const categories = new Map<string, string>();
const makers = new Set<string>();
for await (const lines of readLines(join(DATA, 'catalog.ndjson.gz'))) {
  for (const { value } of lines) {
    const item = catalogFromJson(value);
    catalog.set(item.item_id, reader.read(item));
    const leaf = item.category_path.at(-1);
    if (item.category_id !== null && leaf !== undefined) categories.set(item.category_id, tagOf(leaf));
    if (item.brand_id !== null) makers.add(item.brand_id);
  }
}
const events = new Map<string, BehaviorEvent[]>();
for await (const lines of readLines(join(DATA, 'events.ndjson.gz'))) {
  for (const { value } of lines) {
    const event = eventFromJson(value);
    if (event.event_type !== 'click' && event.event_type !== 'purchase') continue;
    let own = events.get(event.user_id);
    if (own === undefined) events.set(event.user_id, (own = []));
    own.push(event);
  }
}

/** The label's words as far as a tag may be long. */
function tagOf(label: string): string {
  let tag = '';
  for (const word of label
    .replace(/\(.*?\)?$|[^\p{L}\p{N}\s&-]/gu, ' ')
    .split(/\s+/)
    .filter(Boolean)) {
    if (tag !== '' && tag.length + 1 + word.length > options.tagLength) break;
    tag = tag === '' ? word.slice(0, options.tagLength) : `${tag} ${word}`;
  }
  return tag;
}

type Mode = 'prior and posterior' | 'prior alone' | 'posterior alone';
/** `known`: of the true ones, those that the household bought in the window too, so that a model could name them */
const counts = new Map<string, { tp: number; fp: number; fn: number; tn: number; known: number; knownTp: number }>();
function count(set: string, mode: Mode, truth: boolean, known: boolean, accepted: boolean): void {
  const key = `${set}\0${mode}`;
  const row = counts.get(key) ?? { tp: 0, fp: 0, fn: 0, tn: 0, known: 0, knownTp: 0 };
  row[truth ? (accepted ? 'tp' : 'fn') : accepted ? 'fp' : 'tn']++;
  if (truth && known) {
    row.known++;
    if (accepted) row.knownTp++;
  }
  counts.set(key, row);
}

const order = [...events.keys()].sort();
for (const [number, user] of order.entries()) {
  const own = events.get(user)!.sort((a, b) => a.event_time - b.event_time);
  const bought: Bought[] = own
    .filter(({ event_type }) => event_type === 'purchase')
    .flatMap(({ event_time: time, items }) =>
      (items as BehaviorItem[]).map(({ item_id, brand_id }) => ({
        time,
        category: catalog.get(item_id)?.category.id ?? null,
        maker: brand_id,
      })),
    );
  const ever = new Set(bought.flatMap(({ category, maker }) => [category, maker]));
  const begin = own[0]!.event_time;
  const end = own.at(-1)!.event_time;
  const pool = new Pool();
  const recent = new Recent();
  let next = 0;
  for (let at = begin + 28 * DAY; at + AHEAD <= end; at += 15 * DAY) {
    for (; next < own.length && own[next]!.event_time <= at; next++) {
      const event = own[next]!;
      for (const item of event.items as BehaviorItem[]) {
        recent.touch(event.event_type as 'click' | 'purchase', event.event_time, {
          item: item.item_id,
          title: catalog.get(item.item_id)?.title ?? null,
          category: item.category_id,
          brand: item.brand_id,
          seller: item.seller_id,
        });
      }
    }
    recent.trim(at - options.window, options);
    const ahead = bought.filter(({ time }) => time > at && time <= at + AHEAD);
    const proposals = labelled(user, ahead, ever);
    const behaviour = new Behaviour(
      recent.within(at - options.window, at, options),
      at - options.window,
      at,
      catalog,
      reader,
      embedder.name,
      options.approval,
    );
    const input = {
      proposals: proposals.map(({ proposal }) => proposal),
      embedder: embedder.name,
      at,
      behaviour,
      tagLength: options.tagLength,
      options: options.approval,
    };
    const alone = accepted(approve({ ...input, pool: new Pool() }));
    const prior = new Set(
      [...pool.tags.values()]
        .filter((tag) => strengthOf(tag, at, options.approval) >= options.approval.trusted)
        .map(({ meaning }) => meaning),
    );
    const both = approve({ ...input, pool });
    remember({ ...input, pool }, both);
    const all = accepted(both);
    const before = bought.filter(({ time }) => time > at - options.window && time <= at);
    const touched = new Set(
      before.flatMap(({ category, maker }) => [
        meaningOf(categories.get(category ?? '') ?? ''),
        meaningOf(maker ?? ''),
      ]),
    );
    for (const { proposal, truth } of proposals) {
      const known = touched.has(meaningOf(proposal.tag));
      const meaning = meaningOf(proposal.tag);
      const found = pool.find(meaning, embedder.embedNow(proposal.tag), embedder.name, options.approval.same);
      const set = number % 2 === 0 ? 'even households' : 'odd households';
      count(
        set,
        'prior and posterior',
        truth,
        known,
        all.has(meaning) || (found !== undefined && all.has(found.meaning)),
      );
      count(set, 'prior alone', truth, known, prior.has(meaning));
      count(set, 'posterior alone', truth, known, alone.has(meaning));
    }
  }
}

function accepted({ tags }: Approval): Set<string> {
  return new Set(tags.map(({ meaning }) => meaning));
}

/** Distinct in meaning, true ones first; what is neither true nor false (bought before or later) is not proposed. */
function labelled(user: string, ahead: Bought[], ever: Set<string | null>) {
  const proposals: { proposal: TagProposal; truth: boolean }[] = [];
  const seen = new Set<string>();
  const add = (tag: string, group: 'category' | 'brand', truth: boolean): boolean => {
    const meaning = meaningOf(tag);
    if (meaning === '' || seen.has(meaning)) return false;
    seen.add(meaning);
    const embedding = bytesOf(embedder.embedNow(tag));
    proposals.push({ proposal: { tag, group, reason: null, behaviours: [], embedding }, truth });
    return true;
  };
  // every name that the household ever buys, so that none of them passes for false under another category's id
  const own = new Set([...ever].map((id) => meaningOf(categories.get(id ?? '') ?? '')));
  for (const [names, group, of] of [
    [categories, 'category', 'category'],
    [new Map([...makers].map((maker) => [maker, maker])), 'brand', 'maker'],
  ] as const) {
    const truths = new Set(ahead.map((one) => one[of]));
    let wanted = 0;
    const mixed = [...truths].sort((a, b) => hash(`${user} ${a}`) - hash(`${user} ${b}`));
    for (const id of mixed)
      if (wanted < MOST && id !== null && names.has(id) && add(names.get(id)!, group, true)) wanted++;
    const others = [...names];
    // the same ones in each run
    for (let i = 0; wanted > 0 && i < others.length; i++) {
      const [id, tag] = others[hash(`${user} ${i}`) % others.length]!;
      if (!ever.has(id) && !own.has(meaningOf(tag)) && add(tag, group, false)) wanted--;
    }
  }
  return proposals;
}

function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x45d9f3b);
  return (h ^ (h >>> 16)) >>> 0;
}

const share = (part: number, whole: number): string => (whole === 0 ? '-' : (part / whole).toFixed(3));
const rows = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
process.stdout.write(
  `${table(
    [
      'households',
      'approval by',
      'true',
      'false',
      'precision',
      'recall',
      'of those bought in the window',
      'false accepted',
    ],
    rows.map(([key, { tp, fp, fn, tn, known, knownTp }]) => [
      ...key.split('\0'),
      String(tp + fn),
      String(fp + tn),
      share(tp, tp + fp),
      share(tp, tp + fn),
      share(knownTp, known),
      share(fp, fp + tn),
    ]),
  )}\n`,
);
