/**
 * node training/evaluate.ts [--data FOLDER] [--out FOLDER] [--users N] ...: SerenGPT held out by time (paper, 5.1 to 5.3).
 *
 * For each held-out serendipitous click (after the cut-off, of a user with N visit days) its title is one of a hundred:
 * itself and 99 items at random that the user never clicked serendipitously. The model continues the prompt of what was
 * known before 30 times; the score of an item is the mean over the samples of how well the sample matches its title
 * (`closeness`). Beside it: chance, purchases before the cut-off, and the same closeness to the user's own tags and last
 * titles, which is retrieval without a model.
 *
 * Writes `qrels.json` and `run-<name>.json`, which check-metrics.py reads with pytrec_eval, and `result.json`.
 */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { table } from '../src/cli/table.ts';
import { cosine } from '../src/inference/embedder.ts';
import { OnnxEmbedder } from '../src/inference/onnx/embedder.ts';
import { OnnxSampler } from '../src/inference/onnx/sampler.ts';
import { randomOf } from '../src/inference/onnx/pick.ts';
import { readLines } from '../src/log/ndjson.ts';
import type { Example } from './examples.ts';
import { CUTS, interval, metricsOf, rankOf, sum, type Interval } from './ranking.ts';

const at = (...path: string[]): string => join(import.meta.dirname, ...path);
const { values: args } = parseArgs({
  options: {
    data: { type: 'string', default: at('work/data') },
    out: { type: 'string', default: at('work/evaluation') },
    model: { type: 'string', default: at('../models/serengpt-small') },
    embedder: { type: 'string', default: at('../models/embedder-small') },
    /** examples of one user, at most: no one household is to be the result */
    each: { type: 'string', default: '20' },
    samples: { type: 'string', default: '30' },
    seed: { type: 'string', default: '7' },
    /** a file with the users whose behaviour was trained on, one a line: the others are shown apart */
    trained: { type: 'string' },
  },
});
const NEGATIVES = 99;
const SAMPLES = Number(args.samples);
const SEED = Number(args.seed);
/** how fast closeness falls with the angle: found on training-time clicks, see docs/evaluation.md */
const SHARPNESS = 12;
/** items that one generated title brings, for the diversity and the hit rate */
const RETRIEVED = 10;

interface Item {
  item_id: string;
  title: string | null;
  category_id: string | null;
  purchases: number;
}

async function rows<T>(file: string): Promise<T[]> {
  const all: T[] = [];
  for await (const lines of readLines(file)) all.push(...lines.map(({ value }) => value as T));
  return all;
}

const hash = (text: string): number => createHash('sha256').update(text).digest().readUInt32LE(0);
const named = <T extends Item>(item: T): item is T & { title: string } => item.title !== null && item.title !== '';

const items = (await rows<Item>(join(args.data, 'items.ndjson'))).filter(named);
const itemOf = new Map(items.map((item) => [item.item_id, item]));
const examples = await rows<Example>(join(args.data, 'examples.ndjson'));
const liked = new Map<string, Set<string>>();
for (const { user_id, item_id } of examples) {
  const own = liked.get(user_id) ?? new Set();
  liked.set(user_id, own.add(item_id));
}
const trained = new Set(
  args.trained === undefined ? [] : (await rows<{ user_id: string }>(args.trained)).map((one) => one.user_id),
);

/** The same ones in each run. */
const asked = [
  ...Map.groupBy(
    examples.filter((one) => one.split === 'test' && one.mature),
    (one) => one.user_id,
  ),
]
  .sort(([a], [b]) => (a < b ? -1 : 1))
  .flatMap(([, own]) =>
    own
      .map((one) => ({ one, order: hash(`${SEED} ${one.user_id} ${one.click_time} ${one.item_id}`) }))
      .sort((a, b) => a.order - b.order)
      .slice(0, Number(args.each))
      .map(({ one }) => one),
  );

function candidatesOf(example: Example, number: number): string[] {
  const random = randomOf(SEED, number);
  const own = liked.get(example.user_id)!;
  const chosen = new Set<string>();
  while (chosen.size < NEGATIVES) {
    const { item_id } = items[Math.floor(random() * items.length)]!;
    if (!own.has(item_id)) chosen.add(item_id);
  }
  return [example.item_id, ...chosen];
}

const sampler = await OnnxSampler.fromFolder(args.model);
const embedder = await OnnxEmbedder.fromFolder(args.embedder, { remembered: 200_000 });
const titles = [...new Set(items.map(({ title }) => title))];
const vectorOf = new Map<string, Int8Array>();
const embed = async (texts: readonly string[]): Promise<Int8Array[]> => {
  const missing = [...new Set(texts)].filter((text) => !vectorOf.has(text));
  const vectors = await embedder.embed(missing);
  missing.forEach((text, i) => vectorOf.set(text, vectors[i]!));
  return texts.map((text) => vectorOf.get(text)!);
};
await embed(titles);
const categoryOf = new Map(items.map(({ title, category_id }) => [title, category_id]));

/** Mean over the texts of exp(sharpness · (cosine - 1)): 1 where all of them are the title, near 0 where none is like it. */
const closeness = (vector: Int8Array, texts: readonly Int8Array[]): number =>
  texts.length === 0 ? 0 : sum(texts.map((text) => Math.exp(SHARPNESS * (cosine(vector, text) - 1)))) / texts.length;

/** Distinct titles of the catalog that are nearest to a text. */
const nearestOf = new Map<string, string[]>();
function nearest(text: string, vector: Int8Array): string[] {
  let found = nearestOf.get(text);
  if (found === undefined) {
    found = titles
      .map((title) => ({ title, near: cosine(vector, vectorOf.get(title)!) }))
      .sort((a, b) => b.near - a.near)
      .slice(0, RETRIEVED)
      .map(({ title }) => title);
    nearestOf.set(text, found);
  }
  return found;
}

const METHODS = ['chance', 'purchases', 'own tags and titles', 'SerenGPT', 'SerenGPT and purchases'] as const;
type Method = (typeof METHODS)[number];
const runs = Object.fromEntries(METHODS.map((method) => [method, {}])) as Record<
  Method,
  Record<string, Record<string, number>>
>;
const qrels: Record<string, Record<string, number>> = {};
interface Generated {
  user: string;
  unique: number;
  valid: number;
  rightCategory: number;
  copied: number;
  categories: number;
  hit: number;
  finished: number;
}
const generated: Generated[] = [];
const ranks = Object.fromEntries(METHODS.map((method) => [method, []])) as unknown as Record<
  Method,
  { user: string; rank: number }[]
>;
const catalogTitles = new Set(titles);
const stopped = new AbortController();
const begun = performance.now();

for (const [number, example] of asked.entries()) {
  const { samples } = await sampler.sample(
    {
      system: null,
      prompt: example.prompt,
      samples: SAMPLES,
      temperature: 0.95,
      repetitionPenalty: 1.05,
      maxTokens: 24,
      seed: SEED + number * SAMPLES,
    },
    stopped.signal,
  );
  const texts = samples.map(({ text }) => text.toLowerCase());
  const said = await embed(texts);
  const own = await embed([...example.tags, ...new Set(example.history.slice(-12))].map((text) => text.toLowerCase()));
  const candidates = candidatesOf(example, number);
  const random = randomOf(SEED ^ 0x5eed, number);
  const scores: Record<Method, number[]> = {
    chance: candidates.map(() => random()),
    purchases: candidates.map((id) => itemOf.get(id)!.purchases),
    'own tags and titles': candidates.map((id) => closeness(vectorOf.get(itemOf.get(id)!.title)!, own)),
    SerenGPT: candidates.map((id) => closeness(vectorOf.get(itemOf.get(id)!.title)!, said)),
    'SerenGPT and purchases': [],
  };
  scores['SerenGPT and purchases'] = scores.SerenGPT.map((score, i) => score * Math.log2(2 + scores.purchases[i]!));
  const query = `q${number}`;
  qrels[query] = { [example.item_id]: 1 };
  for (const method of METHODS) {
    // ties are broken by chance, the same for all: a list of zeros is no ranking
    const untied = scores[method].map((score, i) => score + (1e-9 * hash(`${query} ${candidates[i]}`)) / 2 ** 32);
    ranks[method].push({ user: example.user_id, rank: rankOf(untied, 0) });
    runs[method][query] = Object.fromEntries(candidates.map((id, i) => [id, untied[i]!]));
  }
  const inPrompt = new Set(example.history.slice(-50).map((text) => text.toLowerCase()));
  const brought = texts.flatMap((text, i) => nearest(text, said[i]!));
  const categories = new Set(brought.map((title) => categoryOf.get(title) ?? null));
  generated.push({
    user: example.user_id,
    unique: new Set(texts).size,
    valid: texts.filter((text) => catalogTitles.has(text)).length / SAMPLES,
    rightCategory: texts.filter((text) => (categoryOf.get(text) ?? '') === example.category_id).length / SAMPLES,
    copied: texts.filter((text) => inPrompt.has(text)).length / SAMPLES,
    categories: categories.size,
    hit: categories.has(example.category_id) ? 1 : 0,
    finished: samples.filter(({ finished }) => finished).length / SAMPLES,
  });
  if ((number + 1) % 200 === 0) process.stderr.write(`${number + 1} of ${asked.length}\n`);
}
const seconds = (performance.now() - begun) / 1000;
await sampler.close();
await embedder.close();

await mkdir(args.out, { recursive: true });
const json = (name: string, value: unknown): Promise<void> =>
  writeFile(join(args.out, name), `${JSON.stringify(value, null, 1)}\n`);
await json('qrels.json', qrels);
for (const method of METHODS) await json(`run-${method.replaceAll(' ', '-')}.json`, runs[method]);

const shown = (one: Interval, digits: number): string =>
  `${one.mean.toFixed(digits)} (${one.low.toFixed(digits)}–${one.high.toFixed(digits)})`;
const groups: [string, (user: string) => boolean][] =
  trained.size === 0
    ? [['all', () => true]]
    : [
        ['all', () => true],
        ['households trained on', (user) => trained.has(user)],
        ['households never seen', (user) => !trained.has(user)],
      ];
const result: Record<string, unknown> = {
  seconds,
  samples: SAMPLES,
  seed: SEED,
  sharpness: SHARPNESS,
  model: sampler.name,
  embedder: embedder.name,
};
for (const [group, holds] of groups) {
  const of = <T extends { user: string }>(all: readonly T[]): T[] => all.filter(({ user }) => holds(user));
  const clicks = of(generated);
  const users = new Set(clicks.map(({ user }) => user)).size;
  const metrics = Object.fromEntries(METHODS.map((method) => [method, metricsOf(of(ranks[method]))]));
  const measures = Object.keys(metrics.SerenGPT!);
  process.stdout.write(`\n${group}: ${clicks.length} clicks of ${users} households\n`);
  process.stdout.write(
    `${table(
      ['', ...METHODS],
      measures.map((name) => [name, ...METHODS.map((method) => shown(metrics[method]![name]!, 3))]),
    )}\n`,
  );
  const parts = ['unique', 'valid', 'finished', 'rightCategory', 'copied', 'categories', 'hit'] as const;
  const diversity = Object.fromEntries(
    parts.map((part) => [part, interval(clicks.map((one) => ({ user: one.user, value: one[part] })))]),
  );
  process.stdout.write(
    `${table(
      ['of 30 titles', ''],
      parts.map((part) => [part, shown(diversity[part]!, 3)]),
    )}\n`,
  );
  result[group] = { clicks: clicks.length, users, metrics, diversity };
}
await json('result.json', result);
process.stdout.write(`\n${asked.length} prompts in ${seconds.toFixed(0)} s; cuts ${CUTS.join(', ')}\n`);
