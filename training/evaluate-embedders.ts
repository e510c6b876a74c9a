/**
 * node training/evaluate-embedders.ts [--data FOLDER] [--model FOLDER]: the n-gram embedder and a model, asked for the
 * neighbours of titles that neither saw in training (items not shown before the cut-off), among those that were shown.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cosine, type Embedder } from '../src/inference/embedder.ts';
import { NgramEmbedder } from '../src/inference/ngram-embedder.ts';
import { OnnxEmbedder } from '../src/inference/onnx/embedder.ts';
import { readLines } from '../src/log/ndjson.ts';
import { table } from '../src/cli/table.ts';

const { values } = parseArgs({
  options: {
    data: { type: 'string', default: join(import.meta.dirname, 'work/data') },
    model: { type: 'string', default: join(import.meta.dirname, '../models/embedder-small') },
    queries: { type: 'string', default: '600' },
    /** the figures, for the model's card */
    json: { type: 'string' },
  },
});

interface Item {
  title: string | null;
  category_id: string | null;
  category_path: string[];
  shown: boolean;
}
const K = 10;

/** One item a title, the first of the file. */
const known = new Map<string, Item>();
const held = new Map<string, Item>();
for await (const lines of readLines(join(values.data, 'items.ndjson'))) {
  for (const { value } of lines) {
    const item = value as Item;
    if (item.title === null || item.category_id === null) continue;
    if (item.shown) known.set(item.title, known.get(item.title) ?? item);
    else held.set(item.title, held.get(item.title) ?? item);
  }
}
for (const title of known.keys()) held.delete(title);
const aisleOf = ({ category_path }: Item): string => category_path.slice(0, 2).join(' > ');
const titles = [...known.keys()];
const leaves = new Set([...known.values()].map(({ category_id }) => category_id));
const every = Math.max(1, Math.floor(held.size / Number(values.queries)));
const asked = [...held.values()].filter((item, i) => i % every === 0 && leaves.has(item.category_id));
const aisles = [...new Set([...known.values()].map(aisleOf))].filter((name) => name.includes(' > '));

const nearest = (query: Int8Array, vectors: readonly Int8Array[]): Item[] =>
  vectors
    .map((vector, i) => ({ i, near: cosine(query, vector) }))
    .sort((a, b) => b.near - a.near || a.i - b.i)
    .slice(0, K)
    .map(({ i }) => known.get(titles[i]!)!);
const mean = (values: readonly number[]): string => (values.reduce((a, b) => a + b, 0) / values.length).toFixed(3);

async function measured(embedder: Embedder): Promise<string[]> {
  const begun = performance.now();
  const vectors = await embedder.embed(titles);
  const rate = titles.length / ((performance.now() - begun) / 1000);
  const leaf: number[] = [];
  const aisle: number[] = [];
  const first: number[] = [];
  const queries = await embedder.embed(asked.map(({ title }) => title!));
  for (const [i, item] of asked.entries()) {
    const found = nearest(queries[i]!, vectors);
    leaf.push(found.filter(({ category_id }) => category_id === item.category_id).length / K);
    aisle.push(found.filter((one) => aisleOf(one) === aisleOf(item)).length / K);
    const place = found.findIndex(({ category_id }) => category_id === item.category_id);
    first.push(place < 0 ? 0 : 1 / (place + 1));
  }
  const byName: number[] = [];
  const names = await embedder.embed(aisles.map((name) => name.split(' > ')[1]!));
  for (const [i, name] of aisles.entries()) {
    byName.push(nearest(names[i]!, vectors).filter((one) => aisleOf(one) === name).length / K);
  }
  return [embedder.name, mean(leaf), mean(first), mean(aisle), mean(byName), Math.round(rate).toString()];
}

const model = await OnnxEmbedder.fromFolder(values.model);
try {
  const rows = [await measured(new NgramEmbedder()), await measured(model)];
  const about = `${asked.length} titles not seen, ${titles.length} known ones, ${aisles.length} names of aisles`;
  process.stdout.write(
    `${about}\n${table(['embedder', 'leaf of 10', 'leaf MRR', 'aisle of 10', 'by aisle name', 'texts/s'], rows)}\n`,
  );
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify({ about, rows }, null, 1)}\n`);
} finally {
  await model.close();
}
