/**
 * node --expose-gc bench/retrieval.ts [--items N] [--requests N] [--texts N] [--per-text N] [--embedder ngram|FOLDER]: the
 * embedded retriever and the pre-ranking over a made catalog: how long the indexes take, what they hold, what a request costs,
 * and how much of what brute force finds the vectors' graph finds.
 *
 * Titles are of three to nine words out of the vocabulary, a word's frequency falling as in a language (Zipf), and a fifth of
 * the items are variants of another one, as colours and sizes are.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { formatSize } from '../src/cli/units.ts';
import { cosine, type Embedder } from '../src/inference/embedder.ts';
import { NgramEmbedder } from '../src/inference/ngram-embedder.ts';
import { OnnxEmbedder } from '../src/inference/onnx/embedder.ts';
import { randomOf } from '../src/inference/onnx/pick.ts';
import { OnnxRanker } from '../src/inference/onnx/ranker.ts';
import { contextOf, itemsNamed } from '../src/nearline/pre-rank/context.ts';
import { featuresOf } from '../src/nearline/pre-rank/features.ts';
import { SwappingRanker } from '../src/nearline/pre-rank/swapping.ts';
import { EmbeddedRetriever } from '../src/nearline/retrieval/embedded.ts';
import type { ShopItem } from '../src/nearline/retriever.ts';
import type { GeneratedText } from '../src/serengpt/records.ts';
import type { CatalogItem } from '../src/shop/catalog.ts';
import { silent } from '../src/stream/logger.ts';
import { saidLike } from './asked.ts';
import { median } from './stats.ts';

const text = (fallback: string) => ({ type: 'string', default: fallback }) as const;
const { values: args } = parseArgs({
  options: {
    items: text('100000'),
    requests: text('40'),
    texts: text('30'),
    'per-text': text('20'),
    embedder: text('ngram'),
    model: text(join(import.meta.dirname, '../models/pre-rank')),
  },
});
const [ITEMS, REQUESTS, TEXTS, PER_TEXT] = [args.items, args.requests, args.texts, args['per-text']].map(Number) as [
  number,
  number,
  number,
  number,
];
const VOCABULARY = 30_000;
const CATEGORIES = 2000;
const random = randomOf(1, 1);
const SYLLABLES = 'ba de fi go lu ma ne pi ro su ta ve wi xo zu cha ble tri sto gra'.split(' ');
const int = (below: number): number => Math.floor(random() * below);
const words = Array.from({ length: VOCABULARY }, () =>
  Array.from({ length: 2 + int(3) }, () => SYLLABLES[int(SYLLABLES.length)]!).join(''),
);
/** A rank below n, of which the first are by far the most frequent. */
const zipf = (n: number): number => Math.min(Math.floor(Math.exp(random() * Math.log(n))) - 1, n - 1);
const title = (): string => Array.from({ length: 3 + int(7) }, () => words[zipf(VOCABULARY)]!).join(' ');

const titles: string[] = [];
for (let i = 0; i < ITEMS; i++) {
  const variant = i > 0 && random() < 0.2;
  titles.push(variant ? `${titles[int(i)]!} ${words[zipf(VOCABULARY)]!}` : title());
}
const itemAt = (i: number): CatalogItem => {
  const category = zipf(CATEGORIES);
  return {
    item_id: `item-${i}`,
    title: titles[i]!,
    category_id: `c${category}`,
    category_path: [`d${category % 40}`, `c${category}`],
    brand_id: `b${zipf(5000)}`,
    brand_name: words[zipf(5000)]!,
    seller_id: `s${zipf(500)}`,
    tags: [],
    price: int(10_000) / 100,
    available: true,
    embedding: null,
    embedder: null,
  };
};

const gc = (globalThis as { gc?: () => void }).gc ?? (() => {});
const memory = (): number => {
  gc();
  return process.memoryUsage().rss;
};
/** Of all threads, in ms: what else runs on the machine is not in it. */
const cpu = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const line = (what: string, value: string): void => void process.stdout.write(`${what.padEnd(44)}${value}\n`);
const ms = (value: number): string => `${value.toFixed(value < 10 ? 2 : 1)} ms`;
const quantile = (values: number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) * share)]!;

const embedder: Embedder & { close?: () => Promise<void> } =
  args.embedder === 'ngram' ? new NgramEmbedder() : await OnnxEmbedder.fromFolder(args.embedder);
const retriever = new EmbeddedRetriever({ embedder, logger: silent, now: Date.now });
const empty = memory();
const begunAt = cpu();
const begun = performance.now();
for (let i = 0; i < ITEMS; i++) retriever.put(itemAt(i));
const worded = performance.now();
await retriever.settled();
const built = performance.now();
const bytes = retriever.status().bytes!;
line('items', `${ITEMS}, embedder ${embedder.name}`);
line('processor time of both indexes', `${((cpu() - begunAt) / 1000).toFixed(1)} s`);
line('keyword index built', `${((worded - begun) / 1000).toFixed(1)} s`);
line('vectors made and their graph built', `${((built - worded) / 1000).toFixed(1)} s`);
line('typed arrays: keyword, vector', `${formatSize(bytes.keyword)}, ${formatSize(bytes.vector)}`);
line('resident, over that of an empty process', formatSize(memory() - empty));

const said = (): GeneratedText => {
  const text = saidLike(titles[int(ITEMS)]!, words[zipf(VOCABULARY)]!, random);
  return { text, kind: 'title', times: 1, logprob: -1 };
};
const { signal } = new AbortController();
const ranker = new SwappingRanker({
  folder: args.model,
  load: (folder) => OnnxRanker.fromFolder(folder),
  embedder: embedder.name,
  pollMs: 1e9,
  logger: silent,
  observer: { inUse() {}, swapped() {}, refused: (code) => void process.stderr.write(`no model: ${code}\n`) },
});
await ranker.start();
const taken: Record<'keyword' | 'vector' | 'features' | 'model' | 'all', number[]> = {
  keyword: [],
  vector: [],
  features: [],
  model: [],
  all: [],
};
let found = 0;
const answering = cpu();
for (let i = 0; i < REQUESTS; i++) {
  const texts = Array.from({ length: TEXTS }, said);
  const history = Array.from({ length: 20 }, () => {
    const at = int(ITEMS);
    return {
      time: 1,
      kind: 'click' as const,
      text: titles[at]!,
      item_id: `item-${at}`,
      category_id: null,
      brand_id: null,
    };
  });
  const tags = Array.from({ length: 20 }, () => ({ tag: title(), group: 'category', score: 0.5, long_term: false }));
  const from = performance.now();
  const retrieval = await retriever.retrieve(texts, PER_TEXT, signal);
  const between = performance.now();
  const told = { texts, tags, history };
  const rows = featuresOf(await contextOf(told, await retriever.items(itemsNamed(told)), embedder), retrieval.found);
  const featured = performance.now();
  await ranker.score(rows);
  const ended = performance.now();
  found += retrieval.found.length;
  taken.keyword.push(retrieval.seconds.keyword * 1000);
  taken.vector.push(retrieval.seconds.vector * 1000);
  taken.features.push(featured - between);
  taken.model.push(ended - featured);
  taken.all.push(ended - from);
}
line('texts a request, items found', `${TEXTS}, ${Math.round(found / REQUESTS)} (${PER_TEXT} a text and channel)`);
for (const [what, values] of Object.entries(taken)) {
  line(`${what}, a request: median, 95th`, `${ms(median(values))}, ${ms(quantile(values, 0.95))}`);
}
line('processor time of a request, all of it', ms((cpu() - answering) / REQUESTS));
line('model', ranker.name ?? 'none');

const all = [...(await retriever.items(titles.map((_, i) => `item-${i}`))).values()];
const withVector = all.filter((one): one is ShopItem & { vector: Int8Array } => one.vector !== null);
let [hits, wanted] = [0, 0];
for (let i = 0; i < 20; i++) {
  const one = said();
  const [vector] = await embedder.embed([one.text]);
  const nearest = withVector
    .map(({ item_id, vector: other }) => ({ item_id, score: cosine(vector!, other) }))
    .sort((a, b) => b.score - a.score)
    .slice(0, PER_TEXT);
  const retrieval = await retriever.retrieve([one], PER_TEXT, signal);
  // of equal cosines any will do
  const least = nearest.at(-1)!.score;
  hits += retrieval.found.filter((hit) => hit.vector !== null && hit.vector.score >= least).length;
  wanted += nearest.length;
}
line(`recall@${PER_TEXT} of the vectors`, (hits / wanted).toFixed(3));
await ranker.close();
await retriever.close();
await embedder.close?.();
